"""Whoever may write to store and ledger, and has not the keys: nothing that he changes passes for what it was."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nbprod.attest.bundle import to_lines
from nbprod.attest.checkpoint import Checkpoint
from nbprod.attest.dsse import IN_TOTO, sign
from nbprod.attest.keyfile import KeyFile, Role
from nbprod.attest.keyring import Keyring
from nbprod.attest.keys import PrivateKey
from nbprod.digest import canonical
from nbprod.errors import IntegrityError
from nbprod.ledger.audit import audit
from nbprod.ledger.events import to_json
from nbprod.ledger.log import NoteKind
from nbprod.ledger.tables import runs
from nbprod.merkle import leaf_hash, root_of
from nbprod.project.checkpoint import make_checkpoint, send
from nbprod.project.holders import search
from nbprod.project.keys import keyring_of, revoke_key, rotate_key
from nbprod.record.ids import RunId
from nbprod.record.run_record import RunRecord
from nbprod.runner.spooled import bytes_wait
from nbprod.verify import Conclusion, Policy, Verification
from tests.tally import counting
from tests.verify.conftest import Base, Place

pytestmark = pytest.mark.kernel

ALTERED, CANNOT_TELL, INCOMPLETE = Conclusion.ALTERED, Conclusion.CANNOT_TELL, Conclusion.INCOMPLETE


# --- bytes -----------------------------------------------------------------------------------------


def flipped(data: bytes, count: int) -> list[bytes]:
    """Flip a bit here and there: the first byte, the last, and others between."""
    dice = random.Random(len(data))
    places = {0, len(data) - 1, *(dice.randrange(len(data)) for _ in range(count))}
    made = []
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1 << dice.randrange(8)
        made.append(bytes(changed))
    return made


@pytest.mark.parametrize("what", ["record", "signature", "notebook", "artifact", "journal", "source", "trace", "scrap"])
@pytest.mark.parametrize("kind", ["good", "late"])
def test_no_other_byte_passes_for_what_was_kept(base: Base, place: Place, kind: str, what: str) -> None:
    event = place.ending(base.runs[kind])
    record = RunRecord.from_bytes(place.project.home.store.get(event.record))
    assert event.attestation is not None
    assert record.trace is not None
    digest = {
        "record": event.record,
        "signature": event.attestation,
        "notebook": record.notebook.digest,
        "artifact": record.artifacts[0].digest,
        "journal": record.journal.digest,
        "source": record.source_file.digest,
        "trace": record.trace.digest,
        "scrap": next(scrap.ref for scrap in record.scraps if scrap.ref is not None),
    }[what]
    path = place.object(digest)
    good = path.read_bytes()
    assert place.verify(base.runs[kind])  # positive control
    for bad in [*flipped(good, 20), good[:-1], good + b"\n", b""]:
        path.unlink(missing_ok=True)
        path.write_bytes(bad)
        assert place.verify(base.runs[kind]).conclusion is ALTERED
        assert place.verify(base.runs[kind]).conclusion is ALTERED  # also once it was set aside
        place.project.home.store.discard(digest)
        path.write_bytes(good)
    assert place.verify(base.runs[kind])
    path.unlink()
    assert place.verify(base.runs[kind]).conclusion is INCOMPLETE


def test_what_is_larger_than_the_record_says_is_not_read(base: Base, place: Place) -> None:
    record = place.project.run(base.runs["late"]).record
    assert record.trace is not None
    artifact, trace = record.artifacts[0], record.trace.digest
    for digest in (artifact.digest, trace):
        path = place.object(digest)
        path.unlink()
        path.touch()
        os.truncate(path, 1 << 40)
    found = place.verify(base.runs["late"])
    assert f"artifact model.bin has {1 << 40} bytes, and the record says {artifact.size}" in told(found)
    assert found.conclusion is ALTERED


@pytest.mark.parametrize("what", ["record", "artifact"])
def test_one_object_that_cannot_be_read_is_told_of_its_runs_alone(
    base: Base, place: Place, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that leads to itself is no file; one that may not be read may be what it was."""
    record = place.project.run(base.runs["late"]).record
    digest = record.artifacts[0].digest if what == "artifact" else place.ending(base.runs["late"]).record
    path, opened = place.object(digest), os.open

    def without_rights(name: str, *rest: int) -> int:
        if name == str(path):
            raise PermissionError(errno.EACCES, "Permission denied", name)
        return opened(name, *rest)

    def others() -> set[Conclusion]:
        found = list(place.verifier().all())
        assert len(found) == len(base.runs) + 1
        return {each.conclusion for each in found if each.subject not in (base.runs["late"], base.runs["development"])}

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", without_rights)
        found = place.verify(base.runs["late"])
        assert found.conclusion is Conclusion.CANNOT_TELL
        assert f"missing rights at {path}" in told(found)
        assert others() == {Conclusion.VERIFIED}
    assert place.verify(base.runs["late"])  # positive control
    path.unlink()
    path.symlink_to(path)
    found = place.verify(base.runs["late"])
    assert found.conclusion is ALTERED
    assert "corrupt" in told(found)
    assert others() == {Conclusion.VERIFIED}


