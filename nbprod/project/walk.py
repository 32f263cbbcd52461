"""What made something, and what it made: runs, files and published steps, along what runs used and left."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from nbprod.digest import Digest, Json
from nbprod.ledger import Ledger, RunQuery
from nbprod.ledger.uses import AskedUses, RunUse
from nbprod.record.counted import counted
from nbprod.record.ids import RunId
from nbprod.record.uses import LEAVING, ROLES, Use

__all__ = ["MOST_RUNS", "TAKING", "Edge", "Lineage", "Loaded", "Node", "Walk"]

MOST_RUNS = 500
"""Runs that are shown unless more are asked for."""

TAKING = tuple(role for role in ROLES if role not in LEAVING)
"""The roles of bytes that went into a run."""
_HOW = {"given": "given to", "read": "read by", "module": "imported by", "source": "run as", "step": "run as"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A run, a file, a folder, or a published step.

    Args:
        id: `run:<id>`, the digest of a file's bytes, `step:NAME@VERSION`, `path:PATH` or `unpinned:PATH`.
        kind: `run`, `file`, `folder` or `step`.
        label: what people call it.
        facts: what else is known of it.
    """

    id: str
    kind: str
    label: str
    facts: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON."""
        return {"id": self.id, "kind": self.kind, "label": self.label, **self.facts}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Something came of something.

    Args:
        cause: the node that was first.
        effect: the node that came of it.
        how: `made`, `left`, `given to`, `read by`, `imported by`, `run as`, `frozen in`, `answered`,
            `tried again by`, `a version of` or `a file of`.
        name: an artifact's name, or a path.
    """

    cause: str
    effect: str
    how: str
    name: str = ""

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON."""
        return {"from": self.cause, "to": self.effect, "how": self.how, "name": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What made something (`up`), or what it made.

    Args:
        start: the node that was asked about.
        up: the direction.
        nodes: by id.
        edges: from cause to effect, in the order in which they were found.
        notes: what a reader should know: what was left out, and what nobody can tell.
    """

    start: str
    up: bool
    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    notes: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[RunId, ...]:
        """The runs among the nodes, but for the one that was asked about; the nearest first."""
        ids = (node.id for node in self.nodes.values() if node.kind == "run" and node.id != self.start)
        return tuple(RunId(each.removeprefix("run:")) for each in ids)

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON."""
        return {
            "start": self.start,
            "direction": "up" if self.up else "down",
            "nodes": [node.to_json() for node in self.nodes.values()],
            "edges": [edge.to_json() for edge in self.edges],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A run, as far as it can be read.

    Args:
        label: what people call it.
        facts: what is known of it.
        uses: what it used and left, with what people call that.
        unpinned: what it read without anybody knowing its bytes: path, and why.
        of: the run that answered.
        retry_of: the run that it tried again.
    """

    label: str
    facts: Mapping[str, Json]
    uses: Mapping[Use, str]
    unpinned: tuple[tuple[str, str], ...] = ()
    of: RunId | None = None
    retry_of: RunId | None = None


