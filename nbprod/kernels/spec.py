"""Kernel specs: how a kernel is started, found the way Jupyter finds them."""

from __future__ import annotations

import json
import re
import string
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbprod.errors import NotFound

__all__ = ["KernelSpec", "find_kernel_spec", "kernel_spec_of"]

_NAME = re.compile(r"[a-z0-9._-]+\Z", re.ASCII)
_PYTHON = re.compile(r"python(\d+(\.\d+)?)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSpec:
    """A kernel spec (Jupyter client documentation, "Kernel specs").

    Args:
        name: its name, e.g. `python3`.
        argv: its command line with `{connection_file}` and `{resource_dir}` still in it.
        env: variables that it adds.
        language: e.g. `python`.
        display_name: its name for people.
        interrupt_mode: `signal` or `message`.
        resource_dir: the folder that it was found in.
        metadata: whatever else it carries.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    language: str
    display_name: str
    interrupt_mode: str
    resource_dir: str
    metadata: Mapping[str, Any]

    @property
    def python(self) -> Path | None:
        """The interpreter of a Python kernel, None for other kernels."""
        return Path(self._interpreter()) if self.is_ipykernel else None

    @property
    def is_ipykernel(self) -> bool:
        """Whether this is IPython's kernel, which takes its options and our bootstrap."""
        return any(word in ("ipykernel_launcher", "ipykernel") for word in self.argv)

    def _interpreter(self) -> str:
        # A spec that says only `python` means the one that Jupyter runs in (jupyter_client, format_kernel_cmd).
        return sys.executable if _PYTHON.match(self.argv[0]) else self.argv[0]

    def command(self, connection_file: Path) -> list[str]:
        """Return the command line for one launch."""
        values = {"connection_file": str(connection_file), "resource_dir": self.resource_dir, "prefix": sys.prefix}
        words = [re.sub(r"\{(\w+)\}", lambda m: values.get(m[1], m[0]), word) for word in self.argv[1:]]
        command = [self._interpreter(), *words]
        if self.is_ipykernel:
            # Many kernels at once would queue for the one history file in the home folder.
            command.append("--HistoryManager.hist_file=:memory:")
        return command

    def environment(self, base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
        """Return the kernel's environment: `base`, the spec's own (`${NAME}` filled in from base), then `extra`."""
        merged = dict(base)
        merged.pop("PYTHONEXECUTABLE", None)  # as jupyter_client does: it would mislead another interpreter
        for name, value in self.env.items():
            merged[name] = string.Template(value).safe_substitute(base)
        merged.update(extra)
        return merged

    def to_json(self) -> dict[str, Any]:
        """Return the spec as it stands in `kernel.json`."""
        return {
            "argv": list(self.argv),
            "env": dict(self.env),
            "language": self.language,
            "display_name": self.display_name,
            "interrupt_mode": self.interrupt_mode,
            "metadata": dict(self.metadata),
        }


def kernel_spec_of(name: str, spec: Any) -> KernelSpec:
    """Return what jupyter_client knows of a kernel spec as one of ours."""
    return _of(name, spec.to_dict(), spec.resource_dir)


def find_kernel_spec(name: str) -> KernelSpec:
    """Find a kernel spec by name.

    Raises:
        NotFound: there is none of that name; the message lists those that are there.
    """
    found = _found(name)
    if found is not None:
        return found
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel  # noqa: PLC0415 - slow to import

    finder = KernelSpecManager()
    try:
        spec = finder.get_kernel_spec(name)
    except NoSuchKernel as error:
        there = ", ".join(sorted(finder.find_kernel_specs())) or "none"
        raise NotFound(
            f"no kernel named {name!r} is installed",
            expected=f"one of: {there}",
            hint="Install the kernel, or choose another with `-k NAME`.",
        ) from error
    return kernel_spec_of(name, spec)


def _found(name: str) -> KernelSpec | None:
    """Return the first of that name on Jupyter's path: what jupyter_client finds as well, without importing it."""
    from jupyter_core.paths import jupyter_path  # noqa: PLC0415

    if not _NAME.match(name):
        return None
    for place in jupyter_path("kernels"):
        file = Path(place) / name / "kernel.json"
        try:
            return _of(name, json.loads(file.read_text("utf-8")), str(file.parent))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return None  # jupyter_client says what is wrong with it
    return None


def _of(name: str, told: Mapping[str, Any], folder: str) -> KernelSpec:
    return KernelSpec(
        name=name,
        argv=tuple(told["argv"]),
        env=dict(told.get("env") or {}),
        language=told.get("language") or "",
        display_name=told.get("display_name") or "",
        interrupt_mode=told.get("interrupt_mode") or "signal",
        resource_dir=folder,
        metadata=dict(told.get("metadata") or {}),
    )
