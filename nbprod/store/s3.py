"""The driver for S3 and what speaks its protocol, over s3fs.

Three things it does that no file system of fsspec's does for all: a new object is refused where there is one already
(`If-None-Match: *`), the server checks each request's SHA-256 and keeps the object's, and all is sent in parts.
"""

from __future__ import annotations

import contextlib
from base64 import b64encode
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from nbprod.digest import Digest
from nbprod.store.content import Content
from nbprod.store.driver import Found
from nbprod.store.filesystem import FsspecDriver
from nbprod.store.link import Patience
from nbprod.store.s3_faults import Place, translated

__all__ = ["S3Driver"]


_AT_ONCE = 4
"""Parts of an object that are sent at the same time."""


class S3Driver(FsspecDriver):
    """Objects in a bucket.

    Args:
        bucket: the bucket's name.
        prefix: what all keys begin with; may be empty.
        url: the address, without credentials.
        patience: with the link.
        endpoint: the server's URL; None for what the environment says, else Amazon's.
        region: None for what the environment says.
        profile: of the files in `~/.aws`; None for what the environment says.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        url: str,
        *,
        patience: Patience,
        endpoint: str | None = None,
        region: str | None = None,
        profile: str | None = None,
    ) -> None:
        config = {
            "connect_timeout": patience.connect,
            "read_timeout": patience.silence,
            "retries": {"total_max_attempts": 1},  # there is one loop that tries again: `retried`
        }
        named = {"endpoint_url": endpoint, "profile": profile, "client_kwargs": region and {"region_name": region}}
        options = {name: value for name, value in named.items() if value}
        root = f"{bucket}/{prefix}" if prefix else bucket
        super().__init__("s3", root, url, patience=patience, options={"config_kwargs": config, **options})
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._proven = False

    def stat(self, key: str) -> Found | None:
        """Describe an object (see `Driver.stat`)."""
        try:
            told = self._request("head_object", Key=self._prefix + key, ChecksumMode="ENABLED", needs="ContentLength")
        except FileNotFoundError:
            self._prove()
            return None
        return Found(
            size=told["ContentLength"],
            seal=told.get("ChecksumSHA256"),
            mark=told.get("ETag", ""),
            written=told.get("LastModified"),
        )

    def read(self, key: str, start: int, size: int) -> bytes:
        """Return some bytes (see `Driver.read`)."""
        return self._ask("read", lambda system: self._read(system, key, start, size))

    def create(self, key: str, content: Content, parts: Iterator[bytes], *, replace: bool = False) -> bool:
        """Write a new object (see `Driver.create`)."""
        name, condition = self._prefix + key, {} if replace else {"IfNoneMatch": "*"}
        if len(content.parts) > 1:
            return self._create_in_parts(name, content, parts, condition)
        (data,) = parts
        told = self._request(
            "put_object", size=len(data), Key=name, Body=data, ChecksumSHA256=content.seal, **condition
        )
        return bool(told.get("ChecksumSHA256") == content.seal)

    def keys(self, folder: str) -> Iterator[str]:
        """Yield the keys below a folder (see `Driver.keys`): S3 lists them in order, a thousand at a time."""
        prefix, after = f"{self._prefix}{folder}/", ""
        while True:
            told = self._request("list_objects_v2", doing="read", Prefix=prefix, StartAfter=after)
            for entry in told.get("Contents", ()):
                yield entry["Key"].removeprefix(prefix)
            if not told.get("IsTruncated"):
                return
            after = told["Contents"][-1]["Key"]

    def write(self, key: str, data: bytes) -> None:
        """Write a few bytes (see `Driver.write`)."""
        self._request("put_object", size=len(data), Key=self._prefix + key, Body=data)

    def remove(self, key: str, mark: str) -> None:
        """Remove an object (see `Driver.remove`); servers that do not know the condition remove it all the same."""
        held = self.stat(key)
        if held is not None and held.mark == mark:
            self._request("delete_object", Key=self._prefix + key, IfMatch=mark)

    # --- requests ---

    def _create_in_parts(self, name: str, content: Content, parts: Iterator[bytes], condition: dict[str, Any]) -> bool:
        upload = self._request("create_multipart_upload", Key=name, ChecksumAlgorithm="SHA256", needs="UploadId")[
            "UploadId"
        ]
        try:
            done = self._send_parts(name, upload, zip(parts, content.parts, strict=False))
            told = self._request(
                "complete_multipart_upload",
                Key=name,
                UploadId=upload,
                MultipartUpload={"Parts": done},
                **condition,
            )
        except FileNotFoundError as error:  # no such upload: an earlier try completed it, and its reply was lost
            raise FileExistsError(name) from error
        except BaseException:
            # What is left of it costs money. If this fails, too, a lifecycle rule of the bucket's must clear it.
            with contextlib.suppress(Exception):
                self._once(
                    "write",
                    lambda system: self._call(system, "abort_multipart_upload", Key=name, UploadId=upload),
                )
            raise
        return bool(told.get("ChecksumSHA256") == content.seal)

    def _send_parts(self, name: str, upload: str, parts: Iterable[tuple[bytes, Digest]]) -> list[dict[str, Any]]:
        """Send the parts, some at a time: on a link that is fast and far, each would mostly wait for its reply."""

        def send(number: int, data: bytes, seal: str) -> dict[str, Any]:
            part: dict[str, Any] = {"PartNumber": number, "ChecksumSHA256": seal}
            size = len(data) * _AT_ONCE  # they share the link, so that each may take as long as all
            told = self._request("upload_part", size=size, Key=name, UploadId=upload, Body=data, needs="ETag", **part)
            return {**part, "ETag": told["ETag"]}

        done: list[dict[str, Any]] = []
        under_way: deque[Future[dict[str, Any]]] = deque()
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="nbprod-parts") as pool:
            try:
                for number, (data, digest) in enumerate(parts, 1):
                    if len(under_way) == _AT_ONCE:  # no more than these are in memory
                        done.append(under_way.popleft().result())
                    under_way.append(pool.submit(send, number, data, _base64(digest)))
                done += [each.result() for each in under_way]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return done

    def _request(
        self, method: str, *, doing: str | None = None, size: int = 0, needs: str = "", **arguments: Any
    ) -> dict[str, Any]:
        """Ask the server, with patience.

        Args:
            method: of botocore's client.
            doing: `read` or `write`, for messages.
            size: bytes sent.
            needs: what the reply must hold; without it, the reply was spoilt on its way, and the request is sent again.
            **arguments: of the method.
        """

        def ask(system: Any) -> dict[str, Any]:
            told: dict[str, Any] = self._call(system, method, size=size, **arguments)
            if needs and needs not in told:
                raise EOFError(needs)
            return told

        doing = doing or ("read" if method.startswith("head") else "write")
        told = self._ask(doing, ask)
        self._proven = True
        return told

    def _call(self, system: Any, method: str, *, size: int = 0, **arguments: Any) -> Any:
        timeout = self._patience.seconds_for(size)
        return system.call_s3(method, Bucket=self._bucket, timeout=timeout, **arguments)

    def _read(self, system: Any, key: str, start: int, size: int) -> bytes:
        from fsspec.asyn import sync  # noqa: PLC0415 - only for stores that are not local

        wanted = f"bytes={start}-{start + size - 1}"
        try:
            told = self._call(system, "get_object", size=size, Key=self._prefix + key, Range=wanted)
        except OSError as error:
            if _code(error) == "InvalidRange":  # at the end, or an empty object
                return b""
            raise
        try:
            data: bytes = sync(system.loop, told["Body"].read, timeout=self._patience.seconds_for(size))
        finally:
            told["Body"].close()
        if len(data) != told["ContentLength"]:
            raise EOFError(f"{len(data)} bytes of {told['ContentLength']}")
        self._proven = True
        return data

    def _prove(self) -> None:
        """Tell a missing bucket from a missing object: the reply to HEAD is the same."""
        if self._proven:
            return
        try:
            self._request("head_bucket")
        except FileNotFoundError as error:
            raise Place(self.url, "").no_bucket("read") from error

    def _make(self) -> Any:
        system = super()._make()
        system.retries = 1  # s3fs's own tries: there is one loop that tries again
        return system

    def _translated(self, doing: str, error: Exception) -> Exception:
        return translated(error, doing, Place(self.url, self._server()))

    def _server(self) -> str:
        """Return the server's host and port, where a client is there to tell."""
        client = getattr(self._system(), "_s3", None)
        parts = urlsplit(client.meta.endpoint_url if client is not None else "")
        return (parts.hostname or "") + (f":{parts.port}" if parts.port else "")

    def _once(self, doing: str, call: Any) -> Any:
        """Call and translate: what s3fs takes for missing may be the bucket."""
        try:
            return super()._once(doing, call)
        except (FileNotFoundError, FileExistsError) as error:
            if _code(error) == "NoSuchBucket":
                raise Place(self.url, "").no_bucket(doing) from error
            raise


def _code(error: BaseException) -> str:
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _base64(digest: Digest) -> str:
    return b64encode(bytes.fromhex(digest.hex)).decode("ascii")
