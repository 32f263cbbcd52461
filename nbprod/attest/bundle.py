"""What is signed of a run, as one object: lines of envelopes (in-toto/attestation, spec/v1/bundle.md)."""

from __future__ import annotations

from collections.abc import Iterable

from nbprod.attest.dsse import Envelope
from nbprod.errors import IntegrityError

__all__ = ["BEGINNING", "from_lines", "to_lines"]

BEGINNING = b'{"payload":"eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEi'
"""How a bundle of in-toto statements begins: keys are sorted, and this is base64 of `{"_type":"https://in-toto.io/Sta…`."""


def to_lines(envelopes: Iterable[Envelope]) -> bytes:
    """Return envelopes as lines of canonical JSON, each ended by a newline."""
    return b"".join(envelope.to_bytes() + b"\n" for envelope in envelopes)


def from_lines(data: bytes) -> tuple[Envelope, ...]:
    """Read what `to_lines` wrote, and nothing else: other spaces or fields would have other bytes.

    Raises:
        IntegrityError: it is something else.
    """
    lines = data.split(b"\n")
    if len(lines) < 2 or lines[-1]:  # noqa: PLR2004 - a line, and nothing behind its end
        raise IntegrityError("this is no bundle of envelopes", expected="one or more lines, each ended by a newline")
    envelopes = tuple(map(Envelope.from_bytes, lines[:-1]))
    if to_lines(envelopes) != data:
        raise IntegrityError("a bundle of envelopes is not in the form that nbprod writes", expected="RFC 8785")
    return envelopes
