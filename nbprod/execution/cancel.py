"""Asking a run to stop: a token that wakes its driver at once."""

from __future__ import annotations

import contextlib
import os
import threading

__all__ = ["CancelToken"]


class CancelToken:
    """Says that a run shall stop, and who wants it. Safe to use from any thread and from signal handlers.

    The first `cancel` interrupts the notebook and grants it its grace; a second one ends it at once.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._lock = threading.RLock()  # a signal handler may come while its own thread holds it
        self.requests = 0
        self.reason = ""

    def cancel(self, reason: str) -> None:
        """Ask for the end.

        Args:
            reason: who or what wants it (`Ctrl-C at the terminal`).
        """
        with self._lock:
            self.reason = self.reason or reason
            self.requests += 1
            with contextlib.suppress(OSError):
                os.write(self._write, b".")

    def fileno(self) -> int:
        """Return the descriptor that becomes readable with each request."""
        return self._read

    def drain(self) -> None:
        """Take notice of the requests made so far."""
        with contextlib.suppress(OSError):
            os.read(self._read, 4096)

    def close(self) -> None:
        """Close the descriptors; later requests are without effect."""
        with self._lock:
            for descriptor in (self._read, self._write):
                with contextlib.suppress(OSError):
                    os.close(descriptor)
            self._read = self._write = -1

    def __bool__(self) -> bool:
        """Return whether somebody asked."""
        return self.requests > 0
