"""What works on this machine for this project, found out by trying it, and what to do about the rest."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from nbprod.errors import NbprodError
from nbprod.project.machine import (
    Finding,
    Health,
    check_kernels,
    check_memory_events,
    check_runtime_folder,
    check_supervisor,
)
from nbprod.project.project import Project
from nbprod.project.recovery import has_ledger
from nbprod.project.standings import doubted_aliases
from nbprod.project.stores import check_remote, quarantines

__all__ = ["Check", "Finding", "Health", "examine"]

Check = Callable[[Project], Iterator[Finding]]
"""Finds out about one thing."""

_GIGABYTE = 10**9
_PYTHONS = ((3, 11), (3, 14))


def examine(project: Project, *further: Check) -> Iterator[Finding]:
    """Try what a run needs, one thing after another; nothing is left behind.

    Args:
        project: the project whose store and ledger are tried.
        further: checks of what stands above the project.
    """
    checks: tuple[Check, ...] = (
        _python,
        check_kernels,
        check_supervisor,
        check_runtime_folder,
        check_memory_events,
        _store,
        _quarantine,
        _ledger,
        _keys,
        _aliases,
        _distributions,
        _git,
        *further,
    )
    for check in checks:
        yield from check(project)


def _python(_: Project) -> Iterator[Finding]:
    low, high = _PYTHONS
    version = ".".join(map(str, sys.version_info[:3]))
    fine = low <= sys.version_info[:2] < high
    yield Finding("python", Health.OK if fine else Health.WARN, version, "" if fine else "Use Python 3.11 to 3.13.")
    if sys.platform != "linux":
        yield Finding(
            "platform",
            Health.WARN,
            sys.platform,
            "Without Linux's parent-death signals, processes that a notebook detaches may outlive a killed runner.",
        )


def _store(project: Project) -> Iterator[Finding]:
    url = project.home.store_url
    if "://" in url:
        yield from check_remote(project.home)
        return
    wanted = project.root / url
    place = next(folder for folder in (wanted, *wanted.parents) if folder.is_dir())
    if not _writable(place):
        yield Finding("store", Health.FAIL, f"{place} cannot be written to", "Grant the right, or set NBPROD_HOME.")
        return
    free = shutil.disk_usage(place).free
    text = f"{wanted}, {free / _GIGABYTE:.1f} GB free"
    low = free < _GIGABYTE
    yield Finding("store", Health.WARN if low else Health.OK, text, "Free some space: runs keep all that they had.")


def _quarantine(project: Project) -> Iterator[Finding]:
    for place, count in quarantines(project.home):
        told = "1 object was" if count == 1 else f"{count} objects were"
        advice = "Put the right bytes back from a copy of the store, then remove these: the .json beside each names it."
        yield Finding("quarantine", Health.WARN, f"{told} corrupt and set aside in {place}", advice)


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _ledger(project: Project) -> Iterator[Finding]:
    from nbprod.ledger import RunQuery  # noqa: PLC0415

    if not has_ledger(project):
        yield Finding("ledger", Health.OK, "none yet; the first run makes it")
        return
    try:
        ledger = project.home.ledger
        going = list(ledger.runs(RunQuery(running=True)))
        lapsed = {row.run_id for row in ledger.lapsed()}
    except NbprodError as error:
        yield Finding(
            "ledger", Health.FAIL, error.found or error.what, error.hint or "See the message of `nbprod runs`."
        )
        return
    yield Finding("ledger", Health.OK, f"{project.home.ledger_url.rpartition('@')[2]}, {len(going)} runs going on")
    if lapsed:
        names = ", ".join(f"{row.run_id.short} on {row.host}" for row in going if row.run_id in lapsed)
        advice = "Run `nbprod recover` on that machine; where the run's folder is lost, it stays open."
        yield Finding("open runs", Health.WARN, f"their runner vanished: {names}", advice)


def _keys(project: Project) -> Iterator[Finding]:
    from nbprod.attest.keyfile import Role  # noqa: PLC0415 - only here
    from nbprod.attest.keyring import DEVELOPMENT, Keyring  # noqa: PLC0415

    advice = "Runs are recorded unsigned. See the page about keys in the documentation (docs/how-to/keys.md)."
    if project.keys is None:
        yield Finding("keys", Health.WARN, 'no folder for keys, or `keys = "off"`', advice)
        return
    try:
        held = Keyring(project.keys).find(Role.RUNNER) or Keyring(project.keys).find(DEVELOPMENT)
    except NbprodError as error:
        yield Finding("keys", Health.WARN, f"{error.what}: {error.found}", f"{error.hint}. {advice}")
        return
    signing = "none yet; the first run makes one for development" if held is None else f"{held.name} signs runs"
    yield Finding("keys", Health.OK, f"{project.keys}: {signing}")


def _aliases(project: Project) -> Iterator[Finding]:
    if not has_ledger(project):
        return
    advice = "Let it point at another version (`nbprod step alias`), or see `nbprod step show STEP@ALIAS`."
    try:
        for doubt in doubted_aliases(project):
            yield Finding("alias", Health.WARN, str(doubt), advice)
    except NbprodError as error:
        yield Finding("alias", Health.WARN, error.what, "See the message of `nbprod verify --all`.")


def _distributions(_: Project) -> Iterator[Finding]:
    if _version("scrapbook") is not None and _version("nteract-scrapbook") is not None:
        advice = "Uninstall both, then install scrapbook: they overwrite each other's files."
        yield Finding("scrapbook", Health.FAIL, "scrapbook and nteract-scrapbook are both installed", advice)
    else:
        yield Finding("scrapbook", Health.OK, _version("scrapbook") or "not installed here")
    prefect, fastapi = _version("prefect"), _version("fastapi")
    if prefect is None:
        yield Finding("prefect", Health.OK, "not installed; only nbprod.flow needs it (pip install 'nbprod[flow]')")
    elif fastapi is not None and tuple(map(int, fastapi.split(".")[:2])) >= (0, 151):
        advice = "Install fastapi<0.151: this Prefect's server does not start with a newer one."
        yield Finding("prefect", Health.FAIL, f"{prefect} with fastapi {fastapi}", advice)
    else:
        yield Finding("prefect", Health.OK, prefect)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(_: Project) -> Iterator[Finding]:
    found = shutil.which("git")
    advice = "Install git: records will not name the commit that a notebook came from."
    yield Finding("git", Health.WARN if found is None else Health.OK, found or "not found", advice)
