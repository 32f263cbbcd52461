"""What people say is signed by their keys: what counts, and what somebody who may write anywhere tries in vain."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.attest.bundle import to_lines
from nbprod.attest.dsse import IN_TOTO, sign
from nbprod.attest.keyfile import Role
from nbprod.attest.keyring import Keyring, read_key
from nbprod.attest.keys import PrivateKey
from nbprod.digest import Digest
from nbprod.errors import CallerError, EnvironmentFault, IntegrityError, NotApproved, NotFound
from nbprod.ledger import open_ledger
from nbprod.ledger.events import AliasMoved, BytesErased, Event, RunReviewed, StepPublished, StepReviewed, to_json
from nbprod.ledger.review_events import reviewed
from nbprod.project import Project, published, reviews
from nbprod.project.erase import Choice, carry_out, plan
from nbprod.project.keys import add_key, new_key, revoke_key
from nbprod.project.person import needed_person, person_of
from nbprod.project.published import publish_step, set_alias
from nbprod.project.rebuild import rebuild
from nbprod.project.reviews import review, reviews_of_run
from nbprod.publish import move_alias
from nbprod.record.ids import RunId
from nbprod.record.review import Decision, Review, Wanted
from nbprod.verify import Conclusion, Outcome, Policy, Standing, later, standing
from nbprod.verify.outcome import Check
from nbprod.verify.reviews import Spoken
from nbprod.verify.said import Said
from nbprod.verify.standing import Author
from tests.verify.conftest import Base, Place

pytestmark = pytest.mark.kernel

APPROVED, REJECTED, WITHDRAWN = Decision.APPROVED, Decision.REJECTED, Decision.WITHDRAWN
ONE = Policy(people=Wanted(approvals=1))


@pytest.fixture
def speak(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let somebody of that name be at the keyboard."""

    def speak(name: str) -> None:
        for module in (reviews, published):
            monkeypatch.setattr(module, "user_name", lambda: name)

    return speak


@pytest.fixture
def reviewed_place(place: Place, speak: Callable[[str], None]) -> Place:
    """There is a reviewer: Ada, who is not whoever ran it."""
    add_key(place.project, Role.REVIEWER, label="Ada, risk")
    speak("ada")
    return place


def ring(place: Place) -> Keyring:
    assert place.project.keys is not None
    return Keyring(place.project.keys)


def person(place: Place, name: str) -> Path:
    """Make another reviewer, and return the file with the key."""
    keys = Keyring(place.project.root / name)
    held = keys.make("reviewer")
    add_key(place.project, Role.REVIEWER, public=held.key.public, label=name)
    return keys.folder / "reviewer.pem"


def checks(place: Place, run: str, name: str, **asked: Any) -> list[Check]:
    return [check for check in place.verify(run, **asked).checks if check.name == name]


def approve(place: Place, run: str, why: str = "looked at", **how: Any) -> RunReviewed:
    event = review(place.project, run, APPROVED, why=why, **how)[1]
    assert isinstance(event, RunReviewed)
    return event


# --- what counts ----------------------------------------------------------------------------------


def test_an_approval_counts_and_a_policy_may_ask_for_it(base: Base, reviewed_place: Place) -> None:
    place, run = reviewed_place, base.runs["good"]
    assert place.verify(run, policy=ONE).conclusion is Conclusion.CANNOT_TELL  # control: nobody has said anything
    approve(place, run, why="  the numbers\nfit ")
    found = place.verify(run, policy=ONE)
    assert found, found
    (said,) = (check for check in found.checks if (check.name, check.step) == ("approval", 2))
    assert said.outcome is Outcome.PASSED
    assert "ada approved it" in said.told
    assert "because: the numbers fit;" in said.told
    assert said.told.endswith("reviewer")
    both = Policy(people=Wanted(approvals=2, sign_offs=("risk",)))
    missing = [c.told for c in place.verify(run, policy=both).checks if c.means is Conclusion.CANNOT_TELL]
    assert len(missing) == 2
    assert (missing[0][:11], missing[1]) == ("1 approval ", "no sign-off as 'risk'")
    bea = person(place, "bea")
    approve(place, run, key=bea)
    review(place.project, run, Decision.SIGNED_OFF, why="fine", capacity="risk", key=bea)
    assert place.verify(run, policy=both)
    assert place.whole() is Conclusion.VERIFIED
    assert place.verify(base.runs["late"], policy=both).conclusion is Conclusion.CANNOT_TELL


