"""What a run leaves in its output folder, put into the store; what holds one of its secrets is not (law 7)."""

from __future__ import annotations

import os
from os.path import isfile, islink
from pathlib import Path

from nbprod.errors import CallerError
from nbprod.masking import Masker
from nbprod.record.run_record import Artifact
from nbprod.store import Store

__all__ = ["keep_artifacts"]


def keep_artifacts(output: Path, store: Store, masker: Masker | None) -> tuple[tuple[Artifact, ...], tuple[str, ...]]:
    """Put every regular file below the output folder into the store; links and other things are named in notes.

    A file that holds a secret is no artifact: to alter it would be to alter a result. Nor is any file where nobody
    knows the run's secrets; those stay where they are.

    Args:
        output: the folder; need not be there.
        store: where bytes are kept.
        masker: knows the run's secrets; None where nobody does.
    """
    if masker is None:
        left = f"what is in {output} was not kept: whoever closed the run does not know its secrets, and left it there"
        return (), (left,) if output.is_dir() and any(output.iterdir()) else ()
    kept: list[Artifact] = []
    notes: list[str] = []

    def unread(error: OSError) -> None:
        whole = error.filename == str(output)
        what = "the output folder" if whole else f"{masker.mask_text(_shown(Path(error.filename), output))}/"
        notes.append(f"{what} could not be read, so that nothing in it was kept: {error.strerror}")

    for folder, folders, files in os.walk(output, onerror=unread):
        folders.sort()
        # Unlike Path's methods, islink and isfile bear a path that is too long for the system.
        links = [name for name in folders if islink(f"{folder}/{name}")]  # noqa: PTH114
        for name in sorted([*files, *links]):
            path = Path(folder, name)
            plain = _shown(path, output)
            shown = masker.mask_text(plain)
            if islink(path) or not isfile(path):  # noqa: PTH113, PTH114
                notes.append(f"{shown} in the output folder is not a regular file and was not kept")
                continue
            if (why := _refused(path, masker)) is not None:
                notes.append(f"{shown} in the output folder was not kept: {why}")
                continue
            try:
                digest, size = store.put_file(path)
            except CallerError as error:  # unreadable, or somebody outside the run still writes it
                notes.append(f"{shown} in the output folder was not kept: {masker.mask_text(str(error))}")
                continue
            if shown != plain:
                alike = sum(entry.name == shown or entry.name.startswith(f"{shown} (") for entry in kept)
                shown = f"{shown} ({alike + 1})" if alike else shown
                notes.append(f"artifact {shown} had another name, which held a secret")
            kept.append(Artifact(name=shown, digest=digest, size=size))
    return tuple(kept), tuple(notes)


def _refused(path: Path, masker: Masker) -> str | None:
    """Return why a file is not to be kept, in words that name the secrets by their masks."""
    if not masker:
        return None
    from nbprod.runner.inside import secrets_inside  # noqa: PLC0415 - archives' readers are slow to import

    try:
        names = secrets_inside(path, masker)
    except OSError as error:
        return f"it could not be looked through: {error.strerror}"
    except Exception as error:  # noqa: BLE001 - whatever a file holds, it ends no run
        return f"it could not be looked through ({type(error).__name__})"
    return f"it holds {' and '.join(map(masker.mask, sorted(names)))}" if names else None


def _shown(path: Path, output: Path) -> str:
    # Names are bytes on Linux; what is no UTF-8 in them has no form in the record but an escape.
    return os.fsencode(path.relative_to(output).as_posix()).decode("utf-8", "backslashreplace")
