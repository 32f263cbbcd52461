"""Runs that are what they were: no false alarm, whatever their ending, and each check says what it saw."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from nbprod.attest.keyfile import Role
from nbprod.attest.keyring import Keyring
from nbprod.ledger.sql import SqlLedger
from nbprod.ledger.transfer import exported, import_lines
from nbprod.project import Project, RunOptions
from nbprod.project.checkpoint import make_checkpoint
from nbprod.project.garbage import LEAST, collect
from nbprod.project.keys import add_key
from nbprod.project.labels import name_run, tag_run, untag_run
from nbprod.project.reviews import review
from nbprod.record.ids import RunId
from nbprod.record.review import Decision, Wanted
from nbprod.verify import Conclusion, Outcome, Policy, Verification, verify_log
from nbprod.verify.whole import Pages
from tests.notebooks import project_in, write
from tests.processes import nothing_survives
from tests.verify.conftest import Base, Place

pytestmark = pytest.mark.kernel

KINDS = ["development", "good", "failed", "cached", "published", "erased", "late"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_what_it_was_is_verified(base: Base, place: Place, kind: str) -> None:
    found = place.verify(base.runs[kind], given=[base.checkpoint])
    assert found, found
    steps = {check.step: check.outcome for check in found.checks if check.outcome is not Outcome.NOT_APPLICABLE}
    wait = Outcome.NOT_YET if kind == "late" else Outcome.PASSED
    assert steps == {
        1: Outcome.PASSED,
        2: Outcome.PASSED,
        3: Outcome.PASSED,
        4: wait,
        5: Outcome.PASSED,
        6: Outcome.PASSED,
    }
    assert found.covered is (kind != "late")
    endings = [check.told for check in found.checks if check.name == "ending"]
    assert ["ended as failed" in told for told in endings] == ([True] if kind == "failed" else [])
    assert json.loads(json.dumps(found.to_json()))["conclusion"] == "verified"


def test_a_whole_log_is_verified(base: Base, place: Place) -> None:
    found = list(place.verifier(given=[base.checkpoint]).all())
    assert all(found)
    assert [each.subject for each in found[1:]] == [base.runs[kind] for kind in KINDS]
    assert {check.step for each in found[1:] for check in each.checks} == {1, 2, 3, 4, 6}


def test_what_happens_later_is_no_fault(base: Base, place: Place) -> None:
    ledger, run_id = place.project.home.ledger, RunId(base.runs["good"])
    name_run(ledger, run_id, "another")
    untag_run(ledger, run_id, ["a"])
    assert place.verify(base.runs["good"])
    collect(place.project.home, now=place.project.now(), older_than=LEAST)
    make_checkpoint(place.project)
    found = place.verifier()
    assert all(found.all())
    assert found.remember() == place.seen
    assert place.whole() is Conclusion.VERIFIED


def test_a_run_that_people_tag_meanwhile_is_no_fault(base: Base, place: Place) -> None:
    ledger, run_id = place.project.home.ledger, RunId(base.runs["good"])
    stop = threading.Event()

    def tag() -> None:
        for number in range(400):
            tag_run(ledger, run_id, [f"t{number}"])
            if stop.is_set():
                return

    tagging = threading.Thread(target=tag)
    tagging.start()
    try:
        verifier = place.verifier()
        found = [verifier.run(run_id) for _ in range(40)]
    finally:
        stop.set()
        tagging.join()
    assert all(found), [each for each in found if not each]


def test_what_was_erased_is_told_and_is_no_fault(base: Base, place: Place) -> None:
    told = [c.told for c in place.verify(base.runs["erased"]).checks if c.outcome is Outcome.NOT_APPLICABLE]
    assert any("artifact model.bin was erased by ada, because: asked" in each for each in told)
    assert any("the executed notebook was erased" in each for each in told)


def test_who_knows_nothing_yet_is_told_what_is_believed(base: Base, place: Place, tmp_path: Path) -> None:
    found = place.verify(base.runs["good"], seen=tmp_path / "none.json")
    assert found
    told = " ".join(check.told for check in found.checks if check.outcome is Outcome.NOT_APPLICABLE)
    assert "is believed, as none was named" in told
    assert "nothing was seen of this log before" in told


def test_a_run_without_signature_is_unsigned(place: Place) -> None:
    other = Project.find(place.project.root, {"NBPROD_KEYS": "off"})
    run = other.run_job(other.job(other.step("train"), {"alpha": 6.0}, RunOptions()))
    other.close()
    assert place.verify(str(run.id)).conclusion is Conclusion.UNSIGNED
    make_checkpoint(place.project)
    assert place.verify(str(run.id)).conclusion is Conclusion.UNSIGNED
    assert place.whole() is Conclusion.UNSIGNED


def test_a_key_that_nobody_listed_leaves_it_open(place: Place, tmp_path: Path) -> None:
    other = Project.find(place.project.root, {"NBPROD_KEYS": str(tmp_path / "theirs")})
    run = other.run_job(other.job(other.step("train"), {"alpha": 6.0}, RunOptions()))
    other.close()
    found = place.verify(str(run.id))
    assert found.conclusion is Conclusion.CANNOT_TELL
    assert any("which the list of keys does not know" in check.told for check in found.checks)


def test_a_run_that_goes_on_has_nothing_to_verify(place: Place) -> None:
    from tests.telling import started

    run_id = RunId("01890000-0000-7000-8000-000000000000")
    place.project.home.ledger.append(started(run_id))
    assert place.verify(str(run_id)).conclusion is Conclusion.CANNOT_TELL


def test_a_ledger_that_was_carried_elsewhere_fits_its_checkpoints(base: Base, place: Place, tmp_path: Path) -> None:
    """Events keep their places; the list of keys comes from the file that was exported."""
    from nbprod.ledger import open_ledger
    from nbprod.ledger.log import NoteKind
    from nbprod.verify import Evidence, read_trust, survey, verify_run

    there = place.project.home.ledger
    here = open_ledger(str(tmp_path / "carried.db"))
    import_lines(here, exported(there))
    here.log.sequence()
    for note in there.log.notes(NoteKind.KEYS):
        here.log.add_note(NoteKind.KEYS, note.body)
    trust = read_trust(here.log)
    looked = survey(here.log, trust, given=[base.checkpoint])
    evidence = Evidence(ledger=here, store=place.project.home.store, trust=trust, survey=looked)
    assert verify_run(RunId(base.runs["good"]), evidence)
    here.close()


@pytest.mark.parametrize("kept", ["sqlite", "postgresql"])
def test_without_a_list_of_keys_one_s_own_count(kept: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    write(tmp_path / "one.ipynb", "x = 1")
    environ = {}
    if kept == "postgresql":
        server = request.getfixturevalue("postgres")
        environ["NBPROD_LEDGER"] = server.url(server.database())
    with nothing_survives() as mark, project_in(tmp_path, mark, 'keys = "keys"\n', environ) as project:
        run = project.run_job(project.job(project.step("one.ipynb"), {}, RunOptions()))
        place = Place(project, tmp_path / "seen.json")
        found = place.verify(str(run.id))
        assert (found.conclusion, found.covered) == (Conclusion.VERIFIED, False)
        assert place.verifier().remember() is None  # there is no log with a name yet
        strict = place.verify(str(run.id), policy=Policy.strict())
        assert strict.conclusion is Conclusion.CANNOT_TELL
        make_checkpoint(project)
        again = place.verify(str(run.id))
        assert (again.conclusion, again.covered) == (Conclusion.VERIFIED, True)
        assert project.keys is not None
        assert [held.name for held in Keyring(project.keys).all()] == ["development"]
        if kept == "postgresql":
            change_on_postgresql(project, str(run.id))
            assert place.verify(str(run.id)).conclusion is Conclusion.ALTERED
            assert place.whole() is Conclusion.ALTERED


def change_on_postgresql(project: Project, run: str) -> None:
    """As the database's owner does, past all triggers."""
    ledger = project.home.ledger
    assert isinstance(ledger, SqlLedger)
    change = "UPDATE events SET body = replace(body, 'succeeded', 'cancelled') WHERE run_id = :run"
    for statement in ("ALTER TABLE events DISABLE TRIGGER ALL", change, "ALTER TABLE events ENABLE TRIGGER ALL"):
        values = {"run": run} if ":run" in statement else {}
        ledger._connections.write(lambda c, s=statement, v=values: c.execute(text(s), v))  # type: ignore[misc]


