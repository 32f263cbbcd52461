"""The lineage of what people name: a run, an artifact, a digest, a file, a published step."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from nbprod.digest import Digest, Json
from nbprod.environment.inputs import pin_path
from nbprod.errors import CallerError, Erased, IntegrityError, NbprodError, NotFound
from nbprod.ledger import RunRow
from nbprod.ledger.erasures import Erasure, erasures
from nbprod.ledger.reference import CANDIDATES
from nbprod.ledger.steps import StepVersion
from nbprod.ledger.uses import AskedUses
from nbprod.project.foreign import bundle_of, foreign_run
from nbprod.project.home import Home
from nbprod.project.lineage_folder import begin_folder
from nbprod.project.walk import MOST_RUNS, Lineage, Loaded, Node, Walk
from nbprod.publish import Manifest, StepReference, resolve
from nbprod.record.counted import counted
from nbprod.record.ids import RunId
from nbprod.record.run_record import RunRecord
from nbprod.record.trace import Trace, path_text
from nbprod.record.uses import Use, called_uses, path_key

__all__ = ["lineage_of"]

_DIGEST = re.compile(r"(sha256:)?[0-9a-f]{64}\Z")
_SHORT = re.compile(r"(?:sha256:[0-9a-f]{4,63}|[0-9a-f]{8,63})\Z")
"""The first digits of a digest: as `lineage` and others show them."""
_LOOKED = 10_000
"""Uses that are looked at for what a path or a digest's first digits mean."""
_ARTIFACT = "nbprod:"


def lineage_of(
    home: Home, what: str, *, up: bool, depth: int | None = None, limit: int = MOST_RUNS, folder: Path | None = None
) -> Lineage:
    """Return what made something, or what it made.

    Args:
        home: the project's.
        what: a run (id, end of one, name, `STEP@latest`), `RUN/ARTIFACT`, a digest or its first digits, a published
            step (`train@3`, `train@production`), or a path: of a file or folder that is there, or as it was called
            when a run touched it.
        up: towards what made it, or towards what it made.
        depth: how many runs away to go; None: as far as it goes.
        limit: runs at most.
        folder: where relative paths start; the project's root by default.

    Raises:
        NotFound: nothing is called so.
        AmbiguousRun: several runs are.
        CallerError: a depth or limit below 1; a digest's first digits that fit several; a folder that is too large.
    """
    if limit < 1 or (depth is not None and depth < 1):
        raise CallerError("a depth or limit below 1", expected="1 or more")
    reader = _Reader(home)
    walk = Walk(home.ledger, reader.load, up=up, depth=depth, most=limit)
    begin = _begin_step(reader, what) or _begin_digest(what) or _begin_run_or_short(reader, what)
    begin = begin or _begin_foreign(reader, what) or _begin_path(home, what, home.root if folder is None else folder)
    if begin is None:
        raise NotFound(
            f"nothing here is called {what!r}",
            expected="a run, RUN/ARTIFACT, a digest or its first 8 digits or more, a published step such as train@3, "
            "or the path of a file or folder",
            hint="`nbprod runs` lists the runs of this project; a file that no run touched has no lineage.",
        )
    found = walk.finish(begin(walk))
    if untold := home.ledger.without_uses():
        whose = "who read its files, or what it read" if untold == 1 else "who read their files, or what they read"
        note = f"{counted(untold, 'run')} ended before lineage was kept: {whose}, is not known"
        walk.notes[note] = None
        found = Lineage(start=found.start, up=up, nodes=found.nodes, edges=found.edges, notes=tuple(walk.notes))
    return found


_Begin = Callable[[Walk], str]


def _begin_digest(what: str) -> _Begin | None:
    if not _DIGEST.match(what):
        return None
    digest = Digest(what.removeprefix("sha256:"))

    def begin(walk: Walk) -> str:
        walk.file([digest], "")
        return str(digest)

    return begin


def _begin_step(reader: _Reader, what: str) -> _Begin | None:
    reference = StepReference.parse(what)
    if reference is None or reference.which == "latest":  # STEP@latest is a run
        return None
    try:
        version = resolve(reference, reader.home.ledger)
    except NotFound:
        return None

    def begin(walk: Walk) -> str:
        node = reader.step(version)
        walk.add(node)
        manifest = reader.manifest(version)
        for frozen in () if manifest is None or not walk.up else manifest.files:
            walk.join(walk.add_file(frozen.digest, frozen.path), node.id, "frozen in", frozen.path)
            walk.file([frozen.digest], frozen.path)
        if not walk.up:
            walk.step(node.id, version.manifest)
        return node.id

    return begin


