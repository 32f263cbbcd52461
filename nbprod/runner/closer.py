"""Closing a run whose runner is gone: by its keeper (`python -m nbprod.runner.closer FOLDER`) or by `recover`."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nbprod.errors import NbprodError, NotFound
from nbprod.execution.driven import Stop
from nbprod.execution.journal import read_journal
from nbprod.execution.kernel import kill_leftovers
from nbprod.execution.outputs import Collector, OutputLimits
from nbprod.execution.plan import Plan
from nbprod.execution.replay import replay
from nbprod.ledger import Ledger, RunRow, open_ledger
from nbprod.ledger.errors import Fenced
from nbprod.masking import Masker
from nbprod.record.ids import RunId
from nbprod.record.launch import Launch
from nbprod.record.run_record import RunRecord
from nbprod.record.status import Status
from nbprod.runner.conclude import Conclusion, Ended, conclude
from nbprod.runner.files import write_atomically
from nbprod.runner.leases import LEASE_SECONDS
from nbprod.runner.processes import start_ticks
from nbprod.runner.run import tidy
from nbprod.runner.started import RunFolder, Started
from nbprod.store import SPOOL, Store, open_store

__all__ = ["close_crashed", "recover"]

GONE = "the runner did not bring the run to its end: it vanished, or could no longer write"


@contextlib.contextmanager
def _alone(folder: RunFolder) -> Iterator[bool]:
    """Hold the run's folder; false where somebody else is closing the run at this moment."""
    with folder.started.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def close_crashed(
    folder: RunFolder,
    store: Store,
    ledger: Ledger,
    reason: str = GONE,
    *,
    masker: Masker | None = None,
    lapsed: bool = False,
) -> RunRecord | None:
    """Close one run as `crashed`, with all that its journal holds. Its runner, should it come back, is fenced off.

    Args:
        folder: the run's.
        store: where bytes are kept.
        ledger: where the verdict goes.
        reason: why it is closed so.
        masker: knows the run's secrets; None where nobody does who is left.
        lapsed: only if its lease is over; false: its runner is known to be gone.

    Returns:
        The record; None if the run was closed already, had never been started, or has been heard of since.
    """
    with _alone(folder) as alone:
        return _close(folder, store, ledger, reason, masker, lapsed=lapsed) if alone else None


def _close(
    folder: RunFolder, store: Store, ledger: Ledger, reason: str, masker: Masker | None, *, lapsed: bool
) -> RunRecord | None:
    started = Started.read(folder.started)
    try:
        row = ledger.run(started.run_id)
    except NotFound:  # it vanished before the start was committed: nothing ran
        shutil.rmtree(folder.path, ignore_errors=True)
        return None
    if row.status is not None:
        tidy(folder)
        return None
    fence = ledger.take_over(started.run_id, lease_seconds=LEASE_SECONDS, lapsed=lapsed)
    if fence is None:
        return None
    kill_leftovers(str(started.run_id))
    plan = Plan.of(json.loads(folder.prepared.read_bytes()), {})
    collector = Collector(OutputLimits())
    events = list(read_journal(folder.journal))
    outcomes, language_info = replay(events, plan, collector)
    last = datetime.fromisoformat(events[-1]["at"]) if events else started.at
    ended = Ended(
        plan=plan,
        outcomes=outcomes,
        collector=collector,
        stop=Stop(Status.CRASHED, reason),
        language_info=language_info,
        at=datetime.now(UTC),
        seconds=max(0.0, (last - started.at).total_seconds()),
        collects=json.loads(folder.started.read_bytes())["home"]["collects"],
        notes=(f"closed by recovery; the last sign of life was at {last:%Y-%m-%d %H:%M:%S} UTC",),
        masker=masker,
    )
    launches = [event["launch"] for event in events if "launch" in event]
    if launches:
        ended = replace(ended, launch=Launch.from_json(launches[-1]))
    if events and events[-1]["e"] == "ended":
        ended = _as_it_ended(ended, events[-1], last)
    try:
        conclusion = _concluded(started, ended, folder, store, ledger, fence=fence)
    except Fenced:
        return None
    with contextlib.suppress(OSError):  # the store has this copy, too
        write_atomically(folder.executed(started.request.step), conclusion.notebook, mode=0o444)
    tidy(folder, output=masker is not None or not started.request.secrets)
    return conclusion.record


