"""The inputs that are kept with a run, found by way of its trace."""

from __future__ import annotations

from nbprod.digest import Digest
from nbprod.errors import Erased
from nbprod.project.home import Home
from nbprod.record.kept import KeptInput, kept_inputs
from nbprod.record.run_record import RunRecord
from nbprod.record.trace import Trace

__all__ = ["kept_of"]


def kept_of(home: Home, record: RunRecord) -> tuple[KeptInput, ...]:
    """Return the inputs that are kept with a run; none where the list of what it touched was erased.

    Args:
        home: whose ledger and store.
        record: the run's.

    Raises:
        IntegrityError: that list is missing or spoilt, so that it cannot be known which they are.
        StoreUnavailable: the store cannot be read, or the list waits on another machine.
    """
    if record.trace is None:
        return ()

    def listing(digest: Digest) -> bytes | None:
        try:
            return home.read(digest, record.run_id)
        except Erased:
            return None

    try:
        trace = Trace.from_bytes(home.read(record.trace.digest, record.run_id))
    except Erased:
        return ()
    return tuple(kept_inputs(trace, listing))
