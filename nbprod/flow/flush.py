"""Waiting until Prefect's server has heard everything that this process has to tell it."""

from __future__ import annotations

from typing import Any

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

__all__ = ["flush"]


def flush(timeout: float = 10.0) -> None:
    """Send what Prefect's background threads still hold: states of task runs travel as events, log lines in batches.

    Without it they try at the process's end, for minutes if the server is gone by then.

    Args:
        timeout: seconds for each of the two.
    """
    services: tuple[Any, ...] = (EventsWorker, APILogWorker)
    for service in services:
        service.drain_all(timeout=timeout, at_exit=False)
