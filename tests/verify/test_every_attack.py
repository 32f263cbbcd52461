"""Deletion, swap, reorder, replay and a tail cut off: each that a small log allows, by one who has the database.

He has no key. A checkpoint lies outside, which covers all that is attacked; some of the attacks leave everything else
as if it had never been otherwise. tests/verify/test_attacks.py tries more kinds, once each.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import combinations, permutations
from pathlib import Path

import pytest

from nbprod.attest.checkpoint import Checkpoint
from nbprod.digest import canonical
from nbprod.ledger.events import to_json
from nbprod.verify import Conclusion
from tests.tally import counting
from tests.verify.conftest import Base, Place
from tests.verify.test_attacks import resequenced

pytestmark = pytest.mark.kernel

Attack = Callable[[], None]


class Attacker:
    """Whoever has the database and no key.

    Args:
        place: the project.
        base: its runs.
    """

    def __init__(self, place: Place, base: Base) -> None:
        self._place, self._base = place, base
        state, _ = Checkpoint.open(base.checkpoint, place.verifier().trust.note_keys())
        self._size = state.size
        self._covered = [seq for (seq,) in place.sql("SELECT seq FROM log_leaves WHERE idx < :n", n=state.size)]

    def attacks(self) -> Iterator[tuple[str, Attack]]:
        """Yield each attack, and what kind it is."""
        for seq in self._covered:
            yield "deletions", lambda seq=seq: self._delete(seq)  # type: ignore[misc]
            yield "deletions", lambda seq=seq: self._unseen(lambda: self._delete(seq))  # type: ignore[misc]
        for one, two in combinations(self._covered, 2):
            yield "swaps", lambda one=one, two=two: self._swap(one, two)  # type: ignore[misc]
            yield "swaps", lambda one=one, two=two: self._unseen(lambda: self._swap(one, two))  # type: ignore[misc]
        for one, two in combinations(range(self._size), 2):
            yield "reorders", lambda one=one, two=two: self._reorder(one, two, "seq")  # type: ignore[misc]
            yield "reorders", lambda one=one, two=two: self._reorder(one, two, "seq", "hash")  # type: ignore[misc]
        for run, other in permutations(self._base.runs, 2):
            if run != "late":  # which no checkpoint covers: its signature is what test_attacks.py looks at
                yield "replays", lambda run=run, other=other: self._replay(run, other)  # type: ignore[misc]
                yield (
                    "replays",
                    lambda run=run, other=other: self._unseen(lambda: self._replay(run, other)),  # type: ignore[misc]
                )
        for seq in sorted(self._covered)[:-1]:
            yield "tails cut off", lambda seq=seq: self._unseen(lambda: self._cut(seq))  # type: ignore[misc]

    def _unseen(self, attack: Attack) -> None:
        attack()
        resequenced(self._place)

    def _delete(self, seq: int) -> None:
        self._place.sql("DELETE FROM events WHERE seq = :seq", seq=seq)

    def _swap(self, one: int, two: int) -> None:
        query = "SELECT run_id, step, kind, at, body FROM events WHERE seq = :seq"
        (first,), (second,) = (self._place.sql(query, seq=seq) for seq in (one, two))
        self._place.sql("DELETE FROM events WHERE seq IN (:one, :two)", one=one, two=two)
        for seq, row in ((one, second), (two, first)):
            named = dict(zip(("run", "step", "kind", "at", "body"), row, strict=True))
            self._place.sql("INSERT INTO events VALUES (:seq, :run, :step, :kind, :at, :body)", seq=seq, **named)

    def _reorder(self, one: int, two: int, *columns: str) -> None:
        rows = {
            index: self._place.sql(f"SELECT {', '.join(columns)} FROM log_leaves WHERE idx = :i", i=index)[0]
            for index in (one, two)
        }
        self._place.sql("UPDATE log_leaves SET seq = -1 - seq WHERE idx IN (:one, :two)", one=one, two=two)
        for index, other in ((one, two), (two, one)):
            values = dict(zip(columns, rows[other], strict=True))
            change = ", ".join(f"{column} = :{column}" for column in columns)
            self._place.sql(f"UPDATE log_leaves SET {change} WHERE idx = :i", i=index, **values)

    def _replay(self, run: str, other: str) -> None:
        """A run gets another's record, with the signatures under it; the index is told so, too."""
        ending, foreign = self._place.ending(self._base.runs[run]), self._place.ending(self._base.runs[other])
        body = {**to_json(ending), **{key: to_json(foreign).get(key) for key in ("record", "attestation", "status")}}
        text = canonical({key: value for key, value in body.items() if value is not None}).decode()
        which = {"run": self._base.runs[run]}
        self._place.sql(
            "UPDATE events SET body = :body WHERE run_id = :run AND kind = 'RunFinished'", body=text, **which
        )
        told = "UPDATE runs SET record = :record, status = :status WHERE run_id = :run"
        self._place.sql(told, record=str(foreign.record), status=str(foreign.status), **which)

    def _cut(self, seq: int) -> None:
        self._place.sql(
            "DELETE FROM events WHERE seq > :seq",
            "DELETE FROM runs WHERE run_id NOT IN (SELECT run_id FROM events WHERE run_id IS NOT NULL)",
            seq=seq,
        )


def restore(place: Place, data: bytes) -> None:
    place.project.home.ledger.close()
    path = place.project.home.folder / "ledger.db"
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    path.write_bytes(data)


@pytest.mark.parametrize("most", [12, pytest.param(None, marks=[pytest.mark.torture, pytest.mark.timeout(3500)])])
def test_every_deletion_swap_reorder_replay_and_cut_is_found(
    base: Base, place: Place, tmp_path: Path, most: int | None
) -> None:
    place.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    place.project.home.ledger.close()
    data = (place.project.home.folder / "ledger.db").read_bytes()
    attacks = list(Attacker(place, base).attacks())
    if most is not None:
        attacks = random.Random(1).sample(attacks, most)
    nowhere = tmp_path / "none.json"
    with counting("deletion, swap, reorder, replay, tail cut: each that a small log allows", len(attacks)) as count:
        for number, (kind, attack) in enumerate(attacks):
            restore(place, data)
            if number % 20 == 0:  # the control
                assert place.whole(seen=nowhere, given=[base.checkpoint]) is Conclusion.VERIFIED
            attack()
            assert place.whole(seen=nowhere, given=[base.checkpoint]) is Conclusion.ALTERED, (number, kind)
            count.add(f"{kind} found")
    restore(place, data)
    assert place.whole(given=[base.checkpoint]) is Conclusion.VERIFIED
