"""How people name a published step: `train@3`, `train@production`, `train@latest`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nbprod.errors import NotFound
from nbprod.ledger import Ledger
from nbprod.ledger.steps import StepVersion

__all__ = ["StepReference", "resolve"]

_FORM = re.compile(r"(?P<step>[^@/\\]+)@(?P<which>[\w.-]+)\Z")
_LATEST = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReference:
    """A step, and which of its versions: a number, an alias, or `latest`."""

    step: str
    which: str

    @classmethod
    def parse(cls, text: str) -> StepReference | None:
        """Read a reference; None for a text of another form."""
        match = _FORM.match(text)
        return None if match is None else cls(step=match["step"], which=match["which"])

    def __str__(self) -> str:
        """Return it as it is typed."""
        return f"{self.step}@{self.which}"


def resolve(reference: StepReference, ledger: Ledger) -> StepVersion:
    """Return the version that a reference names now.

    Raises:
        NotFound: there is none.
    """
    there = ledger.published(reference.step)
    if not there:
        raise NotFound(
            f"step {reference.step!r} was never published",
            hint=f"Freeze it with `nbprod publish {reference.step}`.",
        )
    which = reference.which
    if which == _LATEST:
        return there[0]
    for version in there:
        if which == str(version.version) or which in version.aliases:
            return version
    names = [str(version.version) for version in there] + sorted(alias for each in there for alias in each.aliases)
    raise NotFound(f"{reference} was never published", expected=f"one of: {', '.join(names)}, {_LATEST}")
