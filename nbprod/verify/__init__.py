"""Whether a run is what it was: checks that follow from bytes, signatures and the log, each with its outcome."""

from __future__ import annotations

from nbprod.verify.asked import Asked
from nbprod.verify.outcome import Check, Conclusion, Outcome, Verification
from nbprod.verify.policy import Policy
from nbprod.verify.reviews import Spoken
from nbprod.verify.run import Evidence, spoken_of, verify_run
from nbprod.verify.seen import Seen
from nbprod.verify.standing import Author, Standing, later, standing
from nbprod.verify.steps import Version, judge_step
from nbprod.verify.survey import Survey, survey
from nbprod.verify.trust import Trust, read_trust
from nbprod.verify.version import verify_version
from nbprod.verify.whole import verify_log

__all__ = [
    "Asked",
    "Author",
    "Check",
    "Conclusion",
    "Evidence",
    "Outcome",
    "Policy",
    "Seen",
    "Spoken",
    "Standing",
    "Survey",
    "Trust",
    "Verification",
    "Version",
    "judge_step",
    "later",
    "read_trust",
    "spoken_of",
    "standing",
    "survey",
    "verify_log",
    "verify_run",
    "verify_version",
]
