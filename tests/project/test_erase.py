"""Bytes that are erased are gone everywhere, their tombstones stay, and all the rest still verifies."""

from __future__ import annotations

import io
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import nbprod
from nbprod.errors import CallerError, Erased, IntegrityError, NotFound
from nbprod.ledger import open_ledger
from nbprod.ledger.events import BytesErased, RunFinished, RunStarted
from nbprod.ledger.transfer import exported, import_lines
from nbprod.project import Project, Run, RunOptions
from nbprod.project.erase import ALL, Choice, Plan, carry_out, plan
from nbprod.project.erasure import Cleared
from nbprod.project.explain import explain_job
from nbprod.project.garbage import collect
from nbprod.project.rebuild import rebuild
from nbprod.project.rerun import rerun_job
from nbprod.project.settings import read_settings
from nbprod.project.upkeep import check
from nbprod.record.ids import RunId
from nbprod.record.parts import PartKind
from nbprod.record.run_record import Artifact
from nbprod.record.status import Status
from nbprod.runner import answer
from nbprod.step.keep import Keep
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import nothing_survives
from tests.telling import started

pytestmark = pytest.mark.kernel

MAKE = """
import pathlib, scrapbook as sb
print(f"seen-{n}")
sb.glue("n", n)
sb.glue("long", f"scrapped-{n} " * 30_000)
pathlib.Path(output_dir, "people.csv").write_text(f"person-{n}")
"""
WEEK = timedelta(days=7)
AGES = timedelta(days=100)


@dataclass
class Place:
    """A project of its own for each test, with the same runs: two that left the same, and one that was handed it."""

    project: Project
    first: Run
    twin: Run
    other: Run
    user: Run

    def holds(self, text: str, *, but: Run | None = None) -> list[str]:
        """Return where in the project's folder a text lies; what a run printed itself may be left out."""
        files = [path for path in self.project.home.folder.rglob("*") if path.is_file()]
        found = [str(path) for path in files if text.encode() in path.read_bytes()]
        if but is None:
            return found
        own = (str(but.id), but.record.notebook.digest.hex[2:], but.record.journal.digest.hex[2:])
        return [path for path in found if not any(part in path for part in own)]

    def sound(self) -> None:
        """See that all that is not erased verifies."""
        found = check(self.project.home, content=True)
        assert found.faults == []

    def erase(self, run: Run, *kinds: PartKind, artifacts: tuple[str, ...] = (), why: str = "request 17") -> Cleared:
        return carry_out(self.plan(run, *kinds, artifacts=artifacts, why=why), by="ada", at=self.project.now())

    def plan(self, run: Run, *kinds: PartKind, artifacts: tuple[str, ...] = (), why: str = "request 17") -> Plan:
        return plan(run, Choice(artifacts=artifacts, kinds=frozenset(kinds)), why=why)

    def collect(self, *, later: timedelta = timedelta(0), **options: Any) -> Any:
        return collect(self.project.home, now=self.project.now() + later, older_than=WEEK, by="gc of ada", **options)

    def run(self, n: int, **options: Any) -> Run:
        project = self.project
        return project.run_job(project.job(project.step("make.ipynb"), {"n": n}, RunOptions(**options)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, RunId]]]:
    root = tmp_path_factory.mktemp("erase ü")
    write(root / "make.ipynb", ("n: int = 1\noutput_dir: str = '.'", PARAMETERS), MAKE)
    write(root / "use.ipynb", ("people: str = ''", PARAMETERS), "print(len(open(people).read()))")
    with nothing_survives() as mark, project_in(root, mark) as project:

        def run(what: str, **values: Any) -> Run:
            return project.run_job(project.job(project.step(root / what), values, RunOptions())).raise_for_status()

        ids = {"first": run("make.ipynb", n=1), "twin": run("make.ipynb", n=1), "other": run("make.ipynb", n=2)}
        ids["user"] = run("use.ipynb", people=ids["first"].artifacts["people.csv"])
        yield root, {name: each.id for name, each in ids.items()}


@pytest.fixture
def place(made: tuple[Path, dict[str, RunId]], tmp_path: Path) -> Iterator[Place]:
    root, ids = made
    shutil.copytree(root, tmp_path / "copy", symlinks=True)
    with nothing_survives() as mark, project_in(tmp_path / "copy", mark) as project:
        yield Place(project, **{name: project.run(str(run_id)) for name, run_id in ids.items()})


