"""What a run touched beside what it was given: files, folders, modules, hosts, subprocesses.

It is observation, not a sandbox (docs/decisions/0015). It stands in the store as RFC 8785 canonical JSON, and the
record has its digest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from nbprod.digest import Digest, Json, canonical, read_canonical
from nbprod.errors import IntegrityError, UnsupportedVersion

__all__ = ["Contact", "Listing", "Lookup", "Native", "Process", "Touched", "Trace", "path_from_text", "path_text"]

_FORM = 1
_TELLERS = frozenset({"arch", "getconf", "ldconfig", "lscpu", "nproc", "uname"})
"""Programs that only tell of the machine, which libraries ask when they are imported (joblib: `lscpu`)."""
_NAMED = 3
"""Names that a reason tells before it counts the rest."""


def path_text(path: str | os.PathLike[str], root: Path) -> str:
    """Return a path as it stands in a trace: relative to `root`, with `/`, where it lies below it; absolute otherwise.

    A name that is no UTF-8 stands as NUL, which no name has, and the hex digits of its bytes.
    """
    plain = Path(os.path.normpath(path))
    inner = plain.relative_to(root) if plain.is_relative_to(root) else plain
    return inner.anchor + "/".join(_name_text(part) for part in inner.relative_to(inner.anchor).parts) or "."


def path_from_text(text: str, root: Path) -> Path:
    """Return the path that `path_text` wrote, below `root` unless it is absolute."""
    parts = [os.fsdecode(bytes.fromhex(part[1:])) if part.startswith("\0") else part for part in text.split("/")]
    return root / "/".join(parts)


def _name_text(name: str) -> str:
    data = os.fsencode(name)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"\0{data.hex()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One thing that was touched.

    Args:
        extra: fields that this version does not know; kept and written back.
    """

    extra: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """Return the form that stands in the trace."""
        own = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "extra"}
        told = {key: str(value) if isinstance(value, Digest) else value for key, value in own.items()}
        return {
            **self.extra,
            **{key: list(value) if isinstance(value, tuple) else value for key, value in told.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        known = {entry.name for entry in fields(cls)} - {"extra"}
        own: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key in known
        }
        if own.get("digest") is not None:
            own["digest"] = Digest.parse(own["digest"])
        return cls(**own, extra={key: value for key, value in data.items() if key not in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched(_Entry):
    """A file that was read, written or imported.

    Args:
        path: see `path_text`.
        digest: of its bytes (of a folder: see `pin_path`) as the run had it; None where that is not known.
        size: bytes, None if unknown.
        seen: which means saw it: `audit` (Python's audit hook), `parameter`, `artifact` or `root`. What `audit` did
            not see stands here as it was pinned in the request, an artifact as `nbprod:RUN/NAME`.
        note: why there is no digest, or why the bytes are not kept; else empty.
        kept: whether the store has the bytes; None: nobody was to keep them.
        folder: whether it is a folder: what is kept under the digest is the list of its files (`nbprod.record.folder`),
            and each file under its own.
        unkept: of a folder that is kept, the names of the files that are not.
    """

    path: str
    digest: Digest | None = None
    size: int | None = None
    seen: tuple[str, ...] = ("audit",)
    note: str = ""
    kept: bool | None = None
    folder: bool | None = None
    unkept: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """Return the form that stands in the trace; what it does not say is left out, as in older ones."""
        told = _Entry.to_json(self)
        silent = [key for key in ("kept", "folder", "unkept") if not told[key] and told[key] is not False]
        return {key: value for key, value in told.items() if key not in silent}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(_Entry):
    """A folder whose names were listed.

    Args:
        path: see `path_text`.
        digest: of its names, see `nbprod.runner.touched.digest_names`; None where it is not known.
        note: why there is no digest, else empty.
    """

    path: str
    digest: Digest | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup(_Entry):
    """A path that was looked up and was not there.

    Args:
        path: see `path_text`.
        note: what is to say of it, mostly empty.
    """

    path: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact(_Entry):
    """A host that was looked up or connected to.

    Args:
        host: name or address.
        port: None where only the name was looked up.
    """

    host: str
    port: int | None = None

    def __str__(self) -> str:
        """Return `host:port`."""
        return self.host if self.port is None else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process(_Entry):
    """A subprocess that was started.

    Args:
        program: what was started, without its arguments.
        how: the call: `subprocess`, `system`, `spawn`, `exec` or `fork`.
        observed: whether what it did stands in this trace: only for forks of the kernel.
    """

    program: str
    how: str = "subprocess"
    observed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Native(_Entry):
    """A loaded library that can reach files or hosts past Python, where no audit hook hears of it.

    Args:
        name: the package.
        reach: `files`, or `hosts` for what is made to talk to them (a database's driver).
    """

    name: str
    reach: str = "files"


_LISTS: Mapping[str, type[_Entry]] = {
    "reads": Touched,
    "listings": Listing,
    "missing": Lookup,
    "written": Touched,
    "modules": Touched,
    "hosts": Contact,
    "subprocesses": Process,
    "native": Native,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What one run touched.

    Args:
        on: whether anybody looked.
        why_off: why nobody did, else empty.
        complete: whether all that was seen stands here.
        notes: what a reader should know (why it is not complete).
        reads: files that were read and were there before; what the run itself had written before is none.
        listings: folders whose names were listed.
        missing: paths that were looked up in vain.
        written: files that were written outside the run's own folder, with the bytes that they had at the end.
        modules: source files of modules that were imported from outside the environment.
        hosts: hosts that were looked up or connected to.
        subprocesses: what was started; what those did is not known.
        native: loaded libraries that can reach files or hosts past Python.
        extra: fields that this version does not know; kept and written back.
    """

    on: bool
    why_off: str = ""
    complete: bool = True
    notes: tuple[str, ...] = ()
    reads: tuple[Touched, ...] = ()
    listings: tuple[Listing, ...] = ()
    missing: tuple[Lookup, ...] = ()
    written: tuple[Touched, ...] = ()
    modules: tuple[Touched, ...] = ()
    hosts: tuple[Contact, ...] = ()
    subprocesses: tuple[Process, ...] = ()
    native: tuple[Native, ...] = ()
    extra: Mapping[str, Json] = field(default_factory=dict)

    def blockers(self) -> tuple[str, ...]:
        """Return why a run with this trace may not answer for a later one; empty if it may, its inputs unchanged."""
        if not self.on:
            return (f"what it touched was not observed: {self.why_off}",)
        reasons = [] if self.complete else [f"what it touched is not known in full: {'; '.join(self.notes)}"]
        reasons += _told("it contacted", [str(contact) for contact in self.hosts])
        drivers = [library.name for library in self.native if library.reach == "hosts"]
        reasons += _told("it loaded what contacts hosts unobserved:", drivers)
        unseen = [
            process.program
            for process in self.subprocesses
            if not process.observed and process.program.rpartition("/")[2] not in _TELLERS
        ]
        reasons += _told("it started, and nobody observed,", unseen)
        read: tuple[Touched | Listing, ...] = (*self.reads, *self.modules, *self.listings)
        unpinned = [entry for entry in read if entry.digest is None]
        return (*reasons, *_told("it read what is not pinned:", [f"{entry.path} ({entry.note})" for entry in unpinned]))

    def to_json(self) -> dict[str, Json]:
        """Return the form that is stored."""
        lists = {name: [entry.to_json() for entry in getattr(self, name)] for name in _LISTS}
        told = {"form": _FORM, "on": self.on, "why_off": self.why_off, "complete": self.complete}
        return {**self.extra, **told, "notes": list(self.notes), **lists}

    def to_bytes(self) -> bytes:
        """Return the bytes that are stored: RFC 8785."""
        return canonical(self.to_json())

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trace:
        """Read what `to_json` wrote.

        Raises:
            UnsupportedVersion: it was written by a newer nbprod.
            IntegrityError: it is no trace.
        """
        try:
            if data["form"] != _FORM:
                found = str(data["form"])
                raise UnsupportedVersion(
                    "this trace was written by a newer nbprod", expected=f"form {_FORM}", found=found, hint="Upgrade."
                )
            lists: dict[str, Any] = {
                name: tuple(kind.from_json(entry) for entry in data[name]) for name, kind in _LISTS.items()
            }
            known = {entry.name for entry in fields(cls)} | {"form"}
            extra = {key: value for key, value in data.items() if key not in known}
            told: dict[str, Any] = {key: data[key] for key in ("on", "why_off", "complete")}
            return cls(**told, notes=tuple(data["notes"]), **lists, extra=extra)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntegrityError("this is not a run's trace", found=f"{type(error).__name__}: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Trace:
        """Read a stored trace (raises as `from_json` does)."""
        try:
            read = read_canonical(data)
        except ValueError as error:
            raise IntegrityError("this is not a run's trace", found=str(error)) from error
        return cls.from_json(read)


def _told(what: str, names: list[str]) -> list[str]:
    """Return one reason that names a few and counts the rest; none for no names."""
    distinct = list(dict.fromkeys(names))
    rest = f" and {len(distinct) - _NAMED} more" if len(distinct) > _NAMED else ""
    return [f"{what} {', '.join(distinct[:_NAMED])}{rest}"] if distinct else []
