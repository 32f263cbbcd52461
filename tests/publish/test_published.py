"""A published step runs what was frozen, whatever the working tree says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nbprod.errors import CallerError, IntegrityError, NotFound
from nbprod.ledger.errors import StepMoved
from nbprod.project import Project, Run, RunOptions
from nbprod.project.published import diff_versions, publish_step, set_alias
from nbprod.project.rerun import rerun_job
from nbprod.publish import Manifest, frozen_step
from nbprod.record.status import Status
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import nothing_survives

pytestmark = pytest.mark.kernel

SETTINGS = """
[tool.nbprod.steps.train]
notebook = "notebooks/train.ipynb"
timeout = 300
expect.scraps.value = { type = "float", min = 0 }
reuse = "10d"
"""
WORK = "import scrapbook as sb, helper\nsb.glue('value', helper.scaled(alpha))"


def git(root: Path, *words: str) -> None:
    name = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    subprocess.run(["git", "-C", str(root), *name, *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    root = tmp_path_factory.mktemp("published ü")
    (root / "notebooks").mkdir()
    write(root / "notebooks" / "train.ipynb", ("alpha: float = 2.0  # how much", PARAMETERS), WORK)
    (root / "notebooks" / "helper.py").write_text("def scaled(x):\n    return 10.0 * x\n")
    with nothing_survives() as mark, project_in(root, mark, SETTINGS) as made:
        (root / ".gitignore").write_text(".nbprod/\n")
        git(root, "init", "-q")
        git(root, "add", "-A")
        git(root, "commit", "-qm", "first")
        publish_step(made, "train", note="the first", alias="production")
        yield made


def run(project: Project, name: str, **parameters: object) -> Run:
    return project.run_job(project.job(project.step(name), parameters, RunOptions()))


def test_it_runs_as_it_was_frozen(project: Project) -> None:
    helper = project.root / "notebooks" / "helper.py"
    before = helper.read_text()
    helper.write_text("def scaled(x):\n    return -1.0\n")
    notebook = project.root / "notebooks" / "train.ipynb"
    source = notebook.read_bytes()
    write(notebook, ("beta: float = 2.0", PARAMETERS), "raise SystemExit('another notebook')")
    try:
        frozen = run(project, "train@1", alpha=3.0)
        by_alias = run(project, "train@production")
        assert run(project, "train").status is not Status.SUCCEEDED  # the control: the working tree
    finally:
        helper.write_text(before)
        notebook.write_bytes(source)
    assert (frozen.status, frozen.scraps["value"], by_alias.scraps["value"]) == (Status.SUCCEEDED, 30.0, 20.0)
    assert (frozen.step, frozen.record.request.notebook, by_alias.record.request.notebook) == (
        "train",
        "train@1",
        "train@1",
    )
    assert frozen.record.git is not None
    assert frozen.record.git["dirty"] is False
    assert frozen.record.request.limits["timeout"] == 300
    assert [line.met for line in frozen.record.verdict.contract] == [True]


def test_a_frozen_run_never_answers_for_the_working_tree(project: Project) -> None:
    """Its modules are others, even where the notebook is the same."""
    jobs = [project.job(project.step(name), {}, RunOptions(reuse=True)) for name in ("train", "train@1", "train@1")]
    requests = [project.foresee(job) for job in jobs]
    assert requests[1].digest == requests[2].digest != requests[0].digest
    assert requests[0].published is None
    first, again = (project.run_job(job) for job in jobs[1:])
    assert (bool(first), again.status) == (True, Status.CACHED)
    assert project.run_job(jobs[0]).status is Status.SUCCEEDED


def test_publishing_what_has_not_changed_makes_no_version(project: Project) -> None:
    again = publish_step(project, "train")
    assert (again.version, again.new) == (1, False)


def test_changes_make_the_next_version_and_can_be_compared(project: Project) -> None:
    notebook, helper = project.root / "notebooks" / "train.ipynb", project.root / "notebooks" / "helper.py"
    write(notebook, ("alpha: float = 2.5  # how much", PARAMETERS), WORK)
    helper.write_text("def scaled(x):\n    return 100.0 * x\n")
    with pytest.raises(CallerError, match="not committed"):
        publish_step(project, "train")
    dirty = publish_step(project, "train", allow_dirty=True, note="in haste")
    assert (dirty.version, dirty.manifest.git["dirty"] if dirty.manifest.git else None) == (2, True)
    changes = diff_versions(project, "train@1", "train@2")
    assert {each.part for each in changes} == {"cell", "parameter", "module"}
    module = next(each for each in changes if each.part == "module")
    assert (module.name, module.lines[-1]) == ("notebooks/helper.py", "+    return 100.0 * x")
    assert diff_versions(project, "train@1", "train@production") == ()
    assert run(project, "train@latest").scraps["value"] == 250.0
    assert run(project, "train@production").scraps["value"] == 20.0


def test_aliases_move_by_compare_and_set(project: Project) -> None:
    moved = set_alias(project, "train", "shadow", 1, why="try it")
    assert moved is not None
    assert set_alias(project, "train", "shadow", 1) is None
    stale = replace(moved, number=1, before=None)
    with pytest.raises(StepMoved, match="moved meanwhile"):
        project.home.ledger.append(stale)
    with pytest.raises(NotFound, match="never published"):
        set_alias(project, "train", "shadow", 99)
    assert set_alias(project, "train", "shadow", None) is not None
    with pytest.raises(NotFound, match="one of"):
        project.step("train@shadow")


def test_a_rerun_of_a_frozen_run_has_its_modules(project: Project) -> None:
    ran = run(project, "train@1", alpha=4.0)
    again = project.run_job(rerun_job(project, ran))
    assert (again.scraps["value"], again.record.request.notebook) == (40.0, "train@1")
    assert again.record.request.digest == ran.record.request.digest


@pytest.mark.parametrize(
    ("name", "says"),
    [("score@1", "never published"), ("train@99", "one of: "), ("train@nobody", "production")],
)
def test_what_was_never_published_is_refused(project: Project, name: str, says: str) -> None:
    with pytest.raises(NotFound, match=says):
        project.step(name)


def test_a_tree_that_somebody_wrote_into_is_laid_out_anew(project: Project) -> None:
    step = project.step("train@1")
    assert step.path is not None
    module = step.path.with_name("helper.py")
    module.chmod(0o644)
    module.write_text("def scaled(x):\n    return 666.0\n")
    assert run(project, "train@1").scraps["value"] == 20.0


def test_a_manifest_that_leads_outside_is_refused(project: Project, tmp_path: Path) -> None:
    store = project.home.store
    there = project.home.ledger.published("train")[-1].manifest
    manifest = Manifest.from_bytes(store.get(there))
    for evil in (
        replace(manifest, modules=(replace(manifest.modules[0], path="../../evil.py"),)),
        replace(manifest, notebook=replace(manifest.notebook, path="x/../../../evil.ipynb")),
        replace(manifest, folder="x/../../../evil"),
        replace(manifest, folder=str(tmp_path / "evil")),
    ):
        with pytest.raises(IntegrityError, match="outside itself"):
            frozen_step("train@1", store.put(evil.to_bytes()), store=store, trees=tmp_path / "trees")
    assert not list(tmp_path.rglob("evil*"))
    with pytest.raises(IntegrityError, match="not a published step"):
        frozen_step("train@1", store.put(b"{}"), store=store, trees=tmp_path / "trees")


def test_a_notebook_outside_the_project_is_not_published(project: Project, tmp_path: Path) -> None:
    path = write(tmp_path / "far.ipynb", "1")
    with pytest.raises(CallerError, match="below the project's root"):
        publish_step(project, str(path), allow_dirty=True)
