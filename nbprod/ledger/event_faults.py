"""What is wrong with an event's stored form, field by field, for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from nbprod.digest import Json
from nbprod.errors import IntegrityError
from nbprod.ledger.event import Event

__all__ = ["unreadable"]

_WORDS = {
    # by annotation
    "datetime": "a moment, as 2026-01-01T12:30:00.000000Z",
    "RunId": "a run's id",
    "str": "a text",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "Digest": "a digest, as sha256:…",
    "Status": "the word for how a run ended",
    "Decision": "the word for what was decided",
    "tuple[str, ...]": "a list of texts",
    "tuple[ErasedObject, ...]": "a list of erased objects",
    "tuple[Use, ...]": "a list of what bytes were used and left",
    "Mapping[str, Json]": "an object",
}
_SHOWN = 80


def unreadable(
    kind: type[Event], body: Mapping[str, Json], read: Mapping[str, Callable[[Any], Any]], error: Exception
) -> IntegrityError:
    """Make the error for an event that cannot be read, which names the first field that is not there or not right.

    Args:
        kind: the event's.
        body: its stored form.
        read: reads each field, by name.
        error: what came of reading it.
    """
    what = f"a {kind.__name__} event cannot be read"
    for each in (each for each in fields(kind) if each.name in read):
        name = each.name
        if name not in body:
            if each.default is MISSING and each.default_factory is MISSING:
                return IntegrityError(what, expected=f"the field {name}: {_words(each)}", found="no such field")
            continue
        try:
            read[name](body[name])
        except Exception:  # noqa: BLE001 - whatever it is, this is the field
            found = "null" if body[name] is None else repr(body[name])[:_SHOWN]
            return IntegrityError(what, expected=f"{name}: {_words(each)}", found=found)
    return IntegrityError(what, found=str(error))


def _words(each: Field[Any]) -> str:
    name = str(each.type)
    base = name.removesuffix(" | None")
    return f"{_WORDS.get(base, base)}{' or null' if base != name else ''}"
