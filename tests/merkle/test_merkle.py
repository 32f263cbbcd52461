"""Merkle trees: by Certificate Transparency's own vectors, and against the RFC's definitions, word by word."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import CallerError, ProofInvalid
from nbprod.merkle import (
    CompactRange,
    check_consistency,
    check_inclusion,
    compact_range,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    nodes_of,
    root_of,
    tiled,
)

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))

# Leaves and roots of transparency-dev/merkle, testonly/constants.go (Apache-2.0, Copyright 2019 Google LLC).
LEAVES = [
    bytes.fromhex(each)
    for each in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    bytes.fromhex(each)
    for each in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]


def decoded(vector: dict[str, Any], *names: str) -> list[bytes]:
    return [b64decode(vector[name] or "") for name in names]


def proof_of(vector: dict[str, Any]) -> list[bytes]:
    return [b64decode(each) for each in vector["proof"] or ()]


@pytest.mark.parametrize("vector", VECTORS["inclusion"].values(), ids=VECTORS["inclusion"])
def test_inclusion_as_the_reference_has_it(vector: dict[str, Any]) -> None:
    leaf, root = decoded(vector, "leafHash", "root")
    arguments = (leaf, vector["leafIdx"], vector["treeSize"], proof_of(vector), root)
    if vector["wantErr"]:
        with pytest.raises(ProofInvalid):
            check_inclusion(*arguments)
    else:
        check_inclusion(*arguments)


@pytest.mark.parametrize("vector", VECTORS["consistency"].values(), ids=VECTORS["consistency"])
def test_consistency_as_the_reference_has_it(vector: dict[str, Any]) -> None:
    roots = decoded(vector, "root1", "root2")
    # Where the reference looks at sizes only, some of its roots are words.
    first, second = (sha256(root) if root.startswith(b"don't care") else root for root in roots)
    arguments = (vector["size1"], vector["size2"], proof_of(vector), first, second)
    if vector["wantErr"]:
        with pytest.raises(ProofInvalid):
            check_consistency(*arguments)
    else:
        check_consistency(*arguments)


def test_the_vectors_hold_good_proofs_and_bad_ones() -> None:
    for kind in ("inclusion", "consistency"):
        wanted = [vector["wantErr"] for vector in VECTORS[kind].values()]
        assert wanted.count(False) >= 5
        assert wanted.count(True) > 50


@pytest.mark.parametrize("size", range(9))
def test_roots_as_the_reference_has_them(size: int) -> None:
    hashes = [leaf_hash(each) for each in LEAVES]
    assert CompactRange().extend(hashes[:size]).root == ROOTS[size]
    assert root_of(size, nodes_of(hashes)) == ROOTS[size]


# --- the definitions of RFC 9162, section 2.1, as they stand there ---------------------------------


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def k_of(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(d: list[bytes]) -> bytes:
    if not d:
        return sha256(b"")
    if len(d) == 1:
        return sha256(b"\0" + d[0])
    k = k_of(len(d))
    return sha256(b"\1" + mth(d[:k]) + mth(d[k:]))


def path(m: int, d: list[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = k_of(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: list[bytes], b: bool) -> list[bytes]:  # noqa: FBT001 - as in the RFC
    if m == len(d):
        return [] if b else [mth(d)]
    k = k_of(len(d))
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


entries = st.lists(st.binary(max_size=4), min_size=1, max_size=40, unique=True)


@given(data=entries, drawn=st.data())
def test_inclusion_is_the_rfc_s(data: list[bytes], drawn: st.DataObject) -> None:
    index = drawn.draw(st.integers(0, len(data) - 1))
    hashes = [leaf_hash(each) for each in data]
    root, proof = mth(data), inclusion_proof(index, len(data), nodes_of(hashes))
    assert list(proof) == path(index, data)
    check_inclusion(hashes[index], index, len(data), proof, root)
    other = drawn.draw(st.integers(0, len(data) - 1))
    if other != index:
        with pytest.raises(ProofInvalid):
            check_inclusion(hashes[other], index, len(data), proof, root)
        with pytest.raises(ProofInvalid):
            check_inclusion(hashes[index], other, len(data), proof, root)


@given(data=entries, drawn=st.data())
def test_consistency_is_the_rfc_s(data: list[bytes], drawn: st.DataObject) -> None:
    first = drawn.draw(st.integers(1, len(data)))
    proof = consistency_proof(first, len(data), nodes_of([leaf_hash(each) for each in data]))
    assert list(proof) == subproof(first, data, True)
    check_consistency(first, len(data), proof, mth(data[:first]), mth(data))
    changed = [*data]
    changed[drawn.draw(st.integers(0, first - 1))] = b"another leaf"
    with pytest.raises(ProofInvalid):
        check_consistency(first, len(data), proof, mth(changed[:first]), mth(data))


@given(data=st.lists(st.binary(max_size=4), max_size=40), drawn=st.data())
def test_appending_needs_no_leaves(data: list[bytes], drawn: st.DataObject) -> None:
    cut = drawn.draw(st.integers(0, len(data)))
    hashes = [leaf_hash(each) for each in data]
    before = compact_range(cut, nodes_of(hashes))
    assert before == CompactRange().extend(hashes[:cut])
    assert before.root == mth(data[:cut])
    after = before.extend(hashes[cut:])
    assert (after.size, after.root) == (len(data), mth(data))
    assert len(after.roots) == len(data).bit_count()


@given(data=entries, drawn=st.data())
def test_any_other_bit_spoils_a_proof(data: list[bytes], drawn: st.DataObject) -> None:
    index = drawn.draw(st.integers(0, len(data) - 1))
    hashes = [leaf_hash(each) for each in data]
    parts = [hashes[index], mth(data), *inclusion_proof(index, len(data), nodes_of(hashes))]
    place = drawn.draw(st.integers(0, len(parts) - 1))
    bit = drawn.draw(st.integers(0, 255))
    parts[place] = (int.from_bytes(parts[place]) ^ 1 << bit).to_bytes(32)
    leaf, root, *proof = parts
    with pytest.raises(ProofInvalid):
        check_inclusion(leaf, index, len(data), proof, root)


def test_leaves_and_nodes_never_look_alike() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: inclusion_proof(3, 3, nodes_of(ROOTS)),
        lambda: inclusion_proof(-1, 3, nodes_of(ROOTS)),
        lambda: consistency_proof(4, 3, nodes_of(ROOTS)),
        lambda: consistency_proof(0, 3, nodes_of(ROOTS)),
        lambda: CompactRange(3, (ROOTS[0],)),
        lambda: CompactRange(-1, ()),
    ],
    ids=[
        "behind the last leaf",
        "before the first",
        "a shrinking tree",
        "from nothing",
        "too few roots",
        "a negative size",
    ],
)
def test_what_makes_no_sense_is_refused(ask: Any) -> None:
    with pytest.raises(CallerError):
        ask()


def test_what_is_no_hash_is_refused() -> None:
    with pytest.raises(ProofInvalid, match="no hash"):
        check_inclusion(b"short", 0, 1, (), b"short")


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700, 66_000])
def test_proofs_read_tile_by_tile_are_the_same_and_ask_for_each_hash_once(size: int) -> None:
    leaves = [number.to_bytes(32, "big") for number in range(size)]
    asked: list[tuple[int, int, int]] = []
    plain = nodes_of(leaves)

    def counting(level: int, first: int, count: int) -> list[bytes]:
        asked.append((level, first, count))
        return list(plain(level, first, count))

    nodes = tiled(counting, size)
    assert root_of(size, nodes) == root_of(size, plain)
    for before in range(1, size, max(1, size // (40 if size < 1000 else 5))):
        assert consistency_proof(before, size, nodes) == consistency_proof(before, size, plain)
        assert inclusion_proof(before, size, nodes) == inclusion_proof(before, size, plain)
    assert len(asked) == len(set(asked))
    assert len(asked) <= size // 256 + 512  # one a tile, and at the right edge each node
