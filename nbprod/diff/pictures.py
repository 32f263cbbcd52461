"""Pictures by what they show: PNG files without what only tells who made them, and when.

Format: PNG (W3C Recommendation, third edition), sections 5 and 11.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

__all__ = ["Picture", "picture_of", "pixels_apart"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TOLD = frozenset((b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf"))
"""Chunks that a viewer does not show: texts (the software, a title), the time of change, a camera's notes."""
_MOST_PIXELS = 40_000_000
_MOST_BYTES = 1 << 28
"""Bytes of unpacked rows up to which a picture is looked into."""
_BLOCK = 1 << 20
_HEADER = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A PNG picture.

    Args:
        width: pixels.
        height: pixels.
        shown: SHA-256, in hex digits, over all that a viewer shows of it.
    """

    width: int
    height: int
    shown: str

    def __str__(self) -> str:
        """Return it in one line."""
        return f"picture of {self.width}x{self.height} pixels, sha256 {self.shown}"


def picture_of(data: bytes) -> Picture | None:
    """Return what a PNG file shows; None for what is none, is broken, is animated or too large to look into.

    Where Pillow is installed, pixels are compared, whatever packed them; else the packed rows are, which another
    version of a library may choose otherwise.
    """
    try:
        chunks = list(_chunks(data))
    except ValueError:
        return None
    head = next((body for kind, body in chunks if kind == b"IHDR"), b"")
    if len(head) != _HEADER or any(kind == b"acTL" for kind, _ in chunks):
        return None
    width, height, depth = int.from_bytes(head[:4]), int.from_bytes(head[4:8]), head[8]
    if not 0 < width * height <= _MOST_PIXELS:
        return None
    shown = hashlib.sha256(repr((width, height)).encode())
    rest = [(kind, body) for kind, body in chunks if kind not in _TOLD and kind != b"IDAT"]
    # Pillow gives eight bits a colour of what has sixteen.
    pixels = _pixels(data) if depth <= 8 else None  # noqa: PLR2004
    if pixels is None:
        pixels = _rows(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    else:  # palette and transparency stand in the pixels
        rest = [(kind, body) for kind, body in rest if kind not in (b"IHDR", b"PLTE", b"tRNS", b"sBIT", b"IEND")]
    if pixels is None:
        return None
    shown.update(repr(rest).encode())
    shown.update(pixels)
    return Picture(width=width, height=height, shown=shown.hexdigest())


def pixels_apart(before: bytes, after: bytes) -> float | None:
    """Return the share of pixels in which two PNG files differ, None where that cannot be told."""
    pictures = picture_of(before), picture_of(after)
    if pictures[0] is None or pictures[1] is None or not find_spec("PIL"):
        return None
    if (pictures[0].width, pictures[0].height) != (pictures[1].width, pictures[1].height):
        return None
    from PIL import Image, ImageChops  # noqa: PLC0415 - optional, and slow to import

    first, second = (Image.open(io.BytesIO(data)).convert("RGBA") for data in (before, after))
    bands = ImageChops.difference(first, second).split()
    most = bands[0]
    for band in bands[1:]:
        most = ImageChops.lighter(most, band)
    return 1 - most.histogram()[0] / (first.width * first.height)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not data.startswith(_SIGNATURE):
        raise ValueError("no PNG")
    place = len(_SIGNATURE)
    while place < len(data):
        size = int.from_bytes(data[place : place + 4])
        end = place + 8 + size + 4
        if end > len(data):
            raise ValueError("the file ends in a chunk")
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        if zlib.crc32(kind + body) != int.from_bytes(data[end - 4 : end]):
            raise ValueError("a chunk is broken")
        yield kind, body
        place = end


def _pixels(data: bytes) -> bytes | None:
    """Return a digest over the pixels as Pillow reads them; None without Pillow, or if it cannot read them."""
    if not find_spec("PIL"):
        return None
    from PIL import Image  # noqa: PLC0415 - optional, and slow to import

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            return hashlib.sha256(picture.convert("RGBA").tobytes()).digest()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _rows(packed: bytes) -> bytes | None:
    """Return a digest over the unpacked rows; None if they are broken or too many."""
    hasher, unpacked, size = hashlib.sha256(), zlib.decompressobj(), 0
    try:
        rest = packed
        while rest and not unpacked.eof:
            block = unpacked.decompress(rest, _BLOCK)
            rest, size = unpacked.unconsumed_tail, size + len(block)
            if size > _MOST_BYTES:
                return None
            hasher.update(block)
        hasher.update(unpacked.flush())
    except zlib.error:
        return None
    return hasher.digest() if unpacked.eof else None
