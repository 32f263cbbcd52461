"""Inputs that are kept: what a run read, put into the store, so that it can be had again years later.

Only what lies in the project or below a declared root, is not too large, and is no secret. What is kept has exactly the
digest that the trace gives; where the file is another by now, it is not kept, and the trace says so.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from nbprod.digest import Digest
from nbprod.errors import CallerError, IntegrityError
from nbprod.masking import Masker
from nbprod.parameters.size import format_size
from nbprod.record.folder import FolderEntry, read_folder
from nbprod.record.trace import Touched, Trace, path_from_text
from nbprod.runner.inside import secrets_inside
from nbprod.runner.started import RunFolder, Scope
from nbprod.store import Store

__all__ = ["InputKeeper"]

_SECRETIVE = (
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".pypirc",
    ".npmrc",
    ".htpasswd",
    ".git-credentials",
    ".dockercfg",
    "kubeconfig",
    ".secrets",
    "*.env.*",
    "credentials",
    "credentials.*",
    "secrets",
    "secrets.*",
    "service-account*.json",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
)
"""Names of files that are made to hold secrets."""
_SECRETIVE_FOLDERS = frozenset({".ssh", ".gnupg", ".aws", ".azure", ".docker", ".kube", "gcloud"})
_MANY, _AT_ONCE = 8, 16
T = TypeVar("T")
R = TypeVar("R")

_CHANGED = "not kept: it was another file by the end of the run"


class InputKeeper:
    """Keeps what one run read.

    Args:
        scope: where it was looked, and what may be kept.
        folder: the run's working files.
        store: keeps the bytes.
        masker: knows the run's secrets.

    Attributes:
        kept: digests of what is kept.
    """

    def __init__(self, scope: Scope, folder: RunFolder, store: Store, masker: Masker) -> None:
        self.kept: dict[Digest, None] = {}
        self._scope, self._folder, self._store, self._masker = scope, folder, store, masker
        self._places = tuple(os.path.realpath(place) for place in (scope.root, *scope.roots))
        self._private = tuple(os.path.realpath(place) for place in scope.private)

    def keep(self, trace: Trace) -> Trace:
        """Return the trace with what became of each file that was read; a store's faults are raised."""
        reads, modules = (tuple(_each(self._entry, entries)) for entries in (trace.reads, trace.modules))
        return replace(trace, reads=reads, modules=modules)

    def _entry(self, entry: Touched) -> Touched:
        if entry.digest is None or "artifact" in entry.seen:  # the store has what another run left
            return entry
        path = path_from_text(entry.path, self._scope.root)
        listing = self._folder.listing(entry.digest)
        if listing.is_file():
            return self._whole(entry, path, listing.read_bytes())
        if path.is_dir():
            return replace(entry, folder=True, kept=False, note="not kept: the list of its files is gone")
        why = self._file(path, entry.digest, entry.size)
        return replace(entry, kept=not why, note=why)

    def _whole(self, entry: Touched, path: Path, listing: bytes) -> Touched:
        """Keep a folder: the list of its files, and each file."""
        if self._masker.names_in(listing):
            return replace(entry, folder=True, kept=False, note="not kept: the name of a file in it holds a secret")
        if (why := self._elsewhere(path)) or self._store.put(listing) != entry.digest:
            return replace(entry, folder=True, kept=False, note=why or _CHANGED)
        self.kept[entry.digest] = None
        try:
            unkept = dict(self._files(path, listing))
        except IntegrityError as error:
            return replace(entry, folder=True, kept=False, note=f"not kept: {error.what}")
        whys = ", ".join(dict.fromkeys(why.removeprefix("not kept: ") for why in unkept.values()))
        count = f"{len(unkept)} of its files {'is' if len(unkept) == 1 else 'are'} not kept: {whys}" if unkept else ""
        return replace(entry, folder=True, kept=True, note=count, unkept=tuple(sorted(unkept)))

    def _files(self, folder: Path, listing: bytes) -> Iterator[tuple[str, str]]:
        """Keep the files of a folder; yield the names of those that are not kept, with the reason."""

        def keep(each: FolderEntry) -> str:
            return "" if each.digest is None else self._file(path_from_text(each.name, folder), each.digest, each.size)

        entries = list(read_folder(listing))
        yield from ((each.name, why) for each, why in zip(entries, _each(keep, entries), strict=True) if why)

    def _file(self, path: Path, digest: Digest, size: int | None) -> str:
        """Keep a file; return why it is not kept, empty if it is."""
        if digest in self.kept:
            return ""
        if size is None or size > self._scope.keep_inputs:
            return f"not kept: larger than {format_size(self._scope.keep_inputs)}"
        why = self._elsewhere(path)
        try:
            if not why and self._masker:
                why = self._secret(path, digest)
            if not why and not self._store.put_as(path, digest):
                why = _CHANGED
        except (OSError, CallerError):
            why = "not kept: it could not be read at the end of the run"
        if not why:
            self.kept[digest] = None
        return why

    def _secret(self, path: Path, digest: Digest) -> str:
        """Return why a file is not kept: it holds a secret, or what was looked through has another digest."""
        hasher = hashlib.sha256()
        try:
            if secrets_inside(path, self._masker, hasher.update):
                return "not kept: it holds a secret"
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a file holds, it ends no run
            return f"not kept: it could not be looked through ({type(error).__name__})"
        return "" if hasher.hexdigest() == digest.hex else _CHANGED

    def _elsewhere(self, path: Path) -> str:
        """Return why nothing is kept from that place; empty if it may be."""
        real = os.path.realpath(path)
        if not any(Path(real).is_relative_to(place) for place in self._places):
            return "not kept: it lies neither in the project nor below a declared root"
        if any(Path(real).is_relative_to(place) or _same_file(real, place) for place in self._private):
            return "not kept: it is nbprod's own, or holds a secret of some step"
        names = {path.name.lower(), Path(real).name.lower()}
        if any(fnmatchcase(name, pattern) for name in names for pattern in _SECRETIVE):
            return "not kept: files with such names hold secrets"
        if _SECRETIVE_FOLDERS & {*path.parts, *Path(real).parts}:
            return "not kept: folders with such names hold secrets"
        return ""


def _same_file(one: str, other: str) -> bool:
    """Say whether two names are of one file: a hard link has a path of its own."""
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


def _each(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Return what comes of each; of many side by side, as each new file waits until the disk has it."""
    if len(items) < _MANY:
        return list(map(work, items))
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - most runs read a few files

    with ThreadPoolExecutor(_AT_ONCE, "nbprod-keep") as threads:
        return list(threads.map(work, items))
