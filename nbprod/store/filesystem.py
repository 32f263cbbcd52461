"""A driver over any file system of fsspec's: `gs://`, `az://`, `sftp://` and others, where theirs is installed."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any, TypeVar

from nbprod.errors import NbprodError, SettingsError, StoreUnavailable, StoreUnreachable
from nbprod.store.content import ChangedError, Content
from nbprod.store.driver import Found
from nbprod.store.link import Patience, retried

__all__ = ["FsspecDriver", "require_driver"]

T = TypeVar("T")

_OURS = (TypeError, AttributeError, NameError, AssertionError, NotImplementedError)
"""What no network raises: a driver that lacks something, or a mistake in the code. It is raised as it is."""


def require_driver(scheme: str) -> None:
    """Refuse a kind of store whose driver is missing, without importing any.

    Raises:
        SettingsError: fsspec or its driver is not installed, or fsspec knows none.
    """
    extra = "pip install 'nbprod[s3]'"
    if find_spec("fsspec") is None:
        raise SettingsError(
            f"a store at {scheme}:// needs a driver", expected="the package fsspec", found="none", hint=f"Run {extra}"
        )
    from fsspec.registry import known_implementations  # noqa: PLC0415 - only for stores that are not local

    known = known_implementations.get(scheme)
    if known is None:
        raise SettingsError(
            f"there is no kind of store called {scheme}://",
            expected="a folder, file:///folder, s3://bucket/prefix, or another address that fsspec knows",
            found=f"{scheme}://",  # never the whole address: it may hold a password
        )
    package = known["class"].partition(".")[0]
    if find_spec(package) is None:
        hint = f"Run {extra}" if scheme == "s3" else str(known.get("err", f"Install {package}"))
        raise SettingsError(
            f"a store at {scheme}:// needs a driver", expected=f"the package {package}", found="none", hint=hint
        )


class FsspecDriver:
    """Objects in a file system of fsspec's.

    A new object is written under another name and renamed: few backends can refuse to overwrite, most can rename.
    None is known to vouch for a SHA-256, so that the store reads back what it wrote.

    Args:
        protocol: fsspec's name of the file system.
        root: the path that keys start from, as fsspec writes it.
        url: the address, without credentials.
        patience: with the link.
        options: for the file system's constructor.
    """

    def __init__(
        self, protocol: str, root: str, url: str, *, patience: Patience, options: Mapping[str, Any] | None = None
    ) -> None:
        self.url = url
        self._protocol = protocol
        self._root = root.rstrip("/")
        self._patience = patience
        self._options = dict(options or {})
        self._systems: dict[tuple[int, int], Any] = {}

    def stat(self, key: str) -> Found | None:
        """Describe an object (see `Driver.stat`)."""
        try:
            told, written = self._ask("read", lambda system: _described(system, self._path(key)))
        except FileNotFoundError:
            return None
        mark = str(told.get("ETag") or told.get("mtime") or "")
        return Found(size=told["size"], mark=mark, written=written) if _file(told) else None

    def read(self, key: str, start: int, size: int) -> bytes:
        """Return some bytes (see `Driver.read`)."""

        def read(system: Any) -> bytes:
            if start >= system.info(self._path(key))["size"]:  # some drivers fail beyond the end, some start again
                return b""
            return bytes(system.cat_file(self._path(key), start=start, end=start + size))

        return self._ask("read", read)

    def create(self, key: str, content: Content, parts: Iterator[bytes], *, replace: bool = False) -> bool:  # noqa: ARG002 - renaming replaces
        """Write a new object (see `Driver.create`)."""
        incoming = f"tmp/{secrets.token_hex(16)}"
        try:
            self._write_parts(incoming, parts)
            self._ask("write", lambda system: self._rename(system, incoming, key))
        except BaseException:
            with contextlib.suppress(Exception):
                self._system().rm_file(self._path(incoming))
            raise
        return not content.parts  # never: the store reads it back

    def write(self, key: str, data: bytes) -> None:
        """Write a few bytes (see `Driver.write`)."""

        def write(system: Any) -> None:
            _make_folder(system, self._path(key))
            system.pipe_file(self._path(key), data)

        self._ask("write", write)

    def keys(self, folder: str) -> Iterator[str]:
        """Yield the keys below a folder (see `Driver.keys`); one folder's names in memory at a time."""
        for name, is_file in self._names(folder):
            if is_file:
                yield name
            else:
                yield from (f"{name}/{below}" for below in self.keys(f"{folder}/{name}"))

    def copy(self, key: str, target: str) -> None:
        """Copy an object (see `Driver.copy`)."""

        def copy(system: Any) -> None:
            _make_folder(system, self._path(target))
            system.cp_file(self._path(key), self._path(target))

        self._ask("write", copy)

    def remove(self, key: str, mark: str) -> None:
        """Remove an object (see `Driver.remove`); between the look and the removal it may still change."""
        held = self.stat(key)
        if held is not None and held.mark == mark:
            self._ask("write", lambda system: system.rm_file(self._path(key)))

    # --- the file system ---

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _write_parts(self, key: str, parts: Iterator[bytes]) -> None:
        """Write a stream; no second try, as the parts come once."""

        def write(system: Any) -> None:
            _make_folder(system, self._path(key))
            with system.open(self._path(key), "wb") as stream:
                for part in parts:
                    stream.write(part)

        self._once("write", write)

    def _rename(self, system: Any, key: str, target: str) -> None:
        _make_folder(system, self._path(target))
        try:
            system.mv(self._path(key), self._path(target))
        except FileNotFoundError as error:  # an earlier try got through, and its reply did not
            raise FileExistsError(target) from error

    def _names(self, folder: str) -> list[tuple[str, bool]]:
        try:
            told = self._ask("read", lambda system: system.ls(self._path(folder), detail=True))
        except FileNotFoundError:
            return []
        return sorted((entry["name"].rstrip("/").rpartition("/")[2], _file(entry)) for entry in told)

    def _ask(self, doing: str, call: Callable[[Any], T]) -> T:
        return retried(lambda: self._once(doing, call), self._patience)

    def _once(self, doing: str, call: Callable[[Any], T]) -> T:
        """Call, and translate what goes wrong into the errors that `Driver` promises."""
        system = self._system()
        try:
            return call(system)
        except (NbprodError, ChangedError, FileNotFoundError, FileExistsError, *_OURS):
            raise
        except Exception as error:
            translated = self._translated(doing, error)
            if isinstance(translated, StoreUnreachable):
                self._drop(system)
            raise translated from error

    def _translated(self, doing: str, error: Exception) -> Exception:
        what = f"the store {self.url} cannot be {'written' if doing == 'write' else 'read'}"
        if isinstance(error, PermissionError):
            hint = f"Give fsspec's driver for {self._protocol}:// an account that may read, write and list there"
            return StoreUnavailable(what, expected="an account with rights", found="missing rights", hint=hint)
        # The driver's own words stay in the chained error: they may hold a password.
        return StoreUnreachable(
            what,
            expected="a server that answers",
            found=type(error).__name__,
            hint="Check the address and the network. `nbprod doctor` tries the store",
        )

    def _system(self) -> Any:
        """Return this process's file system, or this thread's where the driver is not made for threads.

        Connections must not cross a fork. What the parent made stays referenced: closing it here would close it there.
        """
        for place in ((os.getpid(), 0), (os.getpid(), threading.get_ident())):
            if place in self._systems:
                return self._systems[place]
        made = self._make()
        place = (os.getpid(), 0 if made.async_impl else threading.get_ident())
        return self._systems.setdefault(place, made)

    def _make(self) -> Any:
        import fsspec  # noqa: PLC0415 - only for stores that are not local

        return fsspec.filesystem(self._protocol, skip_instance_cache=True, use_listings_cache=False, **self._options)

    def _drop(self, system: Any) -> None:
        """Let go of connections that may be dead without our knowing."""
        for place, held in list(self._systems.items()):
            if held is system:
                self._systems.pop(place, None)


def _make_folder(system: Any, path: str) -> None:
    system.makedirs(path.rpartition("/")[0], exist_ok=True)


def _described(system: Any, path: str) -> tuple[Mapping[str, Any], datetime | None]:
    """Return what the driver tells of a path, and when it was written, where the driver tells that."""
    told = system.info(path)
    if not _file(told):
        return told, None
    try:
        written = system.modified(path)
    except NotImplementedError:
        return told, None
    if not isinstance(written, datetime):
        return told, None
    # Drivers that tell no zone mean UTC: fsspec's own do.
    return told, written.replace(tzinfo=UTC) if written.tzinfo is None else written.astimezone(UTC)


def _file(told: Mapping[str, Any]) -> bool:
    return told.get("type") == "file"