def _concluded(
    started: Started, ended: Ended, folder: RunFolder, store: Store, ledger: Ledger, *, fence: int
) -> Conclusion:
    """Close the run; where nothing can be made of what it put out, without that: no run stays open for ever (law 2)."""
    try:
        return conclude(started, ended, folder, store, ledger, fence=fence)
    except (NbprodError, OSError):  # store, ledger or disk: to be tried again
        raise
    except Exception as error:  # noqa: BLE001 - a bug of ours, which the next try would meet again
        told = f"its outputs could not be taken into the record ({type(error).__name__}); the journal holds them"
        stop = Stop(Status.CRASHED, told)
        bare = replace(ended, collector=Collector(OutputLimits()), stop=stop, notes=(*ended.notes, told))
        return conclude(started, bare, folder, store, ledger, fence=fence)


def _as_it_ended(ended: Ended, event: Mapping[str, Any], at: datetime) -> Ended:
    """The runner vanished after the run's end, with only the record left to write: the ending is the run's own."""
    stop = None if event["status"] is None else Stop(Status(event["status"]), event["reason"])
    return replace(ended, stop=stop, at=at, seconds=event["seconds"])


def _runner_lives(row: RunRow, now: datetime) -> bool:
    """Return whether the runner is still a process of this host, and not one that took over its number.

    A starved or suspended runner misses heartbeats; it is given ten leases before it counts as gone.

    Args:
        row: the run's.
        now: by the ledger's clock, which said when the lease ends.
    """
    if row.host != socket.gethostname() or row.lease_until is None:
        return False
    if now - row.lease_until > timedelta(seconds=10 * LEASE_SECONDS):
        return False
    ticks = start_ticks(row.runner_pid)
    if ticks is None:
        return False
    try:
        up = float(Path("/proc/uptime").read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return False
    began = datetime.now(UTC) - timedelta(seconds=up - ticks / os.sysconf("SC_CLK_TCK"))
    return began <= row.started


def recover(store: Store, ledger: Ledger) -> list[RunId]:
    """Close every run whose lease has lapsed and whose folder is on this host.

    Returns:
        The runs that were closed.
    """
    rows = ledger.lapsed()
    now = ledger.now() if rows else None
    lapsed = [row for row in rows if now is not None and not _runner_lives(row, now)]
    return [row.run_id for row in lapsed if _recover_one(row, store, ledger)]


def _recover_one(row: RunRow, store: Store, ledger: Ledger) -> bool:
    folder = RunFolder(Path(row.folder))
    try:
        return close_crashed(folder, store, ledger, f"{GONE}; closed after its lease was over", lapsed=True) is not None
    except Exception:  # noqa: BLE001 - one run that cannot be closed must not stop the others, or any command
        return False  # its folder is on another host, or damaged: `nbprod doctor` names it


def main() -> None:
    """Close the run in the folder that is named on the command line.

    Behind it may stand the names of the run's secrets; then standard input is a JSON object of their values.
    """
    folder = RunFolder(Path(sys.argv[1]))
    if not folder.started.exists():
        return
    home = json.loads(folder.started.read_bytes())["home"]
    spool = folder.path.parent.parent / SPOOL  # the run's folder is HOME/runs/ID
    store = open_store(home["store"], base=folder.path, spool=spool)
    ledger = open_ledger(home["ledger"], base=folder.path)
    names = sys.argv[2:]
    values = json.load(sys.stdin) if names else {}
    masker = Masker({name: values[name] for name in names}) if names and set(names) <= set(values) else None
    close_crashed(folder, store, ledger, masker=masker)


if __name__ == "__main__":
    main()
