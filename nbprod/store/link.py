"""The patience that a store has with a network, and the one loop that tries again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from nbprod.errors import StoreUnreachable

__all__ = ["Patience", "retried"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a link, and how often to try.

    Args:
        connect: seconds until a connection must stand.
        silence: seconds without a byte after which a connection counts as dead.
        slowest: bytes per second below which a link counts as broken.
        waits: seconds before the second try, the third, and so on.
        sleep: waits so many seconds.
    """

    connect: float = 10.0
    silence: float = 25.0
    slowest: int = 256 * 1024
    waits: tuple[float, ...] = (0.2, 1.0, 4.0)
    sleep: Callable[[float], None] = time.sleep

    def seconds_for(self, size: int) -> float:
        """Return the seconds that one request may take in all.

        Args:
            size: bytes that it carries, either way.
        """
        return self.connect + self.silence + size / self.slowest


def retried(call: Callable[[], T], patience: Patience) -> T:
    """Return what the call returns, trying again when the other end could not be reached.

    Raises:
        StoreUnreachable: the last try failed, too.
    """
    for wait in patience.waits:
        try:
            return call()
        except StoreUnreachable:
            patience.sleep(wait)
    return call()