def told(found: Verification) -> str:
    return "\n".join(check.told for check in found.checks)


@pytest.mark.parametrize("kind", ["RunStarted", "RunFinished", "RunTagged"])
def test_no_other_byte_passes_for_an_event(base: Base, place: Place, kind: str) -> None:
    run, which = base.runs["good"], {"run": base.runs["good"], "kind": kind}
    ((seq, body),) = place.sql("SELECT seq, body FROM events WHERE run_id = :run AND kind = :kind", **which)
    verifier = place.verifier()
    assert verifier.run(verifier_id(run))  # positive control
    changed = [each for each in flipped(body.encode(), 60) if is_text(each)]
    assert len(changed) > 20
    for bad in [*changed, body.encode() + b" ", body.encode().replace(b'"at"', b'"at" ')]:
        place.sql("UPDATE events SET body = :body WHERE seq = :seq", seq=seq, body=bad.decode())
        assert verifier.run(verifier_id(run)).conclusion is ALTERED, bad
    place.sql("UPDATE events SET body = :body WHERE seq = :seq", seq=seq, body=body)
    assert verifier.run(verifier_id(run))
    for column in ("at", "kind"):
        ((was,),) = place.sql(f"SELECT {column} FROM events WHERE seq = :seq", seq=seq)
        other = "2026-01-01T00:00:00.000000Z" if column == "at" else "RunNamed"
        place.sql(f"UPDATE events SET {column} = :other WHERE seq = :seq", seq=seq, other=other)
        assert verifier.run(verifier_id(run)).conclusion is ALTERED, column
        place.sql(f"UPDATE events SET {column} = :was WHERE seq = :seq", seq=seq, was=was)
    assert verifier.run(verifier_id(run))


def test_what_is_no_text_any_more_is_no_event(base: Base, place: Place) -> None:
    broken = "UPDATE events SET body = CAST(x'7bff7d' AS TEXT) WHERE run_id = :run AND kind = 'RunFinished'"
    place.sql(broken, run=base.runs["good"])
    assert place.verify(base.runs["good"]).conclusion is ALTERED
    assert place.whole() is ALTERED


def verifier_id(run: str) -> RunId:
    return RunId(run)


def is_text(data: bytes) -> bool:
    try:
        return b"\0" not in data and bool(data.decode())
    except UnicodeDecodeError:
        return False


# --- events, by one who has the database -----------------------------------------------------------

Attack = Callable[[Place, Base], None]


def resequenced(place: Place) -> None:
    """Forget all places, nodes and later checkpoints, and give places anew: as if nothing had been changed."""
    place.sql("DELETE FROM log_leaves", "DELETE FROM log_nodes", "DELETE FROM log_notes WHERE kind = 'checkpoint'")
    place.project.home.ledger.log.sequence()


def delete_a_tag(place: Place, base: Base) -> None:
    place.sql("DELETE FROM events WHERE run_id = :run AND kind = 'RunTagged'", run=base.runs["good"])


def delete_a_tag_and_its_place(place: Place, base: Base) -> None:
    delete_a_tag(place, base)
    resequenced(place)


