"""Runs looked through for what looks like a secret: parameters, source, outputs and scraps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nbprod.errors import Erased
from nbprod.ledger.events import RunTagged
from nbprod.ledger.flags import SUSPECTED
from nbprod.notebook import Notebook
from nbprod.project.labels import tag_run
from nbprod.project.project import Project
from nbprod.project.run import Run
from nbprod.suspects import Suspect, suspects_in

__all__ = ["Place", "flag", "look_through"]

_TEXTS = ("text/", "application/json", "application/javascript", "image/svg+xml", "application/scrapbook")
_NO_CODE = ("%%bash", "%%sh", "%%script", "%%writefile", "%%file", "%%env")
"""Magics whose cells are a shell's commands or a file's text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Something that looks like a secret, and where it stands.

    Args:
        where: `parameter dsn`, `source of cell 3`, `output of cell 3`; cells by their index in the source notebook.
        suspect: what it is.
    """

    where: str
    suspect: Suspect

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"where": self.where, "kind": self.suspect.kind, "line": self.suspect.line, "shown": self.suspect.shown}


def look_through(run: Run) -> tuple[Place, ...]:
    """Return what in a run looks like a secret; what its secrets were masked by does not.

    Raises:
        IntegrityError: the executed notebook is not in the store, or not what it was.
    """
    return tuple(
        Place(where=where, suspect=each) for where, text, code in _texts(run) for each in suspects_in(text, code=code)
    )


def flag(project: Project, run: Run) -> bool:
    """Put the flag on a run, unless it had it before: who took it off has looked. Return whether it was put on."""
    ledger = project.home.ledger
    events = (stored.event for stored in ledger.events(run.id))
    if any(isinstance(event, RunTagged) and event.tag == SUSPECTED for event in events):
        return False
    tag_run(ledger, run.id, [SUSPECTED])
    return True


def _texts(run: Run) -> Iterator[tuple[str, str, bool]]:
    """Yield where each text stands, the text, and whether it is code."""
    record = run.record
    for name, value in record.request.parameters.items():
        # As an assignment, which is how the rules know a password by its name.
        yield f"parameter {name}", f"{name} = {json.dumps(value, ensure_ascii=False)}", True
    with suppress(Erased):
        source = run.home.read(record.source_file.digest, run.id)
        for cell in Notebook.parse(source).cells:
            code = cell.kind == "code" and not cell.source.startswith(_NO_CODE)
            yield f"source of cell {cell.index}", cell.source, code
    with suppress(Erased):
        for node in json.loads(run.home.read(record.notebook.digest, run.id))["cells"]:
            number = node["metadata"].get("nbprod", {}).get("cell")  # None: injected parameters, or no code
            for output in node.get("outputs", ()) if number is not None else ():
                yield f"output of cell {number}", "\n".join(_output(output)), False


def _output(output: Mapping[str, Any]) -> Iterator[str]:
    yield _joined(output.get("text", ""))
    yield _joined(output.get("evalue", ""))
    yield _joined(output.get("traceback", ""))
    for mime, body in output.get("data", {}).items():
        if mime.startswith(_TEXTS) or mime.endswith("+json"):
            yield _joined(body)


def _joined(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
