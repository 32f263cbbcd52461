"""The signatures of a run: its record's, and that of its provenance where it succeeded (docs/decisions/0021)."""

from __future__ import annotations

import time
from functools import cache
from importlib import metadata
from pathlib import Path

from nbprod.attest.bundle import to_lines
from nbprod.attest.dsse import IN_TOTO, sign
from nbprod.attest.keyfile import Role
from nbprod.attest.keyring import Keyring
from nbprod.attest.keys import PrivateKey
from nbprod.attest.provenance import provenance
from nbprod.digest import Digest
from nbprod.errors import EnvironmentFault
from nbprod.record.run_record import RunRecord
from nbprod.record.status import Status
from nbprod.store import Store

__all__ = ["keep_signed", "keep_signed_statement", "runner_key"]

_PAUSES = (0.02, 0.2)
"""Seconds before a key that the system would not hand out is asked for again."""


def runner_key(folder: str | None) -> PrivateKey | None:
    """Return the key that signs records; None where there is none to be had: the run goes on, unsigned.

    Args:
        folder: of the keys; None: nothing is to be signed.
    """
    if folder is None:
        return None
    for pause in (*_PAUSES, None):
        try:
            return Keyring(Path(folder)).signer(Role.RUNNER).key
        except EnvironmentFault as fault:
            if pause is None or not _may_pass(fault.__cause__):
                break  # `nbprod doctor` tells why, and `nbprod verify` that it is unsigned
            time.sleep(pause)
    return None


def _may_pass(cause: BaseException | None) -> bool:
    """Say whether the key may be read in a moment: a run without its signature stays so for ever."""
    return isinstance(cause, OSError) and not isinstance(cause, PermissionError)


def keep_signed(record: RunRecord, data: bytes, digest: Digest, store: Store, folder: str | None) -> Digest | None:
    """Sign a record, and keep the envelopes; return the digest under which they are kept, None without a key.

    Args:
        record: the record.
        data: its bytes, which are signed.
        digest: their digest.
        store: keeps the envelopes.
        folder: of the keys.

    Raises:
        StoreUnavailable: they could not be kept.
    """
    key = runner_key(folder)
    if key is None:
        return None
    envelopes = [sign(data, IN_TOTO, key)]
    if record.verdict.status is Status.SUCCEEDED:
        envelopes.append(sign(provenance(record, digest, version=_version()), IN_TOTO, key))
    return store.put(to_lines(envelopes))


def keep_signed_statement(statement: bytes, store: Store, folder: str | None) -> Digest | None:
    """Sign a statement beside runs, and keep the envelope; return its digest, None without a key.

    Args:
        statement: the statement's bytes.
        store: keeps the envelope.
        folder: of the keys.

    Raises:
        StoreUnavailable: it could not be kept.
    """
    key = runner_key(folder)
    return None if key is None else store.put(to_lines([sign(statement, IN_TOTO, key)]))


@cache
def _version() -> str:
    """Return nbprod's own version."""
    try:
        return metadata.version("nbprod")
    except metadata.PackageNotFoundError:  # run from its sources
        return "unknown"