def delete_an_ending(place: Place, base: Base) -> None:
    place.sql("DELETE FROM events WHERE run_id = :run AND kind = 'RunFinished'", run=base.runs["good"])


def swap_two_bodies(place: Place, base: Base) -> None:
    query = "SELECT body FROM events WHERE run_id = :run AND kind = 'RunFinished'"
    ((one,),), ((two,),) = (place.sql(query, run=base.runs[kind]) for kind in ("good", "published"))
    change = "UPDATE events SET body = :body WHERE run_id = :run AND kind = 'RunFinished'"
    place.sql(change, run=base.runs["good"], body=two)
    place.sql(change, run=base.runs["published"], body=one)


def reorder(place: Place, base: Base) -> None:
    place.sql(
        "UPDATE log_leaves SET seq = -1 WHERE idx = 2",
        "UPDATE log_leaves SET seq = (SELECT seq FROM log_leaves WHERE idx = 3) WHERE idx = 3 AND seq = -2",
        "UPDATE log_leaves SET seq = seq + 1000 WHERE idx = 3",
        "UPDATE log_leaves SET seq = (SELECT seq - 1000 FROM log_leaves WHERE idx = 3) WHERE idx = 2",
        "UPDATE log_leaves SET seq = (SELECT seq - 1 FROM log_leaves WHERE idx = 2) WHERE idx = 3",
    )


def cut_the_tail(place: Place, base: Base) -> None:
    place.sql(
        "DELETE FROM events WHERE seq > 8",
        "DELETE FROM run_tags WHERE tag = 'seen'",
        "UPDATE runs SET search = replace(search, char(10) || 'seen', '')",
        "DELETE FROM runs WHERE run_id NOT IN (SELECT run_id FROM events WHERE run_id IS NOT NULL)",
        "DELETE FROM run_uses WHERE run_id NOT IN (SELECT run_id FROM runs)",
        "DELETE FROM step_versions",
    )
    resequenced(place)


def replay_a_foreign_record(place: Place, base: Base) -> None:
    """A record and its signature are right, and another run's."""
    foreign = place.ending(base.runs["published"])
    replace_ending(place, base.runs["good"], record=str(foreign.record), attestation=str(foreign.attestation))


def replace_ending(place: Place, run: str, **fields: object) -> None:
    body = {**to_json(place.ending(run)), **fields}
    text = canonical({key: value for key, value in body.items() if value is not None}).decode()
    place.sql("UPDATE events SET body = :body WHERE run_id = :run AND kind = 'RunFinished'", run=run, body=text)
    place.sql("UPDATE runs SET record = :record WHERE run_id = :run", run=run, record=str(body["record"]))


def take_the_signature_away(place: Place, base: Base) -> None:
    replace_ending(place, base.runs["good"], attestation=None)


def turn_failure_into_success(place: Place, base: Base) -> None:
    """All that has no key is changed with it: record, event, index, places and nodes."""
    home, run = place.project.home, base.runs["failed"]
    data = home.store.get(place.ending(run).record).replace(b'"status":"failed"', b'"status":"succeeded"')
    replace_ending(place, run, record=str(home.store.put(data)), status="succeeded")
    place.sql("UPDATE runs SET status = 'succeeded' WHERE run_id = :run", run=run)
    resequenced(place)


def change_the_index(place: Place, base: Base) -> None:
    place.sql("UPDATE runs SET status = 'failed' WHERE run_id = :run", run=base.runs["good"])


def spoil_the_index(place: Place, base: Base) -> None:
    place.sql("UPDATE runs SET started = 'yesterday' WHERE run_id = :run", run=base.runs["good"])


def change_a_scrap_in_the_index(place: Place, base: Base) -> None:
    place.sql("UPDATE run_values SET num = 99 WHERE run_id = :run AND kind = 'scrap'", run=base.runs["good"])


def hide_what_was_used(place: Place, base: Base) -> None:
    place.sql("DELETE FROM run_uses WHERE run_id = :run", run=base.runs["good"])


