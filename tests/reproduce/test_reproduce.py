"""Runs executed again with real kernels: what is rebuilt, what is refused, how much comes out the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import nbprod
from nbprod.cli.app import nbprod as application
from nbprod.diff import Level, Outcome, Reached
from nbprod.diff.outputs import OutputChange
from nbprod.digest import Digest
from nbprod.errors import CallerError, Erased, IntegrityError, NotReproducible
from nbprod.ledger.events import RunReproduced
from nbprod.ledger.reproduced import reproductions
from nbprod.project.erase import Choice, carry_out, plan
from nbprod.project.reproduce import How, Reproduction
from nbprod.project.verifying import Asked, Verifier
from nbprod.record.ids import RunId
from nbprod.record.parts import PartKind
from nbprod.record.reproduced import Reproduced
from nbprod.record.status import CellStatus, Status
from nbprod.record.verdict import CellError, CellOutcome, Verdict
from nbprod.reproduce.ending import Ending, compare_endings, limited
from nbprod.runner.signed import keep_signed_statement
from nbprod.verify import Conclusion
from nbprod.verify import Outcome as Checked
from tests.reproduce.conftest import Base, Place

pytestmark = pytest.mark.kernel


def again(place: Place, name: str, **how: object) -> Reproduction:
    return place.run(name).reproduce(How(**how), project=place.project)  # type: ignore[arg-type]


def test_a_run_comes_out_the_same_from_what_is_kept_alone(bare: Callable[[], Place]) -> None:
    place = bare()
    found = again(place, "work")
    assert found.level == 3, found.reached.why_not
    assert found.stated.environment == ()
    first, second = place.run("work").record, found.run.record
    assert second.request.digest == first.request.digest  # law 4: paths differ, contents do not
    assert second.labels.reproduces == first.run_id
    assert second.launch is not None
    assert second.launch.how == "started"
    assert [cell.outcome for cell in found.comparison.cells][1:] == [Outcome.NORMALISED, Outcome.NORMALISED]
    assert found.comparison.cells[1].rules == ("memory addresses",)
    assert not Path(found.stated.place).exists()
    assert not list(place.root.glob("data/*"))  # nothing was put back where it lay
    traced = found.run.trace
    assert traced is not None
    assert {each.path for each in traced.modules} == {"notebooks/helper.py"}

    # What is stated stands with both runs, signed, and verifying looks at it.
    for run_id in (first.run_id, second.run_id):
        (event,) = reproductions(place.project.home.ledger, run_id)
        assert (event.first, event.second, event.level) == (first.run_id, second.run_id, 3)
    stated = Reproduced.from_bytes(place.project.home.store.get(event.statement))
    assert stated == found.stated
    assert TEXT_OF_OUTPUT not in place.project.home.store.get(event.statement)
    checks = Verifier(place.project, Asked(seen=place.root / "seen")).run(first.run_id).checks
    (check,) = [check for check in checks if check.name == "reproduced"]
    assert check.outcome is Checked.PASSED, check
    # A run that is itself a reproduction can be reproduced.
    third = found.run.reproduce(project=place.project)
    assert third.level == 3, third.reached.why_not


TEXT_OF_OUTPUT = b"inner"  # of the first run's output: what can be erased stands in no statement


def test_what_is_drawn_anew_is_told_and_reaches_no_more_than_it_does(place: Place) -> None:
    found = place.again["volatile"]
    assert found.level == 0
    assert [each.outcome for each in found.comparison.scraps] == [Outcome.DIFFERENT]
    assert found.reached.why_not
    assert [each.outcome for each in found.comparison.artifacts] == [Outcome.DIFFERENT]
    assert found.stated.comparison["artifacts"] == [{"name": "drawn.bin", "outcome": "different", "by": ""}]


def test_a_step_handed_an_artifact_gets_the_same_bytes(bare: Callable[[], Place]) -> None:
    place = bare()
    found = again(place, "next")
    assert found.level == 3, found.reached.why_not
    assert found.run.record.request.digest == place.run("next").record.request.digest
    assert found.run.record.request.inputs[0] == place.run("next").record.request.inputs[0]


def test_a_published_step_is_executed_as_it_was_frozen(bare: Callable[[], Place]) -> None:
    place = bare()
    found = again(place, "published")
    assert found.level == 3, found.reached.why_not
    assert found.run.record.request.published == place.run("published").record.request.published


def test_a_run_that_failed_fails_in_the_same_way(place: Place) -> None:
    found = place.again["fails"]
    assert found.run.status is Status.FAILED
    assert [each.outcome for each in found.comparison.cells] == [Outcome.EQUAL] * 3
    assert found.level == 2  # it left no artifacts: none were compared
    assert found.reached.why_not == ("it ended badly and left no artifacts: there is nothing more to compare",)
    assert found.stated.told == (
        "L2: it ended as failed as before, at cell 1, with the same error; its outputs are the same; "
        "there were no scraps to compare"
    )
    with_file = replace(found.comparison, artifacts=place.again["volatile"].comparison.artifacts)
    far = Reached(level=Level.ARTIFACTS, why_not=(), normalisers=())
    assert limited(far, Ending(alike=True, told=""), with_file).level is Level.ARTIFACTS  # there was something


def verdict(*cells: CellStatus, error: str = "ValueError", message: str = "no") -> Verdict:
    """Return how a run ended; one is good where all its cells are."""
    status = Status.SUCCEEDED if all(each is CellStatus.OK for each in cells) else Status.FAILED
    raised = CellError(name=error, message=message)
    return Verdict(
        status=status,
        reason="",
        cells=tuple(
            CellOutcome(cell=number, status=each, error=raised if each is CellStatus.FAILED else None)
            for number, each in enumerate(cells)
        ),
    )


OK, FAILED, LEFT = CellStatus.OK, CellStatus.FAILED, CellStatus.NOT_RUN


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (verdict(OK, OK, OK), "it ended as succeeded, not as failed"),
        (verdict(FAILED, LEFT, LEFT), "it ended as failed as well, but at cell 0, not at cell 1"),
        (verdict(OK, LEFT, LEFT), "it ended as failed as well, but before cell 1, not at cell 1"),
        (verdict(OK, FAILED, LEFT, error="OSError"), "it ended as failed as before, at cell 1, but with another error"),
        (verdict(OK, FAILED, LEFT, message="x"), "it ended as failed as before, at cell 1, but with another error"),
        (replace(verdict(OK, FAILED, LEFT), status=Status.TIMED_OUT), "it ended as timed_out, not as failed"),
    ],
    ids=["well", "another cell", "never began", "another error", "another message", "another ending"],
)
def test_a_run_that_ended_badly_in_another_way_reaches_no_level(place: Place, after: Verdict, told: str) -> None:
    found = place.again["fails"].comparison
    (cell,) = [each for each in found.cells if each.cell == 1]
    another = replace(cell, outcome=Outcome.DIFFERENT, changes=(OutputChange(what="error"),))
    found = replace(found, cells=(another,))
    ending = compare_endings(verdict(OK, FAILED, LEFT), after, found)
    assert ending == Ending(alike=False, told=told)
    far = Reached(level=Level.ARTIFACTS, why_not=(), normalisers=())
    assert limited(far, ending, found) == Reached(level=Level.NONE, why_not=(told,), normalisers=())
    assert compare_endings(verdict(OK, OK), verdict(OK, OK), found) is None  # control


def test_what_was_not_kept_is_taken_from_where_it_lies_or_named_before_anything_starts(place: Place) -> None:
    runs = sum(1 for _ in place.project.home.ledger.events())
    large = place.root / "data" / "large.bin"
    aside = large.rename(place.root / "aside.bin")
    large.write_bytes(b"other")
    with pytest.raises(NotReproducible) as refused:
        again(place, "large")
    (missing,) = refused.value.missing
    assert "parameter large" in missing
    assert "another file" in missing
    assert "--input large=PATH" in missing
    with pytest.raises(CallerError, match="is not what the run read"):
        again(place, "large", given={"large": large})
    with pytest.raises(CallerError, match="read no input"):
        again(place, "large", given={"small": large})
    assert sum(1 for _ in place.project.home.ledger.events()) == runs  # nothing was started
    found = again(place, "large", given={"large": aside})
    assert found.level == 3, found.reached.why_not
    assert large.read_bytes() == b"other"
    aside.replace(large)
    assert again(place, "large").level == 3
    large.unlink()
    without = again(place, "large", allow_missing=True)
    assert without.level is None
    assert without.run.status is Status.FAILED
    assert without.stated.missing


def test_a_secret_that_is_not_set_is_named_and_one_that_is_reaches_the_kernel(place: Place) -> None:
    assert again(place, "secretive").level == 3
    poor = {name: text for name, text in place.project.environ.items() if name != "NBPROD_TEST_TOKEN"}
    without = nbprod.Project(place.root, place.project.settings, poor)
    with pytest.raises(NotReproducible, match="secret NBPROD_TEST_TOKEN"):
        place.run("secretive").reproduce(project=without)


def test_an_altered_run_is_refused_unless_it_is_wanted_anyway(place: Place) -> None:
    run = place.run("fails")
    digest = run.record.journal.digest
    kept = place.root / ".nbprod" / "store" / "objects" / digest.hex[:2] / digest.hex[2:]
    kept.chmod(0o644)
    kept.write_bytes(b"{}")
    with pytest.raises(IntegrityError, match="was altered"):
        again(place, "fails")
    place.project.home.store.discard(digest)
    kept.write_bytes(b"{}")
    found = again(place, "fails", anyway=True)
    assert found.stated.verified == str(Conclusion.ALTERED)


def test_another_environment_is_named_package_by_package(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    run = place.run("next")
    store = place.project.home.store
    key = json.loads(store.get(run.record.request.environment))
    key["distributions"][0]["version"] = "0.0.1"
    key["settings"]["OMP_NUM_THREADS"] = "3"
    other = json.dumps(key).encode()
    monkeypatch.setattr("nbprod.project.origin.Origin.environment", property(lambda _: json.loads(other)))
    with pytest.raises(NotReproducible, match=r"0\.0\.1"):
        again(place, "next", strict_environment=True)
    found = again(place, "next")
    assert found.level == 3
    (difference,) = found.stated.environment
    assert (difference.component, difference.before) == ("package", "0.0.1")
    now = json.loads(store.get(found.run.record.request.environment))
    assert now["settings"]["OMP_NUM_THREADS"] == "3"  # what changes sums is as it was


def test_what_was_erased_is_not_executed_again(place: Place) -> None:
    run = place.run("volatile")
    choice = Choice(artifacts=(), kinds=frozenset({PartKind.SOURCE}))
    carry_out(plan(run, choice, why="asked"), by="ada", at=place.project.now())
    digest = run.record.source_file.digest
    (place.root / ".nbprod" / "store" / "objects" / digest.hex[:2] / digest.hex[2:]).unlink(missing_ok=True)
    with pytest.raises(Erased):
        again(place, "volatile")


def test_a_forged_statement_is_found(place: Place) -> None:
    found = place.again["fails"]
    ledger = place.project.home.ledger
    (event,) = reproductions(ledger, found.run.id)
    run_id = RunId(place.runs["fails"])
    forged = RunReproduced.of(found.stated, run_id, event.statement, event.attestation)
    object.__setattr__(forged, "level", 1)
    ledger.append(forged)
    told = Verifier(place.project, Asked(seen=place.root / "seen")).run(run_id)
    assert told.conclusion is Conclusion.ALTERED
    assert Verifier(place.project, Asked(seen=place.root / "seen")).run(found.run.id).conclusion is Conclusion.VERIFIED


def others(place: Place) -> dict[str, Reproduced]:
    """Statements, each false in one thing, that the runner's own key might be made to sign."""
    told, fails = place.again["volatile"].stated, place.again["fails"].stated
    same = {**told.comparison, "artifacts": [{"name": "drawn.bin", "outcome": "equal", "by": ""}]}
    alike = [{"name": "drawn", "outcome": "equal after normalising"}]
    strange = {**told.comparison, "artifacts": [{"name": "other.bin", "outcome": "different", "by": ""}]}
    return {
        "sound": replace(told, notes=("said again",)),
        "first record": replace(told, first_record=fails.first_record),
        "second record": replace(told, second_record=fails.second_record),
        "first run": replace(told, first=fails.first, first_record=fails.first_record),
        "second run": replace(told, second=fails.second, second_record=fails.second_record),
        "not linked": replace(told, second=fails.first, second_record=fails.first_record),
        "itself": replace(told, second=told.first, second_record=told.first_record),
        "equal": replace(told, comparison=same),
        "scraps that differ": replace(told, level=1),
        "cells that differ": replace(told, comparison={**told.comparison, "scraps": alike}, level=2),
        "no scraps": replace(told, comparison={**told.comparison, "scraps": []}, level=1),
        "other artifacts": replace(told, comparison=strange),
        "no artifacts": replace(told, comparison={}),
    }


