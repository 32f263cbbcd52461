"""Secrets inside of images: in their metadata, which is compressed often enough, and so in no text of the message.

PNG: https://www.w3.org/TR/png-3/ (chunks of text: 11.3.3). JPEG: ITU-T T.81, annex B, and its COM and APPn segments.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from nbprod.masking import Masker

__all__ = ["without_secrets"]

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_LARGEST = 1 << 24
"""Bytes of a compressed text that are looked through; what is longer is taken out unseen."""
_PACKED = frozenset({b"zTXt", b"iTXt", b"iCCP"})
_MARK = 0xFF
_SCAN, _COMMENT, _APPLICATIONS = 0xDA, 0xFE, range(0xE0, 0xF0)
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers of JPEG without a length."""


def without_secrets(data: bytes, masker: Masker) -> tuple[bytes | None, frozenset[str]]:
    """Return an image without the pieces of its metadata that hold secrets, and the names of those.

    Args:
        data: the image's file, or any other.
        masker: knows the secrets.

    Returns:
        The very same bytes where there is none in it; None in their place where the secret is in no piece that could
        be left out.
    """
    pieces = _pieces(data)
    found = [masker.names_in(seen or b"") for _, seen, _ in pieces]
    names = masker.names_in(data).union(*found)
    if not names and all(seen is not None for _, seen, _ in pieces):
        return data, names
    told = zip(pieces, found, strict=True)
    kept = b"".join(piece for (piece, seen, spare), held in told if not spare or not (held or seen is None))
    return (None if not pieces or masker.names_in(kept) else kept), names


_Piece = tuple[bytes, bytes | None, bool]
"""The bytes in the file; what they say, None where that is too long to be read; whether they can be left out."""


def _pieces(data: bytes) -> list[_Piece]:
    try:
        if data.startswith(_PNG):
            return list(_chunks(data))
        if data.startswith(_JPEG):
            return list(_segments(data))
    except (ValueError, struct.error, IndexError):  # cut, or no such file after all
        pass
    return []


def _chunks(data: bytes) -> Iterator[_Piece]:
    yield data[: len(_PNG)], b"", False
    at = len(_PNG)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body, end = data[at + 4 : at + 8], data[at + 8 : at + 8 + length], at + 12 + length
        if end > len(data):
            raise ValueError("a chunk that is cut")
        ancillary = bool(kind[0] & 0x20)  # PNG 5.4: a lowercase letter says that a reader can do without
        yield data[at:end], _told(kind, body) if kind in _PACKED else body, ancillary
        at = end


def _told(kind: bytes, body: bytes) -> bytes | None:
    """Return what a chunk says: its keyword and its text, as they are and unpacked."""
    keyword, _, rest = body.partition(b"\0")
    packed = b""
    if kind in (b"zTXt", b"iCCP"):
        packed = rest[1:]
    elif kind == b"iTXt" and rest[:1] == b"\1":
        packed = rest[2:].split(b"\0", 2)[-1]
    if not packed:
        return body
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, _LARGEST)
    except zlib.error:
        return body
    return None if unpacker.unconsumed_tail else b"\0".join((body, keyword, text))


def _segments(data: bytes) -> Iterator[_Piece]:
    yield data[:2], b"", False
    at = 2
    while at < len(data):
        if data[at] != _MARK:
            raise ValueError("no marker")
        marker = data[at + 1]
        if marker == _SCAN:
            yield data[at:], b"", False
            return
        end = at + 2 if marker in _ALONE else at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        spare = marker == _COMMENT or marker in _APPLICATIONS
        yield data[at:end], data[at:end], spare
        at = end
