"""A project with runs of all kinds, signed and covered by a checkpoint; and somebody who may write anywhere."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nbprod.digest import Digest
from nbprod.ledger.events import RunFinished
from nbprod.project import Project, RunOptions
from nbprod.project.checkpoint import make_checkpoint
from nbprod.project.erase import Choice, carry_out, plan
from nbprod.project.keys import init_keys, rotate_key
from nbprod.project.labels import tag_run
from nbprod.project.published import publish_step
from nbprod.project.verifying import Asked, Verifier
from nbprod.record.ids import RunId
from nbprod.record.parts import PartKind
from nbprod.verify import Conclusion, Verification
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import nothing_survives

SETTINGS = """
keys = "keys"
[tool.nbprod.steps.train]
notebook = "train.ipynb"
reuse = "10d"
"""
WORK = """
import scrapbook as sb
sb.glue('value', 2 * alpha)
sb.glue('long', f'{alpha} ' * 100_000)
open(output_dir + '/model.bin', 'w').write(f'model {alpha}')
assert alpha < 9
"""


@dataclass
class Place:
    """A project, and what its verifier remembers."""

    project: Project
    seen: Path

    def verifier(self, **asked: Any) -> Verifier:
        return Verifier(self.project, Asked(**({"seen": self.seen} | asked)))

    def verify(self, run: str, **asked: Any) -> Verification:
        return self.verifier(**asked).run(RunId(run))

    def whole(self, **asked: Any) -> Conclusion:
        """Verify all; return the gravest that was found."""
        order = list(Conclusion)
        return min((found.conclusion for found in self.verifier(**asked).all()), key=order.index)

    def ending(self, run: str) -> RunFinished:
        events = [stored.event for stored in self.project.home.ledger.events(RunId(run))]
        return next(event for event in events if isinstance(event, RunFinished))

    def object(self, digest: Digest) -> Path:
        return self.project.home.folder / "store" / "objects" / digest.hex[:2] / digest.hex[2:]

    def sql(self, *statements: str, **values: Any) -> list[Any]:
        """Write into the database as somebody does who owns it: without its triggers and constraints."""
        with closing(sqlite3.connect(self.project.home.folder / "ledger.db")) as database:
            database.execute("PRAGMA ignore_check_constraints = ON")
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                database.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                found = database.execute(statement, values).fetchall()
            database.commit()
        return found


@dataclass(frozen=True)
class Base:
    """The runs of the project that is copied for each attack."""

    root: Path
    runs: dict[str, str]
    checkpoint: str


@pytest.fixture(scope="package")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Base]:
    root = tmp_path_factory.mktemp("verified")
    write(root / "train.ipynb", ("alpha: float = 2.0\noutput_dir = 'x'", PARAMETERS), WORK)
    runs: dict[str, str] = {}
    with nothing_survives() as mark, project_in(root, mark, SETTINGS) as project:

        def run(kind: str, what: str, alpha: float, **options: Any) -> None:
            job = project.job(project.step(what), {"alpha": alpha}, RunOptions(**options))
            runs[kind] = str(project.run_job(job).id)

        run("development", "train", 1.0)  # before the log has keys of its own
        init_keys(project)
        run("good", "train", 2.0, name="first", tags=("b", "a"), note="Größe")
        run("failed", "train", 9.0)
        run("cached", "train", 2.0, reuse=True)
        first = make_checkpoint(project)
        tag_run(project.home.ledger, RunId(runs["good"]), ["seen"])
        rotate_key(project, "runner")
        publish_step(project, "train", note="frozen")
        run("published", "train@1", 3.0)
        run("erased", "train", 4.0)
        choice = Choice(artifacts=("model.bin",), kinds=frozenset({PartKind.OUTPUT}))
        carry_out(plan(project.run(runs["erased"]), choice, why="asked"), by="ada", at=project.now())
        made = make_checkpoint(project)
        assert made.checkpoint.size > first.checkpoint.size
        seen = Verifier(project, Asked(seen=root / "seen.json"))
        assert seen.survey.is_sound
        assert seen.remember() == root / "seen.json"
        run("late", "train", 5.0)
        project.home.ledger.log.sequence()
        project.close()
        yield Base(root, runs, made.note)


@pytest.fixture
def copied(base: Base, tmp_path: Path) -> Callable[[str], Place]:
    def copy(name: str) -> Place:
        root = tmp_path / name
        shutil.copytree(base.root, root, symlinks=True)
        return Place(Project.find(root, {}), root / "seen.json")

    return copy


@pytest.fixture
def place(copied: Callable[[str], Place]) -> Iterator[Place]:
    made = copied("copy")
    yield made
    made.project.home.ledger.close()
