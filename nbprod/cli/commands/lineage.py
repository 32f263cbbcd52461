"""`nbprod lineage`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.tree import Tree

    from nbprod.project.walk import Edge, Lineage, Node

__all__ = ["lineage"]

_UP = {
    "made": "made by",
    "left": "written by",
    "given to": "was given",
    "read by": "read",
    "imported by": "imported",
    "run as": "notebook",
    "frozen in": "froze",
    "answered": "answered by",
    "tried again by": "tries again",
    "a version of": "version",
    "a file of": "file",
}
_DOWN = {
    "made": "made",
    "left": "wrote",
    "given to": "given to",
    "read by": "read by",
    "imported by": "imported by",
    "run as": "run as",
    "frozen in": "frozen in",
    "answered": "answered",
    "tried again by": "tried again by",
    "a version of": "version",
    "a file of": "file",
}


@click.command()
@click.argument("what", metavar="RUN|ARTIFACT|FILE|FOLDER|STEP@VERSION")
@click.option("--up/--down", default=True, help="What made it (the default), or what it made.")
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="Go at most N runs far.")
@click.option("--limit", type=click.IntRange(min=1), default=500, show_default=True, help="Show at most so many runs.")
@click.option("--json", "as_json", is_flag=True, help="Write nodes and edges as JSON.")
def lineage(what: str, *, up: bool, depth: int | None, limit: int, as_json: bool) -> int:
    """Say what made something, or what it made.

    It goes over runs, files and published steps.

    It takes a run, `RUN/ARTIFACT`, a digest or its first digits, a published step (`train@3`, `train@production`), or
    the path of a file or folder, of today or as a run once read it. Files are known by their bytes: who read them
    under another name is found as well.
    """
    from pathlib import Path  # noqa: PLC0415 - `--help` must stay fast

    from nbprod.cli.screen import errors, output, print_json, text  # noqa: PLC0415
    from nbprod.cli.session import ledger_of, open_project  # noqa: PLC0415
    from nbprod.project.lineage import lineage_of  # noqa: PLC0415

    project = open_project()
    ledger_of(project)
    found = lineage_of(project.home, what, up=up, depth=depth, limit=limit, folder=Path.cwd())
    if as_json:
        print_json(found.to_json())
        return 0
    output().print(_Drawing(found).tree())
    for note in found.notes:
        errors().print(text(f"Note: {note}."), soft_wrap=True)
    return 0


class _Drawing:
    """Draws the graph as a tree: what is met again is named, and not gone into a second time."""

    def __init__(self, found: Lineage) -> None:
        self._found = found
        self._drawn: set[str] = set()
        self._next: dict[str, list[tuple[Edge, str]]] = {}
        for edge in found.edges:
            here, there = (edge.effect, edge.cause) if found.up else (edge.cause, edge.effect)
            self._next.setdefault(here, []).append((edge, there))

    def tree(self) -> Tree:
        """Return the tree below the start."""
        from rich.tree import Tree  # noqa: PLC0415

        start = self._found.start
        root = Tree(self._line(self._found.nodes[start]), guide_style="dim")
        self._drawn.add(start)
        todo: list[tuple[Tree, str]] = [*self._grow(root, start)]
        if not self._next.get(start):
            root.add(self._nothing(self._found.nodes[start]), style="dim")
        while todo:
            branch, here = todo.pop(0)
            todo += self._grow(branch, here)
        return root

    def _nothing(self, start: Node) -> str:
        if start.kind == "folder":
            return "no run here made a file in it" if self._found.up else "no run here used a file in it"
        if not self._found.up:
            return "nothing here came of it"
        return "nobody here knows what made it" if start.kind == "run" else "nobody here made it"

    def _grow(self, branch: Tree, here: str) -> Iterator[tuple[Tree, str]]:
        for fact in _facts(self._found.nodes[here]):
            branch.add(fact, style="dim")
        words = _UP if self._found.up else _DOWN
        for edge, there in self._next.get(here, ()):
            node = self._found.nodes[there]
            again = there in self._drawn and (there in self._next or node.kind == "run")
            called = edge.name if node.kind == "file" and edge.name else None
            lone = self._found.up and node.kind == "file" and there not in self._next and edge.how == "read by"
            end = " [dim](see above)[/]" if again else " [dim]nobody here made it[/]" if lone else ""
            line = f"{words[edge.how]} {self._line(node, called)}{end}"
            grown = branch.add(line)
            if not again:
                self._drawn.add(there)
                yield grown, there

    def _line(self, node: Node, called: str | None = None) -> str:
        from nbprod.cli.screen import text  # noqa: PLC0415

        facts: dict[str, Any] = dict(node.facts)
        label = f"[bold]{text(called or node.label)}[/]"
        if "foreign" in facts:
            return f"{label} [dim]{text(facts['foreign'])}[/]"
        if node.kind == "run":
            ran = f" ({facts['ran']})" if "ran" in facts else ""
            return f"{label}{text(ran)} {facts['status']} {text(facts['started'][:16].replace('T', ' '))} UTC"
        if "unpinned" in facts:
            return f"{label} [dim]{text('not known by its bytes: ' + facts['unpinned'])}[/]"
        if node.kind == "step":
            aliases = f" ({', '.join(facts['aliases'])})" if "aliases" in facts else ""
            when = facts["published"][:16].replace("T", " ")
            return f"{label}{text(aliases)} published {when} UTC by {text(facts['by'])}"
        digits = node.id[7:19] if node.id.startswith("sha256:") else ""
        return f"{label} [dim]{digits}[/]" if digits and digits not in label else label


def _facts(node: Node) -> Iterator[str]:
    from nbprod.cli.screen import text  # noqa: PLC0415

    facts: dict[str, Any] = dict(node.facts)
    if "commit" in facts:
        dirty = ", with changes that were not committed" if facts.get("dirty") else ""
        yield text(f"git {facts['commit'][:12]}{dirty}")
    if node.kind != "run":
        return
    if "environment" in facts:
        yield text(f"environment {facts['environment'].removeprefix('sha256:')[:12]}")
    for name in facts.get("published as", ()):
        yield text(f"its notebook was published as {name}")
    if "reproduces" in facts:
        bundle = f", from the bundle {facts['bundle']}" if "bundle" in facts else ""
        yield text(f"executes run {facts['reproduces']} again{bundle}")
    if "unobserved" in facts:
        yield text(f"what else it touched is not known: {facts['unobserved']}")
    if "unread" in facts:
        yield text(facts["unread"])
    for stone in facts.get("erased", ()):
        yield text(stone)
