"""Exporting runs: all that is known of them, and that proves it, gathered into a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from nbprod.bundle.form import (
    CHECKPOINT,
    CONSISTENCY,
    EVENTS,
    KEYS,
    README,
    Absent,
    Proven,
    RunEntry,
    events_bytes,
    proofs_bytes,
)
from nbprod.bundle.named import PAGE, Named, member_name, named_inputs, named_objects
from nbprod.bundle.writer import Contents, refuse_target, write_bundle
from nbprod.digest import Digest, canonical
from nbprod.errors import CallerError, EnvironmentFault, Erased, IntegrityError, StoreUnavailable
from nbprod.ledger.erasures import erasure_of
from nbprod.ledger.events import RunFinished, to_json
from nbprod.ledger.ledger import StoredEvent
from nbprod.ledger.log import EventLog, NoteKind
from nbprod.merkle import Nodes, consistency_proof, inclusion_proof, root_of, tiled
from nbprod.project.checkpoint import Made, make_checkpoint
from nbprod.project.foreign import foreign_run
from nbprod.project.kept import kept_of
from nbprod.project.project import Project
from nbprod.project.readme import readme
from nbprod.project.run import Run
from nbprod.project.standings import said_of_run
from nbprod.record.ids import RunId
from nbprod.record.run_record import RunRecord
from nbprod.runner.spooled import where_bytes_wait
from nbprod.verify import read_trust, survey
from nbprod.verify.survey import Signed, opened

__all__ = ["LARGEST", "Exported", "export"]

LARGEST = 10 << 30
"""Bytes of what is in a bundle, unless another limit is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A bundle that was written.

    Args:
        path: where.
        size: in bytes.
        runs: which runs are in it, the one that was asked for first.
        members: how many files.
        absent: what was left out, or was not to be had.
        root: the id of the root key that the log's list of keys names; None: it has none.
        covered: whether a checkpoint covers all their events.
    """

    path: Path
    size: int
    runs: tuple[RunId, ...]
    members: int
    absent: tuple[Absent, ...]
    root: str | None
    covered: bool


def export(
    project: Project,
    run: Run,
    path: Path,
    *,
    upstream: bool = False,
    inputs: bool = True,
    largest: int = LARGEST,
    force: bool = False,
) -> Exported:
    """Write a bundle of a run.

    A checkpoint is made first where none covers it yet, if there is a key that may sign one.

    Args:
        project: whose.
        run: which run.
        path: where to.
        upstream: take along the runs whose results it used, and theirs.
        inputs: take along what is kept of the files that it read, and the artifacts that it was handed.
        largest: bytes of all that would be in it, above which nothing is written.
        force: write over a file that is there.

    Raises:
        CallerError: it would be too large, or there is such a file.
        IntegrityError: a record or trace is missing or spoilt, or the log is not what was signed of it.
        StoreUnavailable: the store cannot be read, or bytes wait on another machine.
        EnvironmentFault: it cannot be written.
    """
    refuse_target(path, force=force)
    contents = Contents(made_by=f"nbprod {metadata.version('nbprod')}")
    runs, beside = _gathered(project, run, upstream=upstream)
    events = [(each, tuple(project.home.ledger.events(each.id))) for each in runs]
    for each, told in events:
        _add_run(project, each, told, contents, inputs=inputs)
    _refuse_large(contents, run, largest)  # before what takes time: pages, and the log's proofs
    for each in runs:
        _add_page(project, each, contents)
    root, covered = _add_log(project, [stored for _, told in events for stored in told], contents)
    contents.absent += beside if upstream else []
    contents.add(README, readme(contents, run, root=root, beside=beside), "what this is, for people")
    _refuse_large(contents, run, largest)
    size = write_bundle(path, contents, project.home.store, force=force)
    return Exported(
        path=path,
        size=size,
        runs=tuple(each.id for each in runs),
        members=len(contents.made) + len(contents.kept) + 1,
        absent=tuple(contents.absent),
        root=root,
        covered=covered,
    )


def _refuse_large(contents: Contents, run: Run, largest: int) -> None:
    if contents.size > largest:
        raise CallerError(
            f"the bundle of run {run.id} would be too large",
            expected=f"{largest:,} bytes at most",
            found=f"{contents.size:,} bytes" if contents.made else f"{contents.size:,} bytes or more",
            hint="Say --without-inputs, or allow more: --max-size.",
        )


def _gathered(project: Project, run: Run, *, upstream: bool) -> tuple[list[Run], list[Absent]]:
    """Return the runs that are to be in a bundle, each once; and those that they came from and that are not.

    Args:
        project: whose.
        run: the run that is asked for.
        upstream: take along those whose results it used, and theirs, as far as this ledger has them.
    """
    found: dict[RunId, Run] = {run.id: run}
    beside: dict[RunId, Absent] = {}
    todo = [run]
    while todo:
        each = todo.pop(0)
        for run_id, digest, how in _sources(each.record):
            if run_id in found or run_id in beside:
                continue
            foreign = foreign_run(project.home.ledger, run_id)
            if upstream and foreign is None:
                found[run_id] = project.run(str(run_id))
                todo.append(found[run_id])
                continue
            why = "the bundle was made without what its run came from" if foreign is None else f"it is {foreign.told}"
            beside[run_id] = Absent(run=each.id, digest=digest, what=f"run {run_id}, {how},", why=why)
    return list(found.values()), list(beside.values())


def _sources(record: RunRecord) -> Iterator[tuple[RunId, Digest, str]]:
    """Yield the runs whose results a run used: each with the digest of one of them, and what it was, in words."""
    if record.of is not None:
        yield record.of, record.notebook.digest, "which answered it"
    for entry in record.request.inputs:
        if entry.run is not None and entry.digest is not None:
            yield entry.run, entry.digest, f"which made its {entry.path}"


# --- one run -----------------------------------------------------------------------------------


def _add_run(project: Project, run: Run, events: tuple[StoredEvent, ...], contents: Contents, *, inputs: bool) -> None:
    record = run.record
    ends = [stored.event for stored in events if isinstance(stored.event, RunFinished)]
    contents.runs.append(RunEntry(run=run.id, step=run.step, record=ends[0].record))
    told = [stored.event for stored in events]
    for each in named_objects(told, record, project.home.read):
        _add(project, run, each, contents)
    for each in named_inputs(record, kept_of(project.home, record)):
        if inputs:
            _add(project, run, each, contents)
        elif not contents.has(each.digest):
            why = "it was left out when the bundle was made"
            contents.absent.append(Absent(run=run.id, digest=each.digest, what=each.what, why=why, left_out=True))


def _add(project: Project, run: Run, each: Named, contents: Contents) -> None:
    store = project.home.store
    if contents.has(each.digest):
        return
    if store.has(each.digest):
        contents.add_object(member_name(run.id, each.name), each.digest, store.size(each.digest), each.what)
        return
    gone = erasure_of(project.home.ledger, run.id, each.digest)
    host = where_bytes_wait(project.home.ledger, run.id)
    if gone is None and host is not None:
        raise StoreUnavailable(
            f"{each.what} of run {run.id} has not reached the store yet",
            found=f"it may wait in the spool of {host}",
            hint=f"Run `nbprod recover` on {host}, then export again",
        )
    why = "it is not in the store" if gone is None else f"erased by {gone.event.by}, because: {gone.event.why}"
    contents.absent.append(Absent(run=run.id, digest=each.digest, what=each.what, why=why))


def _add_page(project: Project, run: Run, contents: Contents) -> None:
    from nbprod.project.page import html_page  # noqa: PLC0415 - slow to import

    try:
        page = html_page(run, *said_of_run(project, run.id))
    except (Erased, IntegrityError):  # which is told of the notebook itself
        return
    contents.add(member_name(run.id, PAGE), page, "the executed notebook as a page, for people")


# --- the log -----------------------------------------------------------------------------------


def _add_log(project: Project, events: list[StoredEvent], contents: Contents) -> tuple[str | None, bool]:
    """Add the runs' events, their proofs, and who may sign; return the root key's id, and whether all is covered."""
    log = project.home.ledger.log
    newest = _covering(log, events) or _made(project)
    size = 0 if newest is None else newest.checkpoint.size
    nodes = tiled(log.nodes, size)
    proven = []
    for stored in events:
        leaf = log.leaf_of(stored.seq)
        body = canonical(to_json(stored.event)) if leaf is None or leaf.body is None else leaf.body
        index = None if leaf is None else leaf.index
        proof = None if index is None or index >= size else inclusion_proof(index, size, nodes)
        proven.append(Proven(body=body, index=index, proof=proof))
    contents.add(EVENTS, events_bytes(tuple(proven)), "the runs' events, with what proves their places in the log")
    if newest is not None:
        contents.add(CHECKPOINT, newest.note.encode(), "the log's state, signed")
        contents.add(CONSISTENCY, _consistency(log, size, nodes), "what proves that the log was only appended to")
    for place, keys in enumerate(log.notes(NoteKind.KEYS), 1):
        contents.add(f"{KEYS}/{place:04}.json", keys.body.encode(), "who may sign, signed by the root key")
    current = read_trust(log).current
    return None if current is None else current.root, all(each.proof is not None for each in proven)


def _covering(log: EventLog, events: list[StoredEvent]) -> Signed | None:
    """Return the newest checkpoint if it fits the log and covers all events, so that nobody need look at the others."""
    last = max(log.notes(NoteKind.CHECKPOINT), key=lambda note: note.number, default=None)
    leaves = [log.leaf_of(stored.seq) for stored in events]
    if last is None:
        return None
    try:
        signed = opened(last.body, "the log's own newest", read_trust(log))
        size = signed.checkpoint.size
        covers = all(leaf is not None and leaf.index < size for leaf in leaves)
        fits = signed.has_say and covers and root_of(size, log.nodes) == signed.checkpoint.root
    except IntegrityError:  # which is told of the log as a whole
        return None
    return signed if fits else None


def _made(project: Project) -> Made | Signed | None:
    """Return a checkpoint that is made now; where no key may sign one, the newest there is."""
    try:
        return make_checkpoint(project)
    except (CallerError, EnvironmentFault):
        log = project.home.ledger.log
        return survey(log, read_trust(log)).newest


def _consistency(log: EventLog, size: int, nodes: Nodes) -> bytes:
    """Return, for each earlier checkpoint of the log, what proves that its events are still there."""
    lines = [line for note in log.notes(NoteKind.CHECKPOINT) for line in note.body.split("\n", 2)[1:2]]
    sizes = {int(line) for line in lines if line.isdecimal()}
    return proofs_bytes({each: consistency_proof(each, size, nodes) for each in sizes if 0 < each < size})
