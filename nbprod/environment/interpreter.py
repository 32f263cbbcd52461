"""What an interpreter says of itself when it starts as the kernel will, asked once and remembered while that holds.

Only the interpreter knows its `sys.path`: the lines of .pth files may be code (Python documentation, module `site`).
Its answer is good as long as the files are as they were that had a say in it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from nbprod.digest import Json, digest_json
from nbprod.environment.distributions import Memory
from nbprod.errors import KernelUnavailable

__all__ = ["interpreter_at"]

_TIMEOUT = 30.0
"""Seconds for an interpreter to tell what it is."""
_VARIABLES = (
    "HOME",
    "PYTHONHOME",
    "PYTHONNOUSERSITE",
    "PYTHONPATH",
    "PYTHONPLATLIBDIR",
    "PYTHONSAFEPATH",
    "PYTHONUSERBASE",
)
"""Those that change where an interpreter looks for packages."""
_CUSTOM = ("sitecustomize.py", "usercustomize.py")


def interpreter_at(place: str, options: tuple[str, ...], environ: Mapping[str, str], memory: Memory) -> dict[str, Any]:
    """Return what `_in_interpreter.describe` says there.

    Args:
        place: the interpreter.
        options: of its command line.
        environ: the variables that it starts with.
        memory: read, and brought up to date.

    Raises:
        KernelUnavailable: it cannot be run.
    """
    variables = {name: environ[name] for name in _VARIABLES if name in environ}
    if "PYTHONPATH" in variables:
        parts = [os.path.abspath(part) for part in variables["PYTHONPATH"].split(os.pathsep) if part]  # noqa: PTH100
        variables["PYTHONPATH"] = os.pathsep.join(parts)
    entry = f"interpreter {digest_json([list(options), variables]).short}"  # a digest: values stay out of the cache
    signature = [_signature(place), _signature(str(Path(place).parent.parent / "pyvenv.cfg"))]
    known = memory.get(entry)
    if known is None or known[:2] != signature or not _holds(known[2], known[3]):
        about = _ask(place, options, {**environ, **variables})
        folders = dict.fromkeys([*about["path"], *about["site"]])
        state = {folder: _startup_files(folder) for folder in folders}
        known = memory[entry] = [*signature, state, _missing(state), about]
    answer: dict[str, Any] = known[4]
    return answer


def _signature(path: str) -> Json:
    try:
        link, target = os.lstat(path), os.stat(path)  # noqa: PTH116 - both are wanted
    except OSError:
        return None
    return [link.st_mtime_ns, target.st_mtime_ns, target.st_size]


def _holds(state: Mapping[str, Json], missing: Iterable[str]) -> bool:
    same = all(_startup_files(folder) == kept for folder, kept in state.items())
    return same and not any(map(os.path.exists, missing))


def _startup_files(folder: str) -> Json:
    """Return name, time and size of the files in a folder that can change `sys.path`; None where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(".pth") or entry.name in _CUSTOM)
    except OSError:
        return None
    return [[name, _signature(f"{folder}/{name}")] for name in names]


def _missing(state: Mapping[str, Any]) -> list[str]:
    """Return the folders that .pth files name in vain: once they are made, they count."""
    named = [
        os.path.join(folder, line)  # noqa: PTH118 - on text, as `site` does it
        for folder, kept in state.items()
        for name, _ in kept or ()
        if name.endswith(".pth")
        for line in _paths_in(Path(folder, name))
    ]
    return [path for path in named if not os.path.exists(path)]  # noqa: PTH110


def _paths_in(pth: Path) -> list[str]:
    try:
        lines = pth.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [line.rstrip() for line in lines if line.strip() and not line.startswith(("#", "import ", "import\t"))]


def _ask(place: str, options: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, Any]:
    script = files(__package__).joinpath("_in_interpreter.py").read_text("utf-8")
    command = [place, *options, "-c", script]
    try:
        # From `/`: with -c the current folder is the first place that modules are looked for in.
        done = subprocess.run(
            command,
            env=dict(environ),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise KernelUnavailable(
            "the kernel's interpreter does not answer",
            expected="a Python that prints what it is",
            found=f"{place}: {_said(error)}",
            hint="Check the kernel spec's argv with `jupyter kernelspec list`",
        ) from error
    return answer


def _said(error: Exception) -> str:
    """Return what went wrong, without the script that stands in the command."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"nothing for {_TIMEOUT:g} seconds"
    if isinstance(error, subprocess.CalledProcessError):
        told = error.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return f"exit status {error.returncode}{': ' if told else ''}{told}"
    return str(error)
