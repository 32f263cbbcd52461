"""Digests are values with a type, taken over canonical bytes (RFC 8785) or over files.

`str(digest)` is `sha256:<64 hex digits>` and parses back exactly.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import rfc8785

from nbprod.errors import CallerError

__all__ = [
    "Digest",
    "Json",
    "canonical",
    "digest_bytes",
    "digest_file",
    "digest_json",
    "digest_stream",
    "digests_in",
    "read_canonical",
]

Json = Any
"""A JSON value: None, bool, int within ±(2^53 - 1), finite float, str, list, dict with str keys."""

_is_hex = re.compile(r"[0-9a-f]{64}\Z").match
_ANYWHERE = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_BLOCK = 1 << 20
_MOST = 128 << 20
"""Bytes of a statement that is read: what is large is named by its digest, and not held."""
_GREATEST = 2**53 - 1
_LEAST = 1e-4
"""Smaller numbers are written with an exponent by Python."""


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256 digest (FIPS 180-4).

    Args:
        hex: 64 lower-case hex digits.
    """

    hex: str

    def __post_init__(self) -> None:
        """Refuse anything that is not 64 lower-case hex digits."""
        if not _is_hex(self.hex):
            raise CallerError("not a SHA-256 digest", expected="64 lower-case hex digits", found=repr(self.hex))

    def __str__(self) -> str:
        """Return `sha256:<hex>`."""
        return f"sha256:{self.hex}"

    @property
    def short(self) -> str:
        """The first 12 hex digits, for people."""
        return self.hex[:12]

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read what `str(digest)` wrote.

        Raises:
            CallerError: the text is not `sha256:` and 64 hex digits.
        """
        prefix, _, rest = text.partition(":")
        if prefix != "sha256":
            raise CallerError("not a digest that nbprod knows", expected="sha256:<64 hex digits>", found=repr(text))
        return cls(rest)


def canonical(value: Json) -> bytes:
    """Return the RFC 8785 canonical bytes of a JSON value.

    Raises:
        CallerError: the value holds what RFC 8785 can't: NaN, infinities, integers beyond ±(2^53 - 1),
            lone surrogates, keys that are not text, or other types. Tag them first.
    """
    try:
        return _encode(value).encode() if _is_plain(value) else rfc8785.dumps(value)
    except RecursionError as error:
        raise CallerError("this value has no canonical JSON form", found="lists or objects nested too deep") from error
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise CallerError("this value has no canonical JSON form", found=str(error)) from error


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode


def _is_plain(value: Json) -> bool:
    """Say whether Python's own encoder, several times faster, writes the value as RFC 8785 does.

    The two differ in floats without a fraction or with an exponent, in the order of keys beyond the Basic
    Multilingual Plane, and in what they refuse.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-_GREATEST <= value <= _GREATEST)
    if kind is float:
        return _LEAST <= abs(value) < _GREATEST and not value.is_integer()
    if kind is list:
        return all(map(_is_plain, value))
    if kind is dict:
        return all(type(key) is str and key.isascii() and _is_plain(item) for key, item in value.items())
    return False


def read_canonical(data: bytes) -> Json:
    """Return the value that `canonical` wrote.

    Raises:
        ValueError: it is no JSON, has a key twice in one object, or is too large or nested too deep.
    """
    if len(data) > _MOST:
        raise ValueError(f"{len(data)} bytes, of {_MOST} at most")
    try:
        return _decode(data.decode())
    except RecursionError as error:
        raise ValueError("lists or objects nested too deep") from error


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _refuse(word: str) -> Json:
    raise ValueError(f"{word}, which is no JSON")


def _number(digits: str) -> int | float:
    """Read an integer; RFC 8785 writes 1e20 without point or exponent, and has no integers that big."""
    value = int(digits)
    return value if abs(value) <= _GREATEST else float(digits)


_decode = json.JSONDecoder(parse_int=_number, parse_constant=_refuse, object_pairs_hook=_once).decode


def digests_in(text: bytes) -> list[str]:
    """Return the hex digits of the SHA-256 digests in a text, in whatever form they stand there."""
    return [found.decode() for found in _ANYWHERE.findall(text)]


def digest_bytes(data: bytes) -> Digest:
    """Return the digest of the bytes."""
    return Digest(hashlib.sha256(data).hexdigest())


def digest_json(value: Json) -> Digest:
    """Return the digest of a JSON value's canonical bytes."""
    return digest_bytes(canonical(value))


def digest_stream(stream: IO[bytes]) -> tuple[Digest, int]:
    """Read the stream to its end; return digest and size in bytes."""
    hasher = hashlib.sha256()
    size = 0
    while block := stream.read(_BLOCK):
        hasher.update(block)
        size += len(block)
    return Digest(hasher.hexdigest()), size


def digest_file(path: Path) -> tuple[Digest, int]:
    """Return digest and size in bytes of a file."""
    with path.open("rb") as stream:
        return digest_stream(stream)
