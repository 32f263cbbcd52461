"""The key file: who may sign what, for which stretch of the log, on the word of the root key."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.attest.dsse import IN_TOTO, sign
from nbprod.attest.keyfile import KEYS_TYPE, KeyFile, Named, Role, Term
from nbprod.attest.keys import PrivateKey
from nbprod.digest import canonical
from nbprod.errors import CallerError, IntegrityError, SignatureInvalid, UnsupportedVersion
from tests.attest.dsse_vectors import SEEDS

ROOT, RUNNER = (PrivateKey.from_seed(bytes.fromhex(seed)) for seed in SEEDS.values())
OTHER = PrivateKey.from_seed(bytes(32))
FIRST = KeyFile(
    log="nbprod.dev/log/1",
    number=1,
    root=ROOT.public.id,
    keys={ROOT.public.id: Named(key=ROOT.public, label="root")},
)


def test_a_key_has_a_role_for_a_stretch() -> None:
    given = FIRST.with_key(RUNNER.public, "laptop", Role.RUNNER, first=5)
    ended = given.without(RUNNER.public.id, end=9)
    name = RUNNER.public.id
    assert [given.covers(Role.RUNNER, name, position) for position in (4, 5, 9, 10**9)] == [False, True, True, True]
    assert [ended.covers(Role.RUNNER, name, position) for position in (4, 5, 8, 9)] == [False, True, True, False]
    assert not given.covers(Role.CHECKPOINT, name, 5)
    assert not given.covers(Role.RUNNER, ROOT.public.id, 5)
    again = ended.with_key(RUNNER.public, "laptop", Role.RUNNER, first=20)
    assert [again.covers(Role.RUNNER, name, position) for position in (8, 9, 19, 20)] == [True, False, False, True]
    assert (FIRST.number, again.number) == (1, 4)
    assert given.holders(Role.RUNNER) == ended.holders(Role.RUNNER) == {name: RUNNER.public}


def test_a_key_can_be_disowned_from_an_earlier_position_on() -> None:
    given = FIRST.with_key(RUNNER.public, "laptop", Role.RUNNER, first=5)
    assert not given.without(RUNNER.public.id, end=2).covers(Role.RUNNER, RUNNER.public.id, 5)
    with pytest.raises(CallerError):
        given.without(OTHER.public.id, end=9)
    with pytest.raises(CallerError):
        given.without(RUNNER.public.id, end=9, roles=[Role.CHECKPOINT])
    with pytest.raises(CallerError):
        given.with_key(RUNNER.public, "laptop", Role.RUNNER, first=7)
    earlier = given.with_key(RUNNER.public, "laptop", Role.RUNNER, first=3)
    assert earlier.covers(Role.RUNNER, RUNNER.public.id, 3)
    assert not earlier.without(RUNNER.public.id, end=4).covers(Role.RUNNER, RUNNER.public.id, 5)


positions = st.integers(0, 2**53 - 1)


@given(terms=st.lists(st.tuples(st.sampled_from(Role), positions, positions), max_size=4))
def test_it_reads_back_signed(terms: list[tuple[Role, int, int]]) -> None:
    by_role: dict[Role, tuple[Term, ...]] = {}
    for role, first, length in terms:
        end = None if length % 3 == 0 else max(first, length)
        by_role[role] = (*by_role.get(role, ()), Term(key_id=RUNNER.public.id, first=first, end=end))
    keys = {**FIRST.keys, RUNNER.public.id: Named(key=RUNNER.public, label="ü")}
    made = KeyFile(log="a", number=3, root=ROOT.public.id, keys=keys, terms=by_role)
    assert KeyFile.open(made.sign(ROOT), root=ROOT.public.id) == made
    assert KeyFile.open(made.sign(ROOT)) == made


def test_only_the_root_key_s_word_counts() -> None:
    data = FIRST.sign(ROOT)
    with pytest.raises(CallerError, match="root"):
        FIRST.sign(OTHER)
    with pytest.raises(SignatureInvalid):
        KeyFile.open(data, root=OTHER.public.id)
    with pytest.raises(SignatureInvalid):  # signed by a key that is not the one that it names
        KeyFile.open(sign(canonical(FIRST.to_json()), KEYS_TYPE, OTHER).to_bytes())
    with pytest.raises(IntegrityError):  # a statement of a run is no list of keys, whoever signed it
        KeyFile.open(sign(canonical(FIRST.to_json()), IN_TOTO, ROOT).to_bytes())


def test_another_root_is_believed_on_the_word_of_the_one_before() -> None:
    held = replace(FIRST, keys={**FIRST.keys, OTHER.public.id: Named(key=OTHER.public, label="new root")})
    moved = replace(held, number=2, root=OTHER.public.id)
    data = moved.sign(OTHER, ROOT)
    assert KeyFile.open(data, root=ROOT.public.id) == KeyFile.open(data, root=OTHER.public.id) == moved
    with pytest.raises(SignatureInvalid):
        KeyFile.open(moved.sign(OTHER), root=ROOT.public.id)
    assert KeyFile.open(moved.sign(OTHER), root=OTHER.public.id) == moved


def changed(change: Any) -> bytes:
    told = json.loads(canonical(FIRST.with_key(RUNNER.public, "l", Role.RUNNER, first=0).to_json()))
    change(told)
    return sign(canonical(told), KEYS_TYPE, ROOT).to_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.pop("log"),
        lambda told: told.update(number="2"),
        lambda told: told.update(number=True),
        lambda told: told.update(root=OTHER.public.id),
        lambda told: told["keys"].pop(RUNNER.public.id),
        lambda told: told["keys"].update({"0" * 64: told["keys"][RUNNER.public.id]}),
        lambda told: told["keys"][RUNNER.public.id].update(public="AAAA"),
        lambda told: told["roles"].update(king=[]),
        lambda told: told["roles"]["runner"][0].update({"from": -1}),
        lambda told: told["roles"]["runner"][0].update({"from": 3, "until": 2}),
        lambda told: told["roles"]["runner"][0].update({"from": 0.5}),
        lambda told: told.update(later=1),
    ],
    ids=[
        "no log",
        "a number as text",
        "a number that is none",
        "a root that is not among the keys",
        "a key that is missing",
        "a key under another id",
        "a key of another size",
        "an unknown role",
        "a negative position",
        "an end before the beginning",
        "half a position",
        "an unknown field",
    ],
)
def test_what_is_no_list_of_keys_is_refused(change: Any) -> None:
    assert KeyFile.open(changed(lambda told: None)).number == 2  # positive control
    with pytest.raises(IntegrityError):
        KeyFile.open(changed(change))


def test_a_newer_form_is_refused() -> None:
    with pytest.raises(UnsupportedVersion):
        KeyFile.open(changed(lambda told: told.update(version=2)))
