"""What a run touched: the kernel's lines (`nbprod/kernels/_in_trace.py`) read, and the files' digests taken.

A line is a JSON object whose `e` is its kind: `on` (the observation has begun), `read`, `module`, `database`, `made`
(created or emptied), `changed`, each with `path` and `id` (device, inode, size, mtime in ns; null where nothing was
there, `special` for what is no regular file), `missing`, `list` (with the names' digest), `host`, `process`, `fork`,
`native`, and `full` and `lost`, after which the trace is not complete.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nbprod.digest import Digest, digest_stream
from nbprod.record.request import Input
from nbprod.record.trace import Contact, Listing, Lookup, Native, Process, Touched, Trace, path_text
from nbprod.runner.started import Scope

__all__ = ["digest_names", "touched"]

OUTSIDE = "it lies neither in the project nor below a declared root"
CHANGED = "digest unknown: changed meanwhile"
_SECRET = "its path holds a secret"  # noqa: S105 - a reason, not a secret
_MEANS = {"artifact": "artifact", "root": "root", "file": "parameter", "folder": "parameter"}


def digest_names(folder: Path) -> Digest:
    """Return the digest of a folder's names: their bytes sorted, each ended by NUL, without `__pycache__`.

    The kernel takes it in the same way at the moment of the listing.
    """
    names = sorted(name for name in os.listdir(os.fsencode(folder)) if name != b"__pycache__")  # noqa: PTH208 - bytes
    import hashlib  # noqa: PLC0415

    return Digest(hashlib.sha256(b"".join(name + b"\0" for name in names)).hexdigest())


def touched(file: Path, scope: Scope, inputs: Sequence[Input], mask: Callable[[str], str] | None) -> Trace:
    """Return what a run touched; never raises for what it finds.

    Args:
        file: the lines that the kernel wrote.
        scope: where it was looked, or why not.
        inputs: what was pinned before the run.
        mask: replaces secrets in a text; None where they are not known.
    """
    if mask is None:
        return Trace(on=False, why_off="whoever closed the run does not know its secrets, which a path may hold")
    lines, torn = ([], False) if scope.why_off else _lines(file)
    if not any(line["e"] == "on" for line in lines):
        why_off = scope.why_off or "the kernel's Python cannot be observed, or died before its first cell"
        return Trace(on=False, why_off=why_off, reads=_sorted(_with_means([], inputs, scope)))
    facts = _Facts.of(lines, scope)
    files = _Files(scope, mask)
    notes = ["a line of the trace could not be read"] if torn else []
    notes += [f"more than {len(lines) - 2:,} facts"] if any(line["e"] == "full" for line in lines) else []
    lost = sorted({line["why"] for line in lines if line["e"] == "lost"})
    notes += [f"something could not be observed ({', '.join(lost)})"] if lost else []
    reads = [files.read(path, identity, altered=path in facts.altered) for path, identity in facts.reads.items()]
    written = [entry for path in facts.written if (entry := files.written(path)) is not None]
    return Trace(
        on=True,
        complete=not notes,
        notes=tuple(notes),
        reads=_sorted(_with_means(reads, inputs, scope)),
        listings=tuple(
            Listing(
                path=files.name(path),
                digest=None if names is None else Digest(names),
                note="" if names else "its names could not be told",
            )
            for path, names in sorted(facts.listings.items())
        ),
        missing=tuple(Lookup(path=name) for name in sorted({files.name(path) for path in facts.missing})),
        written=_sorted(written),
        modules=_sorted([files.read(path, identity) for path, identity in facts.modules.items()]),
        hosts=tuple(Contact(host=mask(host), port=port) for host, port in facts.hosts),
        subprocesses=tuple(
            Process(program=mask(_printable(program)), how=how, observed=how == "fork")
            for how, program in facts.processes
        ),
        native=tuple(Native(name=name, reach=reach) for name, reach in sorted(facts.native.items())),
    )


def _lines(file: Path) -> tuple[list[dict[str, Any]], bool]:
    """Return the lines, and whether one in the middle is broken; a torn last one is left out."""
    try:
        *whole, _ = file.read_bytes().split(b"\n")
    except OSError:
        return [], False
    lines = [line for text in whole if (line := _line(text)) is not None]
    return lines, len(lines) < len(whole)


def _line(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and "e" in line else None


def _printable(text: str) -> str:
    return os.fsencode(text).decode("utf-8", "backslashreplace")


@dataclass(slots=True)
class _Facts:
    """The lines, put in order; paths as the project calls them."""

    reads: dict[str, Any] = field(default_factory=dict)
    modules: dict[str, Any] = field(default_factory=dict)
    listings: dict[str, str | None] = field(default_factory=dict)
    missing: dict[str, None] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    altered: set[str] = field(default_factory=set)
    written: dict[str, None] = field(default_factory=dict)
    hosts: dict[tuple[str, int | None], None] = field(default_factory=dict)
    processes: dict[tuple[str, str], None] = field(default_factory=dict)
    native: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: Sequence[Mapping[str, Any]], scope: Scope) -> _Facts:
        facts = cls()
        for line in lines:
            if "path" in line:
                facts._path(line["e"], scope.called(line["path"]), line)
            elif line["e"] == "host":
                facts.hosts[line["host"], line["port"]] = None
            elif line["e"] == "process":
                facts.processes[line["how"], line["program"]] = None
            elif line["e"] == "fork":
                facts.processes["fork", "a fork of the kernel"] = None
            elif line["e"] == "native":
                facts.native[line["name"]] = line["reach"]
        return facts

    def _path(self, kind: str, path: str, line: Mapping[str, Any]) -> None:
        if kind in ("made", "changed"):
            self.written[path] = None
            if kind == "changed" or path in self.reads:
                self.altered.add(path)
            else:
                self.made.add(path)
        elif path in self.made:
            return  # the run's own work is no input
        elif kind in ("read", "database"):
            self.reads.setdefault(path, line["id"])
        elif kind == "module":
            self.modules.setdefault(path, line["id"])
        elif kind == "list":
            self.listings.setdefault(path, line["names"])
        elif kind == "missing":
            self.missing[path] = None


class _Files:
    """Takes digests, each file's once."""

    def __init__(self, scope: Scope, mask: Callable[[str], str]) -> None:
        self._scope = scope
        self._mask = mask
        self._digests: dict[tuple[int, ...], Digest] = {}

    def name(self, path: str) -> str:
        return self._mask(path_text(path, self._scope.root))

    def read(self, path: str, identity: Any, *, altered: bool = False) -> Touched:
        """Return a file as the run had it; where that is not certain, without a digest."""
        if not isinstance(identity, list):
            return self._unpinned(path, None, "it is no regular file")
        size = int(identity[2])
        if self._hidden(path):
            return self._unpinned(path, size, _SECRET)
        if not self._scope.holds(path):
            return self._unpinned(path, size, OUTSIDE)
        if altered:
            return self._unpinned(path, size, "digest unknown: the run changed it")
        digest = self._digest(path, tuple(identity))
        return self._unpinned(path, size, CHANGED) if digest is None else self._pinned(path, size, digest)

    def written(self, path: str) -> Touched | None:
        """Return a file as it is now; None if it is gone, or a folder."""
        try:
            status = os.stat(path)  # noqa: PTH116 - the path is a text
        except OSError:
            return None
        if stat.S_ISDIR(status.st_mode):
            return None
        if not stat.S_ISREG(status.st_mode):
            return self._unpinned(path, None, "it is no regular file")
        if self._hidden(path) or not self._scope.holds(path):
            return self._unpinned(path, status.st_size, _SECRET if self._hidden(path) else OUTSIDE)
        digest = self._digest(path, _identity(status))
        if digest is None:
            return self._unpinned(path, None, CHANGED)
        return self._pinned(path, status.st_size, digest)

    def _hidden(self, path: str) -> bool:
        return self.name(path) != path_text(path, self._scope.root)

    def _pinned(self, path: str, size: int, digest: Digest) -> Touched:
        return Touched(path=self.name(path), digest=digest, size=size)

    def _unpinned(self, path: str, size: int | None, why: str) -> Touched:
        return Touched(path=self.name(path), size=size, note=why)

    def _digest(self, path: str, identity: tuple[int, ...]) -> Digest | None:
        """Return the digest of the file with this identity; None if it is another by now."""
        try:
            # Without O_NONBLOCK, a pipe that has taken the file's place would block for ever.
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as stream:
                if _identity(os.fstat(stream.fileno())) != identity:
                    return None
                if identity not in self._digests:
                    digest, _ = digest_stream(stream)
                    if _identity(os.fstat(stream.fileno())) != identity:
                        return None
                    self._digests[identity] = digest
        except OSError:
            return None
        return self._digests[identity]


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _sorted(entries: Sequence[Touched]) -> tuple[Touched, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.path))


