"""Attending a run: it goes on in a thread of its own, while the task's thread hears its events and may be told to stop.

Prefect stops a flow by raising in its main thread (SIGTERM, Ctrl-C), and a submitted task by an event. Neither may
tear a run apart half-way: the run is asked to end, ends, is recorded as cancelled, and only then is the signal let on.
The run's own thread never talks to Prefect, so a slow or dead Prefect API doesn't slow a run.
"""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from nbprod.execution.cancel import CancelToken
from nbprod.execution.events import Event, Listener
from nbprod.project import Run

__all__ = ["Attended", "attend"]

_TICK = 0.25  # seconds until a wish to stop is noticed


@dataclass(frozen=True, slots=True, kw_only=True)
class Attended:
    """A finished run, and what was raised in the attending thread meanwhile, to be raised again."""

    run: Run
    interrupt: BaseException | None


def attend(
    work: Callable[[CancelToken, Listener], Run],
    *,
    name: str,
    hear: Callable[[Event], None],
    tick: Callable[[], None],
    asked_to_stop: Callable[[], bool],
) -> Attended:
    """Run `work` in a thread to its end, whatever is raised here meanwhile.

    Args:
        work: runs a job; gets a token to heed and a listener to tell.
        name: the thread's name.
        hear: hears of each event, in this thread.
        tick: called a few times a second, in this thread.
        asked_to_stop: whether the run shall be cancelled; asked a few times a second.

    Raises:
        NbprodError: `work` could not run, or not record.
    """
    token = CancelToken()
    events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
    outcome: Future[Run] = Future()

    def body() -> None:
        try:
            outcome.set_result(work(token, events.put))
        except BaseException as error:  # noqa: BLE001 - it is raised again in the attending thread
            outcome.set_exception(error)
        finally:
            events.put(None)

    # In this context: it says, for a secret that is a block of Prefect's, whose API is asked for it.
    threading.Thread(target=contextvars.copy_context().run, args=(body,), name=name).start()
    interrupt: BaseException | None = None
    while True:
        try:
            if not token and asked_to_stop():
                token.cancel("Prefect's task runner was stopped")
            with contextlib.suppress(queue.Empty):
                event = events.get(timeout=_TICK)
                if event is None:
                    break
                hear(event)
            tick()
        except BaseException as error:  # noqa: BLE001 - raised again once the run is recorded
            interrupt = interrupt or error
            token.cancel(f"the flow's process was told to stop ({type(error).__name__})")
    token.close()
    if interrupt is not None and outcome.exception() is not None:
        raise interrupt from outcome.exception()
    return Attended(run=outcome.result(), interrupt=interrupt)
