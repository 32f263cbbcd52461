"""The distributions installed in folders, each with a digest that is equal wherever the same one is installed.

The digest is taken over the distribution's RECORD (PEP 376, the core metadata specification "Recording installed
projects"), which already holds a digest per file: no installed file is read. Lines that differ between installs of the
same wheel are left out, the rest is sorted. Editable installs have a RECORD that says nothing; their sources count.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from nbprod.digest import Digest, Json

__all__ = ["Distribution", "Memory", "distributions", "normal_name"]

Memory = MutableMapping[str, list[Json]]
"""What was read before: `{path: [mtime in ns, size in bytes, …]}`, JSON throughout."""

_INFO = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)(?:-py\d[\d.]*)?\.(?:dist|egg)-info\Z")
_BY_INSTALLERS = ("INSTALLER", "REQUESTED", "RECORD", "RECORD.jws", "RECORD.p7s", "direct_url.json")
_SKIPPED = frozenset({"tests", "test", "docs", "build", "dist", "node_modules", "__pycache__", "site-packages"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One installed distribution.

    Args:
        name: normalised as in PEP 503.
        version: as its metadata folder says.
        digest: of its RECORD, or of its sources if editable; None where it has neither.
        editable: whether it is installed from a folder of sources.
    """

    name: str
    version: str
    digest: Digest | None
    editable: bool = False

    def to_json(self) -> dict[str, Json]:
        """Return the form that stands in the environment key."""
        what = "sources" if self.editable else "record"
        return {"name": self.name, "version": self.version, what: str(self.digest) if self.digest else None}


def distributions(folders: Iterable[Path], memory: Memory) -> tuple[Distribution, ...]:
    """Return the distributions that an interpreter finds in these folders, sorted by name.

    Args:
        folders: in the order of `sys.path`; of two distributions of one name the first counts, as in imports.
        memory: read, and brought up to date.
    """
    found: dict[str, Distribution] = {}
    for folder in folders:
        for entry in _info_entries(folder):
            match = _INFO.match(entry.name)
            if match is None:
                continue
            name = normal_name(match["name"])
            if name not in found:
                found[name] = _distribution(name, match["version"], entry.path, memory)
    return tuple(found[name] for name in sorted(found))


def normal_name(name: str) -> str:
    """Return a distribution's name in the form in which two spellings of it are the same (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _info_entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))]
    except OSError:
        return []  # sys.path may name folders that don't exist


def _distribution(name: str, version: str, info: str, memory: Memory) -> Distribution:
    record = f"{info}/RECORD"  # text and not Path here and below: this is the warm path, run for each distribution
    known = memory.get(record)
    try:
        status = os.stat(record)  # noqa: PTH116
        if known is None or known[:2] != [status.st_mtime_ns, status.st_size]:
            source = _editable_source(Path(info))
            digest = _record_digest(Path(record)) if source is None else None
            known = memory[record] = [status.st_mtime_ns, status.st_size, digest, source]
    except OSError:
        return Distribution(name=name, version=version, digest=None)
    _, _, digest, source = known
    if source is not None:
        return Distribution(name=name, version=version, digest=_sources_digest(source, memory), editable=True)
    return Distribution(name=name, version=version, digest=Digest(digest))


def _record_digest(record: Path) -> str:
    lines = record.read_text("utf-8", "replace").splitlines()
    info = record.parent.name
    own = (f"{info}/uv_", *(f"{info}/{name}," for name in _BY_INSTALLERS))
    # `..` leads out of site-packages: console scripts with the interpreter's path in them, data, headers.
    kept = [
        line
        for line in lines
        if line and not line.startswith(("..", "/", '"..')) and not line.startswith(own) and ".pyc," not in line
    ]
    return hashlib.sha256("\n".join(["nbprod RECORD 1", *sorted(kept)]).encode()).hexdigest()


def _editable_source(info: Path) -> str | None:
    """Return the source folder of an editable install (PEP 610, `direct_url.json`), or None."""
    try:
        origin = json.loads((info / "direct_url.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(origin, dict) or not (origin.get("dir_info") or {}).get("editable"):
        return None
    return url2pathname(urlsplit(str(origin.get("url"))).path)


def _sources_digest(root: str, memory: Memory) -> Digest:
    """Digest the Python files below the folder; of `tests`, `docs`, builds, hidden folders and venvs none."""
    hasher = hashlib.sha256(b"nbprod sources 1")
    for path in _python_files(root):
        try:
            status = os.stat(path)  # noqa: PTH116
            known = memory.get(path)
            if known is None or known[:2] != [status.st_mtime_ns, status.st_size]:
                digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
                known = memory[path] = [status.st_mtime_ns, status.st_size, digest]
        except OSError:
            continue  # gone meanwhile, or a dangling link: nothing that could be imported
        hasher.update(f"\n{path[len(root) :]}\0{known[2]}".encode("utf-8", "surrogateescape"))
    return Digest(hasher.hexdigest())


def _python_files(root: str) -> Iterator[str]:
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if _may_hold_sources(folder, name))
        yield from (f"{folder}/{name}" for name in sorted(files) if name.endswith(".py"))


def _may_hold_sources(folder: str, name: str) -> bool:
    return name[0] != "." and name not in _SKIPPED and not os.path.exists(f"{folder}/{name}/pyvenv.cfg")  # noqa: PTH110