def test_all_of_a_run_goes_and_its_record_stays(place: Place) -> None:
    run, home = place.first, place.project.home
    page = home.folder / "pages" / f"{run.id}.html"
    page.parent.mkdir()
    page.write_text("seen-1")
    run.artifacts["people.csv"].path()
    home.view(run.record.journal.digest, "journal.txt")
    for text in ("seen-1", "person-1", "scrapped-1"):
        assert place.holds(text)  # positive control
    kept = run.record.to_bytes()

    made = place.plan(run, *ALL)
    assert [part.name for part in made.parts] == ["executed notebook", "journal", "scrap long", "artifact people.csv"]
    assert [each.run_id for each in made.concerned] == [run.id, place.twin.id]
    assert {part.name for part in made.others[0].parts} == {"scrap long", "artifact people.csv"}
    assert made.handed == ((place.user.id, "use"),)
    assert run.erased == ()  # nothing is, yet
    done = carry_out(made, by="ada", at=place.project.now())
    assert (len(done.removed), done.waiting, done.kept) == (4, [], {})

    assert place.holds("person-1") == []
    assert place.holds("scrapped-1", but=place.twin) == place.holds("seen-1", but=place.twin) == []
    again = place.project.run(str(run.id))
    assert again.record.to_bytes() == kept
    (stone,) = again.erased
    assert (stone.by, stone.why, len(stone.objects)) == ("ada", "request 17", 4)
    (shared,) = place.twin.erased
    assert (shared.why, len(shared.objects)) == ("request 17", 2)
    for look in (
        lambda: again.notebook,
        again.artifacts["people.csv"].path,
        lambda: again.scraps["long"],
        place.user.parameters["people"].path,
        lambda: rerun_job(place.project, place.user),
    ):
        with pytest.raises(Erased, match="by ada, because: request 17"):
            look()
    assert again.scraps["n"] == 1  # it stands in the record
    frame = nbprod.runs("make", project=place.project).to_frame()
    assert list(frame["scrap.long"].isna()) == [False, True, True]
    assert place.twin.notebook.is_file()
    assert place.other.artifacts["people.csv"].path().read_text() == "person-2"
    found = check(home, content=True)
    assert (found.faults, found.erased) == ([], 4)
    assert place.collect().erased.removed == {}


def test_copies_on_another_machine_go_when_gc_runs_there(place: Place, tmp_path: Path) -> None:
    elsewhere = replace(place.project.home, folder=tmp_path / "elsewhere")
    run = Run(place.first.record, elsewhere)
    run.artifacts["people.csv"].path()
    kept = Run(place.other.record, elsewhere).artifacts["people.csv"].path()
    for each in (place.first, place.other):
        left = elsewhere.folder / "runs" / str(each.id) / "make.ipynb"
        left.parent.mkdir(parents=True)
        left.write_bytes(each.notebook.read_bytes())
    place.erase(place.first, *ALL)
    assert len(list(elsewhere.folder.rglob("*.*"))) == 4  # the eraser could not reach them
    collect(elsewhere, now=place.project.now(), older_than=WEEK)
    left = elsewhere.folder / "runs" / str(place.other.id) / "make.ipynb"
    assert {path for path in elsewhere.folder.rglob("*") if path.is_file()} == {kept, left}


def test_one_artifact_goes_and_the_output_stays(place: Place) -> None:
    place.erase(place.other, artifacts=("people.csv",))
    assert place.holds("person-2") == []
    assert place.other.notebook.is_file()
    assert len(place.other.scraps["long"]) > 300_000
    assert [each.name for stone in place.other.erased for each in stone.objects] == ["artifact people.csv"]
    place.sound()


def test_a_source_and_a_list_of_what_was_touched_go_when_asked_for(place: Place) -> None:
    done = place.erase(place.other, PartKind.TRACE)
    assert len(done.removed) == 1
    with pytest.raises(Erased, match="what it touched"):
        _ = place.other.trace
    done = place.erase(place.user, PartKind.SOURCE)
    assert len(done.waiting) == 1  # a run that is being prepared may rely on it: it was put a moment ago
    assert done.until is not None
    assert timedelta(hours=6, minutes=55) < done.until - place.project.now() <= timedelta(hours=7)
    done = carry_out(place.plan(place.user, PartKind.SOURCE), by="ada", at=place.project.now() + timedelta(hours=8))
    assert (len(done.removed), done.until) == (1, None)
    with pytest.raises(Erased, match="source notebook"):
        rerun_job(place.project, place.user)
    place.sound()


