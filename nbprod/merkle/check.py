"""Checking proofs with nothing but roots (RFC 9162, sections 2.1.3.2 and 2.1.4.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nbprod.errors import ProofInvalid
from nbprod.merkle.hashes import HASH_SIZE, node_hash

__all__ = ["check_consistency", "check_inclusion"]


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """See that a leaf is in a tree.

    Args:
        leaf: the leaf's hash.
        index: the leaf's, from 0 on.
        size: of the tree.
        proof: what `inclusion_proof` returned.
        root: the tree's.

    Raises:
        ProofInvalid: it is not shown.
    """
    _refuse_other_sizes([leaf, root, *proof])
    if not 0 <= index < size:
        raise ProofInvalid("no tree has such a leaf", expected=f"0 to {size - 1}", found=str(index))
    computed = leaf
    for sibling, before in _steps(index, size - 1, proof, "inclusion"):
        computed = node_hash(sibling, computed) if before else node_hash(computed, sibling)
    _compare(computed, root, "the leaf is not in this tree at this place")


def check_consistency(first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes) -> None:
    """See that a tree is an earlier one with leaves appended.

    Args:
        first: how many leaves the earlier one had; above 0, as any tree begins with nothing.
        second: how many the later one has.
        proof: what `consistency_proof` returned.
        first_root: the earlier one's root.
        second_root: the later one's root.

    Raises:
        ProofInvalid: it is not shown.
    """
    _refuse_other_sizes([first_root, second_root, *proof])
    if not 0 < first <= second:
        raise ProofInvalid("a tree never shrinks, nor begins with nothing", found=f"{first} leaves, then {second}")
    if first == second:
        if proof:
            raise ProofInvalid("the proof of consistency is too long", expected="an empty one", found=str(len(proof)))
        _compare(second_root, first_root, "two trees of one size are not the same")
        return
    path = list(proof) if first & first - 1 else [first_root, *proof]
    old, new = _climb(first, second, path)
    _compare(old, first_root, "the proof is not about the earlier tree")
    _compare(new, second_root, "the later tree is not the earlier one with leaves appended")


def _climb(first: int, second: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the two roots that a proof of consistency leads to."""
    if not path:
        raise ProofInvalid("the proof of consistency is too short")
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling, before in _steps(node, last, path[1:], "consistency"):
        if before:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    return old, new


def _steps(node: int, last: int, path: Sequence[bytes], what: str) -> Iterator[tuple[bytes, bool]]:
    """Yield the hashes on the way up, and whether each stands before what it is joined with (RFC 9162, section 2.1).

    Args:
        node: the place to begin at.
        last: the last place on its level.
        path: the hashes.
        what: what they are to prove.

    Raises:
        ProofInvalid: there are too many of them, or too few.
    """
    for sibling in path:
        if last == 0:
            raise ProofInvalid(f"the proof of {what} is too long")
        before = bool(node & 1) or node == last
        yield sibling, before
        while before and not node & 1 and node:
            node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
    if last != 0:
        raise ProofInvalid(f"the proof of {what} is too short")


def _refuse_other_sizes(hashes: Sequence[bytes]) -> None:
    if any(len(each) != HASH_SIZE for each in hashes):
        raise ProofInvalid("a proof holds what is no hash", expected=f"{HASH_SIZE} bytes each")


def _compare(found: bytes, expected: bytes, what: str) -> None:
    if found != expected:
        raise ProofInvalid(what, expected=f"the root {expected.hex()}", found=found.hex())
