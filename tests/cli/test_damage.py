"""Records, notebooks and artifacts that were changed, deleted or replaced behind nbprod's back."""

import json
import os
import pickle
import shutil

import pytest

import nbprod
from nbprod.digest import Digest
from nbprod.errors import IntegrityError, NotFound
from nbprod.project import Project
from tests.cli.conftest import Nbprod


@pytest.fixture
def copied(with_runs, tmp_path):
    """A copy of the project with three runs, free to be damaged."""
    shutil.copytree(with_runs.folder, tmp_path / "copy", symlinks=True)
    return Nbprod(tmp_path / "copy")


def kept(copied, what):
    """Return where the store keeps something of the run `best`."""
    project = Project.find(copied.folder)
    run = project.run("best")
    record = project.home.ledger.run(run.id).record
    digest = {
        "record": record,
        "notebook": run.record.notebook.digest,
        "journal": run.record.journal.digest,
        "environment": run.record.request.environment,
    }[what]
    return copied.folder / ".nbprod/store/objects" / digest.hex[:2] / digest.hex[2:]


def deleted(path):
    path.unlink()


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def a_folder(path):
    path.unlink()
    path.mkdir()


def changed(path):
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b" ")


LOOKS = [
    ("record", ["show", "best"]),
    ("record", ["logs", "best"]),
    ("record", ["open", "best", "--print"]),
    ("environment", ["show", "best"]),
    ("journal", ["logs", "best"]),
    ("notebook", ["open", "best", "--html", "page.html"]),
]


@pytest.mark.parametrize("damage", [deleted, a_pipe, a_folder, changed])
@pytest.mark.parametrize(("what", "args"), LOOKS, ids=[f"{what} {args[0]}" for what, args in LOOKS])
def test_lost_and_spoilt_bytes_are_a_matter_of_integrity(copied, what, args, damage):
    assert copied(*args).returncode == 0  # positive control
    damage(kept(copied, what))
    for words in ["are not there"] if damage is deleted else ["corrupt", "are not there"]:  # set aside, it stays lost
        done = copied(*args)
        assert done.returncode == 4, done.stderr
        assert words in done.stderr


def test_a_lost_artifact_is_a_matter_of_integrity_and_an_unknown_one_is_not(copied):
    artifact = Project.find(copied.folder).run("best").artifacts["model.bin"]
    (copied.folder / "code.ipynb").write_bytes((copied.folder / "train.ipynb").read_bytes())
    digest: Digest = artifact.digest
    (copied.folder / ".nbprod/store/objects" / digest.hex[:2] / digest.hex[2:]).unlink()
    done = copied.here("run", "code.ipynb", "-p", "code", "nbprod:best/model.bin")
    assert (done.returncode, "are not there" in done.stderr) == (4, True)
    done = copied.here("run", "code.ipynb", "-p", "code", "nbprod:best/other.bin")
    assert (done.returncode, "left no artifact" in done.stderr) == (2, True)


def test_doctor_tells_of_what_was_set_aside(copied):
    def found():
        return {each["what"]: each for each in json.loads(copied("doctor", "--json").stdout)}

    assert "quarantine" not in found()
    changed(kept(copied, "notebook"))
    assert copied("open", "best", "--html", "page.html").returncode == 4
    assert found()["quarantine"]["health"] == "warn"
    assert found()["quarantine"]["found"].startswith("1 object was corrupt and set aside in ")
    assert found()["quarantine"]["found"].endswith("/.nbprod/store/quarantine")


@pytest.mark.parametrize("damage", [changed, a_pipe, a_folder])
def test_an_executed_notebook_that_was_changed_is_not_handed_out(copied, damage):
    path = copied.folder / copied("open", "best", "--print").stdout.strip()
    assert path.parent.parent == copied.folder / ".nbprod/runs"
    assert "changed since" not in copied("show", "best").stdout + copied("open", "best", "--print").stderr
    recorded = path.read_bytes()
    damage(path)
    done = copied("open", "best", "--print")
    assert done.returncode == 0
    other = copied.folder / done.stdout.strip()
    assert other != path
    assert other.read_bytes() == recorded
    assert other.stat().st_mode & 0o222 == 0
    assert "was changed since" in done.stderr
    assert "was changed since" in copied("open", "best", "--json").stderr
    assert "was changed since" in " ".join(copied("show", "best").stdout.split())
    assert Project.find(copied.folder).run("best").notebook == other


def test_an_executed_notebook_that_was_deleted_comes_from_the_store(copied):
    path = copied.folder / copied("open", "best", "--print").stdout.strip()
    recorded = path.read_bytes()
    path.unlink()
    done = copied("open", "best", "--print")
    assert (copied.folder / done.stdout.strip()).read_bytes() == recorded
    assert done.stderr == ""


def test_reading_a_run_of_a_project_that_was_moved_makes_nothing_at_the_old_place(copied):
    data = pickle.dumps(Project.find(copied.folder).run("best"))
    moved = copied.folder.with_name("moved")
    copied.folder.rename(moved)
    run = pickle.loads(data)
    for look in (
        lambda: run.notebook,
        run.artifacts["model.bin"].path,
        lambda: run.home.read(run.record.journal.digest),
    ):
        with pytest.raises(IntegrityError, match="is not there any more"):
            look()
    assert run.scraps["auc"] == 0.9  # the record came along
    assert not copied.folder.exists()
    assert Project.find(moved).run("best").notebook.is_relative_to(moved)  # positive control


def test_looking_for_runs_where_there_are_none_makes_nothing(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.nbprod]\n")
    project = Project.find(tmp_path)
    assert list(nbprod.runs(project=project)) == []
    assert project.recover() == []
    with pytest.raises(NotFound, match="there are no runs in"):
        project.run("@latest")
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]
