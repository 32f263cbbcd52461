"""Which bytes of a store are needed: what events, records and manifests name, and the inputs that are kept."""

from __future__ import annotations

from dataclasses import dataclass

from nbprod.digest import Digest, canonical, digests_in
from nbprod.ledger.events import StepPublished, to_json
from nbprod.ledger.named import records_of
from nbprod.project.home import Home
from nbprod.project.kept import kept_of
from nbprod.record.ids import RunId
from nbprod.record.run_record import RunRecord

__all__ = ["Reached", "reached"]


@dataclass(frozen=True, slots=True)
class Reached:
    """Digests, 32 bytes each: a million objects take some 100 MB."""

    digests: set[bytes]

    def __contains__(self, digest: Digest) -> bool:
        """Return whether the object is needed."""
        return bytes.fromhex(digest.hex) in self.digests

    def add_all(self, text: bytes) -> None:
        """Count all digests in the text as needed."""
        self.digests.update(map(bytes.fromhex, digests_in(text)))

    def add_kept(self, home: Home, record: RunRecord) -> None:
        """Count the inputs that are kept with a run as needed (raises as `kept_of`)."""
        self.digests.update(bytes.fromhex(each.digest.hex) for each in kept_of(home, record))


def reached(home: Home) -> Reached:
    """Return what is needed.

    Raises:
        IntegrityError: a record, manifest or trace is missing or spoilt, so that it cannot be known what it names.
        StoreUnavailable: the store cannot be read, or a record waits on another machine.
    """
    found = Reached(set())
    read: set[bytes] = set()  # cached runs and versions may share what they name
    for stored in home.ledger.events():
        event = stored.event
        found.add_all(canonical(to_json(event)))
        roots: list[tuple[Digest, RunId | None]] = [(record, run_id) for run_id, record in records_of(event)]
        if isinstance(event, StepPublished):
            roots.append((event.manifest, None))
        for root, run_id in roots:
            if (key := bytes.fromhex(root.hex)) not in read:
                read.add(key)
                data = home.read(root, run_id)
                found.add_all(data)
                if run_id is not None:
                    found.add_kept(home, RunRecord.from_bytes(data))
    return found
