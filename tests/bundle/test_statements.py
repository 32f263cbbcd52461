"""What people have signed about a run goes along with it: a bundle alone answers whether it is approved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from nbprod.attest.keyfile import Role
from nbprod.bundle.form import EVENTS
from nbprod.errors import BundleInvalid
from nbprod.project import Run, RunOptions
from nbprod.project.erase import Choice, carry_out, plan
from nbprod.project.export import export
from nbprod.project.keys import add_key
from nbprod.project.person import person_of
from nbprod.project.reviews import review
from nbprod.record.review import Decision, Wanted
from nbprod.verify import Conclusion, Outcome, Policy, Verification
from tests.bundle.conftest import Exported, Members, members_of, pack, with_index, worst
from tests.bundle.test_round_trip import elsewhere

pytestmark = pytest.mark.kernel

Verify = Callable[..., list[Verification]]
ONE = Policy(people=Wanted(approvals=1))
APPROVAL, ERASURE = "statements/approval.jsonl", "statements/erasure.jsonl"


@dataclass(frozen=True)
class Spoken:
    """A run of which something was erased, and which was approved after that; and its bundles before and behind."""

    run: Run
    silent: Path
    path: Path


@pytest.fixture(scope="module")
def spoken(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Spoken:
    project, folder = exported.project, tmp_path_factory.mktemp("spoken")
    run = project.run_job(project.job(project.step("prepare"), {}, RunOptions()))
    assert run, run.reason
    silent = export(project, run, folder / "silent.zip").path
    add_key(project, Role.REVIEWER, label="Ada, risk")
    eraser = person_of(project, Role.REVIEWER)
    assert eraser is not None
    chosen = plan(project.run(str(run.id)), Choice(artifacts=("clean.csv",)), why="asked")
    carry_out(chosen, by="ada", at=project.now(), sign=eraser.sign)
    review(project, str(run.id), Decision.APPROVED, why="looked at")
    review(project, str(run.id), Decision.SIGNED_OFF, why="fine", capacity="risk")
    return Spoken(run, silent, export(project, run, folder / "spoken.zip").path)


def changed(path: Path, ending: str, data: bytes | None, target: Path, *, fits: bool) -> Path:
    """Write the bundle with another member in the place of one, or without it; the index may be made to fit."""
    members: Members = members_of(path)
    (name,) = (each for each in members if each.endswith(ending))
    if data is None:
        del members[name]
    else:
        members[name] = data
    if fits:
        members = with_index(members)
    return pack(target, members)


def test_an_approval_is_found_where_nobody_knows_the_ledger(
    exported: Exported, spoken: Spoken, verify: Verify, tmp_path: Path
) -> None:
    words = ("--root", exported.root, "--require-approvals", "1", "--require-sign-off", "risk")
    done = elsewhere(tmp_path / "home", "verify", str(spoken.path), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "approved it" in done.stdout
    assert "signed by the key" in done.stdout
    without = elsewhere(tmp_path / "home", "verify", str(spoken.silent), *words)
    assert without.returncode == 22, without.stdout  # control: what was exported before anybody spoke
    (found,) = verify(spoken.path, policy=Policy.strict(ONE.people), root=exported.root)
    assert found, found
    erased = [check for check in found.checks if check.name == "erasure" and check.outcome is Outcome.PASSED]
    assert ["signed by the key" in check.told for check in erased] == [True], found


@pytest.mark.parametrize("ending", [APPROVAL, ERASURE])
@pytest.mark.parametrize("fits", [False, True])
def test_a_statement_that_was_changed_is_found(
    spoken: Spoken, verify: Verify, tmp_path: Path, ending: str, *, fits: bool
) -> None:
    members = members_of(spoken.path)
    (name,) = (each for each in members if each.endswith(ending))
    data = members[name]
    flipped = data[:40] + bytes([data[40] ^ 1]) + data[41:]
    assert worst(verify(pack(tmp_path / "same.zip", members), policy=ONE)) is Conclusion.VERIFIED  # positive control
    for number, other in enumerate((flipped, data + data, b"", None)):
        path = changed(spoken.path, ending, other, tmp_path / f"{number}.zip", fits=fits)
        found = verify(path, policy=ONE)
        assert worst(found) in (Conclusion.ALTERED, Conclusion.INCOMPLETE), number
    told = "\n".join(check.told for each in found for check in each.checks)  # of what is not there at all
    assert "is not in the bundle (" in told
    assert "is not in the store" not in told


def test_another_statement_s_envelope_does_not_pass_for_an_approval(
    spoken: Spoken, verify: Verify, tmp_path: Path
) -> None:
    members = members_of(spoken.path)
    (other,) = (data for name, data in members.items() if name.endswith("statements/sign-off.jsonl"))
    assert (
        worst(verify(changed(spoken.path, APPROVAL, other, tmp_path / "x.zip", fits=True))) is not Conclusion.VERIFIED
    )


def test_an_approval_cannot_be_taken_into_another_bundle(spoken: Spoken, verify: Verify, tmp_path: Path) -> None:
    """The events say what was said: lines from another bundle of the run have proofs of another tree."""
    mine, theirs = members_of(spoken.silent), members_of(spoken.path)
    lines = theirs[EVENTS].splitlines(keepends=True)
    said = [line for line in lines if b"RunReviewed" in line]
    assert len(said) == 2
    (name,) = (each for each in theirs if each.endswith(APPROVAL))
    mine |= {EVENTS: mine[EVENTS] + b"".join(said), name: theirs[name]}
    try:
        found = worst(verify(pack(tmp_path / "taken.zip", mine), policy=ONE))
    except BundleInvalid:
        return
    assert found is Conclusion.ALTERED


def test_without_bytes_a_bundle_s_files_are_not_hashed(exported: Exported, verify: Verify, tmp_path: Path) -> None:
    members = members_of(exported.path)
    (name,) = (each for each in members if each.endswith("inputs/data.csv"))
    path = pack(tmp_path / "changed.zip", members | {name: members[name][::-1]})
    found = verify(path, reads=False)
    assert worst(found) is Conclusion.VERIFIED
    assert all(any("not looked at, as was asked for" in check.told for check in each.checks) for each in found)
    assert worst(verify(path)) is Conclusion.ALTERED  # control
    done = elsewhere(tmp_path / "home", "verify", str(path), "--no-bytes")
    assert (done.returncode, "not looked at" in done.stdout) == (0, True), done.stdout + done.stderr
    (record,) = (each for each in members if each.endswith("record.json") and str(exported.trained.id) in each)
    path = pack(tmp_path / "record.zip", members | {record: members[record] + b" "})
    assert worst(verify(path, reads=False)) is Conclusion.ALTERED  # records are read as ever
