"""Steps frozen under versions: what belongs to one, how it is kept, and how it is brought back."""

from __future__ import annotations

from nbprod.publish.manifest import Frozen, Manifest
from nbprod.publish.publish import Publication, Sign, move_alias, publish
from nbprod.publish.reference import StepReference, resolve
from nbprod.publish.tree import frozen_step

__all__ = [
    "Frozen",
    "Manifest",
    "Publication",
    "Sign",
    "StepReference",
    "frozen_step",
    "move_alias",
    "publish",
    "resolve",
]
