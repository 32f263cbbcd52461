"""Facts about the machine: recorded for people, never part of a run's identity."""

from __future__ import annotations

import locale
import os
import platform
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from nbprod.digest import Json

__all__ = ["machine_facts"]


def machine_facts(environ: Mapping[str, str], root: Path = Path("/")) -> dict[str, Json]:
    """Return what the machine is; a fact that can't be had is None.

    Args:
        environ: the variables that the kernel will be started with.
        root: where the system's files lie.
    """
    return {
        "host": platform.node() or None,
        "os": {"system": platform.system(), "release": platform.release(), "name": _os_name(root)},
        "machine": platform.machine() or None,
        "cpu": {"model": _cpu_model(root), "count": os.cpu_count(), "usable": _usable_cpus()},
        "memory_bytes": _memory(),
        "time_zone": _time_zone(environ, root),
        "locale": _locale(environ),
        "container": _container(environ, root),
    }


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


def _os_name(root: Path) -> str | None:
    pretty = [line.partition("=")[2] for line in _lines(root / "etc/os-release") if line.startswith("PRETTY_NAME=")]
    return pretty[0].strip("\"'") if pretty else None


@cache  # on a machine with many processors, /proc/cpuinfo takes milliseconds
def _cpu_model(root: Path) -> str | None:
    models = (line.partition(":")[2].strip() for line in _lines(root / "proc/cpuinfo") if line.startswith("model name"))
    return next(models, None) or platform.processor() or None


def _usable_cpus() -> int | None:
    # Containers and batch systems often grant fewer than there are; macOS can't tell.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _time_zone(environ: Mapping[str, str], root: Path) -> str | None:
    """Return the zone's name (`Europe/Berlin`), else its abbreviation."""
    if environ.get("TZ"):
        return environ["TZ"].removeprefix(":")
    try:
        target = str((root / "etc/localtime").readlink())
    except OSError:
        target = ""
    if "zoneinfo/" in target:
        return target.rpartition("zoneinfo/")[2]
    return next(iter(_lines(root / "etc/timezone")), time.tzname[0])


def _locale(environ: Mapping[str, str]) -> dict[str, Json]:
    # In the order of POSIX: LC_ALL over LC_CTYPE over LANG.
    name = next((environ[key] for key in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(key)), None)
    return {"name": name, "encoding": locale.getencoding()}


def _container(environ: Mapping[str, str], root: Path) -> dict[str, Json] | None:
    """Return hints that this is a container: its kind, and an image's name where the platform tells one."""
    kind = None
    if "KUBERNETES_SERVICE_HOST" in environ:
        kind = "kubernetes"
    elif (root / ".dockerenv").exists():
        kind = "docker"
    elif (root / "run/.containerenv").exists():
        kind = "podman"
    elif any(word in line for line in _lines(root / "proc/1/cgroup") for word in ("docker", "kubepods", "lxc")):
        kind = "cgroup"
    if kind is None:
        return None
    image = [line.partition("=")[2].strip('"') for line in _lines(root / "run/.containerenv") if line[:6] == "image="]
    return {"kind": kind, "image": image[0] if image else environ.get("CONTAINER_IMAGE")}
