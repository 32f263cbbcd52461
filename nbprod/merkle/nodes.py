"""Where a tree's hashes come from, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbprod.merkle.compact import CompactRange, fold, powers
from nbprod.merkle.hashes import node_hash

__all__ = ["Nodes", "compact_range", "nodes_of", "subtree"]

Nodes = Callable[[int, int, int], Sequence[bytes]]
"""Called with a level, the place of the first node on it, and a count: returns that many hashes of perfect subtrees.

The leaves' hashes are level 0; node `i` of level `n` stands above the leaves from `i * 2**n` up to `(i + 1) * 2**n`.
"""


def nodes_of(leaves: Sequence[bytes]) -> Nodes:
    """Return the nodes of the tree over these leaves' hashes, each made when it is asked for."""

    def nodes(level: int, first: int, count: int) -> Sequence[bytes]:
        found = list(leaves[first << level : (first + count) << level])
        for _ in range(level):
            found = [node_hash(found[place], found[place + 1]) for place in range(0, len(found), 2)]
        return found

    return nodes


def subtree(begin: int, end: int, nodes: Nodes) -> bytes:
    """Return the hash over the leaves from `begin` up to `end`, MTH(D[begin:end]) in RFC 9162.

    Args:
        begin: a multiple of the greatest power of two below `end - begin`, as all subtrees of a proof have it.
        end: above `begin`.
        nodes: the tree's hashes.
    """
    found: list[bytes] = []
    for level in powers(end - begin):
        found += nodes(level, begin >> level, 1)
        begin += 1 << level
    return fold(found)


def compact_range(size: int, nodes: Nodes) -> CompactRange:
    """Return what is needed to append to the tree's first `size` leaves."""
    found: list[bytes] = []
    begin = 0
    for level in powers(size):
        found += nodes(level, begin >> level, 1)
        begin += 1 << level
    return CompactRange(size, tuple(found))
