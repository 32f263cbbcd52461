"""Source notebooks of two runs: which cells were added, removed and changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nbprod.diff.lines import changed_lines
from nbprod.diff.pairs import Pair
from nbprod.notebook import Notebook

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
            if (first.source, sorted(set(first.tags))) == (second.source, sorted(set(second.tags))):
                continue
            lines = () if first.source == second.source else changed_lines(first.source, second.source)
            if sorted(set(first.tags)) != sorted(set(second.tags)):
                lines = (*_tags("-", first.tags), *_tags("+", second.tags), *lines)
            yield SourceChange(change="changed", kind=first.kind, before=pair.before, after=pair.after, lines=lines)
        elif first is not None:
            lines = changed_lines(first.source, "")
            yield SourceChange(change="removed", kind=first.kind, before=pair.before, after=None, lines=lines)
        elif second is not None:
            lines = changed_lines("", second.source)
            yield SourceChange(change="added", kind=second.kind, before=None, after=pair.after, lines=lines)


def _tags(sign: str, tags: Sequence[str]) -> tuple[str, ...]:
    return (f"{sign} tags: {', '.join(sorted(set(tags)))}",) if tags else (f"{sign} no tags",)