@pytest.mark.parametrize(
    ("choice", "why", "error"),
    [
        (Choice(), "request 17", CallerError),
        (Choice(kinds=ALL), " ", CallerError),
        (Choice(artifacts=("model.bin",)), "request 17", NotFound),
    ],
    ids=["nothing", "no reason", "no such artifact"],
)
def test_what_cannot_be_erased_is_refused(place: Place, choice: Choice, why: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        plan(place.other, choice, why=why)


def test_what_a_published_step_needs_is_not_erased(place: Place) -> None:
    from nbprod.project.published import publish_step

    assert place.plan(place.other, PartKind.SOURCE).concerned  # positive control
    publish_step(place.project, "make.ipynb")
    with pytest.raises(CallerError, match="the published step make@1 needs it"):
        place.plan(place.other, PartKind.SOURCE)


def test_where_a_record_cannot_be_read_nothing_is_erased(place: Place) -> None:
    """It cannot be known whether the bytes are that run's as well."""
    record = place.project.home.ledger.run(place.user.id).record
    assert record is not None
    place.project.home.store.remove(record)
    with pytest.raises(IntegrityError):
        place.erase(place.other, *ALL)
    assert place.other.erased == ()
    assert place.holds("person-2")


def test_what_was_lost_before_is_not_called_erased(place: Place) -> None:
    place.project.home.store.remove(place.other.record.notebook.digest)
    (place.other.home.folder / "runs" / str(place.other.id) / "make.ipynb").unlink()
    place.erase(place.other, *ALL)
    with pytest.raises(IntegrityError, match="are not there"):
        _ = place.other.notebook
    (fault,) = check(place.project.home, content=True).faults
    assert "is not in the store" in fault
    with pytest.raises(Erased):  # the control: what was there
        place.other.artifacts["people.csv"].path()


def test_what_is_lost_to_one_of_two_runs_is_a_fault(place: Place) -> None:
    """A tombstone of the one excuses nothing for the other."""
    ledger = place.project.home.ledger
    place.erase(place.first, artifacts=("people.csv",))
    place.sound()
    again = place.run(1)  # it leaves the same bytes anew
    place.project.home.store.remove(again.artifacts["people.csv"].digest)
    (fault,) = check(place.project.home, content=True).faults
    assert fault.startswith(f"{again.artifacts['people.csv'].digest}, which run {again.id} names")
    assert len([each for each in ledger.events() if isinstance(each.event, BytesErased)]) == 2


def test_the_same_bytes_may_be_made_again(place: Place) -> None:
    place.erase(place.first, artifacts=("people.csv",))
    again = place.run(1)
    assert again.artifacts["people.csv"].path().read_text() == "person-1"
    assert place.collect().erased.removed == {}
    assert place.holds("person-1")
    place.sound()
    made = place.plan(place.first, artifacts=("people.csv",))
    assert [each.run_id for each in made.concerned] == [again.id]  # the others have their tombstones
    carry_out(made, by="ada", at=place.project.now())
    assert place.holds("person-1") == []
    place.sound()


@pytest.mark.parametrize("where", ["append:1", "append:2", "remove:1", "remove:3", "bytes-first"])
def test_an_erasure_that_was_killed_is_finished(place: Place, where: str) -> None:
    script = Path(__file__).with_name("eraser_to_kill.py")
    command = [sys.executable, str(script), str(place.project.root), str(place.first.id), where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    if where == "bytes-first":  # the control: in this order the ledger points at bytes that are not there
        assert len(check(place.project.home, content=True).faults) >= 4
        return
    place.sound()
    stones = [stored.event for stored in place.project.home.ledger.events() if isinstance(stored.event, BytesErased)]
    assert len(stones) == {"append:1": 0, "append:2": 1}.get(where, 2)
    if where.startswith("remove"):
        assert len(place.collect().erased.removed) >= 2
    else:
        place.collect()
        place.sound()
        place.erase(place.first, *ALL)
    assert place.holds("person-1") == place.holds("scrapped-1", but=place.twin) == []
    place.sound()
    assert len(place.first.erased) == 1


def begun(place: Place, run: Run) -> RunStarted:
    """Put a run under way that asks for what another asked for."""
    row = place.project.home.ledger.run(run.id)
    at = place.project.now()
    event = started(
        RunId.new(at, b"under way!"),
        at=at,
        step=row.step,
        notebook=row.notebook,
        request_digest=row.request_digest,
        host="elsewhere",
        lease_seconds=600,
        folder="elsewhere",
    )
    place.project.home.ledger.append(event)
    return event


def ends(place: Place, started: RunStarted, run: Run, **changes: Any) -> None:
    """Let it end, with a record of its own; in all else it is like another run's."""
    home = place.project.home
    record = replace(run.record, run_id=started.run_id, started=started.at, **changes)
    finished = RunFinished(
        at=place.project.now(),
        run_id=started.run_id,
        status=Status.FAILED,
        reason="",
        seconds=1,
        record=home.store.put(record.to_bytes()),
        notebook=record.notebook.digest,
    )
    home.ledger.append(finished)


def test_what_a_run_under_way_may_name_waits_for_its_end(place: Place) -> None:
    started = begun(place, place.other)
    done = place.erase(place.first, *ALL)
    assert (done.removed, len(done.waiting), done.under_way) == ({}, 4, (started.run_id,))
    assert place.holds("person-1")
    assert len(place.first.erased) == 1  # the tombstones stand
    assert len(place.collect().erased.waiting) == 4
    ends(place, started, place.other)
    assert len(place.collect().erased.removed) == 4
    assert place.holds("person-1") == []
    place.sound()


def test_what_a_run_left_meanwhile_is_not_taken_from_it(place: Place) -> None:
    started = begun(place, place.first)
    made = place.plan(place.first, *ALL)
    ends(place, started, place.first)
    done = carry_out(made, by="ada", at=place.project.now())
    assert set(done.kept.values()) == {(started.run_id,)}
    place.sound()
    assert place.holds("person-1")
    place.erase(place.first, *ALL)  # given again, the command names that run as well
    assert place.holds("person-1") == []
    place.sound()


def test_a_run_with_erased_bytes_answers_nobody(place: Place) -> None:
    job = place.project.job(place.project.step("make.ipynb"), {"n": 1}, RunOptions(reuse=True))
    assert explain_job(place.project, job).answer is not None  # positive control
    monday = place.run(3, occasion="monday")
    assert place.run(3, occasion="monday").id == monday.id  # positive control
    place.erase(place.first, artifacts=("people.csv",))
    place.erase(monday, PartKind.OUTPUT)
    told = explain_job(place.project, job)
    assert told.answer is None
    assert any("because: request 17" in each for each in told.hindrances)
    again = place.project.run_job(job)
    assert (again.status, again.record.of) == (Status.SUCCEEDED, None)
    assert place.run(3, occasion="monday").id not in (monday.id, again.id)
    place.sound()


def test_a_run_that_is_answered_while_the_answer_is_erased_says_so(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = answer.begin

    def and_erase(*args: Any, **kwargs: Any) -> Any:
        begun = begin(*args, **kwargs)
        waiting.extend(place.erase(place.twin, *ALL).waiting)
        return begun

    waiting: list[Any] = []
    monkeypatch.setattr(answer, "begin", and_erase)
    job = place.project.job(place.project.step("make.ipynb"), {"n": 1}, RunOptions(reuse=True))
    cached = place.project.run_job(job)
    assert (cached.status, cached.record.of) == (Status.CACHED, place.twin.id)
    assert len(waiting) == 4
    assert {each.name for stone in cached.erased for each in stone.objects} == {
        "executed notebook",
        "scrap long",
        "artifact people.csv",
    }
    assert len(place.collect().erased.removed) == 4
    place.sound()
    with pytest.raises(Erased):
        _ = cached.notebook


def test_tombstones_travel_and_outlive_a_lost_ledger(place: Place, tmp_path: Path) -> None:
    place.erase(place.first, *ALL)
    place.project.home.store.put(a_stone(place.first.erased, place.other))  # of somebody who was stopped in time
    home = place.project.home
    lines = b"".join(exported(home.ledger))
    with closing(open_ledger(str(tmp_path / "imported.db"))) as imported:
        import_lines(imported, io.BytesIO(lines))
        assert b"".join(exported(imported)) == lines
    with closing(open_ledger(str(tmp_path / "rebuilt.db"))) as rebuilt:
        made = rebuild(rebuilt, home.store)
        assert made.faults == []
        (aside,) = made.aside
        assert f"bytes of run {place.other.id} were erased: they are all there" in aside
        before = [stored.event for stored in home.ledger.events() if isinstance(stored.event, BytesErased)]
        after = [stored.event for stored in rebuilt.events() if isinstance(stored.event, BytesErased)]
        assert sorted(after, key=str) == sorted(before, key=str)
    for name in ("imported.db", "rebuilt.db"):
        elsewhere = replace(home, ledger_url=str(tmp_path / name))
        assert check(elsewhere, content=True).faults == []
        with pytest.raises(Erased):
            _ = Run(place.first.record, elsewhere).notebook
        elsewhere.ledger.close()


def a_stone(stones: tuple[BytesErased, ...], run: Run) -> bytes:
    """Return the tombstone that the same erasure would have given another run."""
    from nbprod.record.tombstone import ErasedObject, Tombstone

    gone = ErasedObject(name="executed notebook", digest=run.record.notebook.digest, size=run.record.notebook.size)
    (stone,) = stones
    return Tombstone(run_id=run.id, at=stone.at, by=stone.by, why=stone.why, objects=(gone,)).to_bytes()


# --- retention --------------------------------------------------------------------------------------


def test_without_a_rule_nothing_is_ever_erased(place: Place) -> None:
    found = place.collect(later=timedelta(days=36_500), settings=place.project.settings)
    assert (found.retired, found.erased.removed) == ((), {})
    assert place.holds("person-1")


def test_bytes_are_kept_as_long_as_the_step_says(place: Place) -> None:
    (place.project.root / "pyproject.toml").write_text('[tool.nbprod.steps.make]\nkeep = "90d"\n')
    settings = read_settings(place.project.root, {})
    assert place.collect(later=timedelta(days=89), settings=settings).retired == ()
    told = place.collect(later=AGES, settings=settings, dry_run=True).retired
    gone = {each.run_id: [part.name for part in each.parts] for each in told}
    # The last good run keeps all. The artifact was handed to a run that is kept: only the rest goes.
    rest = ["executed notebook", "journal", "scrap long"]
    assert gone == {place.twin.id: rest, place.first.id: rest}
    assert place.holds("scrapped-1")

    done = place.collect(later=AGES, settings=settings)
    assert len(done.erased.removed) == 5  # the long scrap is one object of both
    assert place.holds("scrapped-1") == place.holds("seen-1") == []
    assert place.holds("person-1")
    (stone,) = place.first.erased
    assert (stone.by, stone.why) == ("gc of ada", "kept 90 days, as step make says")
    assert place.other.notebook.is_file()
    with pytest.raises(Erased, match="kept 90 days, as step make says"):
        _ = place.first.notebook
    place.sound()
    again = place.collect(later=AGES, settings=settings)
    assert (again.retired, again.erased.removed) == ((), {})
    assert len(place.first.erased) == 1


def test_a_rule_for_the_project_is_overruled_by_a_step(place: Place) -> None:
    text = '[tool.nbprod]\nkeep = "30d"\n[tool.nbprod.steps.make]\nkeep = "forever"\n'
    (place.project.root / "pyproject.toml").write_text(text)
    settings = read_settings(place.project.root, {})
    assert place.collect(later=AGES, settings=settings).retired == ()
    settings = replace(settings, steps={})
    begun(place, place.other)  # what is under way is left alone
    told = place.collect(later=AGES, settings=settings, dry_run=True).retired
    assert {each.run_id for each in told} == {place.first.id, place.twin.id}
    assert {each.why for each in told} == {"kept 30 days, as the project says"}


def test_what_stays_of_old_runs_stays_also_where_it_is_an_artifact(place: Place) -> None:
    """A notebook may keep a copy of itself, or of anything else that lies in the store."""
    home = place.project.home
    record = home.ledger.run(place.twin.id).record
    assert record is not None
    assert place.twin.record.environment_facts is not None
    erased = place.erase(place.other, artifacts=("people.csv",))
    (stone,) = place.other.erased
    copied = {
        "source.ipynb": place.twin.record.source_file.digest,
        "record": record,
        "environment": place.twin.record.request.environment,
        "facts": place.twin.record.environment_facts,
        "tombstone": stone.statement,
    }
    copied["own"] = home.store.put(b"its own")
    artifacts = tuple(Artifact(name=name, digest=each, size=home.store.size(each)) for name, each in copied.items())
    started = begun(place, place.first)
    ends(place, started, place.first, artifacts=artifacts)
    settings = replace(place.project.settings, keep=Keep(longest=timedelta(days=30)))
    done = place.collect(later=AGES, settings=settings)
    gone = {each.run_id: {part.name for part in each.parts} for each in done.retired}
    assert gone[started.run_id] == {"executed notebook", "journal", "scrap long", "artifact own"}
    assert [name for name, digest in copied.items() if not home.store.has(digest)] == ["own"]
    assert len(erased.removed) == 1
    place.sound()