def test_four_eyes(base: Base, reviewed_place: Place, speak: Callable[[str], None]) -> None:
    """Neither the runner's key nor the runner's user counts; the same key counts once."""
    place, run = reviewed_place, base.runs["good"]
    others = Policy(people=Wanted(approvals=1, by_others=True))
    speak(place.project.run(run).record.user)
    approve(place, run)
    assert place.verify(run, policy=ONE)
    assert place.verify(run, policy=others).conclusion is Conclusion.CANNOT_TELL
    speak("ada")
    runner = ring(place).find("runner")
    assert runner is not None
    add_key(place.project, Role.REVIEWER, public=runner.key.public)
    rerun = base.runs["late"]  # by that very key, under another name
    approve(place, rerun, key=ring(place).folder / "runner.pem")
    assert place.verify(rerun, policy=ONE)
    assert place.verify(rerun, policy=others).conclusion is Conclusion.CANNOT_TELL
    approve(place, run)
    approve(place, run, why="again")
    assert place.verify(run, policy=others)
    two = Policy(people=Wanted(approvals=2))
    assert not place.verify(run, policy=two)
    again = person(place, "Ada, risk")  # a new key of hers
    approve(place, run, key=again)
    assert not place.verify(run, policy=two)
    approve(place, run, key=person(place, "bea"))
    assert place.verify(run, policy=two)


def test_a_key_that_is_called_as_the_runner_s_is_of_no_other(
    base: Base, place: Place, speak: Callable[[str], None]
) -> None:
    speak("ada")
    run, others = base.runs["good"], Policy(people=Wanted(approvals=1, by_others=True))
    add_key(place.project, Role.REVIEWER)  # called after the same user and host
    review(place.project, run, APPROVED, why="my own")
    (counted,) = (check.told for check in place.verify(run, policy=others).checks if "does not count" in check.told)
    assert counted.startswith("the approval of ada (key ")
    assert counted.endswith(", too")


def test_a_rejection_stands_until_the_same_key_takes_it_back(base: Base, reviewed_place: Place) -> None:
    place, run = reviewed_place, base.runs["good"]
    bea = person(place, "bea")
    approve(place, run)
    review(place.project, run, REJECTED, why="leaks", key=bea)
    approve(place, run, why="all the same")
    told = [c.told for c in place.verify(run, policy=ONE).checks if c.means is Conclusion.CANNOT_TELL]
    assert [("rejected it: leaks" in each) for each in told] == [True]
    assert place.verify(run)  # who asks for nothing is told, no more
    assert reviews_of_run(place.project, RunId(run))[1].word == "rejected"
    review(place.project, run, WITHDRAWN, why="it does not", key=bea)
    assert place.verify(run, policy=ONE)
    with pytest.raises(CallerError, match=r"nothing left to take back.*because: it does not"):
        review(place.project, run, WITHDRAWN, why="once more", key=bea)
    with pytest.raises(CallerError, match="has said nothing"):
        review(place.project, base.runs["late"], WITHDRAWN, why="?", key=bea)


keys = st.sampled_from("abc")
words = st.tuples(keys, st.sampled_from(Decision), st.sampled_from(["risk", "law"]))


@given(st.lists(words, max_size=12))
def test_what_each_key_said_last_stands(said: list[tuple[str, Decision, str]]) -> None:
    from tests.telling import DIGEST, START

    spoken = [
        Spoken(
            review=Review(
                of="x@1",
                digest=DIGEST,
                decision=word,
                at=START + timedelta(seconds=place),
                by=key,
                why="",
                capacity=name if word is Decision.SIGNED_OFF else "",
                log="l",
            ),
            said=Said(Check.passed(2, "x", ""), key),
        )
        for place, (key, word, name) in enumerate(said)
    ]
    found = standing(spoken)
    overtaken = later(spoken)
    stand = {*found.approvals, *found.rejections, *found.sign_offs}
    assert {*spoken} - stand == {*overtaken, *(each for each in spoken if each.review.decision is Decision.WITHDRAWN)}
    assert not stand & {*overtaken}
    last = {key: word for key, word, _ in said if word is not Decision.SIGNED_OFF}
    assert {each.said.key_id for each in found.approvals} == {key for key in last if last[key] is APPROVED}
    assert {each.said.key_id for each in found.rejections} == {key for key in last if last[key] is REJECTED}
    assert found.word == ("rejected" if REJECTED in last.values() else "approved" if APPROVED in last.values() else "")
    signed = set()
    for key, word, name in said:
        if word is Decision.SIGNED_OFF:
            signed.add((key, name))
        elif word is not APPROVED:
            signed = {pair for pair in signed if pair[0] != key}
    assert {(each.said.key_id, each.review.capacity) for each in found.sign_offs} == signed
    unsigned = [replace(each, said=Said(Check.passed_over(2, "x", ""))) for each in spoken]
    given = {(each.review.decision, each.review.capacity) for each in spoken}
    given = {pair for pair in given if pair[0] in (APPROVED, Decision.SIGNED_OFF)}
    passed_over = standing(unsigned)
    assert replace(passed_over, void=()) == Standing()
    assert {(each.spoken.review.decision, each.spoken.review.capacity) for each in passed_over.void} == given
    taken_back = {each.spoken for each in found.void}
    kept = {*found.approvals, *found.sign_offs}
    assert not taken_back & kept
    assert {each.said.key_id for each in spoken if each.review.decision is APPROVED} == {
        each.said.key_id for each in taken_back | kept if each.review.decision is APPROVED
    }


