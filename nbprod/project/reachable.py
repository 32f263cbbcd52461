"""Which bytes of a store are needed: what events name, and what the records and manifests among that name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nbprod.digest import Digest, canonical
from nbprod.ledger.events import RunFinished, StepPublished, to_json
from nbprod.project.home import Home
from nbprod.record.ids import RunId

__all__ = ["Reached", "reached"]

_HEX = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
"""A SHA-256 digest in whatever form it stands in JSON; 64 digits that are none keep nothing that should go."""


@dataclass(frozen=True, slots=True)
class Reached:
    """Digests, 32 bytes each: a million objects take some 100 MB."""

    digests: set[bytes]

    def __contains__(self, digest: Digest) -> bool:
        """Return whether the object is needed."""
        return bytes.fromhex(digest.hex) in self.digests

    def add_all(self, text: bytes) -> None:
        """Count all digests in the text as needed."""
        self.digests.update(bytes.fromhex(found.decode()) for found in _HEX.findall(text))


def reached(home: Home) -> Reached:
    """Return what is needed.

    Raises:
        IntegrityError: a record or manifest is missing or spoilt, so that it cannot be known what it names.
        StoreUnavailable: the store cannot be read, or a record waits on another machine.
    """
    found = Reached(set())
    read: set[bytes] = set()  # cached runs and versions may share what they name
    for stored in home.ledger.events():
        event = stored.event
        found.add_all(canonical(to_json(event)))
        root: Digest | None = None
        run_id: RunId | None = None
        if isinstance(event, RunFinished):
            root, run_id = event.record, event.run_id
        elif isinstance(event, StepPublished):
            root = event.manifest
        if root is not None and bytes.fromhex(root.hex) not in read:
            read.add(bytes.fromhex(root.hex))
            found.add_all(home.read(root, run_id))
    return found
