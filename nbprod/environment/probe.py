"""Finds out the environment of a kernel's interpreter, and remembers what doesn't change.

Cold it costs some tens of milliseconds for 200 distributions (their RECORDs are read, no other file); warm a few:
one `stat` per distribution.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from nbprod.digest import Json, digest_bytes
from nbprod.environment._in_interpreter import describe
from nbprod.environment.distributions import Memory, distributions
from nbprod.environment.facts import machine_facts
from nbprod.environment.key import SETTINGS, Environment, EnvironmentKey, kernel_key
from nbprod.errors import KernelUnavailable

__all__ = ["EnvironmentProbe", "environment_of"]

_FORMAT = 1
_TIMEOUT = 30.0  # seconds for another interpreter to tell what it is


class EnvironmentProbe:
    """Answers what environment a kernel will have; may be shared between threads.

    Args:
        cache: a folder to remember in between processes; None remembers in this object only.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._memories: dict[str, Memory] = {}

    def environment_of(
        self, python: Path | None, kernel_spec: Mapping[str, Any], environ: Mapping[str, str]
    ) -> Environment:
        """Return the environment of a kernel.

        Args:
            python: the kernel's interpreter, or None for a kernel of another language.
            kernel_spec: as in `kernel.json`.
            environ: the variables that the kernel will be started with.

        Raises:
            KernelUnavailable: the interpreter cannot be run.
        """
        settings = {name: environ[name] for name in SETTINGS if name in environ}
        kernel = kernel_key(kernel_spec, environ)
        facts = machine_facts(environ)
        if python is None:
            key = EnvironmentKey(python=None, distributions=(), kernel=kernel, settings=settings)
            return Environment(key=key, facts=facts)
        place = os.path.abspath(python)  # noqa: PTH100 - a venv's python is a link that must not be followed
        with self._lock:
            memory = self._memory(place)
            before = dict(memory)
            about = _interpreter(place, memory)
            found = distributions(_site_folders(about, environ), memory)
            if memory != before:
                self._keep(place, memory)
        told = {name: about[name] for name in ("implementation", "version", "abi", "platform")}
        key = EnvironmentKey(python=told, distributions=found, kernel=kernel, settings=settings)
        places = {name: about[name] for name in ("executable", "prefix", "base_prefix")}
        return Environment(key=key, facts={**facts, "python": places})

    def _memory(self, place: str) -> Memory:
        if place not in self._memories:
            self._memories[place] = _read(self._file(place))
        return self._memories[place]

    def _file(self, place: str) -> Path | None:
        return self._cache and self._cache / f"environment-{digest_bytes(os.fsencode(place)).short}.json"

    def _keep(self, place: str, memory: Memory) -> None:
        file = self._file(place)
        if file is None:
            return
        with suppress(OSError):  # a cache that can't be written costs time, nothing else
            file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=file.parent, prefix=".environment-")
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump({"format": _FORMAT, "memory": memory}, stream)
            Path(name).replace(file)


def environment_of(python: Path | None, kernel_spec: Mapping[str, Any], environ: Mapping[str, str]) -> Environment:
    """Return the environment of a kernel, remembering nothing (see `EnvironmentProbe.environment_of`)."""
    return EnvironmentProbe().environment_of(python, kernel_spec, environ)


def _read(file: Path | None) -> Memory:
    try:
        kept = json.loads(file.read_text("utf-8")) if file else {}
    except (OSError, ValueError):
        return {}
    return dict(kept["memory"]) if isinstance(kept, dict) and kept.get("format") == _FORMAT else {}


def _interpreter(place: str, memory: Memory) -> dict[str, Json]:
    """Return what `_in_interpreter.describe` says there; asked again when the interpreter or its venv changed."""
    signature = [_signature(place), _signature(str(Path(place).parent.parent / "pyvenv.cfg"))]
    known = memory.get("interpreter")
    if known is None or known[:2] != signature:
        known = memory["interpreter"] = [*signature, describe() if _is_running(place) else _ask(place)]
    about: dict[str, Json] = known[2]
    return about


def _signature(path: str) -> Json:
    try:
        link, target = os.lstat(path), os.stat(path)  # noqa: PTH116 - both are wanted
    except OSError:
        return None
    return [link.st_mtime_ns, target.st_mtime_ns, target.st_size]


def _is_running(place: str) -> bool:
    running = os.path.abspath(sys.executable)  # noqa: PTH100 - see above
    same_folder = os.path.dirname(running) == os.path.dirname(place)  # noqa: PTH120
    return same_folder and os.path.realpath(running) == os.path.realpath(place)


def _ask(place: str) -> dict[str, Json]:
    script = files(__package__).joinpath("_in_interpreter.py").read_text("utf-8")
    try:
        done = subprocess.run([place, "-I", "-c", script], capture_output=True, timeout=_TIMEOUT, check=True)
        answer: dict[str, Json] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise KernelUnavailable(
            "the kernel's interpreter does not answer",
            expected="a Python that prints what it is",
            found=f"{place}: {error}",
            hint="Check the kernel spec's argv with `jupyter kernelspec list`",
        ) from error
    return answer


def _site_folders(about: Mapping[str, Json], environ: Mapping[str, str]) -> list[Path]:
    """Return where the kernel finds distributions, in the order of its `sys.path`."""
    first = [Path(part) for part in environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    user = [] if environ.get("PYTHONNOUSERSITE") or not about["user_site"] else [Path(about["user_site"])]
    return [*first, *user, *(Path(folder) for folder in about["site"])]