class Walk:
    """Follows the edges from one start, level by level; every node is visited once.

    A file that a run read without its being handed over comes from each run that made the same bytes and began before
    (ids are in order of time): so no walk goes in a circle, and up and down find the same edges.

    Args:
        ledger: knows who used what.
        load: reads a run.
        up: towards what made it, or what it made.
        depth: how many runs away to go; None: as far as it goes.
        most: runs to show at most.
    """

    def __init__(
        self, ledger: Ledger, load: Callable[[RunId], Loaded], *, up: bool, depth: int | None, most: int = MOST_RUNS
    ) -> None:
        self._ledger, self._load = ledger, load
        self.up, self._depth, self._most = up, depth, most
        self._nodes: dict[str, Node] = {}
        self._edges: dict[Edge, None] = {}
        self._loaded: dict[RunId, Loaded] = {}
        self._queue: deque[tuple[RunId, int]] = deque()
        self.notes: dict[str, None] = {}

    def add(self, node: Node) -> None:
        """Add a node, unless it is there."""
        self._nodes.setdefault(node.id, node)

    def join(self, cause: str, effect: str, how: str, name: str = "") -> None:
        """Add an edge between nodes."""
        self._edges.setdefault(Edge(cause=cause, effect=effect, how=how, name=name))

    def add_run(self, run_id: RunId, away: int) -> str | None:
        """Add a run, and go on from it if it is near enough; None where there are too many."""
        name = f"run:{run_id}"
        if name in self._nodes:
            return name
        if len(self._loaded) >= self._most:
            most = counted(self._most, "run")
            self.notes[f"more than {most}: the others are not shown; ask for more with --limit"] = None
            return None
        loaded = self._loaded[run_id] = self._load(run_id)
        self.add(Node(id=name, kind="run", label=loaded.label, facts=loaded.facts))
        if self._depth is None or away < self._depth:
            self._queue.append((run_id, away))
        elif self._depth > 0:
            self.notes[f"what is more than {counted(self._depth, 'run')} away is not shown"] = None
        return name

    def add_file(self, digest: Digest, called: str) -> str:
        """Add a file by the digest of its bytes."""
        self.add(Node(id=str(digest), kind="file", label=called or f"bytes {digest.short}"))
        return str(digest)

    def file(self, digests: Iterable[Digest], called: str, by: RunId | None = None) -> None:
        """Begin with files.

        Args:
            digests: of their bytes.
            called: what people call them.
            by: the run whose artifact it is; None: any.
        """
        for digest in digests:
            name = self.add_file(digest, called)
            if self.up:
                made = [] if by is not None else self._found(AskedUses(digests=(digest,), roles=LEAVING))
                for run_id in [by] if by is not None else dict.fromkeys(each.run_id for each in made):
                    self._maker(name, run_id, 1)
            else:
                for each in self._found(AskedUses(digests=(digest,), roles=TAKING)):
                    if by is None or _took(each, by):
                        self._user(name, each, 1)

    def step(self, name: str, manifest: Digest) -> None:
        """Go down from a published step to its runs."""
        for each in self._found(AskedUses(digests=(manifest,), roles=("step",))):
            self._user(name, each, 1)

    def finish(self, start: str) -> Lineage:
        """Go on until there is nothing more."""
        while self._queue:
            run_id, away = self._queue.popleft()
            (self._above if self.up else self._below)(run_id, self._loaded[run_id], away)
        return Lineage(start=start, up=self.up, nodes=self._nodes, edges=tuple(self._edges), notes=tuple(self.notes))

    def _above(self, run_id: RunId, loaded: Loaded, away: int) -> None:
        here = f"run:{run_id}"
        taken = {use: called for use, called in loaded.uses.items() if use.role not in (*LEAVING, "step")}
        makers = self._makers({use.digest for use in taken if use.run is None}, run_id)
        for use, called in taken.items():
            name = self.add_file(use.digest, called)
            self.join(name, here, _HOW[use.role], called)
            for maker in makers.get(use.digest, ()) if use.run is None else (use.run,):
                self._maker(name, maker, away + 1)
        for path, why in loaded.unpinned:
            self.add(Node(id=f"unpinned:{path}", kind="file", label=path, facts={"unpinned": why}))
            self.join(f"unpinned:{path}", here, "read by", path)
        for link, how in ((loaded.of, "answered"), (loaded.retry_of, "tried again by")):
            if link is not None and (name_of := self.add_run(link, away + 1)) is not None:
                self.join(name_of, here, how)

    def _below(self, run_id: RunId, loaded: Loaded, away: int) -> None:
        here = f"run:{run_id}"
        out = {use.digest: (use, called) for use, called in loaded.uses.items() if use.role in LEAVING}
        for use, called in out.values():
            self.join(here, self.add_file(use.digest, called), use.role, called)
        users = [*self._found(AskedUses(given_by=(run_id,)))]
        users += [each for each in self._found(AskedUses(digests=tuple(out), roles=TAKING)) if _took(each, run_id)]
        for each in dict.fromkeys(users):
            if each.use.digest not in out:  # given by a run that is cached: another one made it
                self.join(here, self.add_file(each.use.digest, each.use.name), "made", each.use.name)
            name = self.add_file(each.use.digest, "")
            self._user(name, each, away + 1)
        for query, how in ((RunQuery(of=run_id), "answered"), (RunQuery(retry_of=run_id), "tried again by")):
            for row in self._ledger.runs(query):
                if (name_of := self.add_run(row.run_id, away + 1)) is None:
                    break
                self.join(here, name_of, how)

    def _makers(self, digests: set[Digest], before: RunId) -> dict[Digest, list[RunId]]:
        found: dict[Digest, list[RunId]] = {}
        for each in self._found(AskedUses(digests=tuple(sorted(digests)), roles=LEAVING)) if digests else ():
            if each.run_id < before:
                found.setdefault(each.use.digest, []).append(each.run_id)
        return found

    def _maker(self, file: str, run_id: RunId, away: int) -> None:
        name = self.add_run(run_id, away)
        if name is not None:
            loaded = self._loaded[run_id]
            told = [(use, called) for use, called in loaded.uses.items() if str(use.digest) == file]
            how, called = next(((use.role, called) for use, called in told if use.role in LEAVING), ("made", ""))
            self.join(name, file, how, called)

    def _user(self, file: str, found: RunUse, away: int) -> None:
        name = self.add_run(found.run_id, away)
        if name is not None:
            self.join(file, name, _HOW[found.use.role], self._loaded[found.run_id].uses.get(found.use, ""))

    def _found(self, asked: AskedUses) -> tuple[RunUse, ...]:
        limit = 4 * self._most  # a run may use the same bytes in several roles
        found = self._ledger.uses(replace(asked, limit=limit))
        if len(found) == limit:
            self.notes[f"more than {limit:,} uses of one file: only the latest were looked at"] = None
        return found


def _took(each: RunUse, maker: RunId) -> bool:
    """Say whether a run took bytes of that maker: as was recorded, or as the same bytes were there before it began."""
    return each.use.run == maker if each.use.run is not None else each.run_id > maker
