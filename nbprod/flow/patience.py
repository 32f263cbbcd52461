"""How long Prefect's client may try. By default it repeats a request five times, after 2, 4, 8, 16 and 32 seconds.

Those 62 seconds per request, and a minute's time-out for each try, are what holds up a flow whose API is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["PATIENT", "brief"]

PATIENT: Mapping[str, str] = {"PREFECT_API_REQUEST_TIMEOUT": "15", "PREFECT_CLIENT_MAX_RETRIES": "3"}
"""For the environment of a process that runs flows: a request that finds nobody gives up after 14 seconds."""


@contextmanager
def brief() -> Iterator[None]:
    """Have requests made in this context tried once, for five seconds: for what may be left out."""
    from prefect.settings import (  # noqa: PLC0415 - slow, and LocalServer, which imports this, needs none of it
        PREFECT_API_REQUEST_TIMEOUT,
        PREFECT_CLIENT_MAX_RETRIES,
        temporary_settings,
    )

    with temporary_settings({PREFECT_API_REQUEST_TIMEOUT: 5.0, PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield
