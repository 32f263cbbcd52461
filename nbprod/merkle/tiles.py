"""Reading a tree's hashes tile by tile: who makes many proofs asks for most of them again and again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from nbprod.merkle.hashes import node_hash
from nbprod.merkle.nodes import Nodes

__all__ = ["tiled"]

_HEIGHT = 8
"""Levels of a tile, which has 256 hashes on its lowest (as in c2sp.org/tlog-tiles)."""


def tiled(nodes: Nodes, size: int) -> Nodes:
    """Return nodes that are read 256 at a time where a tree has so many, and each once.

    Args:
        nodes: the tree's hashes.
        size: of the tree; no nodes beyond it are asked for.
    """

    @cache
    def tile(level: int, place: int) -> tuple[Sequence[bytes], ...]:
        rows = [nodes(level, place << _HEIGHT, 1 << _HEIGHT)]
        for _ in range(_HEIGHT - 1):
            below = rows[-1]
            rows.append([node_hash(below[at], below[at + 1]) for at in range(0, len(below), 2)])
        return tuple(rows)

    @cache
    def read(level: int, first: int, count: int) -> Sequence[bytes]:
        up = level % _HEIGHT
        lowest, place = level - up, first >> _HEIGHT - up
        if count != 1 or (place + 1) << _HEIGHT + lowest > size:  # at its right edge
            return nodes(level, first, count)
        return [tile(lowest, place)[up][first - (place << _HEIGHT - up)]]

    return read