def _begin_run(reader: _Reader, what: str) -> _Begin | None:
    plain = what.removeprefix(_ARTIFACT)
    run, _, artifact = plain.partition("/")
    try:
        run_id = reader.home.ledger.find(plain if not artifact else run)
    except NotFound:
        return None
    if not artifact:
        return lambda walk: walk.add_run(run_id, 0) or ""
    loaded = reader.load(run_id)
    found = [use for use in loaded.uses if use.role == "made" and use.name == artifact]
    if not found:
        there = ", ".join(use.name for use in loaded.uses if use.role == "made") or "none"
        raise NotFound(f"run {run_id} left no artifact {artifact!r}", expected=f"one of: {there}")

    def begin(walk: Walk) -> str:
        walk.file([found[0].digest], artifact, by=run_id)
        return str(found[0].digest)

    return begin


def _begin_run_or_short(reader: _Reader, what: str) -> _Begin | None:
    """Begin with a run, or with the bytes whose digest begins so; refuse what fits several."""
    run, found = _begin_run(reader, what), _begun_so(reader.home, what)
    if len(found) + (run is not None) < 2:  # noqa: PLR2004 - one of both, or none
        return run or (_begin_digest(str(found[0])) if found else None)
    told = [*(["a run"] if run else []), *map(str, found[:CANDIDATES])]
    raise CallerError(
        f"{what!r} fits several: " + ("a run and the bytes of a file" if run else "the bytes of different files"),
        expected="what fits one",
        found=", ".join(told),
        hint="Give more digits; those of a file may stand behind `sha256:`",
    )


def _begun_so(home: Home, what: str) -> list[Digest]:
    """Return the digests, of all that runs used or left, that begin with these digits."""
    if not _SHORT.match(what):
        return []
    asked = AskedUses(beginning=what.removeprefix("sha256:"), limit=_LOOKED)
    return sorted({each.use.digest for each in home.ledger.uses(asked)})


def _begin_foreign(reader: _Reader, what: str) -> _Begin | None:
    """Begin with a run of another ledger that runs of this one came from."""
    try:
        run_id = RunId(what.removeprefix(_ARTIFACT))
    except CallerError:
        return None
    if not reader.home.ledger.uses(AskedUses(given_by=(run_id,), limit=1)):
        return None
    return lambda walk: walk.add_run(run_id, 0) or ""


def _begin_path(home: Home, what: str, folder: Path) -> _Begin | None:
    path = folder / Path(what).expanduser()
    if path.is_dir():
        return begin_folder(home, path, what)
    names = {path_text(each, home.root) for each in (path, home.root / what)}
    keys = (*names, *(path_key(name) for name in names))
    now = pin_path(path).digest if path.exists() else None
    seen = dict.fromkeys(each.use.digest for each in home.ledger.uses(AskedUses(names=keys, limit=_LOOKED)))
    digests = list(dict.fromkeys([*([] if now is None else [now]), *seen]))
    if not digests:
        return None

    def begin(walk: Walk) -> str:
        if len(digests) == 1:
            walk.file(digests, what)
            return str(digests[0])
        start = f"path:{what}"
        walk.add(Node(id=start, kind="file", label=what, facts={"versions": len(digests)}))
        for digest in digests:
            told = f"{what} as it is now" if digest == now else f"{what} as it was ({digest.short})"
            name = walk.add_file(digest, told)
            walk.join(*((name, start) if walk.up else (start, name)), "a version of", "")
            walk.file([digest], told)
        return start

    return begin