# --- what is refused ------------------------------------------------------------------------------


def test_what_nobody_should_approve_is_refused(base: Base, reviewed_place: Place) -> None:
    place = reviewed_place
    with pytest.raises(CallerError, match="failed: there is nothing to approve"):
        approve(place, base.runs["failed"])
    assert review(place.project, base.runs["failed"], REJECTED, why="no")
    artifact = place.project.run(base.runs["good"]).record.artifacts[0]
    place.object(artifact.digest).unlink()
    with pytest.raises(CallerError, match="incomplete: artifact"):
        approve(place, base.runs["good"])
    unsigned = "UPDATE events SET body = json_remove(body, '$.attestation') WHERE run_id = :r AND kind = 'RunFinished'"
    place.sql(unsigned, r=base.runs["late"])
    with pytest.raises(CallerError, match="is not signed"):
        approve(place, base.runs["late"])
    with pytest.raises(CallerError, match="a sign-off needs a name"):
        review(place.project, base.runs["cached"], Decision.SIGNED_OFF, why="x", capacity=" ")
    with pytest.raises(CallerError, match="the reason is too long"):
        approve(place, base.runs["cached"], why="x" * 1001)
    with pytest.raises(NotFound):
        review(place.project, "train@7", APPROVED, why="x")


def test_only_who_may_review_can_approve(base: Base, place: Place, tmp_path: Path) -> None:
    run = base.runs["good"]
    with pytest.raises(CallerError, match=r"no key of yours may sign as reviewer.*keys new reviewer"):
        approve(place, run)
    held, made = new_key(place.project, Role.REVIEWER)
    again, made_again = new_key(place.project, Role.REVIEWER)
    assert (made, made_again, again.key.public) == (True, False, held.key.public)
    with pytest.raises(CallerError, match="no key of yours may sign"):  # nobody has listed it
        approve(place, run)
    with pytest.raises(CallerError, match="may not sign as reviewer"):
        approve(place, run, key=ring(place).folder / "runner.pem")
    with pytest.raises(NotFound, match="there is no key"):
        approve(place, run, key=tmp_path / "none.pem")
    add_key(place.project, Role.REVIEWER)
    approve(place, run)
    (ring(place).folder / "reviewer.pem").chmod(0o644)
    with pytest.raises(EnvironmentFault, match="others may read it"):
        approve(place, run)


def test_a_key_that_the_environment_names_signs(base: Base, place: Place) -> None:
    file = person(place, "bea")
    other = Project.find(place.project.root, {"NBPROD_KEY": str(file)})
    assert needed_person(other, Role.REVIEWER).label == "bea"
    with pytest.raises(CallerError, match="may not sign as promoter"):
        person_of(other, Role.PROMOTER)
    assert person_of(place.project, Role.REVIEWER) is None
    other.home.ledger.close()


# --- who may write anywhere, and has no reviewer's key ---------------------------------------------


def forge(place: Place, event: RunReviewed, key: PrivateKey, **changes: Any) -> RunReviewed:
    """Say something with a key, past all checks of who may."""
    said = replace(event.review, **changes)
    envelope = to_lines([sign(said.to_bytes(), IN_TOTO, key)])
    made = reviewed(said, place.project.home.store.put(envelope))
    assert isinstance(made, RunReviewed)
    place.project.home.ledger.append(made)
    return made


