"""Sizes in settings: a number of bytes, or a text such as `64 MiB`."""

from __future__ import annotations

import re
from decimal import Decimal

__all__ = ["format_size", "setting_size"]

_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SIZE = re.compile(rf"([0-9]{{1,18}}(?:\.[0-9]{{1,6}})?)\s*({'|'.join(_UNITS)})\Z")


def setting_size(value: object) -> int | None:
    """Return the bytes that a setting means; None where it means none.

    Args:
        value: a number of bytes, 0 or more, or a number and a unit: `B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    found = _SIZE.match(value.strip()) if isinstance(value, str) else None
    return None if found is None else int(Decimal(found[1]) * _UNITS[found[2]])


def format_size(size: int) -> str:
    """Return bytes as a setting would say them: `64 MiB`, `1000 B`."""
    unit = next((unit for unit in ("GiB", "MiB", "KiB") if size and size % _UNITS[unit] == 0), "B")
    return f"{size // _UNITS[unit]} {unit}"
