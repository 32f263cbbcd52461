"""A run's record for a person in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from nbprod.cli.reproduced import reproduction_lines
from nbprod.cli.screen import table
from nbprod.cli.screen import text as escaped
from nbprod.cli.summary import changed_since, near, scrap_text
from nbprod.cli.values import brief, duration, moment, plain_text, size, status_text
from nbprod.errors import Erased
from nbprod.record.status import CellStatus
from nbprod.record.verdict import CellOutcome

if TYPE_CHECKING:
    from nbprod.ledger import RunRow
    from nbprod.ledger.events import BytesErased
    from nbprod.project import Run
    from nbprod.record.run_record import RunRecord
    from nbprod.record.trace import Touched
    from nbprod.verify import Spoken

__all__ = ["show_record", "show_reviews"]

_CELL_STYLES = {CellStatus.OK: "green", CellStatus.NOT_RUN: "dim", CellStatus.SKIPPED: "dim"}


def show_record(console: Console, run: Run, row: RunRow, *, spoken: Sequence[Spoken] = (), stands: str = "") -> None:
    """Show all that a record holds.

    Args:
        console: where.
        run: the run.
        row: its row in the ledger, for what people have set since.
        spoken: what people have said of it.
        stands: the word for what of that stands: `approved`, `rejected` or nothing.
    """
    record = run.record
    name = f"  [bold]{_safe(row.name)}[/]" if row.name else ""
    console.print(f"{status_text(run.status)}  [bold]{_safe(run.step)}[/]{name}")
    console.print(f"{_safe(run.reason)}\n", soft_wrap=True)
    stones = run.erased
    _tombstones(console, run, stones)
    show_reviews(console, spoken, stands)
    gone = {each.digest for stone in stones for each in stone.objects}
    _pairs(console, _about(run, row))
    request = record.request
    _section(
        console,
        "Parameters",
        ("name", "value", ""),
        [
            (each, brief(value), _origin(each, request.given))
            for each, value in sorted(request.parameters.items(), key=lambda item: item[0] not in request.given)
        ],
    )
    _section(
        console,
        "Inputs",
        ("parameter", "what", "kind", "sha256", "size", "note"),
        [
            (i.name, i.path, _input_kind(i), "" if i.digest is None else i.digest.short, size(i.size), i.note)
            for i in request.inputs
        ],
    )
    _section(
        console,
        "Scraps",
        ("name", "value", "type", "cell", ""),
        [
            (s.name, scrap_text(s, 60), s.type, str(s.cell), "ERASED" if s.ref is not None and s.ref in gone else "")
            for s in record.scraps
        ],
    )
    _section(
        console,
        "Artifacts",
        ("file", "sha256", "size", ""),
        [(a.name, a.digest.short, size(a.size), "ERASED" if a.digest in gone else "") for a in record.artifacts],
    )
    _touched(console, run)
    _section(
        console,
        "Contract",
        ("required", "", "found"),
        [(line.text, "met" if line.met else "NOT MET", line.found) for line in record.verdict.contract],
    )
    _cells(console, record.verdict.cells)


def _tombstones(console: Console, run: Run, stones: Sequence[BytesErased]) -> None:
    """Show what was erased, so that a reviewer sees at once what is not there any more, on whose word and why."""
    for stone in stones:
        console.print(f"[bold red]Erased[/] {moment(stone.at)} by {_safe(stone.by)}")
        console.print(f"  because: {_safe(stone.why)}", soft_wrap=True)
        shown = table("", "", "", "")
        shown.show_header = False
        for each in stone.objects:
            state = "" if each.there else "was not in the store by then"
            if run.home.store.has(each.digest):
                state = "is in the store: put again since by another run, or `nbprod gc` has yet to remove it"
            shown.add_row("  " + _safe(each.name), size(each.size), f"sha256 {each.digest.hex}", _safe(state))
        console.print(shown)
    if stones:
        console.print("The record below is whole: it names what was erased by its digest.\n", soft_wrap=True)


def show_reviews(console: Console, spoken: Sequence[Spoken], stands: str) -> None:
    """Show what people have said of a run or a version, and what of it stands.

    Args:
        console: where.
        spoken: all that was said.
        stands: the word for what stands; empty for neither.
    """
    if not spoken:
        return
    from nbprod.verify import later  # noqa: PLC0415 - most runs are shown without

    overtaken = later(spoken)
    style = {"approved": "bold green", "rejected": "bold red"}.get(stands, "bold")
    console.print(f"[{style}]{(stands or 'said of it').capitalize()}[/]")
    for each in spoken:
        if each.said.key_id is not None:
            mark = f" [dim]({overtaken[each]})[/]" if each in overtaken else ""
        else:
            mark = " [red]DOES NOT COUNT[/]" if each.said.check.means == "verified" else " [red]FORGED[/]"
        console.print(f"  {_safe(each.said.check.told)}{mark}", soft_wrap=True, highlight=False)
    console.print()


def _touched(console: Console, run: Run) -> None:
    try:
        trace = run.trace
    except Erased:
        console.print("\n[bold]Touched[/]\nERASED")
        return
    if trace is None or not trace.on:
        why = "the record is older than that" if trace is None else trace.why_off
        console.print(f"\n[bold]Touched[/]\nNot observed: {_safe(why)}")
        return
    kinds = {"read": trace.reads, "module": trace.modules, "written": trace.written}
    rows = [
        (entry.path, kind, "" if entry.digest is None else entry.digest.short, size(entry.size), _told(entry))
        for kind, entries in kinds.items()
        for entry in entries
    ]
    rows += [
        (entry.path, "listed", "" if entry.digest is None else entry.digest.short, "", "") for entry in trace.listings
    ]
    rows += [(entry.path, "missing", "", "", "") for entry in trace.missing]
    rows += [(str(contact), "host", "", "", "") for contact in trace.hosts]
    rows += [(e.program, e.how, "", "", "" if e.observed else "not observed") for e in trace.subprocesses]
    rows += [(e.name, "library", "", "", f"reaches {e.reach} past Python, unobserved") for e in trace.native]
    rows += [(note, "not complete", "", "", "") for note in trace.notes]
    _section(console, "Touched", ("what", "kind", "sha256", "size", "note"), rows)


def _told(entry: Touched) -> str:
    means = "" if entry.seen == ("audit",) else f"seen by {', '.join(entry.seen)}"
    return "; ".join(filter(None, (entry.note, means)))


def _about(run: Run, row: RunRow) -> Iterable[tuple[str, str]]:
    record = run.record
    request = record.request
    yield "run", str(run.id)
    yield "started", moment(record.started)
    yield "took", duration(record.seconds)
    yield "by", f"{record.user} on {record.host}"
    yield from reproduction_lines(run.home, run.id)
    yield "signed", "no" if run.attestation is None else f"yes: `nbprod verify {run.id.short}` tells by whom"
    if row.tags:
        yield "tags", " ".join(row.tags)
    if row.note:
        yield "note", row.note
    yield "notebook", f"{request.notebook} (source {request.source.short})"
    yield from _executed(run)
    yield from _whence(record)
    yield "environment", f"{_environment(run)} ({request.environment.short}), kernel {request.kernel}"
    if record.launch is not None and record.launch.how == "forked":
        loaded = ", ".join(record.launch.preloaded) or "no library"
        yield "kernel", f"forked from a server that had {loaded} in memory"
    elif record.launch is not None and record.launch.why:
        yield "kernel", f"started as a process of its own: {record.launch.why}"
    if request.secrets:
        where = {name: f" ({reference})" for name, reference in request.secret_references.items()}
        yield "secrets", ", ".join(f"{name}{where.get(name, '')}" for name in request.secrets)
    limits = {key: request.limits.get(key) for key in ("timeout", "cell_timeout")}
    if any(limits.values()):
        yield "deadlines", ", ".join(f"{key} {value:g} s" for key, value in limits.items() if value)
    for note in record.notes:
        yield "remark", note


def _whence(record: RunRecord) -> Iterable[tuple[str, str]]:
    """Yield where source and packages came from, as far as that is told beside the environment."""
    if record.git is not None:
        commit = str(record.git.get("commit") or "no commit yet")[:12]
        branch = f" on {record.git['branch']}" if record.git.get("branch") else ""
        yield "git", f"{commit}{branch}{', with uncommitted changes' if record.git.get('dirty') else ''}"
    if record.locks:
        yield "locks", ", ".join(f"{lock.name} ({lock.digest.short})" for lock in record.locks)
    if record.container is not None:
        yield "container", f"{record.container.get('kind')} {record.container.get('image') or ''}".rstrip()


def _executed(run: Run) -> Iterable[tuple[str, str]]:
    try:
        yield "executed", near(run.notebook)
        if (changed := changed_since(run)) is not None:
            yield "WARNING", changed
    except Erased:
        yield "executed", "ERASED"


def _environment(run: Run) -> str:
    key: dict[str, Any] = json.loads(run.home.read(run.record.request.environment, run.record.run_id))
    python = key.get("python")
    count = len(key.get("distributions") or ())
    if not isinstance(python, dict):
        return "no Python"
    return f"{python.get('implementation', 'Python')} {python.get('version', '?')}, {count} distributions"


def _origin(name: str, given: Sequence[str]) -> str:
    return "given" if name in given else "by nbprod" if name == "output_dir" else "default"


def _input_kind(entry: Any) -> str:
    return f"artifact of run {entry.run.short}" if entry.run is not None else str(entry.kind)


def _cells(console: Console, cells: Sequence[CellOutcome]) -> None:
    console.print("\n[bold]Cells[/]")
    shown = table("cell", "status", "took", "output", "", right=("cell", "took", "output"))
    for cell in cells:
        style = _CELL_STYLES.get(cell.status, "red")
        error = "" if cell.error is None else f"{cell.error.name}: {cell.error.message.strip()}"
        cut = "output was cut  " if cell.truncated else ""
        shown.add_row(
            "params" if cell.cell is None else str(cell.cell),
            f"[{style}]{cell.status}[/]",
            duration(cell.seconds),
            size(cell.output_bytes) if cell.output_bytes else "",
            _safe(cut + " ".join(error.split())),
        )
    console.print(shown)


def _pairs(console: Console, pairs: Iterable[tuple[str, str]]) -> None:
    shown = table("", "")
    shown.show_header = False
    for key, value in pairs:
        shown.add_row(f"[dim]{key}[/]", _safe(value))
    console.print(shown)


def _section(console: Console, title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    console.print(f"\n[bold]{title}[/]")
    shown = table(*head)
    for row in rows:
        shown.add_row(*(_safe(value) for value in row))
    console.print(shown)


def _safe(text: str) -> str:
    return escaped(plain_text(text))