def make_bytes_of_the_newest_checkpoint(place: Place, base: Base) -> None:
    newest = "(SELECT max(number) FROM log_notes WHERE kind = 'checkpoint')"
    place.sql(f"UPDATE log_notes SET body = CAST(body AS BLOB) WHERE number = {newest}")


def make_bytes_of_the_lists_of_keys(place: Place, base: Base) -> None:
    place.sql("UPDATE log_notes SET body = CAST(body AS BLOB) WHERE kind = 'keys'")


def make_bytes_of_an_ending(place: Place, base: Base) -> None:
    place.sql("UPDATE events SET body = CAST(body AS BLOB) WHERE run_id = :run", run=base.runs["good"])


def make_an_event_of_a_step_of_a_tag(place: Place, base: Base) -> None:
    body = "(SELECT body FROM events WHERE kind = 'StepPublished')"
    place.sql(f"UPDATE events SET body = {body} WHERE run_id = :run AND kind = 'RunTagged'", run=base.runs["good"])


def spoil_a_place(place: Place, base: Base) -> None:
    place.sql("UPDATE log_leaves SET hash = 'no hash'")


def lose_the_list_of_keys(place: Place, base: Base) -> None:
    place.sql("DELETE FROM log_notes WHERE kind = 'keys'")


def bring_an_older_list_of_keys(place: Place, base: Base) -> None:
    place.sql(
        "DELETE FROM log_notes WHERE kind = 'keys' AND number = (SELECT max(number) FROM log_notes WHERE kind = 'keys')"
    )


def bring_keys_of_one_s_own(place: Place, base: Base) -> None:
    """A list that looks the same, with another root and other keys; all that they can sign is signed anew."""
    log = place.project.home.ledger.log
    root = PrivateKey.new()
    was = KeyFile.open([note.body for note in log.notes(NoteKind.KEYS)][-1].encode())
    named = next(iter(was.keys.values()))
    from dataclasses import replace

    listed = {**was.keys, root.public.id: replace(named, key=root.public)}
    forged = replace(was, number=1, root=root.public.id, keys=listed)
    place.sql("DELETE FROM log_notes WHERE kind = 'keys'")
    place.sql(
        "INSERT INTO log_notes VALUES ((SELECT max(number) + 1 FROM log_notes), 'keys', :body)",
        body=forged.sign(root).decode(),
    )


def begin_another_log(place: Place, base: Base) -> None:
    place.sql("DELETE FROM log_notes")
    make_checkpoint(place.project)


def rewrite_history_with_the_checkpoint_s_key(place: Place, base: Base) -> None:
    """The key of checkpoints was stolen: an event is gone, and every state is signed anew."""
    delete_a_tag_and_its_place(place, base)
    log = place.project.home.ledger.log
    keys = KeyFile.open([note.body for note in log.notes(NoteKind.KEYS)][-1].encode())
    size = log.size()
    held = keyring_of(place.project).signer(Role.CHECKPOINT)
    state = Checkpoint(origin=keys.log, size=size, root=root_of(size, log.nodes))
    log.add_note(NoteKind.CHECKPOINT, state.sign(held.key))


ATTACKS: list[Attack] = [
    delete_a_tag,
    delete_a_tag_and_its_place,
    delete_an_ending,
    swap_two_bodies,
    reorder,
    cut_the_tail,
    replay_a_foreign_record,
    take_the_signature_away,
    turn_failure_into_success,
    change_the_index,
    spoil_the_index,
    change_a_scrap_in_the_index,
    hide_what_was_used,
    make_bytes_of_the_newest_checkpoint,
    make_bytes_of_the_lists_of_keys,
    make_bytes_of_an_ending,
    make_an_event_of_a_step_of_a_tag,
    spoil_a_place,
    lose_the_list_of_keys,
    bring_an_older_list_of_keys,
    bring_keys_of_one_s_own,
    begin_another_log,
    rewrite_history_with_the_checkpoint_s_key,
]
OF_THE_INDEX = (
    change_the_index,
    spoil_the_index,
    change_a_scrap_in_the_index,
    hide_what_was_used,
    make_bytes_of_the_newest_checkpoint,
    make_bytes_of_an_ending,
)
"""What `nbprod ledger check` finds as well."""


