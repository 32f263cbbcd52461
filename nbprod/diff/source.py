"""Source notebooks of two runs: which cells were added, removed and changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nbprod.diff.lines import changed_lines
from nbprod.diff.pairs import Pair
from nbprod.notebook import Cell, Notebook

__all__ = ["SourceChange", "compare_sources"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChange:
    """A cell that is not the same in two notebooks.

    Args:
        change: `added`, `removed` or `changed`.
        kind: `code`, `markdown` or `raw`; `notebook` for what is no cell's: its kernel.
        before: index in the earlier notebook; None if it is not there.
        after: index in the later one.
        lines: with `-`, `+` or two spaces before them.
    """

    change: str
    kind: str
    before: int | None
    after: int | None
    lines: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "change": self.change,
            "kind": self.kind,
            "before": self.before,
            "after": self.after,
            "lines": list(self.lines),
        }


def compare_sources(before: Notebook, after: Notebook, pairs: Sequence[Pair]) -> tuple[SourceChange, ...]:
    """Return which cells differ by text, kind or tags; and the kernel, if it does."""
    return tuple(_compared(before, after, pairs))


def _compared(before: Notebook, after: Notebook, pairs: Sequence[Pair]) -> Iterator[SourceChange]:
    kernels = f"{before.kernel_name} ({before.language})", f"{after.kernel_name} ({after.language})"
    if kernels[0] != kernels[1]:
        lines = tuple(f"{sign} kernel {name}" for sign, name in zip("-+", kernels, strict=True))
        yield SourceChange(change="changed", kind="notebook", before=None, after=None, lines=lines)
    for pair in pairs:
        first = None if pair.before is None else before.cells[pair.before]
        second = None if pair.after is None else after.cells[pair.after]
        if first is not None and second is not None:
            lines = tuple(_lines(first, second))
            if lines:
                yield SourceChange(change="changed", kind=first.kind, before=pair.before, after=pair.after, lines=lines)
        elif first is not None:
            lines = changed_lines(first.source, "")
            yield SourceChange(change="removed", kind=first.kind, before=pair.before, after=None, lines=lines)
        elif second is not None:
            lines = changed_lines("", second.source)
            yield SourceChange(change="added", kind=second.kind, before=None, after=pair.after, lines=lines)


def _lines(before: Cell, after: Cell) -> Iterator[str]:
    if before.kind != after.kind:
        yield from (f"- a {before.kind} cell", f"+ a {after.kind} cell")
    tags = [sorted(set(cell.tags)) for cell in (before, after)]
    if tags[0] != tags[1]:
        yield from (f"{sign} tags: {', '.join(each) or 'none'}" for sign, each in zip("-+", tags, strict=True))
    if before.source != after.source:
        yield from changed_lines(before.source, after.source)
