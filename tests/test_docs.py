"""The documentation is held to the product: links resolve, everything is described, and what it shows runs."""

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from dataclasses import fields
from pathlib import Path

import click
import nbformat
import pytest

import nbprod
from nbprod.cli.app import COMMANDS
from nbprod.cli.app import nbprod as nbprod_command
from nbprod.errors import NbprodError
from nbprod.ledger import errors as ledger_errors
from nbprod.ledger import events
from nbprod.parameters import tag
from nbprod.project.settings import Settings, read_settings
from nbprod.record.status import CellStatus, Status
from nbprod.step.contract import ScrapRule
from nbprod.step.step import StepSettings

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"^<!-- (\w+)(?:: ([^>]*?))? -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)

by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """What a forge makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)).strip() for text in headings]
    return {text.lower().replace(" ", "-") for text in plain}


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in LINK.findall(prose(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@by_name
def test_links_lead_somewhere(page):
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "there.md").write_text("# A heading, with `code`\n")
    page = tmp_path / "page.md"
    page.write_text("[a](there.md) [b](there.md#a-heading-with-code) [c](gone.md) [d](there.md#gone)\n")
    assert broken_links(page) == ["gone.md", "there.md#gone"]


@by_name
def test_every_page_can_be_reached_and_names_no_machine(page):
    text = page.read_text("utf-8")
    assert str(ROOT) not in text
    assert str(Path.home()) not in text or Path.home() == Path("/")
    assert not re.search(r"pypi|files\.pythonhosted|--index-url|anaconda\.org|(?<![\w.])/(home|root|Users|work)/", text)
    if page.parent != ROOT:
        linked = {
            (other.parent / link.partition("#")[0]).resolve() for other in PAGES for link in LINK.findall(prose(other))
        }
        assert page in linked, "no other page links to this one"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


# --- everything is described -----------------------------------------------------------------------


def table_keys(page: Path) -> set[str]:
    """What stands in the first column of the page's tables, as code."""
    rows = re.findall(r"^\| (.+?) \|", prose(page), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_command_is_named():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert [command for command in COMMANDS if f"`{command}`" not in text] == []


def test_every_setting_is_described():
    described = table_keys(DOCS / "reference" / "settings.md")
    settings = {entry.name for kind in (Settings, StepSettings) for entry in fields(kind)} - {"expect"}
    rules = {f"expect.scraps.NAME.{entry.name}" for entry in fields(ScrapRule) if entry.name != "name"}
    assert (settings | rules | {"expect.artifacts"}) - described == set()


def test_the_defaults_in_the_settings_are_true():
    text = (DOCS / "reference" / "settings.md").read_text("utf-8")
    for name in ("start_timeout", "grace", "cell_output_limit", "run_output_limit"):
        default = next(entry.default for entry in fields(StepSettings) if entry.name == name)
        assert f"| `{name}` | `{default:g}`" in text or f"| `{name}` | `{default}`" in text


def test_every_variable_is_described():
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "nbprod").rglob("*.py"))
    read = set(re.findall(r"\bNBPROD_[A-Z]+(?:_[A-Z]+)*\b", sources))
    assert read >= {"NBPROD_HOME", "NBPROD_DEBUG"}
    assert read - table_keys(DOCS / "reference" / "settings.md") == set()


def every_error(kind: type[NbprodError] = NbprodError) -> set[type[NbprodError]]:
    ours = {each for each in kind.__subclasses__() if each.__module__.startswith("nbprod.")}
    return {kind, *(error for each in ours for error in every_error(each))}


