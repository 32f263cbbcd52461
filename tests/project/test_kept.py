"""Kept inputs are needed as long as a run names them, verified with it, and erased when somebody asks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from nbprod.digest import Digest, digest_bytes
from nbprod.errors import Erased, IntegrityError
from nbprod.ledger.events import BytesErased
from nbprod.project import Project, Run, RunOptions
from nbprod.project.erase import Choice, carry_out, plan
from nbprod.project.garbage import collect
from nbprod.project.kept import kept_of
from nbprod.project.settings import Settings
from nbprod.project.upkeep import check
from nbprod.project.verifying import Asked, Verifier
from nbprod.record.parts import PartKind
from nbprod.step.keep import Keep
from nbprod.verify import Conclusion, Verification
from tests.notebooks import project_in, write
from tests.processes import nothing_survives

pytestmark = pytest.mark.kernel

SETTINGS = 'keys = "keys"\n[tool.nbprod.steps.first]\nnotebook = "first.ipynb"\nroots = ["whole"]\n'
WEEK, AGES = timedelta(days=7), timedelta(days=100)
DATA, WHOLE = b"personal data", b"a file of a folder"


@dataclass
class Place:
    """A project with two runs that read the same file, one of them a folder as well."""

    project: Project
    first: Run
    second: Run

    def object(self, digest: Digest) -> Path:
        return self.project.home.folder / "store" / "objects" / digest.hex[:2] / digest.hex[2:]

    def kept(self, run: Run) -> dict[str, Digest]:
        return {each.path: each.digest for each in kept_of(self.project.home, run.record)}

    def verify(self, run: Run) -> Verification:
        return Verifier(self.project, Asked(seen=self.project.root / "seen.json")).run(run.id)

    def collect(self, settings: Settings | None = None) -> None:
        then = self.project.now().timestamp() - 8 * 86_400
        for path in (self.project.home.folder / "store" / "objects").glob("*/*"):
            os.utime(path, (then, then))
        collect(self.project.home, now=self.project.now(), older_than=WEEK, settings=settings)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, str]]:
    root = tmp_path_factory.mktemp("kept")
    (root / "whole").mkdir()
    (root / "whole" / "a.txt").write_bytes(WHOLE)
    (root / "data.txt").write_bytes(DATA)
    for name in ("first", "second"):
        write(root / f"{name}.ipynb", f"text = open('data.txt').read()  # {name}")
    with nothing_survives() as mark, project_in(root, mark, SETTINGS) as project:
        runs = [project.run_job(project.job(project.step(f"{n}.ipynb"), {}, RunOptions())) for n in ("first", "second")]
        assert all(runs)
        project.close()
        yield root, str(runs[0].id), str(runs[1].id)


@pytest.fixture
def place(made: tuple[Path, str, str], tmp_path: Path) -> Iterator[Place]:
    root, first, second = made
    shutil.copytree(root, tmp_path / "copy")
    project = Project.find(tmp_path / "copy", {})
    yield Place(project, project.run(first), project.run(second))
    project.home.ledger.close()


def test_they_are_known_by_the_trace(place: Place) -> None:
    kept = place.kept(place.first)
    assert kept.keys() == {"data.txt", "whole", "whole/a.txt"}
    assert place.kept(place.second) == {"data.txt": kept["data.txt"]}
    assert kept["data.txt"] == digest_bytes(DATA)


def test_they_are_no_garbage(place: Place) -> None:
    garbage = place.project.home.store.put(b"nothing needs this")
    place.collect()
    assert not place.project.home.store.has(garbage)  # positive control
    for run in (place.first, place.second):
        assert all(place.project.home.store.has(digest) for digest in place.kept(run).values())
        assert place.verify(run)


@pytest.mark.parametrize("what", ["data.txt", "whole", "whole/a.txt"])
@pytest.mark.parametrize("how", ["flipped", "removed"])
def test_verifying_hashes_them_again(place: Place, what: str, how: str) -> None:
    assert place.verify(place.first)  # positive control
    path = place.object(place.kept(place.first)[what])
    data = path.read_bytes()
    path.unlink()
    if how == "flipped":
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    wanted = {"flipped": Conclusion.ALTERED, "removed": Conclusion.INCOMPLETE}[how]
    assert place.verify(place.first).conclusion is wanted
    assert check(place.project.home, content=True).faults


@pytest.mark.parametrize("with_trace", [False, True])
def test_they_can_be_erased_with_tombstones_for_all_who_read_them(place: Place, *, with_trace: bool) -> None:
    store, kept = place.project.home.store, place.kept(place.first)
    kinds = {PartKind.INPUT, PartKind.TRACE} if with_trace else {PartKind.INPUT}
    planned = plan(place.first, Choice(kinds=frozenset(kinds)), why="request 17")
    assert [each.run_id for each in planned.concerned] == [place.first.id, place.second.id]
    carry_out(planned, by="ada", at=place.project.now())
    assert not any(store.has(digest) for digest in kept.values())
    assert not [path for path in place.project.home.folder.rglob("*") if path.is_file() and DATA in path.read_bytes()]
    for run in (place.first, place.second):
        assert any(isinstance(each.event, BytesErased) for each in place.project.home.ledger.events(run.id))
        assert place.verify(run), place.verify(run).checks
    with pytest.raises(Erased):
        place.project.home.read(kept["data.txt"], place.second.id)
    assert check(place.project.home, content=True).faults == []
    place.collect()


def test_what_is_kept_no_longer_loses_them_but_for_those_that_others_need(place: Place) -> None:
    kept = place.kept(place.first)
    settings = Settings(steps={"first": place.project.settings.steps["first"]}, keep=Keep(longest=WEEK))
    project = place.project
    later = collect(project.home, now=project.now() + AGES, older_than=WEEK, settings=settings)
    assert later.retired == ()  # each is the newest good run of its step
    # A third run of the first step comes, which reads something else.
    again = project.root / "data.txt"
    again.write_bytes(b"other data")
    third = project.run_job(project.job(project.step("first"), {}, RunOptions()))
    assert third, third.reason
    project.close()
    found = collect(project.home, now=project.now() + AGES, older_than=WEEK, settings=settings)
    assert [each.run_id for each in found.retired] == [place.first.id]
    assert project.home.store.has(kept["data.txt"])  # the second has it, and is kept
    assert project.home.store.has(kept["whole/a.txt"])  # and the third this
    assert place.verify(place.second)
    assert place.verify(third)


def test_where_a_trace_is_lost_nothing_is_removed(place: Place) -> None:
    assert place.first.record.trace is not None
    place.object(place.first.record.trace.digest).unlink()
    with pytest.raises(IntegrityError):
        place.collect()


def test_what_the_tests_do_is_what_the_command_does(place: Place, run_cli: Callable[..., str]) -> None:
    told = run_cli(place.project.root, "erase", str(place.first.id), "--inputs", "--why", "request 17", "--yes")
    assert "input data.txt" in told
    assert not place.project.home.store.has(digest_bytes(DATA))


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    from click.testing import CliRunner

    from nbprod.cli.app import nbprod

    def run(root: Path, *words: str) -> str:
        monkeypatch.chdir(root)
        done = CliRunner().invoke(nbprod, words)
        assert done.exit_code == 0, done.output
        return done.output

    return run