class _Reader:
    """Reads what is told of runs and steps, each manifest once."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._manifests: dict[Digest, Manifest | None] = {}
        self._steps = home.ledger.published()

    def manifest(self, version: StepVersion) -> Manifest | None:
        """Return a version's manifest; None where it cannot be read."""
        if version.manifest not in self._manifests:
            self._manifests[version.manifest] = None
            with suppress(NbprodError):
                self._manifests[version.manifest] = Manifest.from_bytes(self.home.read(version.manifest))
        return self._manifests[version.manifest]

    def step(self, version: StepVersion) -> Node:
        """Return a published step as a node."""
        facts: dict[str, Json] = {"published": version.published.isoformat(), "by": version.by}
        facts |= {"aliases": list(version.aliases)} if version.aliases else {}
        manifest = self.manifest(version)
        facts |= {} if manifest is None or not manifest.git else _git(dict(manifest.git))
        name = f"{version.step}@{version.version}"
        return Node(id=f"step:{name}", kind="step", label=name, facts=facts)

    def load(self, run_id: RunId) -> Loaded:
        """Read a run; where its record cannot be read, what the index knows; of one that is not here, its id."""
        foreign = foreign_run(self.home.ledger, run_id)
        if foreign is not None:
            return Loaded(label=f"run {run_id}", facts={"foreign": foreign.told}, uses={})
        row = self.home.ledger.run(run_id)
        facts: dict[str, Json] = {
            "step": row.step,
            "status": "running" if row.status is None else str(row.status),
            "started": row.started.isoformat(),
        }
        facts |= {"name": row.name} if row.name else {}
        record = self._record(row, facts)
        stones = erasures(self.home.ledger, run_id)
        gone = [str(Erasure(event, each)) for event in stones for each in event.objects]
        facts |= {"erased": gone} if gone else {}
        label = f"{row.step} {run_id.short}"
        if record is None:
            uses: dict[Use, str] = {
                each.use: "" if each.use.name.startswith("#") else each.use.name
                for each in self.home.ledger.uses(AskedUses(runs=(run_id,)))
            }
            return Loaded(label=label, facts=facts, uses=uses, of=row.of, retry_of=row.retry_of)
        trace = self._trace(record, facts)
        facts |= self._about(record)
        return Loaded(
            label=label,
            facts=facts,
            uses=called_uses(record, trace),
            unpinned=() if trace is None or record.of is not None else _unpinned(trace),
            of=row.of,
            retry_of=row.retry_of,
        )

    def _record(self, row: RunRow, facts: dict[str, Json]) -> RunRecord | None:
        if row.record is None:
            return None
        try:
            return RunRecord.from_bytes(self.home.read(row.record, row.run_id))
        except NbprodError as error:
            facts["unread"] = f"its record cannot be read: {error.what}"
            return None

    def _trace(self, record: RunRecord, facts: dict[str, Json]) -> Trace | None:
        if record.of is not None:
            return None
        try:
            kept = record.trace
            trace = None if kept is None else Trace.from_bytes(self.home.read(kept.digest, record.run_id))
        except (Erased, IntegrityError) as error:
            facts["unobserved"] = error.what
            return None
        if trace is None or not trace.on or not trace.complete:
            facts["unobserved"] = "nobody looked" if trace is None else trace.why_off or "; ".join(trace.notes)
        return trace

    def _about(self, record: RunRecord) -> dict[str, Json]:
        request = record.request
        facts: dict[str, Json] = {"notebook": request.notebook, "source": str(request.source)}
        facts["environment"] = str(request.environment)
        facts |= _git(dict(record.git or {}))
        if (first := record.labels.reproduces) is not None:
            facts["reproduces"] = str(first)
            if (bundle := bundle_of(self.home.ledger, record.run_id)) is not None:
                facts["bundle"] = bundle
        for version in self._steps:
            if version.step != request.step:
                continue
            name = f"{version.step}@{version.version}"
            if version.manifest == request.published:
                facts["ran"] = name
            elif request.published is None and self._froze(version, record):
                facts.setdefault("published as", []).append(name)
        return facts

    def _froze(self, version: StepVersion, record: RunRecord) -> bool:
        manifest = self.manifest(version)
        return manifest is not None and manifest.notebook.digest == record.source_file.digest


def _git(git: dict[str, Json]) -> dict[str, Json]:
    told = {"commit": git.get("commit")} if git.get("commit") else {}
    return told | ({"dirty": True} if told and git.get("dirty") else {})


def _unpinned(trace: Trace) -> tuple[tuple[str, str], ...]:
    return tuple((each.path, each.note) for each in (*trace.reads, *trace.modules) if each.digest is None)
