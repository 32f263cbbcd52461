"""Signed notes: text, and signatures below it (https://c2sp.org/signed-note), Ed25519 only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from nbprod.attest.keys import PrivateKey, PublicKey
from nbprod.attest.strict import read_base64, write_base64
from nbprod.errors import CallerError, IntegrityError, SignatureInvalid

__all__ = ["NoteKey", "open_note", "sign_note"]

_ED25519 = b"\x01"
_DASH = "\u2014 "
_ID = 4
"""Bytes of a key's id in a note."""
_LARGEST = 1 << 20
_MOST = 100
"""Signatures of one note; the specification asks for 16 at least."""


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key under a name.

    Args:
        name: not empty, without spaces and `+`; best a URL without its scheme.
        key: the key.
    """

    name: str
    key: PublicKey

    def __post_init__(self) -> None:
        """Refuse a name that a signature's line could not hold."""
        if not self.name or "+" in self.name or any(letter.isspace() or letter < " " for letter in self.name):
            raise CallerError("not a name of a key", expected="no spaces and no +", found=repr(self.name))

    @property
    def hash(self) -> bytes:
        """The four bytes that name key, name and algorithm in a signature."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key.raw).digest()[:_ID]

    def __str__(self) -> str:
        """Return `NAME+HASH+KEY`, the text by which other programs are told a key (golang.org/x/mod/sumdb/note)."""
        return f"{self.name}+{self.hash.hex()}+{write_base64(_ED25519 + self.key.raw)}"


def sign_note(text: str, name: str, *keys: PrivateKey) -> str:
    """Return a text with signatures.

    Args:
        text: ends with a newline.
        name: the keys' name.
        keys: one or more.

    Raises:
        CallerError: the text has no newline at its end, or holds control characters.
    """
    if not text.endswith("\n") or not _is_plain(text):
        raise CallerError("not a text that can be signed as a note", expected="lines, the last ended by a newline")
    lines = []
    for key in keys:
        signature = NoteKey(name, key.public).hash + key.sign(text.encode())
        lines.append(f"{_DASH}{name} {write_base64(signature)}\n")
    return f"{text}\n{''.join(lines)}"


def open_note(note: str, keys: Iterable[NoteKey]) -> tuple[str, tuple[NoteKey, ...]]:
    """Return a note's text, and those of the keys that have signed it; signatures of other keys are passed over.

    Args:
        note: text and signatures.
        keys: those that are trusted.

    Raises:
        IntegrityError: it is no signed note.
        SignatureInvalid: none of the keys has signed it, or a signature that names one of them is not its own.
    """
    if len(note) > _LARGEST or not _is_plain(note):
        raise IntegrityError("this is no signed note", expected=f"UTF-8 text of {_LARGEST} characters at most")
    text, blank, below = note.rpartition("\n\n")
    if not blank or not below.endswith("\n"):
        raise IntegrityError("this is no signed note", expected="text, an empty line, and lines of signatures")
    text += "\n"
    trusted = {(key.name, key.hash): key for key in keys}
    found: list[NoteKey] = []
    lines = below[:-1].split("\n")
    if len(lines) > _MOST:
        raise IntegrityError("this note has too many signatures", expected=f"{_MOST} at most", found=str(len(lines)))
    for line in lines:
        name, signature = _read_line(line)
        key = trusted.get((name, signature[:_ID]))
        if key is None:
            continue
        if key in found or not key.key.verifies(signature[_ID:], text.encode()):
            raise SignatureInvalid(f"the signature of {name} on this note is not its own, or stands there twice")
        found.append(key)
    if not found:
        names = ", ".join(sorted({name for name, _ in trusted})) or "no key"
        raise SignatureInvalid("none of the keys that are trusted for it has signed this note", expected=names)
    return text, tuple(found)


def _read_line(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not name or "+" in name or any(letter.isspace() for letter in name):
        raise IntegrityError("a note's line is no signature", expected=f"{_DASH}NAME BASE64", found=repr(line[:80]))
    signature = read_base64(encoded, "a note's signature")
    if len(signature) <= _ID:
        raise IntegrityError("a note's signature is empty", expected=f"more than {_ID} bytes")
    return name, signature


def _is_plain(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return all(letter >= " " or letter == "\n" for letter in text)
