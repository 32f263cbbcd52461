"""Runs executed again with real kernels: what is rebuilt, what is refused, how much comes out the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import nbprod
from nbprod.diff import Outcome
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
from nbprod.record.status import Status
from nbprod.verify import Conclusion
from nbprod.verify import Outcome as Checked
from tests.reproduce.conftest import Place

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
    found = again(place, "volatile")
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
    found = again(place, "fails")
    assert found.run.status is Status.FAILED
    assert found.level == 3, found.reached.why_not


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
    found = again(place, "fails")
    ledger = place.project.home.ledger
    (event,) = reproductions(ledger, found.run.id)
    run_id = RunId(place.runs["fails"])
    forged = RunReproduced.of(found.stated, run_id, event.statement, event.attestation)
    object.__setattr__(forged, "level", 1)
    ledger.append(forged)
    told = Verifier(place.project, Asked(seen=place.root / "seen")).run(run_id)
    assert told.conclusion is Conclusion.ALTERED
    assert Verifier(place.project, Asked(seen=place.root / "seen")).run(found.run.id).conclusion is Conclusion.VERIFIED


def test_a_ledger_made_anew_knows_what_was_reproduced(place: Place) -> None:
    from nbprod.ledger import open_ledger
    from nbprod.project.rebuild import rebuild

    found = again(place, "fails")
    shutil.rmtree(place.root / "new", ignore_errors=True)
    with_events = open_ledger(str(place.root / "new.db"))
    try:
        rebuild(with_events, place.project.home.store)
        assert reproductions(with_events, found.run.id) == reproductions(place.project.home.ledger, found.run.id)
        assert reproductions(with_events, RunId(place.runs["fails"]))
    finally:
        with_events.close()


def test_the_statement_reads_back_and_nothing_else_does(place: Place) -> None:
    found = again(place, "fails").stated
    assert Reproduced.from_bytes(found.to_bytes()) == found
    for spoilt in (b"{}", found.to_bytes().replace(b'"level":3', b'"level":9')):
        with pytest.raises(IntegrityError):
            Reproduced.from_bytes(spoilt)
    assert Digest.parse(str(found.first_record)) == found.first_record
