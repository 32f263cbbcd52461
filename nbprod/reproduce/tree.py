"""A fresh folder in which a run finds what it read: found first, and laid out only if all of it is there."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nbprod.digest import Digest
from nbprod.environment.inputs import Pinned, pin_path
from nbprod.errors import CallerError, IntegrityError, NbprodError
from nbprod.record.folder import read_folder
from nbprod.record.trace import Trace, path_from_text
from nbprod.reproduce.needs import Need
from nbprod.runner.touched import digest_names

__all__ = ["Absent", "Bytes", "Found", "Laid", "below", "find", "lay", "listings_that_differ", "refuse_unread"]

_SHORT = 12


class Bytes(Protocol):
    """Where kept bytes are: a store, or a bundle."""

    def has(self, digest: Digest) -> bool:
        """Say whether the object is there."""
        ...

    def get(self, digest: Digest) -> bytes:
        """Return the bytes, checked."""
        ...

    def copy_to(self, digest: Digest, path: Path, *, mode: int = 0o444) -> None:
        """Write the object to a file, checked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where something lies.

    Args:
        need: what is needed.
        at: a file or folder with these very bytes; None: they are kept, and named by their digest.
        files: of a folder that is kept, its files by their names.
        folders: of a folder that is kept, the folders below it.
        note: what a reader should know; mostly empty.
    """

    need: Need
    at: Path | None = None
    files: Mapping[str, Digest] | None = None
    folders: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """What is not to be had.

    Args:
        need: what is needed.
        found: what is there instead, in words.
        hint: what to do, in words.
    """

    need: Need
    found: str
    hint: str

    def __str__(self) -> str:
        """Return it in one line."""
        wanted = "" if self.need.digest is None else f" (sha256 {self.need.digest.hex[:_SHORT]})"
        return f"{self.need}{wanted}: {self.found}; {self.hint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """A tree in which a run can be executed.

    Args:
        tree: the folder that takes the place of the project's root.
        places: where what the parameters name lies, by the name of the input.
        roots: the declared roots, in their order.
        notes: what a reader should know.
    """

    tree: Path
    places: Mapping[str, Path]
    roots: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find(
    needs: Sequence[Need], kept: Bytes, *, lies: Path | None, given: Mapping[str, Path]
) -> tuple[tuple[Found, ...], tuple[Absent, ...]]:
    """Look for what a run read: among what was given, what is kept, and where it lay; nothing is written.

    Args:
        needs: what it read.
        kept: has the bytes that were kept.
        lies: the project's root as it is now; None: there is none.
        given: files and folders by the parameter or the path that names them.

    Raises:
        CallerError: what was given is not what the run read.
        IntegrityError: what is kept as the list of a folder's files is none.
    """
    found: list[Found] = []
    absent: list[Absent] = []
    for need in needs:
        where = _look(need, kept, lies, given.get(need.name or need.path, given.get(need.path)))
        if isinstance(where, Found):
            found.append(where)
        else:
            absent.append(where)
    return tuple(found), tuple(absent)


def refuse_unread(given: Iterable[str], needs: Sequence[Need]) -> None:
    """Refuse what is given and was not read.

    Args:
        given: names of parameters, or paths.
        needs: what was read.

    Raises:
        CallerError: nothing of that name was read.
    """
    names = {need.name for need in needs} | {need.path for need in needs}
    if unknown := sorted(set(given) - names):
        there = ", ".join(sorted({need.name or need.path for need in needs})) or "none"
        raise CallerError(f"the run read no input {unknown[0]!r}", expected=f"one of: {there}")


def _look(need: Need, kept: Bytes, lies: Path | None, given: Path | None) -> Found | Absent:
    if given is not None:
        pinned = pin_path(given.absolute())
        if need.digest is not None and pinned.digest != need.digest:
            raise CallerError(
                f"{given} is not what the run read as {need}", expected=str(need.digest), found=_words(pinned)
            )
        return Found(need=need, at=given.absolute())
    hint = f"give it: --input {need.name or need.path}=PATH"
    if need.digest is not None and kept.has(need.digest):
        return _kept_folder(need, need.digest, kept, hint) if need.folder else Found(need=need)
    place = None if need.kind == "artifact" else _place(need, lies)
    if place is None:
        return Absent(need=need, found="its bytes are not kept", hint=hint)
    pinned = pin_path(place)
    if pinned.digest is not None and need.digest in (None, pinned.digest):
        note = "" if need.digest else f"{need} was not pinned then: what lies there now was used"
        return Found(need=need, at=place, note=note)
    return Absent(need=need, found=f"not kept, and where it lay there is {_words(pinned)}", hint=hint)


def _kept_folder(need: Need, digest: Digest, kept: Bytes, hint: str) -> Found | Absent:
    entries = read_folder(kept.get(digest))
    files = {each.name: each.digest for each in entries if each.digest is not None}
    lost = [name for name, of in files.items() if not kept.has(of)]
    lost += [each.name for each in entries if each.digest is None and each.kind != "folder"]
    if lost:
        rest = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        return Absent(need=need, found=f"{lost[0]}{rest} in it cannot be had from what is kept", hint=hint)
    return Found(need=need, files=files, folders=tuple(each.name for each in entries if each.kind == "folder"))


def _place(need: Need, lies: Path | None) -> Path | None:
    path = Path(need.path)
    if path.is_absolute():
        return path
    return None if lies is None else path_from_text(need.path, lies)


def _words(pinned: Pinned) -> str:
    if pinned.digest is not None:
        return f"another {pinned.kind} (sha256 {pinned.digest.hex[:_SHORT]})"
    return "nothing" if pinned.kind == "missing" else f"what cannot be pinned: {pinned.reason}"


def lay(found: Sequence[Found], kept: Bytes, tree: Path) -> Laid:
    """Lay out a tree: everything that lay below the project's root lies there again, with the bytes that the run read.

    Args:
        found: where things are.
        kept: has the bytes that were kept.
        tree: an empty folder.

    Raises:
        IntegrityError: bytes changed while they were copied, or a kept name leads out of the tree.
    """
    places: dict[str, Path] = {}
    roots: list[str] = []
    for number, each in enumerate(found):
        need = each.need
        if need.kind == "artifact":
            digest = need.digest.hex if need.digest is not None else str(number)
            target = tree / ".nbprod" / "views" / digest[:2] / digest[2:] / Path(need.path).name
        elif need.inside:
            target = below(tree, need.path)
        elif each.at is not None and Path(need.path) == each.at:
            target = each.at  # it lies elsewhere, as it did then, and is unchanged
        else:
            target = tree / ".nbprod" / "inputs" / str(number) / Path(need.path).name
        if target != each.at:
            _copy(each, kept, target, tree)
        if need.name:
            places[need.name] = target
        if need.kind == "root":
            roots.append(str(target))
    return Laid(tree=tree, places=places, roots=tuple(roots), notes=tuple(each.note for each in found if each.note))


def below(tree: Path, text: str) -> Path:
    """Return the path in a tree that a record names.

    Raises:
        IntegrityError: it leads out of the tree.
    """
    path = path_from_text(text, tree)
    if not path.resolve().is_relative_to(tree.resolve()):
        raise IntegrityError("a recorded path leads out of the project", found=repr(text))
    return path


def _copy(each: Found, kept: Bytes, target: Path, tree: Path) -> None:
    if not target.resolve().is_relative_to(tree.resolve()):
        raise IntegrityError("a recorded path leads out of the project", found=repr(each.need.path))
    target.parent.mkdir(parents=True, exist_ok=True)
    if each.files is not None:
        _folder(each.files, each.folders, kept, target)
    elif each.at is None:
        assert each.need.digest is not None  # noqa: S101 - only that is kept
        kept.copy_to(each.need.digest, target, mode=0o644)
    elif each.at.is_dir():
        shutil.copytree(each.at, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(each.at, target)
    wanted = each.need.digest
    if wanted is None or (each.at is None and not each.need.folder):
        return  # a store hands out no other bytes than those of the digest
    now = pin_path(target)
    if now.digest != wanted:
        what = f"{each.need} is not what it was once it lies in the tree"
        raise IntegrityError(what, expected=str(wanted), found=_words(now))


def _folder(files: Mapping[str, Digest], folders: Sequence[str], kept: Bytes, target: Path) -> None:
    """Lay out a folder that is kept; the names in its list lead nowhere but below it (`read_folder`)."""
    for name in ("", *folders):
        path_from_text(name, target).mkdir(parents=True, exist_ok=True)
    for name, digest in files.items():
        path = path_from_text(name, target)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept.copy_to(digest, path, mode=0o644)


def listings_that_differ(trace: Trace, tree: Path) -> Iterator[str]:
    """Yield, in words, the folders whose names the run listed and that hold other names in the tree."""
    for listing in trace.listings:
        if listing.digest is None or listing.path.startswith(("/", "..")):
            continue
        try:
            now = digest_names(path_from_text(listing.path, tree))
        except (OSError, ValueError, NbprodError):
            now = None
        if now != listing.digest:
            yield f"it listed {listing.path}: only what it read lies there now, other names do not"