@pytest.mark.counted
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_what_was_covered_cannot_be_changed_unseen(base: Base, place: Place, attack: Attack) -> None:
    assert place.whole(given=[base.checkpoint]) is Conclusion.VERIFIED  # positive control
    with counting("attacks of all kinds on what a checkpoint covers", 1) as count:
        attack(place, base)
        assert place.whole() is ALTERED
        assert place.whole(given=[base.checkpoint]) is ALTERED
        about = "failed" if attack is turn_failure_into_success else "good"
        if attack is not swap_two_bodies:
            assert place.verify(base.runs[about]).conclusion is ALTERED
        if attack in OF_THE_INDEX:
            assert [each for each in audit(place.project.home.ledger).faults if "run_search" not in each]
        count.add("found")


def test_what_the_index_alone_tells_is_found(base: Base, place: Place) -> None:
    of_good = {"run": base.runs["good"], "other": base.runs["good"][:-1] + "x"}
    columns = ", ".join(column.name for column in runs.columns if column.name not in ("run_id", "reversed_id"))
    copy = f"INSERT INTO runs (run_id, reversed_id, {columns}) SELECT :other, :other, {columns} FROM runs"
    attacks = {
        "is in the index only": (f"{copy} WHERE run_id = :run", "DELETE FROM runs WHERE run_id = :other"),
        "has ended by the index": (
            "UPDATE events SET kind = 'RunEnded' WHERE run_id = :run AND kind = 'RunFinished'",
            "UPDATE events SET kind = 'RunFinished' WHERE kind = 'RunEnded'",
        ),
        "and of no such run": (
            "UPDATE run_uses SET run_id = :other WHERE run_id = :run",
            "UPDATE run_uses SET run_id = :run WHERE run_id = :other",
        ),
        "train@1 differs from its events in: published_by": (
            "UPDATE step_versions SET published_by = published_by || 'x'",
            "UPDATE step_versions SET published_by = rtrim(published_by, 'x')",
        ),
        "train@production is in the index only": (
            "INSERT INTO step_aliases VALUES ('train', 'production', 1)",
            "DELETE FROM step_aliases",
        ),
        "published steps is damaged": (
            "UPDATE step_versions SET manifest = 'x' || manifest",
            "UPDATE step_versions SET manifest = substr(manifest, 2)",
        ),
    }
    for says, (attack, undo) in attacks.items():
        place.sql(attack, **of_good)
        found = next(place.verifier().all())
        assert found.conclusion is ALTERED
        assert says in told(found)
        place.sql(undo, **of_good)
    assert next(place.verifier().all())  # positive control


def test_who_comes_for_the_first_time_with_a_checkpoint_from_elsewhere_sees_a_cut(
    base: Base, place: Place, tmp_path: Path
) -> None:
    cut_the_tail(place, base)
    alone = place.whole(seen=tmp_path / "none.json")
    assert alone is Conclusion.VERIFIED  # what is left fits together: this is why checkpoints are kept elsewhere
    assert place.whole(seen=tmp_path / "none.json", given=[base.checkpoint]) is ALTERED


def test_who_knows_the_root_key_is_not_taken_in_by_another(base: Base, place: Place, tmp_path: Path) -> None:
    good = place.verifier().trust.current
    assert good is not None
    bring_keys_of_one_s_own(place, base)
    nowhere = tmp_path / "none.json"
    assert place.whole(seen=nowhere, root=good.root) is Conclusion.CANNOT_TELL  # it may be another log altogether
    assert place.verify(base.runs["good"], seen=nowhere, root=good.root).conclusion is not Conclusion.VERIFIED
    assert place.whole(root=good.root) is ALTERED  # not for who has seen it before
    exported = good.sign(keyring_of(place.project).find("root").key)  # type: ignore[union-attr]
    assert place.whole(seen=nowhere, keys=exported) is ALTERED


