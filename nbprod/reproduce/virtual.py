"""A virtual environment with the distributions that a run had, made from the names and versions in its record.

Wheels only, but for those that the caller names: nothing of a distribution runs while it is installed. Whether the
files are those of then, the environment key tells afterwards, which has a digest over each distribution's RECORD.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbprod.environment.distributions import normal_name
from nbprod.errors import CallerError, EnvironmentFault, IntegrityError
from nbprod.kernels.spec import KernelSpec

__all__ = ["Environment", "install_command", "make_environment", "requirements", "spec_in"]

_TIMEOUT = 3600.0
"""Seconds for an installer: scientific packages are hundreds of megabytes."""
_PINNED = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?==[A-Za-z0-9.!+_-]+")
"""Of a name (PEP 508) and a version (PEP 440) no more than what is of no other use to an installer."""
_MARK = ".nbprod-complete"
_TOLD = 12
"""Lines of an installer's last words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An environment that was made.

    Args:
        python: its interpreter.
        left_out: distributions that no index has: they were installed from a folder of sources.
        new: whether it was made now; else it was there from an earlier time.
    """

    python: Path
    left_out: tuple[str, ...] = ()
    new: bool = True


def requirements(key: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a recorded environment's distributions as `name==version`, and the names of those that were editable.

    Raises:
        IntegrityError: a name or version is none: an installer would read more into it.
    """
    told = key.get("distributions") or ()
    pinned = tuple(f"{each['name']}=={each['version']}" for each in told if "sources" not in each)
    if wrong := [line for line in pinned if not _PINNED.fullmatch(line)]:
        raise IntegrityError("this is no distribution's name and version", found=ascii(wrong[0]))
    return pinned, tuple(str(each["name"]) for each in told if "sources" in each)


def install_command(
    python: Path, listed: Path, pinned: Sequence[str], *, uv: str | None, builds: Sequence[str] = ()
) -> list[str]:
    """Return the command that installs what a file lists, nothing else, and from wheels alone.

    Args:
        python: the environment's interpreter.
        listed: a requirements file.
        pinned: what stands in it: `name==version`.
        uv: the program; None: it is not there, and pip does it.
        builds: the names of those that may be built from their sources.
    """
    may = {normal_name(name) for name in builds}
    names = (line.partition("==")[0] for line in pinned)
    wheels = [name for name in names if normal_name(name) not in may] if may else [":all:"]
    what = ["--no-deps", *(f"--only-binary={name}" for name in wheels), "-r", str(listed)]
    if uv is not None:
        return [uv, "pip", "install", "--quiet", "--python", str(python), *what]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--no-input"]
    return [*pip, "install", "--quiet", *what]


def make_environment(
    key: Mapping[str, Any],
    folder: Path,
    environ: Mapping[str, str],
    *,
    uv: str | None = None,
    builds: Sequence[str] = (),
) -> Environment:
    """Make the environment that a key describes, or return it if it was made before.

    Args:
        key: the recorded environment key.
        folder: where it is to be; its name should be the key's digest.
        environ: the variables for the installer, which reads from them where packages come from.
        uv: the program to install with; None: pip.
        builds: the names of distributions that may be built from their sources, where they have no wheels.

    Raises:
        CallerError: it was no Python, or a Python that is not on this machine.
        EnvironmentFault: the installer failed.
    """
    told = key.get("python")
    if not isinstance(told, dict):
        raise CallerError("the environment cannot be rebuilt", expected="a Python kernel", found="another language")
    pinned, left_out = requirements(key)
    python = folder / "bin" / "python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if (folder / _MARK).exists():
            return Environment(python=python, left_out=left_out, new=False)
        shutil.rmtree(folder, ignore_errors=True)
        _said([*_venv(str(told.get("version")), uv, environ), str(folder)], environ, "make a virtual environment")
        listed = folder / "requirements.txt"
        listed.write_text("".join(f"{line}\n" for line in pinned), encoding="utf-8")
        if pinned:
            command = install_command(python, listed, pinned, uv=uv, builds=builds)
            _said(command, environ, "install what the run had")
        (folder / _MARK).touch()
    return Environment(python=python, left_out=left_out)


def _venv(version: str, uv: str | None, environ: Mapping[str, str]) -> list[str]:
    """Return the command that makes an empty environment for a version of Python."""
    if uv is not None:
        return [uv, "venv", "--quiet", "--python", version]
    minor = ".".join(version.split(".")[:2])
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = sys.executable if minor == own else shutil.which(f"python{minor}", path=environ.get("PATH"))
    if found is None:
        raise CallerError(
            "the environment cannot be rebuilt",
            expected=f"Python {minor} on this machine, or uv, which can get it",
            found=f"Python {own}",
            hint=f"Install Python {minor}, so that `python{minor}` is found.",
        )
    return [found, "-m", "venv", "--without-pip"]


def _said(command: Sequence[str], environ: Mapping[str, str], what: str) -> None:
    try:
        done = subprocess.run(
            command, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFault(f"{Path(command[0]).name} could not {what}", found=str(error)) from error
    if done.returncode:
        words = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()[-_TOLD:]
        raise EnvironmentFault(
            f"{Path(command[0]).name} could not {what}",
            found="; ".join(line.strip() for line in words) or f"exit status {done.returncode}",
            hint="Where a package has no wheels, `--build NAME` has it built from its sources, which runs code of it. "
            "Without --rebuild-env the present environment is taken; every difference is told.",
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time make an environment."""
    with folder.with_name(f".{folder.name}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def spec_in(python: Path, name: str, key: Mapping[str, Any], installed: KernelSpec | None) -> KernelSpec:
    """Return the kernel spec of a run with another interpreter.

    Args:
        python: the interpreter.
        name: the spec's name.
        key: the recorded environment key, which has the command line.
        installed: the spec of that name on this machine, if there is one; it has what the key leaves out.
    """
    if installed is not None:
        return replace(installed, argv=(str(python), *installed.argv[1:]))
    kernel = key["kernel"]
    return KernelSpec(
        name=name,
        argv=(str(python), *map(str, kernel["argv"][1:])),
        env={str(each): str(value) for each, value in (kernel.get("env") or {}).items()},
        language=str(kernel.get("language") or "python"),
        display_name=name,
        interrupt_mode=str(kernel.get("interrupt_mode") or "signal"),
        resource_dir=str(python.parent),
        metadata={},
    )
