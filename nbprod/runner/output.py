"""OUTPUT: the executed notebook where the caller asked for it, unless a later run has written there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nbprod.errors import EnvironmentFault, NbprodError
from nbprod.ledger import Ledger
from nbprod.ledger.events import RunHeard, RunStarted
from nbprod.ledger.moment import utc_now
from nbprod.record.ids import RunId
from nbprod.runner.files import write_atomically
from nbprod.store.elsewhere import read_url, shown_url, write_url

__all__ = ["LEFT_TO_SUCCESSOR", "leave_output"]

LEFT_TO_SUCCESSOR = "its OUTPUT was left to a later run"
"""`RunHeard.what` where a run did not write its OUTPUT; `data` holds `output` and, under `by`, the later run."""

_RUN = re.compile(rb'\n   "run": "([0-9a-f-]{36})"')
_END = 65_536

_PATIENCE = 2.0
"""Seconds to wait for whoever writes into the same folder at this moment."""


def leave_output(
    output: Path | str,
    data: bytes,
    run_id: RunId,
    ledger: Ledger,
    write: Callable[[Path, bytes], None] = write_atomically,
) -> None:
    """Write the executed notebook where the caller asked for it, unless a run that began later has written there.

    The order is that of the starts in the ledger, as no two clocks agree. Looking and writing are a moment apart;
    on one machine nobody else writes into that folder meanwhile, unless whoever holds it was stopped there.

    Args:
        output: a path, or an address.
        data: the notebook.
        run_id: whose it is.
        ledger: knows which run began first, and is told where one wrote nothing.
        write: writes to a path.

    Raises:
        EnvironmentFault: it cannot be written there; the run is recorded all the same.
    """
    try:
        with _turn(output):
            later = _successor(output, run_id, ledger)
            if later is None and isinstance(output, Path):
                write(output, data)
            elif later is None:
                write_url(str(output), data)
        if later is not None:
            told = {"output": shown_url(str(output)), "by": str(later)}
            ledger.append(RunHeard(at=utc_now(), run_id=run_id, what=LEFT_TO_SUCCESSOR, data=told))
    except (OSError, NbprodError) as error:
        raise EnvironmentFault(
            f"the executed notebook cannot be written to {shown_url(str(output))}",
            found=error.found if isinstance(error, NbprodError) else error.strerror,
            hint=f"The run is recorded all the same: see `nbprod show {run_id}`.",
        ) from error


@contextlib.contextmanager
def _turn(output: Path | str) -> Iterator[None]:
    """Write into a folder one by one, as far as that can be had: a stopped process must not block others for ever."""
    if not isinstance(output, Path):
        yield
        return
    descriptor = os.open(output.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(descriptor)


def _successor(output: Path | str, run_id: RunId, ledger: Ledger) -> RunId | None:
    """Return the run that left what is there now, if it began after this one; None for what no run of ours left."""
    try:
        other = _run_of(output.read_bytes() if isinstance(output, Path) else read_url(output))
        if other != run_id and _token(other, ledger) > _token(run_id, ledger):
            return other
    except (OSError, ValueError, KeyError, TypeError, NbprodError):
        return None  # nothing is there, or nothing that a run of this ledger left
    return None


def _run_of(notebook: bytes) -> RunId:
    """Return the run that left a notebook; raises KeyError, ValueError and the like where none of ours did."""
    # What nbprod wrote has it near its end, at this indent: a large notebook is not parsed for it.
    found = _RUN.search(notebook, max(0, len(notebook) - _END))
    return RunId(found[1].decode() if found else json.loads(notebook)["metadata"]["nbprod"]["run"])


def _token(run_id: RunId, ledger: Ledger) -> int:
    """Return the number of a run's start: grows from run to run, whatever clocks say; 0 for one of another ledger."""
    first = next(ledger.events(run_id), None)
    return first.seq if first is not None and isinstance(first.event, RunStarted) else 0
