"""Proofs for a tree whose hashes are at hand (RFC 9162, sections 2.1.3.1 and 2.1.4.1)."""

from __future__ import annotations

from collections.abc import Iterator

from nbprod.errors import CallerError
from nbprod.merkle.nodes import Nodes, compact_range, subtree

__all__ = ["consistency_proof", "inclusion_proof", "root_of"]


def root_of(size: int, nodes: Nodes) -> bytes:
    """Return the root of the tree over the first `size` leaves."""
    return compact_range(size, nodes).root


def inclusion_proof(index: int, size: int, nodes: Nodes) -> tuple[bytes, ...]:
    """Return what proves, with `check_inclusion`, that a leaf is in the tree over the first `size` leaves.

    Args:
        index: the leaf's, from 0 on.
        size: of the tree.
        nodes: the tree's hashes.

    Raises:
        CallerError: no such leaf.
    """
    if not 0 <= index < size:
        raise CallerError("no such leaf in the tree", expected=f"0 to {size - 1}", found=str(index))
    return tuple(_path(index, 0, size, nodes))


def _path(index: int, begin: int, end: int, nodes: Nodes) -> Iterator[bytes]:
    if end - begin == 1:
        return
    middle = begin + _split(end - begin)
    if index < middle:
        yield from _path(index, begin, middle, nodes)
        yield subtree(middle, end, nodes)
    else:
        yield from _path(index, middle, end, nodes)
        yield subtree(begin, middle, nodes)


def consistency_proof(first: int, second: int, nodes: Nodes) -> tuple[bytes, ...]:
    """Return what proves, with `check_consistency`, that a tree was only appended to.

    Args:
        first: how many leaves it had; above 0.
        second: how many it has.
        nodes: the hashes of the second.

    Raises:
        CallerError: the first is empty, or the greater one.
    """
    if not 0 < first <= second:
        raise CallerError("a tree never shrinks", expected=f"1 to {second} leaves before", found=str(first))
    return tuple(_grown(first, 0, second, nodes, known=True))


def _grown(first: int, begin: int, end: int, nodes: Nodes, *, known: bool) -> Iterator[bytes]:
    """Yield SUBPROOF of the RFC; `known`: whoever checks has this subtree's hash, it is the first tree's root."""
    if first == end - begin:
        if not known:
            yield subtree(begin, end, nodes)
        return
    split = _split(end - begin)
    if first <= split:
        yield from _grown(first, begin, begin + split, nodes, known=known)
        yield subtree(begin + split, end, nodes)
    else:
        yield from _grown(first - split, begin + split, end, nodes, known=False)
        yield subtree(begin, begin + split, nodes)


def _split(count: int) -> int:
    """Return the greatest power of two below a count of 2 or more."""
    return 1 << (count - 1).bit_length() - 1
