"""Values of Prefect's Secret blocks, for steps whose secrets name them."""

from __future__ import annotations

import contextvars
import threading

from prefect.blocks.system import Secret
from prefect.exceptions import PrefectException

from nbprod.errors import CallerError, EnvironmentFault

__all__ = ["secret_of"]

_PATIENCE = 60.0
"""Seconds for Prefect's API to answer."""


def secret_of(name: str) -> str:
    """Return the text that a Secret block holds, from the API of the current profile or flow run.

    Args:
        name: the block document's name.

    Raises:
        CallerError: there is no such block, or it holds no text.
        EnvironmentFault: the API cannot be reached.
    """
    found: list[object] = []

    # In a thread of its own: beside an event loop that runs, Prefect would return a coroutine. With our context, which
    # says whose API is asked; without it Prefect would start a server of its own.
    def load() -> None:
        try:
            found.append(Secret.load(name, _sync=True).get())  # type: ignore[call-arg, union-attr]
        except BaseException as error:  # noqa: BLE001 - handed over to who waits
            found.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(load,), name="nbprod-block", daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    if not found:
        raise EnvironmentFault(f"Prefect's API did not answer within {_PATIENCE:g} s")
    value = found[0]
    if isinstance(value, ValueError):
        raise CallerError(f"Prefect has no Secret block {name!r}") from None
    if isinstance(value, BaseException):
        said = str(value) if isinstance(value, PrefectException) else type(value).__name__
        raise EnvironmentFault(f"Prefect's API could not be asked for it: {said}") from None
    if not isinstance(value, str):
        raise CallerError(f"the block holds no text but {type(value).__name__}")
    return value
