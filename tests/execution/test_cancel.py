"""The token wakes whoever waits for it, from any thread, and stays harmless afterwards."""

from __future__ import annotations

import os
import select
import signal
import threading

from nbprod.execution.cancel import CancelToken


def test_it_wakes_and_remembers_the_first_reason() -> None:
    token = CancelToken()
    assert not token
    assert select.select([token], [], [], 0)[0] == []
    threading.Thread(target=token.cancel, args=("first",)).start()
    assert select.select([token], [], [], 5)[0] == [token]
    token.drain()
    assert select.select([token], [], [], 0)[0] == []
    token.cancel("second")
    assert (bool(token), token.requests, token.reason) == (True, 2, "first")
    token.close()
    token.cancel("late")
    token.close()


def test_a_flood_of_requests_never_blocks() -> None:
    token = CancelToken()
    for _ in range(100_000):
        token.cancel("again")
    token.close()


def test_a_signal_handler_may_use_it_while_its_thread_does() -> None:
    token = CancelToken()
    before = signal.signal(signal.SIGUSR1, lambda *_: token.cancel("signal"))
    try:
        with token._lock:
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert token.requests == 1
    token.close()
