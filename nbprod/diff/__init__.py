"""Two runs side by side: what differs, what only looks as if it did, and how far one reproduced the other."""

from nbprod.diff.compare import compare
from nbprod.diff.comparison import Comparison, Section
from nbprod.diff.levels import Level, Reached, reached
from nbprod.diff.outcome import Outcome
from nbprod.diff.side import Side
from nbprod.diff.tolerance import Margin, Tolerance

__all__ = [
    "Comparison",
    "Level",
    "Margin",
    "Outcome",
    "Reached",
    "Section",
    "Side",
    "Tolerance",
    "compare",
    "reached",
]
