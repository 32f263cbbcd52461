"""Reading that takes one form only for each value: nobody can change signed bytes into others that read the same."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from nbprod.errors import IntegrityError

__all__ = ["read_base64", "read_object", "write_base64"]


_MOST = 128 << 20
"""Bytes of what is signed: a record, in base64."""


def write_base64(data: bytes) -> str:
    """Return the standard base64 of bytes (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")


def read_base64(text: Any, what: str) -> bytes:
    """Read base64 in the one form that `write_base64` writes: no other alphabet, no spaces, no loose bits.

    Args:
        text: what was found.
        what: what it is to be, for the message.

    Raises:
        IntegrityError: it is something else.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (AttributeError, UnicodeEncodeError, binascii.Error) as error:
        raise IntegrityError(f"{what} is no base64", expected="standard base64", found=str(error)) from error
    if write_base64(data) != text:
        raise IntegrityError(f"{what} is not in base64's canonical form", expected="padding, and no loose bits")
    return data


def read_object(data: bytes, what: str) -> dict[str, Any]:
    """Read a JSON object in which no key stands twice, and which nothing follows.

    Args:
        data: UTF-8, without a byte order mark.
        what: what it is to be, for the message.

    Raises:
        IntegrityError: it is something else.
    """
    if len(data) > _MOST:
        raise IntegrityError(f"{what} cannot be read", expected=f"{_MOST} bytes or less", found=f"{len(data)}")
    try:
        value = _decode(data.decode("utf-8"))
    except json.JSONDecodeError as error:
        told = f"no JSON, from character {error.pos} on"
        raise IntegrityError(f"{what} cannot be read", expected="a JSON object", found=told) from error
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{what} cannot be read", expected="a JSON object", found=str(error)) from error
    if not isinstance(value, dict):
        raise IntegrityError(f"{what} cannot be read", expected="a JSON object", found=type(value).__name__)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key that stands twice")
    return found


def _refuse(word: str) -> None:
    raise ValueError(f"{word}, which is no JSON")


_decode = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse).decode
