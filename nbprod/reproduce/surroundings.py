"""The variables that a kernel inherits when a run is executed again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbprod.environment.key import SETTINGS

__all__ = ["variables"]

_OFFSET = re.compile(r"UTC([+-])(\d\d)(\d\d)\Z")


def variables(
    key: Mapping[str, Any], zone: str, here: str, environ: Mapping[str, str], *, root: Path, tree: Path
) -> dict[str, str]:
    """Return the variables that a kernel is to inherit: the present ones, those that change results as they were.

    Args:
        key: the recorded environment key.
        zone: the recorded time zone.
        here: the time zone of this host.
        environ: the present variables.
        root: the project's root: what PYTHONPATH names below it is looked for in the tree.
        tree: what takes its place.
    """
    made = {name: value for name, value in environ.items() if name not in SETTINGS}
    made |= {str(name): str(value) for name, value in (key.get("settings") or {}).items() if name in SETTINGS}
    if zone != here:
        made["TZ"] = _posix(zone)
    if "PYTHONPATH" in made:
        made["PYTHONPATH"] = ":".join(_moved(part, root, tree) for part in made["PYTHONPATH"].split(":"))
    return made


def _posix(zone: str) -> str:
    """Return a zone as TZ takes it; POSIX counts offsets the other way round."""
    match = _OFFSET.match(zone)
    if match is None:
        return zone
    return f"<{match[1]}{match[2]}>{'-' if match[1] == '+' else '+'}{match[2]}:{match[3]}"


def _moved(part: str, root: Path, tree: Path) -> str:
    path = Path(part)
    return str(tree / path.relative_to(root)) if part and path.is_relative_to(root) else part
