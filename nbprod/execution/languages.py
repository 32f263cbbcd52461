"""Parameters in other languages than Python, by papermill's translators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from papermill.exceptions import PapermillException
from papermill.translators import papermill_translators, translate_parameters

from nbprod.errors import CallerError

__all__ = ["found_parameters", "translated"]


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


def found_parameters(kernel_name: str, language: str, source: str) -> list[tuple[str, str, str, str]]:
    """Return what papermill's translator finds in a parameters cell: name, type, default and help, as text.

    Raises:
        NotImplementedError: the translator cannot tell.
    """
    try:
        translator = papermill_translators.find_translator(kernel_name, language)
    except PapermillException as error:
        raise NotImplementedError(str(error)) from error
    return [tuple(found) for found in translator.inspect(_Cell(source))]


class _Cell(dict[str, str]):
    """The little of a cell that translators look at."""

    def __init__(self, source: str) -> None:
        super().__init__(source=source)
        self.source = source