def test_every_error_is_described_with_its_exit_code():
    assert ledger_errors.AmbiguousRun in every_error()
    text = (DOCS / "reference" / "errors.md").read_text("utf-8")
    for error in every_error():
        section = re.search(rf"^#+ {error.__name__}\n\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, f"{error.__name__} is not described"
        assert re.search(rf"\b{error.exit_code}[.,]", section[1]), f"{error.__name__}: exit code {error.exit_code}"


def test_every_status_and_event_is_described():
    text = (DOCS / "reference" / "record.md").read_text("utf-8")
    kinds = [kind.__name__ for base in events.Event.__subclasses__() for kind in base.__subclasses__()]
    assert "RunStarted" in kinds
    words = [*Status, *CellStatus, *kinds]
    assert [word for word in words if f"`{word}`" not in text] == []


def test_every_option_of_the_python_face_is_described():
    import inspect

    from nbprod.api import compare, reproduce, run, runs, sweep
    from nbprod.diff import Comparison
    from nbprod.project import Run
    from nbprod.project.reproduce import Reproduction
    from nbprod.project.swept import Sweep

    described = table_keys(DOCS / "reference" / "python.md")
    names = {
        name for function in (compare, reproduce, run, runs, sweep) for name in inspect.signature(function).parameters
    }
    attributes = {name for name in vars(Run) if not name.startswith("_")} - {"home", "raise_for_status"}
    attributes |= {name for name in (*vars(Sweep), "id", "step", "points") if not name.startswith("_")}
    attributes |= {entry.name for kind in (Comparison, Reproduction) for entry in fields(kind)}
    assert (names | attributes) - described == set()


def test_every_option_of_a_notebook_task_is_described():
    import inspect

    task = pytest.importorskip("nbprod.flow.task")
    names = set(inspect.signature(task.notebook).parameters) - {"options"}
    assert names - table_keys(DOCS / "reference" / "flow.md") == set()


def test_every_decision_is_listed_and_says_what_it_costs():
    index = (DOCS / "decisions" / "README.md").read_text("utf-8")
    decisions = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    assert len(decisions) >= 10
    for page in decisions:
        assert page.name in index
        headings = re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE)
        assert headings == ["Context", "Decision", "What it costs us"], page.name


def test_every_dependency_has_its_reason():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(d for group in project["optional-dependencies"].values() for d in group)]
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in wanted}
    assert names - table_keys(DOCS / "decisions" / "0001-dependencies.md") == set()


