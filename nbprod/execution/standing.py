"""Fork servers that outlive the command that started them: where they listen, and who may talk to them.

One listens in a folder that only its user can enter, under its environment's fingerprint: an upgraded package, another
interpreter or other variables make another environment, which never finds it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbprod.errors import EnvironmentFault, KernelUnavailable
from nbprod.execution.head_start import runtime_folder

__all__ = ["Standing", "ask_for", "connect", "private_folder", "standing", "start", "stop"]

_PATIENCE = 60.0
"""Seconds that a server gets to come up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A server that anybody of this user may ask.

    Args:
        key: its environment's fingerprint.
        pid: its process.
        since: seconds since the epoch (UTC) when it came up.
        served: runs that it has been asked for.
        branches: what its branches have in memory.
    """

    key: str
    pid: int
    since: float
    served: int
    branches: tuple[tuple[str, ...], ...]


def private_folder(folder: Path) -> Path:
    """Return the folder, made if need be.

    Raises:
        EnvironmentFault: it belongs to somebody else, or others may enter it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise EnvironmentFault(
            f"the folder {folder} is not this user's alone",
            expected="a folder of yours, of mode 0700",
            found=f"owner {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}",
            hint="Remove it, or set XDG_RUNTIME_DIR.",
        )
    return folder


def connect(key: str, environ: Mapping[str, str]) -> socket.socket | None:
    """Return a connection to the server of an environment, None if there is none."""
    path = runtime_folder(environ) / f"{key}.sock"
    try:
        if path.lstat().st_uid != os.getuid() or private_folder(path.parent) is None:
            return None
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.connect(str(path))
        except OSError:
            sock.close()
            with contextlib.suppress(OSError):
                path.unlink()  # its server is gone
            return None
    except (OSError, EnvironmentFault):
        return None
    return sock


def _hear(sock: socket.socket, wanted: str, seconds: float = 5.0) -> dict[str, Any] | None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and select.select([sock], [], [], left)[0]:
        data = sock.recv(1 << 16)
        if not data:
            return None
        news: dict[str, Any] = json.loads(data)
        if news["event"] == wanted:
            return news
    return None


def start(key: str, command: Sequence[str], environ: Mapping[str, str], variables: Mapping[str, str]) -> None:
    """Start a server and wait until it is up.

    Args:
        key: its environment's fingerprint.
        command: its command line, with the path to listen at as `{control}`.
        environ: says where it listens.
        variables: its own environment.

    Raises:
        KernelUnavailable: it does not come up.
    """
    folder = private_folder(runtime_folder(environ))
    path, log = folder / f"{key}.sock", folder / f"{key}.log"
    with contextlib.suppress(OSError):
        path.unlink()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [word.replace("{control}", str(path)) for word in command],
            env=dict(variables),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists() and (sock := connect(key, environ)) is not None:
            with sock:
                if _hear(sock, "ready") is not None:
                    return
        time.sleep(0.02)
    process.kill()
    process.wait()
    said = log.read_text("utf-8", "replace").strip().splitlines()
    raise KernelUnavailable(
        "the fork server does not come up",
        found=said[-1] if said else f"nothing within {_PATIENCE:g} s",
        hint=f"What it wrote is in {log}. Runs go on without it: their kernels are started one by one.",
    )


def ask_for(key: str, environ: Mapping[str, str], preload: Sequence[str]) -> None:
    """Have a server make a branch before anybody needs it."""
    if (sock := connect(key, environ)) is not None:
        with sock:
            sock.send(json.dumps({"op": "branch", "preload": list(preload)}).encode())
            _hear(sock, "branched", _PATIENCE)


def standing(environ: Mapping[str, str]) -> Iterator[Standing]:
    """Yield the servers that are up."""
    for path in sorted(runtime_folder(environ).glob("*.sock")):
        if (sock := connect(path.stem, environ)) is not None:
            with sock:
                sock.send(b'{"op": "status"}')
                if (told := _hear(sock, "status")) is not None:
                    yield Standing(
                        key=path.stem,
                        pid=int(told["pid"]),
                        since=float(told["since"]),
                        served=int(told["served"]),
                        branches=tuple(tuple(names) for names in told["branches"]),
                    )


def stop(environ: Mapping[str, str]) -> list[Standing]:
    """Have all servers take no more requests; each ends once its last run has ended.

    Returns:
        Those that were up.
    """
    found = list(standing(environ))
    for server in found:
        if (sock := connect(server.key, environ)) is not None:
            with sock:
                sock.send(b'{"op": "stop"}')
    return found
