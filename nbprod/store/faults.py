"""What the operating system refuses, said in one clear paragraph."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from nbprod.digest import Digest
from nbprod.errors import CallerError, DigestMismatch, EnvironmentFault, NbprodError, ObjectUnreadable, StoreUnavailable

__all__ = ["object_fault", "store_unavailable", "target_unwritable"]

_FOUND = {
    errno.ENOSPC: ("a full disk", "Free some space, then try again: nothing half-written was left behind"),
    errno.EDQUOT: ("a used-up disk quota", "Free some space, then try again: nothing half-written was left behind"),
    errno.EFBIG: ("a limit on the size of files", "Raise the limit (`ulimit -f`) or the file system's"),
    errno.EROFS: ("a read-only file system", "Mount it for writing, or choose another folder for the store"),
    errno.EACCES: ("missing rights", "Give this user the right to read and write there, or choose another folder"),
    errno.EPERM: ("missing rights", "Give this user the right to read and write there, or choose another folder"),
    errno.EIO: ("a fault of the disk", "Look at the system's log (`dmesg`) and check the disk"),
    errno.EMFILE: ("too many open files in this process", "Raise the limit (`ulimit -n`)"),
    errno.ENOTDIR: ("a file where a folder should be", "Remove it, or choose another folder for the store"),
    errno.EEXIST: ("a file where a folder should be", "Remove it, or choose another folder for the store"),
}
_NO_FILE = frozenset({errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO})
"""Something else stands where an object's file should be, or its folder."""
_UNREADABLE = frozenset({errno.EACCES, errno.EPERM, errno.EIO})
_CALLERS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG})


def store_unavailable(root: Path, doing: str, error: OSError) -> StoreUnavailable:
    """Make the error for a store that can't be read or written.

    Args:
        root: the store's folder.
        doing: `write` or `read`.
        error: what the operating system said.
    """
    found, hint = _FOUND.get(error.errno or 0, (error.strerror or str(error), None))
    where = f" at {error.filename}" if error.filename else ""
    return StoreUnavailable(
        f"the store {root} cannot be {'written' if doing == 'write' else 'read'}",
        expected=f"a folder that this user may {doing}",
        found=f"{found}{where}",
        hint=hint,
    )


def object_fault(root: Path, digest: Digest, error: OSError) -> NbprodError:
    """Make the error for an object that can't be read: of the object alone, where the store itself can be read.

    Args:
        root: the store's folder.
        digest: the object.
        error: what the operating system said.
    """
    alone = error.errno in _NO_FILE | _UNREADABLE and _can_be_listed(root / "objects")
    if not alone:
        return store_unavailable(root, "read", error)
    found = _FOUND.get(error.errno or 0, (error.strerror or str(error), None))[0]
    where = f" at {error.filename}" if error.filename else ""
    if error.errno in _NO_FILE:
        return DigestMismatch(
            f"the object {digest} in the store {root} is corrupt",
            expected="a file with bytes of that digest",
            found=f"{found}{where}",
            hint="Keep a copy of what stands there, then remove it",
        )
    return ObjectUnreadable(
        f"the object {digest} in the store {root} cannot be read",
        expected="a file that this user may read",
        found=f"{found}{where}",
    )


def _can_be_listed(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            next(entries, None)
    except OSError:
        return False
    return True


def target_unwritable(path: Path, error: OSError) -> NbprodError:
    """Make the error for a copy that can't be written where the caller wanted it."""
    found = _FOUND.get(error.errno or 0, (error.strerror or str(error), None))[0]
    kind = CallerError if error.errno in _CALLERS else EnvironmentFault
    return kind(f"{path} cannot be written", expected="a folder that exists and may be written", found=found)
