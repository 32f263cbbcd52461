"""A runner process for tests to kill with -9, from outside at any time or by itself at a chosen point.

Arguments: the project's root, how many runs (each in its thread, a third of a second apart), a point or `-`. On stdout
stands each run's id when it was told that its run has started, and once more with its status when it has ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbprod.runner.run as running
from nbprod.ledger.events import RunFinished, RunStarted
from nbprod.project import Project, RunOptions


def die(*_: object, **__: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def before(point: str, wanted: str, call: Callable[..., Any]) -> Callable[..., Any]:
    return die if point == wanted else call


def arm(project: Project, point: str) -> None:
    """Have this process killed at a point of a run: between any two steps that leave something behind."""
    ledger, store = project.home.ledger, project.home.store
    append, put = ledger.append, store.put
    finishing = [False]
    puts = [0]

    def telling(event: Any) -> int:
        name = {RunStarted: "start", RunFinished: "finish"}.get(type(event), "other")
        if point == f"before {name}":
            die()
        number = append(event)
        if point == f"after {name}":
            die()
        return number

    def putting(data: bytes) -> Any:
        if finishing[0]:
            puts[0] += 1
            if point == f"put {puts[0]}":
                die()
        return put(data)

    conclude = running.conclude

    def concluding(*arguments: Any, **more: Any) -> Any:
        finishing[0] = True
        if point == "conclude":
            die()
        return conclude(*arguments, **more)

    type(ledger).append = lambda _, event: telling(event)  # type: ignore[method-assign,assignment]
    type(store).put = lambda _, data: putting(data)  # type: ignore[method-assign,assignment]
    running.conclude = concluding  # type: ignore[assignment]
    running.tidy = before(point, "tidy", running.tidy)


def main() -> None:
    root, count, point = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    project = Project.find(root, os.environ)
    if point != "-":
        arm(project, point)
    step = project.step(root / "slow.ipynb")

    def run(number: int) -> None:
        run = project.run_job(project.job(step, {"n": number}, RunOptions(name=f"{point} {number}")), on_start=tell)
        tell(f"{run.id} {run.status}")

    def tell(what: object) -> None:
        sys.stdout.write(f"{what}\n")
        sys.stdout.flush()

    threads = []
    for number in range(count):
        threads.append(threading.Thread(target=run, args=(number,)))
        threads[-1].start()
        time.sleep(0.3)
    for thread in threads:
        thread.join()
    sys.stdout.write("all done\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
