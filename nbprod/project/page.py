"""The executed notebook as a web page that nothing in it can turn against its reader."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.printable import printable
from nbprod.project.clean import clean_html
from nbprod.project.run import Run

if TYPE_CHECKING:
    from nbprod.verify import Spoken

__all__ = ["POLICY", "html_page", "write_page"]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; media-src data:"
"""What a browser may do with the page: show it. No script, and nothing is fetched from anywhere."""

_SHOWN = frozenset(
    ("text/html", "text/markdown", "text/latex", "text/plain", "image/svg+xml", "image/png", "image/jpeg")
)

_TEMPLATE = f"""{{%- extends 'index.html.j2' -%}}
{{%- block html_head_js -%}}
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="referrer" content="no-referrer">
{{%- endblock html_head_js -%}}
{{%- block extra_css -%}}<style>{{{{ resources.said_style }}}}</style>{{%- endblock extra_css -%}}
{{%- block body_header -%}}{{{{ super() }}}}{{{{ resources.said }}}}{{%- endblock body_header -%}}
{{%- block jupyter_widgets -%}}{{%- endblock jupyter_widgets -%}}
{{%- block html_head_js_mathjax -%}}{{%- endblock html_head_js_mathjax -%}}
{{%- block html_head_js_mermaidjs -%}}{{%- endblock html_head_js_mermaidjs -%}}
"""


_STYLE = """
.said { font: 14px/1.5 system-ui, sans-serif; color: #1f2328; background: #f6f8fa; border-left: 5px solid #59636e;
  margin: 1rem 0; padding: .6rem 1rem; overflow-wrap: anywhere; }
.said.approved { border-color: #1a7f37; } .said.rejected { border-color: #cf222e; background: #ffebe9; }
.said b { font-size: 1.15em; } .said ul { margin: .3rem 0; padding-left: 1.3rem; } .said .void { color: #59636e; }
"""


def html_page(run: Run, spoken: Sequence[Spoken] = (), stands: str = "") -> bytes:
    """Return the executed notebook as HTML, sanitised (law 10): one file, no script, no reference to the outside.

    The bytes come from the store, checked against the record's digest.

    Args:
        run: the run.
        spoken: what people have said of it until now, which stands above the notebook.
        stands: the word for what of that stands: `approved`, `rejected` or nothing.

    Raises:
        IntegrityError: the stored notebook is not there, or not what the record says.
    """
    import jinja2  # noqa: PLC0415 - slow to import, and only here
    import nbformat  # noqa: PLC0415
    from nbconvert.exporters import HTMLExporter  # noqa: PLC0415

    data = run.home.read(run.record.notebook.digest, run.record.run_id)
    exporter: Any = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="lab",
        template_file="nbprod.html.j2",
        extra_loaders=[jinja2.DictLoader({"nbprod.html.j2": _TEMPLATE})],
        sanitize_html=True,
    )
    exporter.register_filter("clean_html", clean_html)  # nbconvert's own leaves tables and headings as text
    node = nbformat.reads(data.decode("utf-8"), as_version=4)
    for cell in node.cells:
        if cell.cell_type == "code":
            cell.outputs = [shown for output in cell.outputs if (shown := _showable(output)) is not None]
    about = {"metadata": {"name": f"{run.step} {run.id.short}: {run.status}"}}
    said = {"said": _said(spoken, stands), "said_style": _STYLE if spoken else ""}
    body, _ = exporter.from_notebook_node(node, {**about, **said})
    return str(body).encode("utf-8", "replace")


def _said(spoken: Sequence[Spoken], stands: str) -> str:
    """Return what people have said as HTML: all of it is text of theirs, and escaped."""
    if not spoken:
        return ""
    from nbprod.verify import later  # noqa: PLC0415 - most pages are without

    void = {**later(spoken), **{each: "does not count" for each in spoken if each.said.key_id is None}}
    lines = "".join(
        f'<li class="void">{_escaped(each.said.check.told)} <b>{void[each]}</b></li>'
        if each in void
        else f"<li>{_escaped(each.said.check.told)}</li>"
        for each in spoken
    )
    heading = (stands or "said of it").capitalize()
    told = "This is what people had said of the run when the page was made."
    return f'<section class="said {stands}"><b>{heading}</b><ul>{lines}</ul>{told}</section>'


def _escaped(text: str) -> str:
    return html.escape(printable(text))


def _showable(output: Any) -> Any:
    """Return an output as the page can show it; None for a scrap, which stands in the record cell at the top."""
    data = output.get("data")
    if data is None or not _SHOWN.isdisjoint(data):
        return output
    rest = [kind for kind in data if not kind.startswith("application/scrapbook.")]
    if not rest:
        return None
    output["data"] = {"text/plain": f"(an output of type {', '.join(rest)}, which this page cannot show)"}
    return output


def write_page(run: Run, spoken: Sequence[Spoken] = (), stands: str = "") -> Path:
    """Write the page (see `html_page`) where a browser can open it, and return its path."""
    from nbprod.runner.files import write_atomically  # noqa: PLC0415

    path = run.home.folder / "pages" / f"{run.id}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, html_page(run, spoken, stands))
    return path
