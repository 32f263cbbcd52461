"""Imports each module named on the command line in a fork of this bare interpreter; writes a JSON line for each.

A fork per module gives each a `sys.modules` that holds what an interpreter starts with, at a tenth of the price of
starting one. Only the standard library's modules below are loaded beforehand; a warning of theirs is none of ours.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from importlib import import_module

BEFOREHAND = (
    "asyncio concurrent.futures dataclasses email.parser hashlib http.client importlib.metadata inspect logging.config"
    " multiprocessing.pool sqlite3 statistics subprocess tempfile typing urllib.request uuid xml.etree.ElementTree"
    " zipfile"
)


def report(name: str, before: set[str]) -> str:
    try:
        import_module(name)
    except BaseException:  # noqa: BLE001 - a SystemExit at import is as wrong as any other
        fault = traceback.format_exc()
    else:
        fault = None
    loaded = sorted(module for module in set(sys.modules) - before if module)
    return json.dumps({"module": name, "fault": fault, "loaded": loaded})


def fork(name: str, before: set[str]) -> tuple[int, int]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        stream.write(report(name, before))
    os._exit(0)


def collect(pid: int, reader: int) -> None:
    with os.fdopen(reader) as stream:
        line = stream.read()
    os.waitpid(pid, 0)
    sys.stdout.write(line + "\n")


def main(names: list[str]) -> None:
    for name in BEFOREHAND.split():
        import_module(name)
    before = set(sys.modules)
    running: list[tuple[int, int]] = []
    for name in names:
        if len(running) >= (os.cpu_count() or 1):
            collect(*running.pop(0))
        running.append(fork(name, before))
    for child in running:
        collect(*child)


if __name__ == "__main__":
    main(sys.argv[1:])
