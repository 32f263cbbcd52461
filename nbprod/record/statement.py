"""Statements of what happened beside runs, in the form of in-toto Statement v1 (in-toto/attestation, spec/v1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nbprod.digest import Digest, Json, canonical, read_canonical
from nbprod.errors import UnsupportedVersion
from nbprod.record.run_record import STATEMENT_TYPE

__all__ = ["predicate_of", "statement"]


def statement(kind: str, subjects: Iterable[tuple[str, Digest]], predicate: Json) -> bytes:
    """Return the bytes of a statement that are kept: RFC 8785.

    Args:
        kind: the predicate's type, an address with a version.
        subjects: names and digests of what it is about.
        predicate: what is said of them.
    """
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": digest.hex}} for name, digest in subjects],
            "predicateType": kind,
            "predicate": predicate,
        }
    )


def predicate_of(data: bytes, kind: str, *, newer: str) -> Any:
    """Return what a statement says.

    Args:
        data: what `statement` returned.
        kind: the predicate's type.
        newer: what a newer nbprod has done, for the message.

    Raises:
        UnsupportedVersion: its predicate is of another type or version.
        ValueError, KeyError, TypeError: it is no statement.
    """
    told: Any = read_canonical(data)
    found, predicate = told["predicateType"], told["predicate"]
    if found != kind:
        raise UnsupportedVersion(newer, expected=kind, found=str(found))
    return predicate
