"""Runs of other ledgers: what came of a bundle names those that its runs came from, and they need not be here."""

from __future__ import annotations

from dataclasses import dataclass

from nbprod.errors import NotFound
from nbprod.ledger import Ledger
from nbprod.ledger.events import RunStarted
from nbprod.ledger.uses import AskedUses
from nbprod.record.ids import RunId

__all__ = ["BUNDLE", "ForeignRun", "bundle_of", "foreign_run"]

BUNDLE = "bundle"
"""The key of `RunStarted.caller` under which a run that executes one of a bundle again has that file's name."""
_LOOKED = 100
"""Runs that are looked at for where a foreign one came from."""


@dataclass(frozen=True, slots=True)
class ForeignRun:
    """A run that runs of this ledger came from, and which is of another one.

    Args:
        id: its id.
        bundles: the names of the bundles by which its results came here, as far as that is known.
    """

    id: RunId
    bundles: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """Where it is, in words."""
        several = "bundles" if len(self.bundles) > 1 else "bundle"
        by = f" ({several} {', '.join(self.bundles)})" if self.bundles else ""
        return f"of another ledger{by}: not here"


def foreign_run(ledger: Ledger, run_id: RunId) -> ForeignRun | None:
    """Return a run as one of another ledger; None where this ledger has it."""
    try:
        ledger.run(run_id)
    except NotFound:
        takers = dict.fromkeys(each.run_id for each in ledger.uses(AskedUses(given_by=(run_id,), limit=_LOOKED)))
        found = (bundle_of(ledger, each) for each in takers)
        return ForeignRun(run_id, tuple(sorted({each for each in found if each is not None})))
    return None


def bundle_of(ledger: Ledger, run_id: RunId) -> str | None:
    """Return the name of the bundle that a run was executed again from; None for all others."""
    for stored in ledger.events(run_id):
        if isinstance(stored.event, RunStarted):
            name = stored.event.caller.get(BUNDLE)
            return name if isinstance(name, str) else None
    return None
