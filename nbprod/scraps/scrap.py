"""A scrap, and how the record keeps it: its value inline, or a reference into the store."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nbprod.digest import Digest, Json, canonical, digest_bytes
from nbprod.errors import DigestMismatch, ScrapError
from nbprod.scraps.tags import restore, tag_of

__all__ = ["INLINE_LIMIT", "Encoder", "Scrap", "ScrapEntry"]

INLINE_LIMIT = 256 * 1024
"""Bytes of payload up to which the record keeps a scrap inline; bigger ones go into the store."""

Encoder = Literal["json", "text", "pandas", "display"]

_JSON_TYPES = {type(None): "none", bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrap:
    """A named value that a notebook glued.

    Args:
        name: as given to `sb.glue`.
        encoder: scrapbook's word for the form of `data`; `display` where there is nothing but a display.
        cell: index of the cell that glued it, in the source notebook.
        data: JSON with tags where JSON can't hold the value; for `pandas` a parquet file as base64 text;
            for `display` None.
        display: the MIME bundle that was shown for it, if any.
    """

    name: str
    encoder: Encoder
    cell: int
    data: Json
    display: Mapping[str, Json] | None = None

    @property
    def type(self) -> str:
        """The value's type as one word: `float`, `list`, `datetime`, `ndarray`, `dataframe`, `display`, …."""
        if self.encoder == "pandas":
            return "dataframe"
        if self.encoder == "display":
            return "display"
        return tag_of(self.data) or _JSON_TYPES[type(self.data)]

    @property
    def size(self) -> int:
        """Bytes of `payload_bytes()`."""
        return len(self.payload_bytes())

    def payload_bytes(self) -> bytes:
        """Return data and display as canonical JSON (RFC 8785), the form kept in the store."""
        return canonical(self._payload())

    def _payload(self) -> dict[str, Json]:
        return {"data": self.data} if self.display is None else {"data": self.data, "display": self.display}

    def value(self) -> Any:
        """Return the glued value as Python: tags undone, a DataFrame for `pandas`, the bundle for `display`.

        Raises:
            ScrapError: a tag's value is broken, or a DataFrame is asked for where pandas is missing.
            UnsupportedVersion: a tag of a newer nbprod.
        """
        if self.encoder == "display":
            return None if self.display is None else dict(self.display)
        return _frame(self.name, self.data) if self.encoder == "pandas" else restore(self.data)

    def entry(self, ref: Digest | None = None) -> ScrapEntry:
        """Return the record's form.

        Args:
            ref: where `payload_bytes()` lie in the store; without it the payload stands inline.
        """
        payload = self._payload() if ref is None else None
        return ScrapEntry(
            name=self.name,
            encoder=self.encoder,
            cell=self.cell,
            type=self.type,
            size=self.size,
            payload=payload,
            ref=ref,
        )


def _frame(name: str, data: str) -> Any:
    try:
        import pandas as pd  # type: ignore[import-untyped]  # noqa: PLC0415 - optional, and slow to import

        return pd.read_parquet(io.BytesIO(base64.b64decode(data, validate=True)), engine="pyarrow")
    except ImportError as error:
        raise ScrapError(
            f"scrap {name!r} is a DataFrame",
            expected="pandas and pyarrow, to read it",
            found=str(error),
            hint="Install them, or use scrap.data, a parquet file as base64 text",
        ) from error
    except (ValueError, OSError) as error:
        raise ScrapError(f"scrap {name!r} holds no parquet file", found=str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapEntry:
    """A scrap as the record keeps it, with exactly one of `payload` and `ref`.

    Args:
        name, encoder, cell, type: as in `Scrap`.
        size: bytes of the payload.
        payload: `{"data": …, "display": …}`, the latter where there was one.
        ref: the payload's digest in the store.
        extra: fields of newer writers, written back unchanged.
    """

    name: str
    encoder: Encoder
    cell: int
    type: str
    size: int
    payload: Mapping[str, Json] | None = None
    ref: Digest | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an entry that has both or neither of payload and reference."""
        if (self.payload is None) == (self.ref is None):
            raise ScrapError(f"scrap {self.name!r} needs either a value or a reference in the record")

    def to_json(self) -> dict[str, Json]:
        """Return the JSON that stands in the record: `value` and `display`, or `ref`."""
        head = {"name": self.name, "encoder": self.encoder, "cell": self.cell, "type": self.type, "size": self.size}
        if self.ref is not None:
            return {**self.extra, **head, "ref": str(self.ref)}
        assert self.payload is not None  # noqa: S101 - by __post_init__
        display = {"display": self.payload["display"]} if "display" in self.payload else {}
        return {**self.extra, **head, "value": self.payload["data"], **display}

    @classmethod
    def from_json(cls, entry: Json) -> ScrapEntry:
        """Read what `to_json` wrote.

        Raises:
            ScrapError: a field is missing or of another type.
        """
        try:
            fields = dict(entry)
            head = {key: fields.pop(key) for key in ("name", "encoder", "cell", "type", "size")}
            ref = Digest.parse(fields.pop("ref")) if "ref" in fields else None
            payload = None
            if ref is None:
                payload = {"data": fields.pop("value")}
                if "display" in fields:
                    payload["display"] = fields.pop("display")
        except KeyError as error:
            raise ScrapError("a record's scrap is incomplete", found=f"no {error} in {sorted(entry)}") from error
        except (AttributeError, TypeError, ValueError) as error:
            raise ScrapError("a record's scrap is no JSON object", found=repr(entry)[:80]) from error
        return cls(**head, payload=payload, ref=ref, extra=fields)

    def scrap(self, read: Callable[[Digest], bytes] | None = None) -> Scrap:
        """Return the scrap itself.

        Args:
            read: gives the bytes of a reference, from the store.

        Raises:
            ScrapError: the payload is kept by reference and `read` was not given.
            DigestMismatch: the bytes are not those of the reference.
        """
        payload = self.payload
        if self.ref is not None:
            if read is None:
                raise ScrapError(f"scrap {self.name!r} is kept in the store", expected="a store to read it from")
            data = read(self.ref)
            if digest_bytes(data) != self.ref:
                raise DigestMismatch(f"scrap {self.name!r} is not what the record refers to", expected=str(self.ref))
            payload = json.loads(data)
        assert payload is not None  # noqa: S101 - by __post_init__
        return Scrap(
            name=self.name,
            encoder=self.encoder,
            cell=self.cell,
            data=payload["data"],
            display=payload.get("display"),
        )
