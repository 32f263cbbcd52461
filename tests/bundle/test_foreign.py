"""What came of a bundle came from runs that its ledger has not: they are named, and nothing fails for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from nbprod.bundle import open_bundle
from nbprod.bundle.form import README
from nbprod.cli.app import nbprod
from nbprod.project import Project, Run
from nbprod.project.export import export
from nbprod.project.lineage import lineage_of
from nbprod.project.origin import origins_in, origins_of
from nbprod.project.reproduce import reproduce
from nbprod.project.taker import Taker
from nbprod.verify import Conclusion
from tests.bundle.conftest import Exported, members_of
from tests.processes import nothing_survives
from tests.reproduce.conftest import MARK, inherited

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def taker(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Run]]:
    """A project of its own, and its run, which executes one from a bundle without upstream again."""
    folder = tmp_path_factory.mktemp("taker")
    path = export(exported.project, exported.trained, folder / "alone.nbprod.zip").path
    with nothing_survives() as mark, open_bundle(path) as bundle:
        project = Taker(folder / "home", {**inherited(), MARK: mark, "HOME": str(folder)}).project
        (origin,) = origins_in(bundle, {"HOME": str(folder)}, upstream=True).runs
        assert any(str(exported.prepared.id) in note and "not in the bundle" in note for note in origin.notes)
        found = reproduce(project, origin)
        assert found.run, found.run.reason
        yield project, found.run
        project.close()
        project.home.ledger.close()


def test_its_lineage_names_the_run_that_is_not_here(
    exported: Exported, taker: tuple[Project, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    again = taker[1]
    first, other = exported.trained.id, f"run:{exported.prepared.id}"
    found = again.lineage()
    assert found.nodes[other].facts == {"foreign": "of another ledger (bundle alone.nbprod.zip): not here"}
    assert any((each.cause, each.how, each.name) == (other, "made", "") for each in found.edges)
    assert found.nodes[found.start].facts["reproduces"] == str(first)
    assert found.nodes[found.start].facts["bundle"] == "alone.nbprod.zip"
    down = lineage_of(again.home, str(exported.prepared.id), up=False)
    assert down.runs == (again.id,)
    monkeypatch.chdir(again.home.root)
    drawn = CliRunner().invoke(nbprod, ["lineage", str(again.id)], env={"COLUMNS": "200"})
    assert f"made by run {exported.prepared.id} of another ledger (bundle alone.nbprod.zip): not here" in drawn.output
    assert f"executes run {first} again, from the bundle alone.nbprod.zip" in drawn.output
    assert CliRunner().invoke(nbprod, ["lineage", str(exported.trained.id)]).exit_code == 2  # control: nobody used that


def test_its_bundle_says_what_upstream_is_not_inside(
    exported: Exported, taker: tuple[Project, Run], tmp_path: Path
) -> None:
    project, again = taker
    made = export(project, again, tmp_path / "again.zip", upstream=True)
    assert made.runs == (again.id,)
    (absent,) = made.absent  # and not the artifact that it was handed: that was kept here when the run was begun
    told = f"run {exported.prepared.id}, which made its clean.csv, is not in the bundle: it is of another ledger"
    assert (absent.run, absent.left_out) == (again.id, False)
    done = CliRunner().invoke(nbprod, ["verify", str(made.path), "--seen", str(tmp_path / "seen")])
    assert (done.exit_code, told in done.output) == (0, True), done.output
    assert f"  of run {again.id}: run {exported.prepared.id}, which made" in members_of(made.path)[README].decode()
    own = members_of(exported.path)[README].decode()
    assert "Not in this file" not in own  # control: it holds both runs
    alone = members_of(again.home.root.parent / "alone.nbprod.zip")[README].decode()
    assert f"run {exported.prepared.id}, which made its clean.csv: the bundle was made without" in alone


def test_it_can_be_executed_again_without_the_run_that_is_not_here(
    exported: Exported, taker: tuple[Project, Run]
) -> None:
    project, again = taker
    (origin,) = origins_of(project, again, upstream=True).runs
    assert origin.verification.conclusion is Conclusion.VERIFIED
    assert [str(exported.prepared.id) in note for note in origin.notes] == [True]
    handed = {each.digest for each in again.record.request.inputs if each.run is not None}
    assert all(origin.store.has(each) for each in handed if each is not None)
