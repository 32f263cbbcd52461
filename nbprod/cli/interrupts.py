"""Signals that end a run: the first interrupts the notebook, a second one kills it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from nbprod.execution.cancel import CancelToken

__all__ = ["Interrupts"]

_REASONS = {
    signal.SIGINT: "Ctrl-C (SIGINT)",
    signal.SIGTERM: "SIGTERM",
    signal.SIGHUP: "the terminal was closed (SIGHUP)",
}


class Interrupts:
    """Turns signals into requests to cancel.

    Args:
        token: is told.
        say: shows a line to the person at the terminal.
        notice: what it says at the first signal.
    """

    def __init__(
        self,
        token: CancelToken,
        say: Callable[[str], None],
        *,
        notice: str = "Cancelling: the notebook is being interrupted; once more kills it.",
    ) -> None:
        self.token = token
        self._say = say
        self._notice = notice
        self.received: signal.Signals | None = None
        """The first signal that came."""

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch the signals for a while. One that is ignored already (`nohup`) stays ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[signal.Signals, Any] = {}
        for number in _REASONS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, self._receive)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, _: FrameType | None) -> None:
        kind = signal.Signals(number)
        first = self.received is None
        if first:
            self.received = kind
        self.token.cancel(_REASONS[kind])
        if first:
            self._say(self._notice)
