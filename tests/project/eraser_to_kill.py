"""Erases all of a run, and dies on the way: `eraser_to_kill.py FOLDER RUN WHERE`, with WHERE as `append:2`.

Before its second event, that is; `remove:1` before the first object goes. `bytes-first` is the broken order that the
test must see through: the bytes go before any tombstone stands.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbprod.ledger.sql import SqlLedger
from nbprod.project import Project
from nbprod.project.erase import ALL, Choice, carry_out, plan
from nbprod.project.erasure import clear
from nbprod.store import LocalStore


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def deadly(work: Callable[..., Any], turn: int) -> Callable[..., Any]:
    left = turn

    def count(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if not left:
            die()
        return work(*args, **kwargs)

    return count


def main() -> None:
    folder, run, where = sys.argv[1:]
    project = Project.find(Path(folder))
    made = plan(project.run(run), Choice(kinds=ALL), why="killed on the way")
    if where == "bytes-first":
        clear(project.home, made.graves, now=project.now(), after=made.seq)
        die()
    what, _, turn = where.partition(":")
    of: Any = {"append": SqlLedger, "remove": LocalStore}[what]
    setattr(of, what, deadly(getattr(of, what), int(turn)))
    carry_out(made, by="ada", at=project.now())


main()
