"""Where a kernel listens: IPC sockets in a private folder, TCP where there is no IPC.

IPC ends the race for free ports and keeps other users of the machine out; it is what Jupyter's
"connection files" call `transport: ipc`, where `ip` is a path prefix and the ports are its endings.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nbprod.errors import KernelUnavailable

__all__ = ["Connection", "open_connection"]

CHANNELS = ("shell", "iopub", "stdin", "control", "hb")
_LONGEST = 107
"""Bytes that fit into sockaddr_un.sun_path, its final NUL left out (unix(7))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One kernel's addresses and key.

    Args:
        folder: private (0700) folder that holds the connection file and the sockets.
        transport: `ipc` or `tcp`.
        ip: path prefix (ipc) or address (tcp).
        ports: by channel.
        key: the HMAC key of the messages.
    """

    folder: Path
    transport: str
    ip: str
    ports: Mapping[str, int]
    key: str

    @property
    def file(self) -> Path:
        """The connection file."""
        return self.folder / "kernel.json"

    def address(self, channel: str) -> str:
        """Return the ZeroMQ address of a channel."""
        if self.transport == "ipc":
            return f"ipc://{self.ip}-{self.ports[channel]}"
        return f"tcp://{self.ip}:{self.ports[channel]}"

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _roots(environ: Mapping[str, str]) -> list[Path]:
    wanted = [environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"]  # noqa: S108 - the folder made in it is 0700
    return [Path(root) for root in wanted if root]


def _private_folder(environ: Mapping[str, str]) -> tuple[Path, bool]:
    problem: OSError | None = None
    fallback: Path | None = None
    for root in _roots(environ):
        try:
            folder = Path(tempfile.mkdtemp(prefix="nbp-", dir=root))  # 0700
        except OSError as error:
            problem = error
            continue
        if len(os.fsencode(folder / "k-5")) <= _LONGEST:
            if fallback is not None:
                fallback.rmdir()
            return folder, True
        if fallback is None:
            fallback = folder
        else:
            folder.rmdir()
    if fallback is None:
        raise KernelUnavailable(
            "there is no folder for the kernel's sockets",
            found=str(problem),
            hint="Set XDG_RUNTIME_DIR or TMPDIR to a folder that you may write to.",
        )
    return fallback, False


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in socks]


def open_connection(kernel_name: str, environ: Mapping[str, str]) -> Connection:
    """Make the private folder and write the connection file.

    Raises:
        KernelUnavailable: no folder can be had.
    """
    folder, short = _private_folder(environ)
    ports = dict(zip(CHANNELS, range(1, 6) if short else _free_ports(5), strict=True))
    transport, ip = ("ipc", str(folder / "k")) if short else ("tcp", "127.0.0.1")
    connection = Connection(folder=folder, transport=transport, ip=ip, ports=ports, key=secrets.token_hex(16))
    content = {
        "transport": transport,
        "ip": ip,
        **{f"{channel}_port": port for channel, port in ports.items()},
        "key": connection.key,
        "signature_scheme": "hmac-sha256",
        "kernel_name": kernel_name,
    }
    connection.file.write_text(json.dumps(content), encoding="utf-8")
    connection.file.chmod(0o600)
    return connection