def blocks(language: str) -> list[tuple[str, str]]:
    """Pages and code blocks of a language, those in lists without their indentation."""
    fence = re.compile(rf"^( *)```{language}\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
    return [(page.name, textwrap.dedent(code)) for page in PAGES for _, code in fence.findall(page.read_text("utf-8"))]


def test_python_is_python():
    assert len(blocks("python")) > 10
    for page, code in blocks("python"):
        compile(code, page, "exec")


def test_settings_that_are_shown_are_read(tmp_path):
    assert len(blocks("toml")) >= 5
    for page, code in blocks("toml"):
        text = code if "[tool.nbprod" in code else f"[tool.nbprod.steps.it]\n{code}"
        (tmp_path / "pyproject.toml").write_text(text)
        assert read_settings(tmp_path, {}) != Settings(), page


def parse_command(words: list[str]) -> None:
    """Have click read a command line, without running it."""
    # With their own settings: click keeps a command's first help option, and other tests read the helps.
    context = click.Context(nbprod_command, info_name="nbprod", **nbprod_command.context_settings)
    command = nbprod_command.get_command(context, words[0])
    assert command is not None, f"no command {words[0]}"
    context = click.Context(command, parent=context, info_name=words[0], **command.context_settings)
    command.make_parser(context).parse_args(words[1:])


def test_commands_that_are_shown_are_understood():
    shown = [line.removeprefix("$ ") for _, code in blocks("console") for line in code.splitlines()]
    words = [shlex.split(line, comments=True) for line in shown]
    ours = [line[line.index("nbprod") + 1 :] for line in words if "nbprod" in line[:-1] and line[0] != "papermill"]
    assert len(ours) > 20
    for line in ours:
        parse_command(line)


def test_a_command_that_is_not_there_is_found():
    with pytest.raises(click.NoSuchOption):
        parse_command(["run", "x.ipynb", "--no-such-option", "1"])
    with pytest.raises(AssertionError):
        parse_command(["walk"])


# --- what it shows runs ------------------------------------------------------------------------------


def environment(**more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NBPROD_", "PREFECT_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", "")])
    return {**inherited, "PATH": path, **more}


def execute(command: list[str], folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.kernel
def test_the_readme_s_example_runs(tmp_path):
    blocks = [code for language, code in FENCE.findall((ROOT / "README.md").read_text("utf-8")) if language == "python"]
    (tmp_path / "pyproject.toml").write_text("[tool.nbprod]\n")
    done = execute([sys.executable, "-c", blocks[0]], tmp_path, environment())
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first.startswith("succeeded 5.0 ")
    assert first.endswith("/count.ipynb")
    assert "did you mean weight?" in "".join(rest)
    assert len(list((tmp_path / ".nbprod" / "runs").iterdir())) == 1  # the slip started nothing

    shown = FENCE.findall((ROOT / "README.md").read_text("utf-8"))
    commands = next(code for language, code in shown if language == "console" and "nbprod run" in code)
    for line in commands.splitlines():
        done = execute(shlex.split(line.removeprefix("$ ")), tmp_path, environment())
        assert done.returncode == 0, done.stderr
    assert "5" in done.stdout


@pytest.mark.kernel
def test_every_key_of_a_real_record_is_described(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.nbprod.steps.one]\nnotebook = "one.ipynb"\nexpect.scraps = ["x"]\n')
    (tmp_path / "in.txt").write_text("read me")
    cells = [
        nbformat.v4.new_code_cell(
            "from pathlib import Path\nread: Path = Path('in.txt')\noutput_dir: str = '.'",
            metadata={"tags": ["parameters"]},
        ),
        nbformat.v4.new_code_cell("import scrapbook as sb\nsb.glue('x', 1)\nPath(output_dir, 'a').write_text('b')"),
        nbformat.v4.new_code_cell("1 / 0"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "one.ipynb")
    done = execute(["nbprod", "run", "one", "-p", "read", "in.txt"], tmp_path, environment())
    assert done.returncode == 1, done.stderr
    run = nbprod.Project.find(tmp_path, environment()).run("@latest")

    text = (DOCS / "reference" / "record.md").read_text("utf-8")
    statement = run.record.to_statement()
    predicate = statement["predicate"]
    objects = [
        statement,
        statement["subject"][0],
        predicate,
        predicate["request"],
        predicate["request"]["inputs"][0],
        predicate["request"]["limits"],
        predicate["request"]["contract"],
        predicate["verdict"],
        *predicate["verdict"]["cells"],
        *predicate["verdict"]["contract"],
        *predicate["scraps"],
        *predicate["artifacts"],
        next(cell["error"] for cell in predicate["verdict"]["cells"] if cell["error"]),
        json.loads(run.home.store.get(run.record.request.environment)),
        json.loads(run.home.store.get(run.record.environment_facts)),
    ]
    executed = nbformat.read(run.notebook, as_version=4)
    objects += [executed.metadata.nbprod, executed.metadata.papermill]
    objects += [
        part
        for cell in executed.cells
        for part in (cell.metadata.get("nbprod", {}), cell.metadata.get("papermill", {}))
    ]
    journal = [json.loads(line) for line in run.home.store.get(run.record.journal.digest).splitlines()]
    objects += journal
    unknown = {key for each in objects for key in each if not re.search(rf"[`\"]{re.escape(key)}[`\"]", text)}
    assert unknown == set()
    assert [event["e"] for event in journal if f"`{event['e']}`" not in text] == []


def test_every_tag_of_a_value_is_described():
    from nbprod.parameters import codec
    from nbprod.scraps import tags

    described = table_keys(DOCS / "reference" / "record.md")
    assert tag(float("nan")) == {"$nbprod": "float", "value": "nan"}
    assert (set(codec._READERS) | {name for name in tags._READERS if name}) - described == set()


def build(folder: Path) -> list[tuple[str, str]]:
    """Write the tutorial's files and notebooks; return its commands with the exit code or word that goes with them."""
    notebooks: dict[str, list[nbformat.NotebookNode]] = {}
    commands = []
    for kind, detail, body in STEP.findall((DOCS / "tutorial.md").read_text("utf-8")):
        if kind == "cell":
            name, _, word = detail.partition(", ")
            cell = nbformat.v4.new_code_cell(body.rstrip("\n"), metadata={"tags": [word]} if word else {})
            notebooks.setdefault(name, []).append(cell)
        elif kind == "file":
            path = folder / detail
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body)
        else:
            commands += [(line.removeprefix("$ "), detail or "0") for line in body.splitlines()]
    for name, cells in notebooks.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / name)
    return commands


@pytest.mark.kernel
@pytest.mark.slow
def test_the_tutorial_s_commands_do_as_it_says(tmp_path):
    commands = [(line, code) for line, code in build(tmp_path) if code != "flow"]
    assert len(commands) >= 12
    said = {}
    for line, code in commands:
        done = execute(shlex.split(line), tmp_path, environment())
        assert str(done.returncode) == code, f"{line}\n{done.stdout}\n{done.stderr}"
        said[line] = done.stdout + done.stderr
    assert "did you mean low?" in said["nbprod run notebooks/totals.ipynb -p lwo 90"]
    assert "the contract is not met" in said["nbprod run totals -p low 1000"]
    assert "march-totals" in said["nbprod show @latest"] or "bad_days.txt of run" in said["nbprod show @latest"]


@pytest.mark.kernel
@pytest.mark.prefect
@pytest.mark.slow
def test_the_tutorial_s_flow_runs(tmp_path, prefect_server):
    commands = [line for line, code in build(tmp_path) if code == "flow"]
    assert commands == ["python flows/bakery.py"]
    done = execute(shlex.split(commands[0]), tmp_path, environment(**prefect_server.client_environ))
    assert done.returncode == 0, done.stderr
    assert "Dear Ada" in done.stdout
    assert "bread sold badly on 2 days" in done.stdout
