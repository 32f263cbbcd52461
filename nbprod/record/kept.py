"""Which inputs of a run are kept, as its trace tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nbprod.digest import Digest
from nbprod.record.folder import read_folder
from nbprod.record.trace import Trace

__all__ = ["KeptInput", "kept_inputs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptInput:
    """Bytes that a run read and that are kept.

    Args:
        path: where they lay (see `nbprod.record.trace.path_text`).
        digest: of the bytes.
        size: in bytes; None where the trace does not say.
        folder: whether it is no file but the list of the files of a folder (see `nbprod.record.folder`).
    """

    path: str
    digest: Digest
    size: int | None
    folder: bool = False


def kept_inputs(trace: Trace, read: Callable[[Digest], bytes | None]) -> Iterator[KeptInput]:
    """Yield what a trace says is kept: files, local modules, the lists of folders, and the files that those name.

    The same bytes may come several times, under several paths.

    Args:
        trace: the run's.
        read: returns the list of a folder; None where it is not there: its files cannot be told then.

    Raises:
        IntegrityError: what is kept as the list of a folder is none.
    """
    for entry in (*trace.reads, *trace.modules):
        if not entry.kept or entry.digest is None:
            continue
        if not entry.folder:
            yield KeptInput(path=entry.path, digest=entry.digest, size=entry.size)
            continue
        listing = read(entry.digest)
        size = None if listing is None else len(listing)
        yield KeptInput(path=entry.path, digest=entry.digest, size=size, folder=True)
        unkept = frozenset(entry.unkept)
        for each in () if listing is None else read_folder(listing):
            if each.digest is not None and each.name not in unkept:
                yield KeptInput(path=f"{entry.path}/{each.name}", digest=each.digest, size=each.size)
