"""How far a log has come: its size and its root, in a signed note (https://c2sp.org/tlog-checkpoint)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nbprod.attest.keys import PrivateKey
from nbprod.attest.note import NoteKey, open_note, sign_note
from nbprod.attest.strict import read_base64, write_base64
from nbprod.errors import CallerError, IntegrityError

__all__ = ["Checkpoint"]

_HASH = 32
_LINES = 3
_DIGITS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A log's state.

    Args:
        origin: which log.
        size: how many leaves it has.
        root: of the tree over them; 32 bytes.
        extensions: further lines, which mean nothing here.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what has no form as a note."""
        lines = (self.origin, *self.extensions)
        if self.size < 0 or len(self.root) != _HASH or any(not line or "\n" in line for line in lines):
            raise CallerError("not a log's state", expected="lines that are not empty, a size, and a root of 32 bytes")

    @property
    def text(self) -> str:
        """The text that is signed."""
        return "\n".join([self.origin, str(self.size), write_base64(self.root), *self.extensions, ""])

    def sign(self, *keys: PrivateKey) -> str:
        """Return the signed note; the keys' name is the log's."""
        return sign_note(self.text, self.origin, *keys)

    @classmethod
    def open(cls, note: str, keys: Iterable[NoteKey]) -> tuple[Checkpoint, tuple[NoteKey, ...]]:
        """Return what a signed note says, and who of the keys has signed it.

        Raises:
            IntegrityError: it is no checkpoint.
            SignatureInvalid: see `open_note`.
        """
        text, signers = open_note(note, keys)
        return cls.parse(text), signers

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a checkpoint's text, unsigned.

        Raises:
            IntegrityError: it is something else.
        """
        lines = text.split("\n")
        if len(lines) <= _LINES or lines[-1] or not all(lines[:-1]):
            raise IntegrityError("this is no checkpoint", expected="origin, size and root, each on a line")
        origin, size, root, *extensions = lines[:-1]
        if not (size.isascii() and size.isdigit() and len(size) < _DIGITS) or str(int(size)) != size:
            raise IntegrityError("a checkpoint's size is no number", expected="decimal digits", found=repr(size[:40]))
        hashed = read_base64(root, "a checkpoint's root")
        if len(hashed) != _HASH:
            raise IntegrityError("a checkpoint's root is no hash", expected=f"{_HASH} bytes", found=str(len(hashed)))
        return cls(origin=origin, size=int(size), root=hashed, extensions=tuple(extensions))