@pytest.mark.counted
@pytest.mark.parametrize(
    "seed", [*range(40), *(pytest.param(seed, marks=pytest.mark.torture) for seed in range(40, 300))]
)
def test_whatever_is_changed_at_random_is_seen(base: Base, place: Place, seed: int) -> None:
    """Rows of events, places and notes: taken away, given another's value, or changed by a letter."""
    dice = random.Random(seed)
    table, key = dice.choice([("events", "seq"), ("log_leaves", "idx"), ("log_notes", "number"), ("runs", "run_id")])
    columns = {
        "events": ["body", "kind", "at", "run_id"],
        "log_leaves": ["hash", "seq"],
        "log_notes": ["body"],
        "runs": ["status", "record", "reason", "parameters", "scraps", "request_digest", "finished"],
    }[table]
    # What nothing covers yet may be taken away unseen: the late run, and checkpoints that others go beyond.
    where = {
        "events": "seq <= 14",
        "log_leaves": "idx < 14",
        "log_notes": "kind = 'keys'",
        "runs": "status IS NOT NULL",
    }
    chosen, other = dice.sample([row[0] for row in place.sql(f"SELECT {key} FROM {table} WHERE {where[table]}")], 2)
    column = dice.choice(columns)
    ((was,), (else_,)) = (place.sql(f"SELECT {column} FROM {table} WHERE {key} = :k", k=k)[0] for k in (chosen, other))
    if table != "runs" and dice.random() < 0.3:
        place.sql(f"DELETE FROM {table} WHERE {key} = :k", k=chosen)
    else:
        text = str(was)
        at = dice.randrange(len(text))
        letter = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
        value = letter if else_ == was or column == "seq" or dice.random() < 0.5 else else_
        place.sql(f"UPDATE OR REPLACE {table} SET {column} = :value WHERE {key} = :k", value=value, k=chosen)
    with counting("rows of the ledger taken away or changed at random", 1, seed=seed) as count:
        assert place.whole() is not Conclusion.VERIFIED, (table, column, chosen)
        count.add("found")


# --- before a checkpoint covers it, the signature stands alone -------------------------------------


def test_a_record_that_was_changed_before_any_checkpoint_has_no_signature(base: Base, place: Place) -> None:
    home, run = place.project.home, base.runs["late"]
    event = place.ending(run)
    data = home.store.get(event.record).replace(b'"alpha":5', b'"alpha":6').replace(b'"value":"5', b'"value":"6')
    assert data != home.store.get(event.record)
    first = "SELECT min(idx) FROM log_leaves JOIN events USING (seq) WHERE run_id = :run"
    place.sql(f"DELETE FROM log_leaves WHERE idx >= ({first})", run=run)
    replace_ending(place, run, record=str(home.store.put(data)))
    assert place.verify(run).conclusion is ALTERED
    other = PrivateKey.new()
    forged = home.store.put(to_lines([sign(data, IN_TOTO, other)]))
    replace_ending(place, run, record=str(home.store.put(data)), attestation=str(forged))
    assert place.verify(run).conclusion is not Conclusion.VERIFIED
    assert "does not know" in " ".join(check.told for check in place.verify(run).checks)


def test_bytes_that_may_be_on_their_way_are_not_called_lost(base: Base, place: Place) -> None:
    home, run = place.project.home, RunId(base.runs["good"])
    record = RunRecord.from_bytes(home.store.get(place.ending(str(run)).record))
    path = place.object(record.artifacts[0].digest)
    path.unlink()
    assert place.verify(str(run)).conclusion is INCOMPLETE  # positive control
    home.ledger.append(bytes_wait(place.project.now(), run, "laptop", 1))
    found = place.verify(str(run))
    assert found.conclusion is Conclusion.CANNOT_TELL
    assert any("in the spool of laptop" in check.told for check in found.checks)


def test_a_signature_is_nothing_that_could_be_erased(base: Base, place: Place) -> None:
    attestation = place.ending(base.runs["good"]).attestation
    assert attestation is not None
    assert "it holds the signature" in search(place.project.home, frozenset([attestation])).needed[attestation]


