"""Ed25519 keys (RFC 8032). What computes with them is imported when it is needed: most commands sign nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from nbprod.errors import CallerError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["PrivateKey", "PublicKey"]

_SIZE = 32
_SPKI = bytes.fromhex("302a300506032b6570032100")
"""What stands before the key's own bytes in the DER form of an Ed25519 SubjectPublicKeyInfo (RFC 8410)."""


@dataclass(frozen=True, slots=True, order=True)
class PublicKey:
    """A key that signatures are checked with.

    Args:
        raw: 32 bytes (RFC 8032, section 5.1.5).
    """

    raw: bytes

    def __post_init__(self) -> None:
        """Refuse what is no key."""
        if len(self.raw) != _SIZE:
            raise CallerError("not an Ed25519 public key", expected=f"{_SIZE} bytes", found=str(len(self.raw)))

    @property
    def id(self) -> str:
        """The hex digits of the SHA-256 of its SubjectPublicKeyInfo in DER, as cosign and others name keys."""
        return hashlib.sha256(_SPKI + self.raw).hexdigest()

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Say whether the key's owner has signed the bytes."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

        try:
            _loaded(self.raw).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True

    def to_pem(self) -> bytes:
        """Return the form that `openssl pkey -pubin` reads."""
        from nbprod.attest.strict import write_base64  # noqa: PLC0415

        text = write_base64(_SPKI + self.raw)
        return f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n".encode()

    @classmethod
    def from_pem(cls, data: bytes) -> PublicKey:
        """Read a public key.

        Raises:
            CallerError: it is something else.
        """
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

        try:
            key = load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise CallerError("not a public key", expected="an Ed25519 key in PEM", found=str(error)) from error
        if not isinstance(key, Ed25519PublicKey):
            raise CallerError("not a key of this kind", expected="an Ed25519 key in PEM", found=type(key).__name__)
        return cls(key.public_bytes_raw())


@lru_cache(64)
def _loaded(raw: bytes) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    return Ed25519PublicKey.from_public_bytes(raw)


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key that signs. It shows itself nowhere, and is not to be pickled.

    Args:
        key: what signs.
    """

    key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def new(cls) -> PrivateKey:
        """Make a key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> PrivateKey:
        """Return the key of 32 secret bytes (RFC 8032, section 5.1.5)."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_pem(cls, data: bytes) -> PrivateKey:
        """Read an unencrypted private key (PKCS 8, RFC 5958).

        Raises:
            CallerError: it is something else.
        """
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

        try:
            key = load_pem_private_key(data, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise CallerError("not a private key", expected="an Ed25519 key in PEM (PKCS 8)") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise CallerError("not a key of this kind", expected="an Ed25519 key in PEM (PKCS 8)")
        return cls(key)

    def to_pem(self) -> bytes:
        """Return the form that `from_pem` reads."""
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def public(self) -> PublicKey:
        """The key that checks what this one signs."""
        return PublicKey(self.key.public_key().public_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """Return the 64 bytes of a signature."""
        return self.key.sign(data)

    def __reduce__(self) -> str:
        """Refuse to be pickled: a private key leaves its process by its file only."""
        raise TypeError("a private key is not pickled")