def test_a_signed_statement_about_other_records_is_found(base: Base, place: Place, tmp_path: Path) -> None:
    for number, (what, stated) in enumerate(others(place).items()):
        root = tmp_path / str(number)
        shutil.copytree(base.root, root, symlinks=True)
        project = nbprod.Project.find(root, place.project.environ)
        data = stated.to_bytes()
        signed = keep_signed_statement(data, project.home.store, str(project.keys))
        assert signed is not None
        digest = project.home.store.put(data)
        for run_id in {stated.first, stated.second}:
            project.home.ledger.append(RunReproduced.of(stated, run_id, digest, signed))
            told = Verifier(project, Asked(seen=root / "seen")).run(run_id)
            checks = [each for each in told.checks if each.name == "reproduced"]
            if what == "sound":
                assert {each.outcome for each in checks} == {Checked.PASSED}, checks
            else:
                assert checks[-1].means is Conclusion.ALTERED, (what, checks)
        project.home.ledger.close()


def test_a_first_run_that_was_altered_is_told_wherever_its_level_is(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = place.again["volatile"]
    doubtful = replace(found.stated, verified="altered", missing=("file a.csv", "b", "c", "d"))
    data = doubtful.to_bytes()
    home = place.project.home
    digest, signed = home.store.put(data), keep_signed_statement(data, home.store, str(place.project.keys))
    home.ledger.append(RunReproduced.of(doubtful, found.run.id, digest, signed))
    told = Verifier(place.project, Asked(seen=place.root / "seen")).run(found.run.id)
    sound, doubted = [each for each in told.checks if each.name == "reproduced"]
    words = (
        "; the first run was ALTERED when it was verified; what the first run read was not to be had: file a.csv, b,"
    )
    assert (sound.outcome, "ALTERED" in sound.told) == (Checked.PASSED, False)  # positive control
    assert (doubted.outcome, words in doubted.told) == (Checked.NOT_APPLICABLE, True), doubted
    assert told
    monkeypatch.chdir(place.root)
    shown = CliRunner().invoke(application, ["show", str(found.run.id)], env={"COLUMNS": "400"}).output
    assert shown.count("the first run was ALTERED when it was verified") == 1, shown


def test_a_ledger_made_anew_knows_what_was_reproduced(place: Place) -> None:
    from nbprod.ledger import open_ledger
    from nbprod.project.rebuild import rebuild

    found = place.again["fails"]
    shutil.rmtree(place.root / "new", ignore_errors=True)
    with_events = open_ledger(str(place.root / "new.db"))
    try:
        rebuild(with_events, place.project.home.store)
        assert reproductions(with_events, found.run.id) == reproductions(place.project.home.ledger, found.run.id)
        assert reproductions(with_events, RunId(place.runs["fails"]))
    finally:
        with_events.close()


def test_the_statement_reads_back_and_nothing_else_does(place: Place) -> None:
    found = place.again["fails"].stated
    assert Reproduced.from_bytes(found.to_bytes()) == found
    for spoilt in (b"{}", found.to_bytes().replace(b'"level":2', b'"level":9')):
        with pytest.raises(IntegrityError):
            Reproduced.from_bytes(spoilt)
    assert Digest.parse(str(found.first_record)) == found.first_record
