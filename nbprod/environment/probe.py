"""Finds out the environment of a kernel's interpreter, and remembers what doesn't change.

Cold it costs some tens of milliseconds for 200 distributions (their RECORDs are read, no other file); warm a few:
one `stat` per distribution.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbprod.digest import digest_bytes
from nbprod.environment.distributions import Memory, distributions
from nbprod.environment.facts import machine_facts
from nbprod.environment.interpreter import interpreter_at
from nbprod.environment.key import SETTINGS, Environment, EnvironmentKey, filled, kernel_key

__all__ = ["EnvironmentProbe", "environment_of"]

_FORMAT = 2
_LOOKS_ELSEWHERE = re.compile(r"-[EIPSs]+\Z")


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
            about = interpreter_at(place, _options(kernel_spec), _variables(kernel_spec, environ), memory)
            found = distributions(map(Path, about["path"]), memory)
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


def _options(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return those of a kernel's command line that change where its interpreter looks for packages."""
    words = [str(word) for word in spec.get("argv", [])]
    before = words[1 : words.index("-m")] if "-m" in words else []
    return tuple(word for word in before if _LOOKS_ELSEWHERE.match(word))


def _variables(spec: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    added = spec.get("env") or {}
    return {**environ, **{name: filled(str(value), environ) for name, value in added.items()}}
