"""Parameters in other languages than Python, by papermill's translators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from papermill.exceptions import PapermillException
from papermill.translators import translate_parameters

from nbprod.errors import CallerError

__all__ = ["translated"]


def translated(kernel_name: str, language: str, parameters: Mapping[str, Any]) -> str:
    """Return the injected cell's source in the kernel's language.

    Raises:
        CallerError: papermill has no translator for it, or none for one of the values.
    """
    try:
        return str(translate_parameters(kernel_name, language, dict(parameters), "Parameters"))
    except (PapermillException, NotImplementedError) as error:
        raise CallerError(
            f"parameters cannot be given to a notebook in {language}",
            found=str(error),
            hint="papermill's translators decide which languages and values work.",
        ) from error
