"""Merkle trees as in Certificate Transparency (RFC 9162, section 2.1): short proofs that a list only grew."""

from __future__ import annotations

from nbprod.merkle.check import check_consistency, check_inclusion
from nbprod.merkle.compact import CompactRange
from nbprod.merkle.hashes import EMPTY_ROOT, HASH_SIZE, leaf_hash, node_hash
from nbprod.merkle.nodes import Nodes, compact_range, nodes_of
from nbprod.merkle.proofs import consistency_proof, inclusion_proof, root_of
from nbprod.merkle.tiles import tiled

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "CompactRange",
    "Nodes",
    "check_consistency",
    "check_inclusion",
    "compact_range",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "nodes_of",
    "root_of",
    "tiled",
]
