"""What looks like a secret, by the rules of detect-secrets (Yelp); nothing is asked of any network."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Suspect", "suspects_in"]

# Public addresses are no secrets, and outputs are full of digests and ids, which is what high entropy finds.
_LEFT_OUT = frozenset({"IPPublicDetector", "Base64HighEntropyString", "HexHighEntropyString"})
_WINDOW = 4096
"""Characters of a line that are looked at at once; an output's JSON may be one line of megabytes."""
_OVERLAP = 256
_SHOWN, _LONG = 4, 16
_MASK = re.compile("«secret:[^»]*»")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """What looks like a secret.

    Args:
        kind: which, in the library's words (`AWS Access Key`).
        line: where in the text, from 1.
        shown: its beginning and its length: enough to find it, and not to use it.
    """

    kind: str
    line: int
    shown: str


def suspects_in(text: str) -> tuple[Suspect, ...]:
    """Return what in a text looks like a secret, each thing once; masks do not.

    Args:
        text: of any length.
    """
    found: dict[tuple[str, str], Suspect] = {}
    for number, line in enumerate(_MASK.sub("", text).splitlines(), 1):
        for window in _windows(line):
            for kind, value in _matches(window):
                found.setdefault((kind, value), Suspect(kind=kind, line=number, shown=_shown(value)))
    return tuple(found.values())


def _windows(line: str) -> Iterator[str]:
    for start in range(0, max(len(line), 1), _WINDOW):
        yield line[max(0, start - _OVERLAP) : start + _WINDOW]


def _shown(value: str) -> str:
    begun = f"{value[:_SHOWN]}…, " if len(value) >= _LONG else ""
    return f"{begun}{len(value)} characters"


def _matches(line: str) -> Iterator[tuple[str, str]]:
    from detect_secrets.filters import heuristic  # noqa: PLC0415 - a tenth of a second

    for rule in _rules():
        for value in rule.analyze_string(line):
            no_value = not value or heuristic.is_not_alphanumeric_string(value)
            if not (no_value or heuristic.is_templated_secret(value) or heuristic.is_sequential_string(value)):
                yield str(rule.secret_type), str(value)


@functools.lru_cache(maxsize=1)
def _rules() -> tuple[Any, ...]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class  # noqa: PLC0415

    classes: Any = get_mapping_from_secret_type_to_class().values()
    return tuple(kind() for kind in classes if kind.__name__ not in _LEFT_OUT)
