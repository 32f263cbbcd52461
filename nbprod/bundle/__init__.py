"""Bundles: a run with all that proves it, in one file that says enough on a machine which never saw its ledger."""

from __future__ import annotations

from nbprod.bundle.bundle import Bundle, open_bundle
from nbprod.bundle.form import Absent, Index, Member, RunEntry

__all__ = ["Absent", "Bundle", "Index", "Member", "RunEntry", "open_bundle"]