def insert(place: Place, event: Event, run: str) -> None:
    body = json.dumps(to_json(event), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    columns = {"run": run, "kind": type(event).__name__, "at": to_json(event)["at"], "body": body}
    place.sql("INSERT INTO events (run_id, kind, at, body) VALUES (:run, :kind, :at, :body)", **columns)


@pytest.mark.parametrize("what", ["why", "by", "decision", "attestation", "run", "again", "record", "envelopes"])
def test_nobody_changes_what_was_said(base: Base, reviewed_place: Place, what: str) -> None:
    place, run, other = reviewed_place, base.runs["good"], base.runs["late"]
    event = approve(place, run)
    elsewhere = approve(place, other)
    assert place.verify(run, policy=ONE)  # positive control
    change = "UPDATE events SET body = json_set(body, :path, :value) WHERE run_id = :run AND kind = 'RunReviewed'"
    values: dict[str, str] = {
        "why": "x",
        "by": "eve",
        "decision": "rejected",
        "attestation": str(elsewhere.attestation),
    }
    if what in values:
        place.sql(change, path=f"$.{what}", value=values[what], run=run)
    elif what == "run":  # said of one run, and put beside another
        insert(place, replace(elsewhere, run_id=RunId(run)), run)
    elif what == "again":  # after it was taken back
        review(place.project, run, WITHDRAWN, why="no")
        insert(place, event, run)
    elif what == "record":  # of this run, by the right key, and of another record
        held = ring(place).find("reviewer")
        assert held is not None
        forge(place, event, held.key, digest=elsewhere.record)
    else:  # two envelopes for one
        data = place.object(event.attestation).read_bytes() + place.object(elsewhere.attestation).read_bytes()
        place.sql(change, path="$.attestation", value=str(place.project.home.store.put(data)), run=run)
    found = place.verify(run, policy=ONE)
    assert found.conclusion is Conclusion.ALTERED
    names = {check.name for check in found.checks if check.means is Conclusion.ALTERED}
    assert names & {"approval", "rejection"}
    assert place.verify(other, policy=ONE)
    spoken, stands = reviews_of_run(place.project, RunId(run))
    assert any(each.said.key_id is None for each in spoken)
    assert stands.word == ("approved" if what in ("record", "run") else "")


@pytest.mark.parametrize("who", ["stranger", "runner", "another log"])
def test_what_nobody_vouches_for_does_not_count(base: Base, reviewed_place: Place, who: str) -> None:
    place, run = reviewed_place, base.runs["good"]
    like = approve(place, base.runs["late"])
    record = place.ending(run).record
    key = {"runner": "runner", "another log": "reviewer"}.get(who)
    held = None if key is None else ring(place).find(key)
    log = "nbprod.dev/log/other" if who == "another log" else like.log
    forge(place, like, held.key if held else PrivateKey.new(), of=run, digest=record, log=log)
    (said,) = checks(place, run, "approval")
    assert (said.outcome, said.means) == (Outcome.CANNOT_TELL, Conclusion.VERIFIED)
    assert "which does not count" in said.told
    assert place.verify(run)
    assert place.verify(run, policy=ONE).conclusion is Conclusion.CANNOT_TELL
    stands = reviews_of_run(place.project, RunId(run))[1]
    assert replace(stands, void=()) == Standing()
    assert [each.why in said.told for each in stands.void] == [True]
    approve(place, run)
    assert place.verify(run, policy=ONE)


def test_what_a_key_said_before_it_was_revoked_counts(base: Base, reviewed_place: Place) -> None:
    place, run = reviewed_place, base.runs["good"]
    before = approve(place, run)
    held = ring(place).find("reviewer")
    assert held is not None
    size = place.project.home.ledger.log.sequence()
    revoke_key(place.project, held.key.public.id)
    assert place.verify(run, policy=ONE)
    late = forge(place, before, held.key, of=base.runs["late"], digest=place.ending(base.runs["late"]).record)
    assert place.verify(base.runs["late"], policy=ONE).conclusion is Conclusion.CANNOT_TELL
    assert "does not let" in checks(place, str(late.run_id), "approval")[0].told
    revoke_key(place.project, held.key.public.id, end=size - 1)  # it was stolen earlier
    assert place.verify(run, policy=ONE).conclusion is Conclusion.CANNOT_TELL
    assert place.verify(run)


def test_a_signature_that_is_gone_is_missed(base: Base, reviewed_place: Place) -> None:
    place, run = reviewed_place, base.runs["good"]
    place.object(approve(place, run).attestation).unlink()
    assert place.verify(run).conclusion is Conclusion.INCOMPLETE


# --- published steps ------------------------------------------------------------------------------


def with_policy(place: Place, policy: str) -> Project:
    path = place.project.root / "pyproject.toml"
    path.write_text(path.read_text() + f"[tool.nbprod.aliases.production]\n{policy}\n")
    place.project.home.ledger.close()
    place.project = Project.find(place.project.root, {})
    return place.project


def test_an_alias_asks_for_approvals_by_others(reviewed_place: Place, speak: Callable[[str], None]) -> None:
    place = reviewed_place
    project = with_policy(place, 'sign_offs = ["risk"]')
    with pytest.raises(NotApproved, match="no key of yours that may sign as promoter"):
        set_alias(project, "train", "production", 1)
    add_key(project, Role.PROMOTER)
    speak("pat")
    with pytest.raises(NotApproved, match=r"train@2 is published, and train@production is not moved"):
        republish(project, alias="production")
    assert set_alias(project, "train", "shadow", 2) is not None  # control: nothing is asked for there
    review(project, "train@2", APPROVED, why="my own")
    review(project, "train@2", Decision.SIGNED_OFF, why="my own", capacity="risk")
    with pytest.raises(NotApproved, match=r"no approvals by others.*no sign-off as 'risk' that counts.*nbprod approve"):
        set_alias(project, "train", "production", 2)
    speak("ada")
    review(project, "train@shadow", APPROVED, why="good")
    review(project, "train@2", Decision.SIGNED_OFF, why="good", capacity="risk")
    review(project, "train@2", REJECTED, why="wait", key=person(place, "bea"))
    with pytest.raises(NotApproved, match="rejected it: wait"):
        set_alias(project, "train", "production", 2)
    review(project, "train@2", WITHDRAWN, why="go", key=place.project.root / "bea" / "reviewer.pem")
    moved = set_alias(project, "train", "production", 2, why="approved")
    assert moved is not None
    assert moved.attestation is not None
    assert place.whole() is Conclusion.VERIFIED
    move_alias(project.home.ledger, "train", "shadow", 1, at=project.now(), by="eve")
    assert place.whole() is Conclusion.VERIFIED  # control: nobody guards that
    move_alias(project.home.ledger, "train", "production", 1, at=project.now(), by="eve")
    assert place.whole() is Conclusion.CANNOT_TELL
    set_alias(project, "train", "production", 2, why="where it was")
    assert place.whole() is Conclusion.VERIFIED
    assert [check.told for check in next(place.verifier().all()).checks if check.name == "steps"] == [
        "of what is told of published steps, 10 statements are signed, and 3 are not"
    ]
    review(project, "train@2", REJECTED, why="it leaks", key=place.project.root / "bea" / "reviewer.pem")
    assert place.whole() is Conclusion.CANNOT_TELL  # what stood when it was moved does not stand any more
    (version,) = (each for each in project.home.ledger.published("train") if "production" in each.aliases)
    by_alias, by_number = (place.verifier().version(version, alias=alias) for alias in ("production", None))
    assert (by_alias.conclusion, by_number.conclusion) == (Conclusion.CANNOT_TELL, Conclusion.VERIFIED)
    assert by_alias.rejected
    assert by_number.rejected
    assert "train@production asks for" in next(c.told for c in by_alias.checks if c.name == "alias")


def test_a_refused_move_says_why_what_was_given_does_not_count(
    reviewed_place: Place, speak: Callable[[str], None]
) -> None:
    place = reviewed_place
    project = with_policy(place, "approvals = 1")
    add_key(project, Role.PROMOTER)
    speak("pat")
    republish(project)

    def told() -> list[str]:
        with pytest.raises(NotApproved, match="train@production is not moved") as refused:
            set_alias(project, "train", "production", 2)
        first, *reasons = str(refused.value.found).split("; the approval of ")
        assert first.endswith("no approvals by others than its author, and 1 wanted")
        return [reason.partition(" does not count: ")[2] for reason in reasons]

    assert told() == []
    review(project, "train@2", APPROVED, why="my own")
    assert told() == ["the work is pat's own"]
    speak("ada")
    bea, cy = person(place, "bea"), person(place, "cy")
    review(project, "train@1", APPROVED, why="the old one", key=bea)
    assert told()[1:] == ["it is of version 1, not of 2"]
    approved = review(project, "train@2", APPROVED, why="looked at", key=cy)[1]
    assert set_alias(project, "train", "production", 2)  # positive control: this one counts
    set_alias(project, "train", "production", None)
    review(project, "train@2", WITHDRAWN, why="sorry", key=cy)
    assert told()[1].startswith("the same key took it back on 20")
    review(project, "train@2", APPROVED, why="after all", key=cy)
    revoke_key(project, read_key(cy).key.public.id, end=project.home.ledger.log.sequence() - 1)
    (revoked,) = [reason for reason in told() if "revoked" in reason]
    assert "does not let" in revoked
    assert isinstance(approved, StepReviewed)
    runner = ring(place).find("runner")
    assert runner is not None
    for key, log in ((runner.key, approved.log), (read_key(bea).key, "nbprod.dev/log/other")):
        said = replace(approved.review, log=log, by=log)
        envelope = to_lines([sign(said.to_bytes(), IN_TOTO, key)])
        project.home.ledger.append(reviewed(said, project.home.store.put(envelope)))
    assert any("which is not known as reviewer" in reason for reason in told())
    assert any(reason.startswith("it was said in another log, nbprod.dev/log/other") for reason in told())


def republish(project: Project, **how: Any) -> None:
    from tests.notebooks import PARAMETERS, write

    write(project.root / "train.ipynb", ("alpha: float = 2.5", PARAMETERS), "alpha")
    publish_step(project, "train", **how)


@pytest.mark.parametrize("what", ["note", "manifest", "alias", "again", "review"])
def test_nobody_changes_what_was_said_of_steps(reviewed_place: Place, what: str) -> None:
    place, project = reviewed_place, reviewed_place.project
    add_key(project, Role.PROMOTER)
    republish(project, note="better")
    review(project, "train@2", APPROVED, why="good")
    first = set_alias(project, "train", "production", 2)
    set_alias(project, "train", "production", 1, why="it was not")
    assert place.whole() is Conclusion.VERIFIED  # positive control
    ledger = project.home.ledger
    events = [stored.event for stored in ledger.step_events("train")]
    change = "UPDATE events SET body = json_set(body, :path, :value) WHERE kind = :kind AND body LIKE '%\"number\":2%'"
    if what == "again":
        assert first is not None
        back = set_alias(project, "train", "production", None)
        assert back is not None
        ledger.append(first)
    elif what in ("note", "manifest"):
        other = next(event.manifest for event in events if isinstance(event, StepPublished))
        place.sql(change, path=f"$.{what}", value="x" if what == "note" else str(other), kind="StepPublished")
    elif what == "alias":
        place.sql(change, path="$.alias", value="champion", kind=AliasMoved.__name__)
    else:
        place.sql(change, path="$.why", value="x", kind=StepReviewed.__name__)
    checks = next(place.verifier().all()).checks
    altered = {check.name for check in checks if check.means is Conclusion.ALTERED} - {"log", "consistency"}
    expected = {"note": "publication", "manifest": "publication", "alias": "alias move", "again": "alias move"}
    assert expected.get(what, "approval") in altered


def test_a_version_is_verified(base: Base, reviewed_place: Place) -> None:
    place, project = reviewed_place, reviewed_place.project

    def found(number: int, **asked: Any) -> tuple[Conclusion, set[str]]:
        version = next(each for each in project.home.ledger.published("train") if each.version == number)
        made = place.verifier(**asked).version(version)
        return made.conclusion, {check.name for check in made.checks}

    assert found(1)[0] is Conclusion.UNSIGNED  # nobody who published it had a key for that
    was = project.home.ledger.published("train")[-1].manifest
    other = project.run(base.runs["good"]).record.notebook.digest
    for attack, undo in (
        (f"UPDATE step_versions SET manifest = '{other}'", f"UPDATE step_versions SET manifest = '{was}'"),
        ("UPDATE step_versions SET note = note || 'x'", "UPDATE step_versions SET note = rtrim(note, 'x')"),
        ("INSERT INTO step_aliases VALUES ('train', 'production', 1)", "DELETE FROM step_aliases"),
    ):
        place.sql(attack)
        assert found(1)[0] is Conclusion.ALTERED
        place.sql(undo)
    place.sql("INSERT INTO step_versions SELECT step, 9, manifest, published, published_by, note FROM step_versions")
    with pytest.raises(IntegrityError, match="no event says that it was published"):
        found(9)
    place.sql("DELETE FROM step_versions WHERE version = 9")
    notebook = place.object(project.run(base.runs["published"]).record.source_file.digest)
    kept = notebook.read_bytes()
    notebook.unlink()
    notebook.touch()
    os.truncate(notebook, 1 << 40)  # which nobody reads: the manifest has its size
    assert found(1)[0] is Conclusion.ALTERED
    notebook.unlink()
    notebook.write_bytes(kept)
    assert found(1)[0] is Conclusion.UNSIGNED
    add_key(project, Role.PROMOTER)
    republish(project)
    review(project, "train@2", APPROVED, why="good")
    conclusion, names = found(2, policy=ONE)
    assert conclusion is Conclusion.VERIFIED
    assert {"publication", "approval", "bytes", "inclusion"} <= names
    assert found(2, policy=Policy(clean_git=True))[0] is Conclusion.CANNOT_TELL  # it is in no repository
    manifest = next(each.manifest for each in project.home.ledger.published("train") if each.version == 2)
    place.object(manifest).unlink()
    assert found(2)[0] is Conclusion.INCOMPLETE


# --- erasures, and a ledger that was lost ---------------------------------------------------------


def test_a_tombstone_is_signed(base: Base, reviewed_place: Place) -> None:
    place, run = reviewed_place, base.runs["good"]
    someone = needed_person(place.project, Role.REVIEWER)
    made = plan(place.project.run(run), Choice(artifacts=("model.bin",)), why="asked")
    carry_out(made, by="ada", at=place.project.now(), sign=someone.sign)
    (said,) = checks(place, run, "erasure")
    assert said.outcome is Outcome.PASSED
    assert "signed by the key" in said.told
    assert place.verify(run)
    (old,) = checks(place, base.runs["erased"], "erasure")
    assert (old.outcome, old.told.endswith("which nobody signed")) == (Outcome.NOT_APPLICABLE, True)
    change = "UPDATE events SET body = json_set(body, '$.attestation', :value) WHERE run_id = :run AND kind = :kind"
    other = place.ending(run).attestation
    place.sql(change, value=str(other), run=run, kind=BytesErased.__name__)
    assert place.verify(run).conclusion is Conclusion.ALTERED


def test_what_people_said_is_found_again_in_the_store(base: Base, reviewed_place: Place, tmp_path: Path) -> None:
    place, run = reviewed_place, base.runs["good"]
    add_key(place.project, Role.PROMOTER)
    republish(place.project)
    said = [approve(place, run), review(place.project, "train@2", REJECTED, why="no")[1]]
    fresh = open_ledger(str(tmp_path / "fresh.db"))
    made = rebuild(fresh, place.project.home.store)
    assert made.reviews == len(said)
    events = [stored.event for stored in fresh.events()]
    assert [event for event in events if isinstance(event, RunReviewed | StepReviewed)] == said
    signed: list[Digest | None] = [event.attestation for event in events if isinstance(event, StepPublished)]
    assert [each is not None for each in signed] == [False, True]
    fresh.close()
    again = Project.find(place.project.root, {"NBPROD_LEDGER": str(tmp_path / "fresh.db")})
    for named in (False, True):  # the log that was lost had a name; this one has none yet, and then another
        spoken, stands = reviews_of_run(again, RunId(run))
        assert (len(spoken), stands.word) == (1, "")
        assert f"it was said in another log, {said[0].review.log}; " in spoken[0].said.why
        assert ("has no list of keys" in spoken[0].said.why) is not named
        if not named:
            review(again, base.runs["late"], REJECTED, why="this begins the list of keys")
    again.home.ledger.close()


def test_no_review_is_read_from_what_is_none() -> None:
    assert Review.from_bytes(b'{"predicateType":"https://example.org/x","predicate":{}}') is None


def test_others_cannot_be_told_from_an_author_whom_nobody_knows() -> None:
    wanted = Wanted(approvals=0, sign_offs=("risk",), by_others=True)
    assert any("whose work it is" in line for line in Standing().missing(wanted, Author(user="eve")))
    assert not any("whose work it is" in line for line in Standing().missing(wanted, Author(key_id="k", label="l")))
    assert [*Standing().missing(Wanted(by_others=True), Author(user="eve"))] == []  # nothing is asked for
