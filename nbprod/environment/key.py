"""The environment of a kernel: the key that counts for a run's identity, and the facts that are only told.

Two environments with equal keys are taken to compute the same; the key holds no path and no name of a machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from nbprod.digest import Digest, Json, digest_json
from nbprod.environment.distributions import Distribution

__all__ = ["SETTINGS", "Environment", "EnvironmentKey", "filled", "kernel_key"]

SETTINGS = (
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
)
"""Environment variables that change what numeric code computes, bit for bit."""

_VERSION = 1
_HIDDEN = "{hidden}"
_SECRET = re.compile(r"key|pass|pwd|secret|token|credential|auth", re.IGNORECASE)
_PYTHON = re.compile(r"python(\d(\.\d+)?)?(\.exe)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentKey:
    """What of an environment can change a result.

    Args:
        python: implementation, version, abi and platform of the kernel's interpreter; None for other languages.
        distributions: what is installed there.
        kernel: the kernel spec, without paths and without values that look like secrets.
        settings: those of `SETTINGS` that are set.
    """

    python: Mapping[str, str] | None
    distributions: tuple[Distribution, ...]
    kernel: Json
    settings: Mapping[str, str]

    def to_json(self) -> dict[str, Json]:
        """Return the JSON that the digest is taken over."""
        return {
            "version": _VERSION,
            "python": None if self.python is None else dict(self.python),
            "distributions": [distribution.to_json() for distribution in self.distributions],
            "kernel": self.kernel,
            "settings": dict(self.settings),
        }

    @property
    def digest(self) -> Digest:
        """The digest of `to_json()`'s canonical bytes."""
        return digest_json(self.to_json())


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An environment: `key` stands in the request, `facts` (JSON) only in the record."""

    key: EnvironmentKey
    facts: Json


def kernel_key(spec: Mapping[str, Any], environ: Mapping[str, str]) -> Json:
    """Return a kernel spec as it stands in the key.

    The interpreter becomes `{python}`, other paths keep their last part, names and logos are left out, and values
    that look like secrets are hidden: the key is stored.

    Args:
        spec: as in `kernel.json` (Jupyter's "Kernel specs").
        environ: the spec's own `env` may name variables of it as `${NAME}`.
    """
    argv = [str(word) for word in spec.get("argv", [])]
    words = [_word(word) for word in argv]
    if argv and _PYTHON.match(PurePath(argv[0]).name):
        words[0] = "{python}"
    env = {
        name: _HIDDEN if _SECRET.search(name) else _without_paths(filled(str(value), environ))
        for name, value in (spec.get("env") or {}).items()
    }
    return {
        "argv": words,
        "env": env,
        "language": spec.get("language"),
        "interrupt_mode": spec.get("interrupt_mode") or "signal",
    }


def filled(value: str, environ: Mapping[str, str]) -> str:
    """Return a value of a kernel spec's `env` with its `${NAME}` replaced."""
    return re.sub(r"\$\{(\w+)\}", lambda match: environ.get(match[1], match[0]), value)


def _word(word: str) -> str:
    option, equals, value = word.partition("=")
    if not equals:
        return _without_path(word)
    return f"{option}={_HIDDEN if _SECRET.search(option) else _without_path(value)}"


def _without_paths(text: str) -> str:
    return os.pathsep.join(map(_without_path, text.split(os.pathsep)))


def _without_path(text: str) -> str:
    path = PurePath(text)
    return "{path}/" + path.name if path.is_absolute() else text
