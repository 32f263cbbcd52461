"""How far apart two numbers may be, and still count as equal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nbprod.errors import CallerError

__all__ = ["EXACT", "Margin", "Tolerance"]

_EXPECTED = "a number not below 0, `rel:NUMBER`, percents or `any`: 0.01, rel:1e-6, 1%, any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """A margin around a number: the greater of the two counts.

    Args:
        relative: share of the greater of the two numbers.
        absolute: in the numbers' own unit.
    """

    relative: float = 0.0
    absolute: float = 0.0

    def holds(self, before: float, after: float) -> bool:
        """Say whether the numbers are within the margin; NaN is as far from NaN as nothing."""
        if before == after or (before != before and after != after):  # noqa: PLR0124 - NaN
            return True
        if not (math.isfinite(before) and math.isfinite(after)):
            return False
        return math.isclose(before, after, rel_tol=self.relative, abs_tol=self.absolute)

    def __str__(self) -> str:
        """Return it as people write it."""
        if math.isinf(self.absolute):
            return "any number"
        parts = [f"±{self.absolute:g}"] if self.absolute else []
        parts += [f"±{self.relative:g} of the value"] if self.relative else []
        return " or ".join(parts) or "exact"

    @classmethod
    def parse(cls, text: str) -> Margin:
        """Read `0.01` (absolute), `rel:0.01` or `1%` (relative), or `any`, for what is measured anew each time.

        Raises:
            CallerError: it is neither.
        """
        try:
            if text == "any":
                return cls(absolute=math.inf)
            if text.endswith("%"):
                return cls(relative=_amount(text[:-1]) / 100)
            if text.startswith("rel:"):
                return cls(relative=_amount(text[4:]))
            return cls(absolute=_amount(text.removeprefix("abs:")))
        except ValueError as error:
            raise CallerError("not a tolerance", expected=_EXPECTED, found=repr(text)) from error


EXACT = Margin()
"""No margin."""


def _amount(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(text)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Margins for the numbers of scraps.

    Args:
        floats: for floats that are not named: 1e-9 of the value, what another order of summing may change.
        named: by the scrap's name; for its whole numbers, too, which else count as equal only if they are.
    """

    floats: Margin = Margin(relative=1e-9)
    named: Mapping[str, Margin] = field(default_factory=dict)

    def of(self, name: str) -> Margin:
        """Return the margin for the floats of a scrap."""
        return self.named.get(name, self.floats)

    def of_ints(self, name: str) -> Margin:
        """Return the margin for the whole numbers of a scrap."""
        return self.named.get(name, EXACT)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Tolerance:
        """Read `MARGIN` for all scraps, and `NAME=MARGIN` for one; later ones go before earlier ones.

        Raises:
            CallerError: one is no margin.
        """
        made = cls()
        for text in texts:
            name, named, margin = text.rpartition("=")
            if named:
                made = cls(floats=made.floats, named={**made.named, name: Margin.parse(margin)})
            else:
                made = cls(floats=Margin.parse(margin), named=made.named)
        return made
