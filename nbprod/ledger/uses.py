"""What bytes runs used and left, as a ledger is asked for it."""

from __future__ import annotations

from dataclasses import dataclass

from nbprod.digest import Digest
from nbprod.record.ids import RunId
from nbprod.record.uses import ROLES, Use

__all__ = ["AskedUses", "RunUse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUse:
    """What a run used or left."""

    run_id: RunId
    use: Use


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedUses:
    """Which uses: those of any of the runs, or of any of the digests, or under any of the names, or of what a run made.

    Args:
        runs: who used, or left.
        digests: what.
        beginning: the first hex digits of what; empty: not by these.
        names: under which name (see `Use.name`).
        given_by: artifacts that these runs made and others were given.
        roles: only these.
        limit: at most so many of the latest runs; None: all.
    """

    runs: tuple[RunId, ...] = ()
    digests: tuple[Digest, ...] = ()
    beginning: str = ""
    names: tuple[str, ...] = ()
    given_by: tuple[RunId, ...] = ()
    roles: tuple[str, ...] = ROLES
    limit: int | None = None

    def fits(self, run_id: RunId, use: Use) -> bool:
        """Say whether a use is asked for."""
        return use.role in self.roles and (
            run_id in self.runs
            or use.digest in self.digests
            or use.name in self.names
            or use.run in self.given_by
            or (self.beginning != "" and use.digest.hex.startswith(self.beginning))
        )
