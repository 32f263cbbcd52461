"""A real S3 server (SeaweedFS) on loopback, and keys that may do more or less on it."""

from __future__ import annotations

import functools
import json
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUCKET = "records"
KEY, SECRET = "writer", "writer-secret"
READER, READER_SECRET = "reader", "reader-secret"


@dataclass(frozen=True)
class ObjectStorage:
    """The server's address."""

    host: str
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs to reach it; the machine's own settings for S3 are shut out."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_REGION": "us-east-1",
        }

    @functools.cache  # noqa: B019 - one server per session
    def client(self) -> Any:
        """A second way to the objects, without nbprod's code."""
        import fsspec

        return fsspec.filesystem(
            "s3", skip_instance_cache=True, use_listings_cache=False, endpoint_url=self.endpoint, key=KEY, secret=SECRET
        )


def new_prefix() -> str:
    """Return a store's address that no other test uses."""
    return f"s3://{BUCKET}/{secrets.token_hex(6)}"


def _free_ports(count: int) -> list[int]:
    """Return ports for which the one 10,000 above is free as well: SeaweedFS takes both."""
    held: list[socket.socket] = []
    found: list[int] = []
    while len(found) < count:
        first = socket.create_server(("127.0.0.1", 0))
        held.append(first)
        port = first.getsockname()[1]
        below = port - 10_000 if port > 42_000 else None
        if below is not None:
            try:
                held.append(socket.create_server(("127.0.0.1", below)))
            except OSError:
                continue
            found.append(below)
    for each in held:
        each.close()
    return found


def _identities() -> Mapping[str, Any]:
    def identity(key: str, secret: str, *actions: str) -> Mapping[str, Any]:
        return {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}

    return {
        "identities": [
            identity("admin", "admin-secret", "Admin", "Read", "Write", "List"),
            identity(KEY, SECRET, "Read", "Write", "List"),
            identity(READER, READER_SECRET, "Read", "List"),
        ]
    }


@contextmanager
def serving(folder: Path) -> Iterator[ObjectStorage]:
    """Run the server with its data in a folder, until the block ends."""
    (folder / "identities.json").write_text(json.dumps(_identities()))
    (folder / "data").mkdir()
    master, volume, filer, s3 = _free_ports(4)
    command = [
        str(Path(sys.executable).with_name("weed")),
        "server",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-master.port={master}",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64",
        f"-volume.port={volume}",
        "-volume.max=16",
        f"-filer.port={filer}",
        "-s3",
        f"-s3.port={s3}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={folder / 'identities.json'}",
    ]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as process,
    ):
        try:
            storage = ObjectStorage("127.0.0.1", s3)
            _make_bucket(storage, process, folder / "log")
            yield storage
        finally:
            process.send_signal(signal.SIGKILL)


def _make_bucket(storage: ObjectStorage, process: subprocess.Popen[bytes], log: Path) -> None:
    import fsspec

    admin = fsspec.filesystem(
        "s3",
        skip_instance_cache=True,
        endpoint_url=storage.endpoint,
        key="admin",
        secret="admin-secret",
        client_kwargs={"region_name": "us-east-1"},
        config_kwargs={"retries": {"total_max_attempts": 1}},
    )
    admin.retries = 1
    deadline = time.monotonic() + 60
    while True:
        try:
            admin.call_s3("create_bucket", Bucket=BUCKET)
            # A first write makes the server allot its volumes, which takes it a second.
            admin.pipe_file(f"{BUCKET}/started", b"yes")
        except Exception:  # noqa: BLE001 - whatever a server says that is not up yet
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text("utf-8", "replace")[-2000:]) from None
            time.sleep(0.2)
        else:
            return
