"""A published step brought back: its files in a private folder, whatever the working tree says."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from pathlib import Path, PurePosixPath

from nbprod.digest import Digest, digest_file
from nbprod.errors import IntegrityError
from nbprod.notebook import Notebook
from nbprod.publish.manifest import Manifest
from nbprod.step.step import Published, Step, StepSettings
from nbprod.store import Store

__all__ = ["frozen_step"]


def frozen_step(label: str, digest: Digest, *, store: Store, trees: Path) -> Step:
    """Return a published step, ready to run: its notebook and modules are read-only files in a folder of their own.

    Args:
        label: how to call it: `train@3`.
        digest: its manifest's.
        store: holds its bytes.
        trees: the folder that has a folder for each manifest; made where it is not there.

    Raises:
        NotFound, IntegrityError: bytes of it are not in the store any more, or spoilt.
    """
    manifest = Manifest.from_bytes(store.get(digest))
    tree = _tree(manifest, digest, store, trees)
    path = tree / _safe(manifest.notebook.path)
    data = store.get(manifest.notebook.digest)
    return Step(
        name=manifest.step,
        notebook=Notebook.parse(data, path=path),
        data=data,
        path=path,
        folder=tree / _safe(manifest.folder),
        settings=StepSettings.parse(dict(manifest.settings), f"published step {label}"),
        published=Published(label=label, manifest=digest, git=manifest.git),
    )


def _tree(manifest: Manifest, digest: Digest, store: Store, trees: Path) -> Path:
    tree = trees / digest.hex
    if tree.is_dir() and _whole(tree, manifest):
        return tree
    shutil.rmtree(tree, ignore_errors=True)
    fresh = trees / f".{digest.hex[:16]}-{secrets.token_hex(4)}"
    try:
        for entry in manifest.files:
            path = fresh / _safe(entry.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            store.copy_to(entry.digest, path)
        (fresh / _safe(manifest.folder)).mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # another process was faster: its tree is checked below
            fresh.rename(tree)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    if not _whole(tree, manifest):
        raise IntegrityError(
            "a published step cannot be laid out", expected=f"its files in {tree}", found="others", hint="Remove it."
        )
    return tree


def _whole(tree: Path, manifest: Manifest) -> bool:
    """Return whether every file is there as it was frozen: somebody may have written into the folder."""
    try:
        return all(digest_file(tree / _safe(entry.path))[0] == entry.digest for entry in manifest.files)
    except OSError:
        return False


def _safe(text: str) -> PurePosixPath:
    """Return a path if it leads nowhere but below the folder (law 10); `.` is the folder itself.

    Raises:
        IntegrityError: it does not.
    """
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not text or "\0" in text:
        raise IntegrityError("a published step names a file outside itself", found=repr(text))
    return path
