"""The few words for a person who opens a bundle."""

from __future__ import annotations

from collections.abc import Sequence

from nbprod.bundle.form import Absent
from nbprod.bundle.writer import Contents
from nbprod.project.run import Run

__all__ = ["readme"]

_TEXT = """\
This file holds the run {run}
of the notebook step {step}, with all that is needed to tell whether it is what was
recorded and signed.

To read it: runs/{run}/notebook.html is the executed notebook as a page,
notebook.ipynb beside it the notebook itself, record.json the record. Pages and this text
are for reading only: nobody has signed them.

To verify it, on any machine with Python, without the project that it comes from:

    pip install nbprod
    nbprod verify FILE.zip --root {root}

{about_root}
What the answer says, and what it cannot say, is told in nbprod's docs/how-to/export.md,
and the form of this file in docs/reference/bundle.md.

Runs in this file:
{runs}
{missing}"""
_ROOT = """\
The id of the root key stands here for convenience only: whoever changed this file could
have changed it, too. Ask the project's owner for it by another way (a call, a letter, a
signed mail), and compare.
"""
_NO_ROOT = "The project has no list of keys, so that nothing says whose signatures these are.\n"


_MISSING = """
Not in this file:
{lines}
"""
_NAMED = 20
"""What is missing that is named one by one."""


def readme(contents: Contents, run: Run, *, root: str | None, beside: Sequence[Absent] = ()) -> bytes:
    """Return the text.

    Args:
        contents: of the bundle.
        run: the run that it is made for.
        root: the id of the root key; None: there is none.
        beside: the runs that those in the bundle came from, and that are not in it.
    """
    runs = "\n".join(f"  {entry.run}  {entry.step}" for entry in contents.runs)
    told = _TEXT.format(
        run=run.id,
        step=run.step,
        root=root or "KEY",
        about_root=_NO_ROOT if root is None else _ROOT,
        runs=runs,
        missing=_missing(list(dict.fromkeys((*beside, *contents.absent)))),
    )
    return told.encode("utf-8", "backslashreplace")


def _missing(absent: list[Absent]) -> str:
    lines = [f"  of run {each.run}: {each.what.rstrip(',')}: {each.why}" for each in absent[:_NAMED]]
    lines += [f"  and {len(absent) - _NAMED} more, which bundle.json names"] if len(absent) > _NAMED else []
    return _MISSING.format(lines="\n".join(lines)) if lines else ""
