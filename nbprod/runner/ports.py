"""What a runner needs from outside, handed in (law 5)."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from nbprod.environment.probe import EnvironmentProbe
from nbprod.execution.fork_servers import ForkServers, Warmth
from nbprod.execution.supervisor import Supervisor
from nbprod.ledger import Ledger
from nbprod.runner.values import block_value, secret_values
from nbprod.step.step import Step
from nbprod.store import Store

__all__ = ["Ports", "local_zone"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


def user_name() -> str:
    """Return who this process belongs to; in a container, a user id may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def local_zone() -> str:
    """Return the host's time zone: its IANA name where one can be told, else its present offset."""
    link = Path("/etc/localtime")
    named = os.environ.get("TZ", "").lstrip(":")
    if not named and link.is_symlink():
        _, found, named = str(link.readlink()).partition("zoneinfo/")
        named = named if found else ""
    if named and not named.startswith("/"):
        return named
    return datetime.now().astimezone().strftime("UTC%z") if time.daylight or time.timezone else "UTC"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The outside world of a runner.

    Args:
        store: where bytes are kept.
        ledger: where events are kept.
        supervisor: who holds the kernels.
        probe: who knows environments.
        folder: where runs have their working files (`.nbprod`).
        root: the project's root, to which recorded paths are relative.
        environ: the environment that kernels inherit.
        now: the wall clock; aware, UTC.
        monotonic: seconds, for durations.
        random: random bytes, for ids.
        user: who runs.
        host: where.
        zone: the host's time zone.
        forks: who forks kernels.
        warmth: when kernels are forked.
        keys: the folder with the keys that sign; None: records are not signed.
        private: files and folders of which nothing is kept: those that hold secrets of any step.
        block: returns the value of Prefect's Secret block of a name; asked only where a step names one.
    """

    store: Store
    ledger: Ledger
    supervisor: Supervisor
    probe: EnvironmentProbe
    folder: Path
    root: Path
    environ: Mapping[str, str]
    now: Callable[[], datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic
    random: Callable[[int], bytes] = os.urandom
    user: str = field(default_factory=user_name)
    host: str = field(default_factory=socket.gethostname)
    zone: str = field(default_factory=local_zone)
    forks: ForkServers = field(default_factory=ForkServers)
    warmth: Warmth = field(default_factory=Warmth)
    keys: Path | None = None
    private: tuple[Path, ...] = ()
    block: Callable[[str], str] = block_value

    @property
    def runs(self) -> Path:
        """The folder that holds a folder per run."""
        return self.folder / "runs"

    def secrets_of(self, step: Step) -> dict[str, str]:
        """Return the values of a step's secrets.

        Raises:
            CallerError: one of them cannot be had.
        """
        return secret_values(step.settings.secrets, step.name, environ=self.environ, root=self.root, block=self.block)
