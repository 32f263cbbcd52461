"""The lineage of a folder: of each file in it that runs of this ledger made or used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from nbprod.digest import Digest
from nbprod.environment.inputs import pin_path
from nbprod.errors import CallerError
from nbprod.ledger.uses import AskedUses
from nbprod.project.home import Home
from nbprod.project.walk import TAKING, Node, Walk
from nbprod.record.counted import counted
from nbprod.record.folder import read_folder
from nbprod.record.trace import path_from_text, path_text
from nbprod.record.uses import LEAVING, path_key

__all__ = ["begin_folder"]

_SHOWN = 100
"""Files of a folder that are gone into; of others it is told how many there are."""
_AT_ONCE = 500
"""Digests, or names, that the ledger is asked for at once."""
_USES = 10_000
"""Uses of so many that are looked at."""

_Files = dict[str, Digest]
T = TypeVar("T")


def begin_folder(home: Home, path: Path, what: str) -> Callable[[Walk], str]:
    """Return what begins a walk with the files of a folder, as they are and as runs have touched them.

    Args:
        home: the project's.
        path: the folder, which is there.
        what: what the caller calls it.

    Raises:
        CallerError: it is too large, or cannot be read.
    """
    pinned = pin_path(path)
    if pinned.digest is None or pinned.listing is None:
        raise CallerError(
            f"the folder {what} cannot be looked through",
            found=pinned.reason or "nothing",
            hint="Name a file in it, or a smaller folder",
        )
    own = tuple(home.places())
    entries = ((each.name, each.digest) for each in read_folder(pinned.listing))
    files = {name: digest for name, digest in entries if digest is not None and not _is_own(path, name, own)}
    whole = pinned.digest

    def begin(walk: Walk) -> str:
        start, folder = f"path:{what}", what.rstrip("/")
        inside = "" if folder == "." else f"{folder}/"
        walk.add(Node(id=start, kind="folder", label=f"{folder}/", facts={"files": len(files)}))
        found = list(_known(home, walk, path, files, whole))
        for name, digest, told in found[:_SHOWN]:
            called = f"{inside}{name}{told}" if name else f"{folder}, the list of its files{told}"
            node = walk.add_file(digest, called)
            walk.join(*((node, start) if walk.up else (start, node)), "a file of" if name else "a version of", called)
            walk.file([digest], called)
        if len(found) > _SHOWN:
            left = counted(len(found) - _SHOWN, "other")
            walk.notes[f"{folder}/ has more than {_SHOWN} files of which something is known: {left} not shown"] = None
        elif others := len(files.keys() - {name for name, _, _ in found}):
            no = "made by no run here" if walk.up else "used by no run here"
            walk.notes[f"{counted(others, 'file')} in {folder}/ {'was' if others == 1 else 'were'} {no}"] = None
        return start

    return begin


def _is_own(folder: Path, name: str, places: Sequence[Path]) -> bool:
    path = path_from_text(name, folder.resolve())
    return any(path.is_relative_to(place) for place in places)


def _known(home: Home, walk: Walk, path: Path, files: _Files, whole: Digest) -> Iterator[tuple[str, Digest, str]]:
    """Yield what the ledger knows of a folder: names in it, digests, and what is to be said of them.

    An empty name is the folder itself, of which a run may have read the list of its files.
    """
    roles = LEAVING if walk.up else TAKING
    now: dict[Digest, list[str]] = {whole: [""]}
    for name, digest in files.items():
        now.setdefault(digest, []).append(name)
    keys = {path_key(path_text(path_from_text(name, path) if name else path, home.root)): name for name in ("", *files)}
    known: dict[tuple[str, Digest], str] = {}
    for some in _parts(tuple(now)):
        for each in home.ledger.uses(AskedUses(digests=some, roles=roles, limit=_USES)):
            known |= {(name, each.use.digest): "" for name in now[each.use.digest]}
    for some_keys in _parts(tuple(keys)):
        for each in home.ledger.uses(AskedUses(names=some_keys, roles=roles, limit=_USES)):
            name, digest = keys[each.use.name], each.use.digest
            known.setdefault((name, digest), "" if name in now.get(digest, ()) else f" as it was ({digest.short})")
    yield from sorted((name, digest, told) for (name, digest), told in known.items())


def _parts(items: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    yield from (items[begin : begin + _AT_ONCE] for begin in range(0, len(items), _AT_ONCE))