def _with_means(reads: Sequence[Touched], inputs: Sequence[Input], scope: Scope) -> list[Touched]:
    """Add by what else a read was seen, and the inputs that only the request knows of."""
    pinned = [(_path_of(entry, scope), entry) for entry in inputs if entry.kind in _MEANS and entry.digest is not None]
    told = [replace(entry, seen=("audit", *_other_means(entry, pinned))) for entry in reads]
    known = {entry.path for entry in told} | {str(entry.digest) for entry in told if "artifact" in entry.seen}
    for path, entry in pinned:
        if path not in known and str(entry.digest) not in known:
            told.append(Touched(path=path, digest=entry.digest, size=entry.size, seen=(_MEANS[entry.kind],)))
            known.add(path)
    return told


def _other_means(read: Touched, pinned: Sequence[tuple[str, Input]]) -> Iterator[str]:
    for means in ("parameter", "artifact", "root"):
        for path, entry in pinned:
            if _MEANS[entry.kind] != means:
                continue
            inside = read.path == path or (entry.kind in ("folder", "root") and read.path.startswith(f"{path}/"))
            if entry.digest == read.digest if means == "artifact" else inside:
                yield means
                break


def _path_of(entry: Input, scope: Scope) -> str:
    if entry.run is not None:
        return f"nbprod:{entry.run}/{entry.path}"
    return path_text(scope.called(os.path.normpath(scope.cwd / entry.path)), scope.root)
