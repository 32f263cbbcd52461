"""Runners for tests to trace from their first step on: `failing_runner.py ROOT`, imports made before the fork.

For each line on stdin, a JSON object with the words that stand behind `nbprod` on a command line, more variables for
its environment, and which call is to fail in its threads, a child is forked, and its process id stands on stdout. It
begins with the next line, and its exit code stands on stdout when it has ended.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

LATE = ("sqlalchemy.dialects.sqlite", "nbprod.runner.run", "nbprod.ledger.sql", "nbprod.project.checkpoint")
"""What a run imports when it needs it: imported before."""


def run(words: list[str]) -> int:
    from nbprod.cli.app import nbprod

    try:
        nbprod(words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def fail_aside(name: str, number: int) -> Iterator[int]:
    """Have the Nth call of a function of `os` fail, of those in threads that a runner starts; return what counts them.

    strace counts those of each thread apart, and cells' with them.

    Args:
        name: the function's.
        number: which, from 1, in whatever thread; 0: none.
    """
    real, count = getattr(os, name), itertools.count(1)

    def call(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread().name.startswith("nbprod-") and next(count) == number:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*args, **kwargs)

    setattr(os, name, call)
    return count


def forked(what: Any, begin: int) -> None:
    code = 99
    try:
        os.environ.update(what["environ"])
        name, number, told = what["aside"] or ("fsync", 0, os.devnull)
        count = fail_aside(name, number)
        os.read(begin, 1)
        code = run(what["words"])
        Path(told).write_text(str(next(count) - 1), encoding="utf-8")
    finally:
        os._exit(code)


def main() -> None:
    os.chdir(sys.argv[1])
    import_module("nbprod.cli.app")
    for name in LATE:
        import_module(name)
    out = os.fdopen(os.dup(1), "w", buffering=1)
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    while line := sys.stdin.readline():
        begin, go = os.pipe()
        child = os.fork()
        if not child:
            os.close(go)
            forked(json.loads(line), begin)
        os.close(begin)
        out.write(f"{child}\n")
        sys.stdin.readline()
        os.write(go, b".")
        os.close(go)
        out.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")


if __name__ == "__main__":
    main()
