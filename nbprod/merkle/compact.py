"""Appending to a tree without its leaves: the roots of its perfect subtrees suffice, one per bit of its size.

See "Compact ranges" in transparency-dev/merkle, docs/compact_ranges.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nbprod.errors import CallerError
from nbprod.merkle.hashes import EMPTY_ROOT, node_hash

__all__ = ["CompactRange", "fold", "powers"]


def powers(size: int) -> Iterator[int]:
    """Yield the exponents of the powers of two that make up a size, the greatest first."""
    return (level for level in reversed(range(size.bit_length())) if size >> level & 1)


def fold(roots: Sequence[bytes]) -> bytes:
    """Return the root above perfect subtrees of decreasing sizes."""
    if not roots:
        return EMPTY_ROOT
    *rest, root = roots
    for left in reversed(rest):
        root = node_hash(left, root)
    return root


@dataclass(frozen=True, slots=True)
class CompactRange:
    """The first `size` leaves of a tree.

    Args:
        size: how many leaves.
        roots: of the perfect subtrees that they make up, from left to right; one for each bit of `size` that is set.
    """

    size: int = 0
    roots: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a number of roots that does not fit the size."""
        if self.size < 0 or len(self.roots) != self.size.bit_count():
            raise CallerError(
                "not the compact form of a tree",
                expected=f"{max(self.size, 0).bit_count()} roots for {self.size} leaves",
                found=f"{len(self.roots)}",
            )

    @property
    def root(self) -> bytes:
        """The tree's root."""
        return fold(self.roots)

    def extend(self, leaves: Iterable[bytes]) -> CompactRange:
        """Return the tree with these leaves' hashes behind the others."""
        size, roots = self.size, list(self.roots)
        for leaf in leaves:
            node, level = leaf, 0
            while size >> level & 1:
                node, level = node_hash(roots.pop(), node), level + 1
            roots.append(node)
            size += 1
        return CompactRange(size, tuple(roots))
