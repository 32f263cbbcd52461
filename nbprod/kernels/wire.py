"""Jupyter's messages as they go over the wire (Jupyter client documentation, "The wire protocol", 5.4).

The content's raw bytes are kept beside the parsed content: the journal writes them as they came, if they are UTF-8.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from nbprod.errors import KernelUnavailable

__all__ = ["Message", "Wire", "loads", "read_content"]

_LONG = 2.0**63
"""No integer below it is too long for orjson, which makes floats of those beyond 64 bits."""
_DELIMITER = b"<IDS|MSG>"
_PARTS = 4
VERSION = "5.4"


@dataclass(frozen=True, slots=True)
class Message:
    """One message from the kernel.

    Args:
        kind: its type, e.g. `stream`.
        parent: the id of the request that it answers, empty for none.
        date: when the kernel sent it, as the kernel wrote it (ISO 8601).
        content: parsed.
        raw: the content's bytes; UTF-8.
    """

    kind: str
    parent: str
    date: str
    content: dict[str, Any]
    raw: bytes


def loads(data: bytes) -> Any:
    """Parse JSON fast, and exactly.

    Raises:
        ValueError: NaN, infinities, or bytes that are no UTF-8.
    """
    value = orjson.loads(data)
    return json.loads(data) if _has_long(value) else value


def _has_long(value: Any) -> bool:
    """Return whether there is a number that may have been an integer too long for orjson."""
    left = [value]
    for item in left:
        if isinstance(item, dict):
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
        elif isinstance(item, float) and abs(item) >= _LONG:
            return True
    return False


def _read(data: bytes) -> tuple[Any, bytes]:
    r"""Return a content and its bytes; the latter anew where they were no JSON in UTF-8 but for NaN and infinities.

    `print("\udc80")` makes a kernel send a byte that is no UTF-8. Neither a notebook file nor a record can hold
    that, so U+FFFD stands in its place from here on.
    """
    try:
        return loads(data), data
    except ValueError:
        text = json.dumps(json.loads(data.decode("utf-8", "replace")), ensure_ascii=False)
        clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        return json.loads(clean), clean


def read_content(data: bytes, mask: Callable[[bytes, Any], bytes] | None) -> tuple[Any, bytes]:
    """Return a message's content, masked, and the bytes of it.

    Args:
        data: as it came.
        mask: applied to the content's JSON, which it is given as bytes and as it was read (law 7).
    """
    content, raw = _read(data)
    # Read first: bytes that are no UTF-8 would hide a secret from the mask, and what it returns is JSON again.
    masked = raw if mask is None else mask(raw, content)
    return (content, raw) if masked is raw else (json.loads(masked), masked)


class Wire:
    """Packs and unpacks signed messages of one session.

    Args:
        key: the connection file's key.
        mask: applied to each content's JSON before anybody sees it (law 7); `nbprod.kernels.masked` has it.
    """

    def __init__(self, key: str, mask: Callable[[bytes, Any], bytes] | None = None) -> None:
        self._signer = hmac.new(key.encode("ascii"), digestmod=hashlib.sha256)
        self._session = secrets.token_hex(8)
        self._mask = mask
        self._count = 0

    def _sign(self, parts: Sequence[bytes]) -> bytes:
        signer = self._signer.copy()
        for part in parts:
            signer.update(part)
        return signer.hexdigest().encode("ascii")

    def pack(self, kind: str, content: dict[str, Any]) -> tuple[str, list[bytes]]:
        """Return a new message's id and frames."""
        self._count += 1
        message_id = f"{self._session}_{self._count}"
        header = {
            "msg_id": message_id,
            "msg_type": kind,
            "username": "nbprod",
            "session": self._session,
            "date": datetime.now(UTC).isoformat(),
            "version": VERSION,
        }
        body = json.dumps(content).encode("ascii")  # ASCII, so that lone surrogates in a cell's source survive
        parts = [orjson.dumps(header), b"{}", b"{}", body]
        return message_id, [_DELIMITER, self._sign(parts), *parts]

    def unpack(self, frames: Sequence[bytes]) -> Message:
        """Check the signature and parse.

        Raises:
            KernelUnavailable: the frames are not a message signed with this connection's key.
        """
        try:
            start = frames.index(_DELIMITER) + 1
            signature, parts = frames[start], frames[start + 1 : start + 1 + _PARTS]
        except (ValueError, IndexError) as error:
            raise KernelUnavailable("the kernel sent something that is no Jupyter message") from error
        if not hmac.compare_digest(signature, self._sign(parts)):
            raise KernelUnavailable(
                "a message on the kernel's sockets is not signed with this run's key",
                hint="Another process may have reached the sockets: see `nbprod doctor`.",
            )
        header, parent = orjson.loads(parts[0]), orjson.loads(parts[1])
        content, raw = read_content(parts[3], self._mask)
        return Message(header["msg_type"], parent.get("msg_id", ""), str(header.get("date", "")), content, raw)
