"""Processes that ask for the same run at the same moment, forked off one that has imported what they need.

Arguments: the project's root, a folder for what they tell, how many there are, `reuse` or `alone`.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import psycopg  # noqa: F401 - imported once, before the fork
import sqlalchemy  # noqa: F401

import nbprod.runner.run  # noqa: F401
from nbprod.execution.cancel import CancelToken
from nbprod.project import Project, RunOptions
from nbprod.step.reuse import Reuse, ReuseMode


class Telling(CancelToken):
    """Leaves a file when it is asked by the loop that waits for another run's end."""

    def __init__(self, waits: Path) -> None:
        super().__init__()
        self._waits = waits

    def __bool__(self) -> bool:
        if sys._getframe(1).f_code.co_name == "_wait":
            self._waits.touch()
        return super().__bool__()


def ask(root: Path, told: Path, number: int, *, reuse: bool) -> None:
    project = Project.find(root, os.environ)
    job = project.job(project.step(root / "crowd.ipynb"), {}, RunOptions())
    if reuse:
        job = replace(job, reuse=Reuse(mode=ReuseMode.ALWAYS))  # the notebook's own counter changes with each run
    (told / f"ready {number}").touch()
    while not (told / "go").exists():
        time.sleep(0.01)
    run = project.run_job(job, cancel=Telling(told / f"waits {number}"))
    answer = {"id": str(run.id), "status": str(run.status), "of": run.record.of and str(run.record.of)}
    (told / f"new {number}").write_text(json.dumps(answer))
    (told / f"new {number}").rename(told / f"answer {number}")
    project.close()


def main() -> None:
    root, told, count, reuse = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "reuse"
    children = []
    for number in range(count):
        if child := os.fork():
            children.append(child)
            continue
        try:
            ask(root, told, number, reuse=reuse)
        except BaseException:  # noqa: BLE001 - whatever it was, the child ends here
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))


if __name__ == "__main__":
    main()
