"""Heartbeats: one thread per process renews the leases of its runs and hears of requests to cancel them."""

from __future__ import annotations

import threading
import time

from nbprod.errors import NbprodError
from nbprod.execution.cancel import CancelToken
from nbprod.ledger import Ledger
from nbprod.ledger.events import RunCancelRequested
from nbprod.record.ids import RunId

__all__ = ["LEASE_SECONDS", "Leases"]

LEASE_SECONDS = 30.0
"""A run whose lease was not renewed for so long counts as crashed."""
_RENEW_EVERY = 10.0
_LISTEN_EVERY = 1.0


class Leases:
    """Keeps the leases of running runs. Safe for use by many threads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._runs: dict[RunId, CancelToken] = {}
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def add(self, run_id: RunId, cancel: CancelToken) -> None:
        """Begin to renew a run's lease; `cancel` is told when somebody wants the run cancelled."""
        with self._lock:
            self._runs[run_id] = cancel
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._beat, name="nbprod-leases", daemon=True)
                self._thread.start()

    def remove(self, run_id: RunId) -> None:
        """Stop renewing: the run is closed. The thread ends with its last run."""
        with self._lock:
            self._runs.pop(run_id, None)
            if not self._runs:
                self._wake.set()

    def _beat(self) -> None:
        renewed = time.monotonic()
        while True:
            self._wake.wait(_LISTEN_EVERY)
            self._wake.clear()
            with self._lock:
                runs = dict(self._runs)
                if not runs:
                    self._thread = None
                    return
            due = time.monotonic() - renewed >= _RENEW_EVERY
            if due:
                renewed = time.monotonic()
            for run_id, cancel in runs.items():
                try:
                    if due and not self._ledger.renew(run_id, lease_seconds=LEASE_SECONDS):
                        self._give_up(run_id, cancel)
                    if not cancel and self._ledger.cancel_requested(run_id):
                        cancel.cancel(f"{self._who(run_id)} asked for it with `nbprod cancel`")
                except NbprodError:
                    continue  # a ledger out of reach must not end a run; its closing will tell

    def _give_up(self, run_id: RunId, cancel: CancelToken) -> None:
        """End a run that somebody else has taken over while its runner was away: at once, as nothing of it counts."""
        with self._lock:
            ours = run_id in self._runs  # or it has just ended
        if ours and not cancel:
            for _ in range(2):
                cancel.cancel("the run was given up: its lease had ended, and another process closes it as crashed")

    def _who(self, run_id: RunId) -> str:
        events = (stored.event for stored in self._ledger.events(run_id))
        return next((event.by for event in events if isinstance(event, RunCancelRequested) and event.by), "somebody")
