"""Writing a bundle: sorted members, fixed times, so that the same run and checkpoint give the same bytes."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nbprod.bundle.archive import DEFLATED_ALL, DEFLATED_MOST, MEMBERS
from nbprod.bundle.form import INDEX, Absent, Index, Member, RunEntry
from nbprod.digest import Digest, digest_bytes
from nbprod.errors import CallerError, DigestMismatch, EnvironmentFault
from nbprod.store import Store

__all__ = ["Contents", "plain_name", "refuse_target", "write_bundle"]

_MOMENT = (1980, 1, 1, 0, 0, 0)
_IN_MEMORY = 4 << 20
"""Bytes up to which an object is read at once; a larger one goes by way of a temporary file."""
_BLOCK = 1 << 20
_LONGEST = 60
_FIRST, _LAST = 3, 5
"""Parts of a name that stay; of a deeper one, those between go."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(slots=True)
class Contents:
    """What is to be in a bundle.

    Args:
        made_by: the program.
        runs: the run that was asked for, and then the others.
        made: members that are made for the bundle, by name.
        kept: members that are objects of the store, by name.
        absent: what is left out.
    """

    made_by: str
    runs: list[RunEntry] = field(default_factory=list)
    made: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    kept: dict[str, Member] = field(default_factory=dict)
    absent: list[Absent] = field(default_factory=list)
    _known: set[Digest] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)

    def add(self, name: str, data: bytes, what: str) -> None:
        """Add a file that is made for the bundle."""
        self.made[name] = (data, what)

    def has(self, digest: Digest) -> bool:
        """Say whether an object is to be in it already."""
        return digest in self._known

    def add_object(self, name: str, digest: Digest, size: int, what: str) -> None:
        """Add an object of the store, once; what cannot be a file's name on every system is replaced in it."""
        if digest in self._known:
            return
        self._known.add(digest)
        plain = plain_name(name, self._names)
        self._names.add(plain.lower())
        self.kept[plain] = Member(name=plain, digest=digest, size=size, what=what)

    @property
    def size(self) -> int:
        """Bytes of all members together."""
        return sum(len(data) for data, _ in self.made.values()) + sum(each.size for each in self.kept.values())

    def index(self) -> Index:
        """Return the index."""
        made = [
            Member(name=name, digest=digest_bytes(data), size=len(data), what=what)
            for name, (data, what) in self.made.items()
        ]
        members = sorted((*made, *self.kept.values()), key=lambda each: each.name)
        return Index(made_by=self.made_by, runs=tuple(self.runs), members=tuple(members), absent=tuple(self.absent))


def plain_name(name: str, taken: set[str]) -> str:
    """Return a name of ASCII letters, digits and `._-` in each part, that differs from others in more than case."""
    parts = [_UNSAFE.sub("_", part).strip(". ")[:_LONGEST].rstrip(".") or "_" for part in name.split("/") if part]
    plain = "/".join((*parts[:_FIRST], *parts[_FIRST:][-_LAST:]))
    stem, dot, ending = plain.rpartition(".")
    stem, ending = (stem, dot + ending) if dot and "/" not in ending and stem else (plain, "")
    count = 1
    while plain.lower() in taken:
        count += 1
        plain = f"{stem}~{count}{ending}"
    return plain


def refuse_target(path: Path, *, force: bool) -> None:
    """Refuse a place where no bundle can be written, before anything is collected for it.

    Raises:
        CallerError: there is such a file or folder, or a device or pipe, or its folder is not there.
        EnvironmentFault: its folder cannot be written to.
    """
    if path.is_dir():
        raise CallerError(f"the bundle cannot be written to {path}", expected="a file's name", found="a folder")
    if path.exists() and not path.is_file():  # a file would take its place, for everybody on the machine
        raise CallerError(
            f"the bundle cannot be written to {path}", expected="a file's name", found="a device, pipe or socket"
        )
    if not force and os.path.lexists(path):
        raise CallerError(f"there is a file {path} already", hint="Name another one, or say --force.")
    if not path.parent.is_dir():
        raise CallerError(f"the bundle cannot be written to {path}", found=f"there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise EnvironmentFault(
            f"the bundle cannot be written to {path}",
            found=f"this user may not write into the folder {path.parent}",
            hint="Name another place: -o FILE.",
        )


def write_bundle(path: Path, contents: Contents, store: Store, *, force: bool = False) -> int:
    """Write a bundle, whole or not at all; return its size in bytes.

    Args:
        path: where to.
        contents: what is to be in it.
        store: has the objects.
        force: write over a file that is there.

    Raises:
        CallerError: there is such a file, or it cannot be written there.
        DigestMismatch, NotFound: an object is not what it was, or is gone.
        StoreUnavailable: the store cannot be read.
        EnvironmentFault: the disk is full, or fails.
    """
    refuse_target(path, force=force)
    if len(contents.made) + len(contents.kept) >= MEMBERS:
        raise CallerError(
            "these are too many files for a bundle",
            expected=f"{MEMBERS:,} at most",
            found=f"{len(contents.made) + len(contents.kept):,}",
            hint="Say --without-inputs.",
        )
    partial = path.parent / f".nbprod-{secrets.token_hex(8)}.part"
    try:
        with partial.open("xb") as stream:
            _fill(stream, contents, store, path.parent)
            stream.flush()
            os.fsync(stream.fileno())
            size = stream.seek(0, os.SEEK_END)
        if force:
            partial.replace(path)
        else:
            os.link(partial, path)  # never in the place of another
    except FileExistsError as error:
        raise CallerError(f"there is a file {path} already", hint="Name another one, or say --force.") from error
    except OSError as error:
        raise EnvironmentFault(f"the bundle cannot be written to {path}", found=error.strerror or str(error)) from error
    finally:
        partial.unlink(missing_ok=True)
    return size


def _fill(stream: object, contents: Contents, store: Store, beside: Path) -> None:
    index = contents.index()
    made = {INDEX: index.to_bytes(), **{name: data for name, (data, _) in contents.made.items()}}
    members = {each.name: each for each in index.members}
    unfolded = 0
    with zipfile.ZipFile(stream, "w") as archive:  # type: ignore[call-overload]
        for name in sorted((INDEX, *members)):
            size = members[name].size if name in members else len(made[name])
            folds = size <= DEFLATED_MOST and unfolded + size <= DEFLATED_ALL
            unfolded += size if folds else 0
            info = zipfile.ZipInfo(name, _MOMENT)
            info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED if folds else zipfile.ZIP_STORED
            info.file_size = size
            with archive.open(info, "w") as target, _source(name, made, contents, store, beside) as blocks:
                for block in blocks:
                    target.write(block)


@contextmanager
def _source(
    name: str, made: dict[str, bytes], contents: Contents, store: Store, beside: Path
) -> Iterator[Iterable[bytes]]:
    if name in made:
        yield [made[name]]
        return
    member = contents.kept[name]
    if member.size <= _IN_MEMORY:
        yield [store.get(member.digest)]
        return
    with tempfile.TemporaryDirectory(prefix=".nbprod-", dir=beside) as folder:
        copy = Path(folder, "object")
        store.copy_to(member.digest, copy)
        yield _blocks(copy, member.digest)


def _blocks(path: Path, digest: Digest) -> Iterator[bytes]:
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            hasher.update(block)
            yield block
    if hasher.hexdigest() != digest.hex:
        raise DigestMismatch(f"the object {digest} was changed while it was copied")