def test_a_key_that_was_revoked_signs_nothing_that_comes_later(base: Base, place: Place) -> None:
    current = place.verifier().trust.current
    assert current is not None
    ring = keyring_of(place.project)
    runner = ring.signer(Role.RUNNER).key.public.id
    assert place.verify(base.runs["late"])
    position = next(
        leaf for leaf in place.project.home.ledger.log.leaves() if leaf.about["run_id"] == base.runs["late"]
    )
    revoke_key(place.project, runner[:12], end=position.index)
    found = place.verify(base.runs["late"])
    assert found.conclusion is Conclusion.CANNOT_TELL
    assert any("revoked or replaced" in check.told for check in found.checks)
    assert place.verify(base.runs["published"])  # what it signed before stays signed


def test_a_key_of_checkpoints_that_was_stolen_is_disowned_and_the_log_goes_on(base: Base, place: Place) -> None:
    state, signers = Checkpoint.open(base.checkpoint, place.verifier().trust.note_keys())
    revoke_key(place.project, signers[0].key.id[:12], end=state.size - 1)
    found = place.verify(base.runs["good"])
    assert found.conclusion is Conclusion.VERIFIED  # an earlier checkpoint covers it
    assert any("its key has no say at" in check.told for check in found.checks)
    rotate_key(place.project, "checkpoint")
    made = make_checkpoint(place.project)
    assert made.new
    assert place.whole() is Conclusion.VERIFIED
    assert place.verify(base.runs["late"]).covered
    forged = Checkpoint(origin=state.origin, size=state.size, root=bytes(32))
    old = next(held for held in keyring_of(place.project).all() if held.key.public.id == signers[0].key.id)
    assert place.whole(given=[forged.sign(old.key)]) is ALTERED
    place.project.home.ledger.log.add_note(NoteKind.CHECKPOINT, forged.sign(old.key))  # by who stole the key
    assert place.whole() is Conclusion.VERIFIED
    assert place.verify(base.runs["late"]).covered


# --- checkpoints that are sent elsewhere -----------------------------------------------------------


def test_a_log_that_was_changed_is_not_signed_again(base: Base, place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside" / "checkpoint.txt"
    outside.parent.mkdir()
    made = send(place.project, str(outside))
    assert outside.read_text() == made.note
    assert not send(place.project, str(outside)).new
    cut_the_tail(place, base)
    place.sql("DELETE FROM log_notes WHERE kind = 'checkpoint'")
    with pytest.raises(IntegrityError, match="cut off"):
        send(place.project, str(outside))
    assert outside.read_text() == made.note


def test_a_checkpoint_of_another_s_key_is_none(base: Base, place: Place) -> None:
    current = place.verifier().trust.current
    assert current is not None
    state, _ = Checkpoint.open(base.checkpoint, place.verifier().trust.note_keys())
    assert place.whole(given=[state.sign(PrivateKey.new())]) is CANNOT_TELL
    held = Keyring(place.project.root / "keys").find("runner")
    assert held is not None
    assert place.whole(given=[state.sign(held.key)]) is CANNOT_TELL  # a runner's key says nothing of it
    assert place.whole(given=["no checkpoint"]) is CANNOT_TELL


# --- what is asked for -----------------------------------------------------------------------------


def test_strictness_asks_for_people_s_keys_and_a_checkpoint(base: Base, place: Place, tmp_path: Path) -> None:
    strict = Policy.strict()
    assert place.verify(base.runs["good"], policy=strict)
    assert place.verify(base.runs["development"], policy=strict).conclusion is Conclusion.CANNOT_TELL
    assert place.verify(base.runs["late"], policy=strict).conclusion is Conclusion.CANNOT_TELL
    unknown = place.verify(base.runs["good"], policy=strict, seen=tmp_path / "none.json")
    assert unknown.conclusion is Conclusion.CANNOT_TELL


def test_a_leaf_is_the_event_as_it_is_kept(place: Place) -> None:
    for leaf in place.project.home.ledger.log.leaves():
        assert leaf.body is not None
        assert leaf.hash == leaf_hash(leaf.body)


def test_a_copy_of_a_project_is_verified_by_what_was_seen_of_the_first(
    base: Base, copied: Callable[[str], Place]
) -> None:
    one, two = copied("one"), copied("two")
    shutil.copy(one.seen, two.seen)
    assert two.whole() is Conclusion.VERIFIED
    for each in (one, two):
        each.project.home.ledger.close()
