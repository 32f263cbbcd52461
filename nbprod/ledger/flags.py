"""Flags: tags that nbprod itself puts on a run for somebody to look at, and that people take off (`nbprod untag`)."""

from __future__ import annotations

__all__ = ["FLAGS", "MASKED", "REPRODUCTION", "SUSPECTED"]

MASKED = "secret-masked"
"""What the run put out held a registered secret; the record says where."""
SUSPECTED = "secret-suspected"
"""What the run put out, or was given, holds what looks like a secret that nobody registered (`nbprod secrets`)."""
FLAGS = (MASKED, SUSPECTED)
REPRODUCTION = "reproduction"
"""The tag of a run that executes another one again: `STEP@latest` is none of these while there is any other."""
