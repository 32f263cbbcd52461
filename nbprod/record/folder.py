"""The list of what lay in a folder that was pinned whole: its canonical bytes have the digest that pins the folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbprod.digest import Digest, Json, canonical, read_canonical
from nbprod.errors import CallerError, IntegrityError

__all__ = ["FolderEntry", "folder_bytes", "read_folder"]

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderEntry:
    """One name below a folder.

    Args:
        name: relative to the folder, with `/`; a part that is no UTF-8 as in `nbprod.record.trace.path_text`.
        kind: `file`, `folder`, `same` (a folder that stands there under another name already), `missing` (a link that
            leads nowhere), or what special file it is.
        digest: of a file's bytes.
        size: of a file, in bytes.
    """

    name: str
    kind: str = "file"
    digest: Digest | None = None
    size: int | None = None


def folder_bytes(entries: Sequence[Mapping[str, Json]]) -> bytes:
    """Return the list's bytes: RFC 8785."""
    return canonical({"version": _VERSION, "entries": list(entries)})


def read_folder(data: bytes) -> tuple[FolderEntry, ...]:
    """Read what `folder_bytes` wrote.

    Raises:
        IntegrityError: it is no such list, or holds a name that leads out of the folder.
    """
    try:
        told = read_canonical(data)
        if told["version"] != _VERSION:
            raise IntegrityError("this list of a folder is of another version", found=repr(told["version"]))
        return tuple(map(_entry, told["entries"]))
    except (ValueError, KeyError, TypeError, AttributeError, CallerError) as error:
        raise IntegrityError("this is no list of a folder", found=f"{type(error).__name__}: {error}") from error


def _entry(told: Mapping[str, Any]) -> FolderEntry:
    name = told["name"]
    if not isinstance(name, str) or any(part in ("", ".", "..") for part in name.split("/")):
        raise IntegrityError("a name in this list leads out of its folder", found=repr(name))
    if "digest" not in told:
        return FolderEntry(name=name, kind=str(told["kind"]))
    size = told["size"]
    if type(size) is not int or size < 0:
        raise IntegrityError("a size in this list is none", found=repr(size))
    return FolderEntry(name=name, digest=Digest.parse(told["digest"]), size=size)
