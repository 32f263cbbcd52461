"""Where a project's bytes and events are: small, picklable, and opened once per process."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nbprod.digest import Digest
from nbprod.errors import IntegrityError, NotFound, StoreUnavailable
from nbprod.ledger import Ledger, open_ledger
from nbprod.ledger.erasures import erasure_of
from nbprod.record.ids import RunId
from nbprod.runner.spooled import where_bytes_wait
from nbprod.store import SPOOL, Delivery, SpoolingStore, Store, open_store

__all__ = ["Home"]

_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Home:
    """The addresses of a project.

    Args:
        root: the project's root.
        folder: local working files (`.nbprod`).
        store_url: the store's address.
        ledger_url: the ledger's address.
    """

    root: Path
    folder: Path
    store_url: str
    ledger_url: str

    @property
    def store(self) -> Store:
        """The store, opened."""
        return _open_store(self.store_url, self.root, self.folder / SPOOL, os.getpid())

    @property
    def ledger(self) -> Ledger:
        """The ledger, opened; made where it is not there yet."""
        return _open_ledger(self.ledger_url, self.root, os.getpid())

    def deliver(self) -> Delivery:
        """Hand over to the store what waits in the spool (see `SpoolingStore.deliver`)."""
        store = self.store
        return store.deliver() if isinstance(store, SpoolingStore) else Delivery(delivered=0, waiting=0)

    def has_ledger(self) -> bool:
        """Return whether there is a ledger. Opening one would make it, which is for those who start a run."""
        path = self.ledger_url.removeprefix(_SQLITE)
        return "://" in path or (self.root / Path(path).expanduser()).is_file()

    def read(self, digest: Digest, run_id: RunId | None = None) -> bytes:
        """Return the bytes of an object that the ledger or a record points at.

        Args:
            digest: which object.
            run_id: the run that they belong to, if any: it knows where they wait.

        Raises:
            Erased: they were erased from that run.
            IntegrityError: they are not there, or not what they were.
            StoreUnavailable: they wait on the machine that ran it.
        """
        with self._promised(digest, run_id):
            return self.store.get(digest)

    @contextlib.contextmanager
    def _promised(self, digest: Digest, run_id: RunId | None) -> Iterator[None]:
        """What was kept (bytes first, ledger last) and not erased must be there: else it is lost, or on its way."""
        try:
            yield
        except NotFound as error:
            gone = None if run_id is None else erasure_of(self.ledger, run_id, digest)
            if gone is not None:
                raise gone.error() from error
            host = None if run_id is None else where_bytes_wait(self.ledger, run_id)
            if host is not None:
                raise StoreUnavailable(
                    f"bytes of run {run_id} have not reached the store {self.store.url} yet",
                    expected=f"the object {digest}",
                    found=f"none: when the run ended, {host} could not reach the store and kept them in its spool",
                    hint=f"Run `nbprod recover` on {host}; `nbprod doctor` there tells how many wait",
                ) from error
            raise IntegrityError(
                f"the ledger points at bytes that are not there: {digest}",
                expected=f"an object of the store {self.store.url}",
                found="none: it was deleted, or set aside as corrupt"
                if self.folder.is_dir()
                else f"no project: the folder {self.folder} is not there any more",
                hint="Restore the store from a copy; `nbprod doctor` tells whether something was set aside.",
            ) from error

    def places(self) -> Iterator[Path]:
        """Yield the local files and folders that only nbprod writes to, their links resolved."""
        yield self.folder.resolve()
        store = self.store_url
        if "://" not in store or store.startswith("file://"):
            yield (self.root / Path(unquote(urlsplit(store).path) if "://" in store else store).expanduser()).resolve()
        ledger = self.ledger_url.removeprefix(_SQLITE)
        if "://" not in ledger:
            path = (self.root / Path(ledger).expanduser()).resolve()
            yield from (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal")))

    def view(self, digest: Digest, name: str, run_id: RunId | None = None) -> Path:
        """Return a local, read-only file with an object's bytes under its own name, checked.

        Args:
            digest: which object.
            name: the artifact's name; only its last part is used.
            run_id: the run that left it, if any.

        Raises:
            Erased: the bytes were erased from that run.
            IntegrityError: they are not in the store, or not what they were.
            StoreUnavailable: they wait on the machine that ran it.
        """
        with self._promised(digest, run_id):
            return self._view(digest, name)

    def forget_view(self, digest: Digest) -> None:
        """Remove the local files that `view` made of an object."""
        shutil.rmtree(self._view_folder(digest), ignore_errors=True)

    def _view_folder(self, digest: Digest) -> Path:
        return self.folder / "views" / digest.hex[:2] / digest.hex[2:]

    def _view(self, digest: Digest, name: str) -> Path:
        path = self._view_folder(digest) / Path(name).name
        size = self.store.size(digest)  # asked first: where the object is gone, no folder is made for it
        if not path.exists() or path.stat().st_size != size:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.store.copy_to(digest, path)
            return path
        from nbprod.digest import digest_file  # noqa: PLC0415 - only here

        if digest_file(path)[0] != digest:  # somebody wrote into the view: the store's bytes count
            path.unlink()
            self.store.copy_to(digest, path)
        return path


# One of each per process: connections must not cross a fork, hence the process id among the arguments.
@functools.lru_cache(maxsize=32)
def _open_store(url: str, base: Path, spool: Path, _pid: int) -> Store:
    return open_store(url, base=base, spool=spool)


@functools.lru_cache(maxsize=32)
def _open_ledger(url: str, base: Path, _pid: int) -> Ledger:
    return open_ledger(url, base=base)
