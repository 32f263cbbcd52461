"""Names that a machine made up: addresses in memory, temporary files, ids in HTML; renumbered as they appear."""

from __future__ import annotations

import re

__all__ = ["renumber_addresses", "renumber_html_ids", "renumber_temporary"]

_ADDRESS = re.compile(r"(?<=\bat )0x[0-9a-fA-F]{6,16}\b")
_BEFORE = 400
"""Characters before an address in which the repr that it belongs to begins."""
_OPENING = re.compile(r"<|&lt;")
_TEMPORARY = re.compile(
    r"(?<=/)tmp[a-z0-9_]{8}(?![A-Za-z0-9_])"  # tempfile.mkstemp and mkdtemp
    r"|(?<=/ipykernel_)\d+(?=/\d+\.py)"  # where ipykernel says that a cell's code stands
)
# fmt: off
_MADE_UP = (
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # a UUID: plotly, bokeh
    r"|[0-9a-f]{32}"  # a UUID without dashes: altair
    r"|T_[0-9a-f]{5}(?![0-9a-f])"  # pandas' Styler
    r"|sk-(?:container|estimator)-id-\d+"  # scikit-learn's estimators
    r"|[a-z][0-9a-f]{10}(?![0-9a-f])"  # matplotlib's SVG
)
# fmt: on
_DECLARED = re.compile(rf"""\bid=["']?(?:[A-Za-z]+[-_])*?(?P<made>{_MADE_UP})""")
_USED = re.compile(rf"(?<![0-9A-Za-z])(?:{_MADE_UP})(?![0-9A-Za-z])")


def renumber_addresses(text: str, seen: dict[str, str]) -> str:
    """Renumber addresses in the reprs of objects: `<object object at 0x7f…>`.

    Hexadecimal numbers that stand elsewhere are left alone.

    Args:
        text: in which they stand.
        seen: the numbers given so far; those of the text are added.
    """

    def number(match: re.Match[str]) -> str:
        before = text[max(0, match.start() - _BEFORE) : match.start()]
        if not _OPENING.search(before.rpartition("\n")[2]):
            return match.group()
        return seen.setdefault(match.group(), f"address {len(seen) + 1}")

    return _ADDRESS.sub(number, text)


def renumber_temporary(text: str, seen: dict[str, str]) -> str:
    """Renumber the random part of temporary files' names, as Python's `tempfile` and ipykernel make them."""
    return _TEMPORARY.sub(lambda match: seen.setdefault(match.group(), f"temporary {len(seen) + 1}"), text)


def renumber_html_ids(text: str, seen: dict[str, str]) -> str:
    """Renumber ids that libraries make up, where the text itself declares them as the id of an element."""
    declared = {match["made"] for match in _DECLARED.finditer(text)}
    if not declared:
        return text
    return _USED.sub(
        lambda match: seen.setdefault(match.group(), f"id{len(seen) + 1}") if match.group() in declared else match[0],
        text,
    )