def test_without_bytes_nothing_that_a_record_names_is_read(base: Base, place: Place) -> None:
    run = base.runs["good"]
    record = place.project.run(run).record
    path = place.object(record.artifacts[0].digest)
    path.unlink()
    path.write_bytes(b"another")
    found = place.verify(run, reads=False)
    assert found
    told = [check.told for check in found.checks if check.outcome is Outcome.NOT_APPLICABLE]
    assert any("8 objects were not looked at, as was asked for" in each for each in told), told
    assert place.whole(reads=False) is Conclusion.VERIFIED
    assert place.whole() is Conclusion.ALTERED  # the control
    event = place.ending(run)
    place.object(event.record).unlink()
    assert place.whole(reads=False) is not Conclusion.VERIFIED, "records themselves are always read"


def test_several_processes_find_what_one_does(base: Base, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbprod.project import verifying_together

    place.object(place.project.run(base.runs["good"]).record.notebook.digest).unlink()
    add_key(place.project, Role.REVIEWER, label="Ada, risk")
    review(place.project, base.runs["published"], Decision.APPROVED, why="looked at")
    asked = Policy(people=Wanted(approvals=1))
    alone = list(place.verifier(policy=asked).all())
    assert {str(each.conclusion) for each in alone} == {"verified", "incomplete", "cannot tell"}
    assert [each.subject for each in alone[1:] if each] == [base.runs["published"]]
    monkeypatch.setattr(verifying_together, "_LEAST", 1)
    monkeypatch.setattr(verifying_together.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert list(place.verifier(policy=asked).all()) == alone


def test_a_log_that_grows_meanwhile_raises_no_alarm(base: Base, place: Place) -> None:
    """What other processes find when they begin may be longer than what was hashed."""

    def grown(how: Pages, pages: Sequence[Sequence[RunId]]) -> Iterator[list[Verification]]:
        tag_run(place.project.home.ledger, RunId(base.runs["good"]), ["meanwhile"])
        made = make_checkpoint(place.project)
        later = place.verifier().evidence
        assert later.newest == made.checkpoint
        return (how.verify(page, later, later.objects) for page in pages)

    found = list(verify_log(place.verifier().evidence, share=grown))
    assert all(found), found
    assert [each.subject for each in found if not each.covered] == [base.runs["good"], base.runs["late"]]
