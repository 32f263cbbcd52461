"""How long Prefect's client may try. By default it repeats a request five times, after 2, 4, 8, 16 and 32 seconds.

Those 62 seconds per request, and a minute's time-out for each try, are what holds up a flow whose API is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["PATIENT", "brief"]

PATIENT: Mapping[str, str] = {"PREFECT_API_REQUEST_TIMEOUT": "15", "PREFECT_CLIENT_MAX_RETRIES": "3"}
"""For the environment of a process that runs flows: a request that finds nobody gives up after 14 seconds."""


@contextmanager
def brief() -> Iterator[None]:
    """Have requests made in this context tried once, for five seconds: for what may be left out."""
    # Slow, and LocalServer, which imports this, needs none of it.
    from prefect.context import SettingsContext, get_settings_context  # noqa: PLC0415

    context = get_settings_context()
    with SettingsContext(profile=context.profile, settings=_impatient(context.settings)):
        yield


class _Made:
    """Settings that were made last, and of what: Prefect takes a tenth of a second to make some."""

    last: tuple[Any, Any] | None = None


def _impatient(settings: Any) -> Any:
    from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_CLIENT_MAX_RETRIES  # noqa: PLC0415

    last = _Made.last
    if last is not None and last[0] is settings:
        return last[1]
    made = settings.copy_with_update(updates={PREFECT_API_REQUEST_TIMEOUT: 5.0, PREFECT_CLIENT_MAX_RETRIES: 0})
    _Made.last = (settings, made)
    return made
