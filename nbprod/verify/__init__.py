"""Whether a run is what it was: checks that follow from bytes, signatures and the log, each with its outcome."""

from __future__ import annotations

from nbprod.verify.asked import Asked
from nbprod.verify.outcome import Check, Conclusion, Outcome, Verification
from nbprod.verify.policy import Policy
from nbprod.verify.run import Evidence, verify_run
from nbprod.verify.seen import Seen
from nbprod.verify.survey import Survey, survey
from nbprod.verify.trust import Trust, read_trust
from nbprod.verify.whole import verify_log

__all__ = [
    "Asked",
    "Check",
    "Conclusion",
    "Evidence",
    "Outcome",
    "Policy",
    "Seen",
    "Survey",
    "Trust",
    "Verification",
    "read_trust",
    "survey",
    "verify_log",
    "verify_run",
]
