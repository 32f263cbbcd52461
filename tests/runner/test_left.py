"""What a notebook leaves in its output folder, and what the record says of the rest."""

from __future__ import annotations

import pytest

import nbprod
from nbprod.project import Project
from tests.notebooks import PARAMETERS, write

pytestmark = pytest.mark.kernel

LINKS = """
import os, pathlib
out = pathlib.Path(output_dir)
(out / "real").mkdir()
(out / "real" / "a.txt").write_text("a")
os.symlink("/etc", out / "etc")
os.symlink("..", out / "real" / "up")
os.symlink("nowhere", out / "dangling")
os.mkfifo(out / "pipe")
"""
DEEP = """
import os
os.chdir(output_dir)
open("kept.txt", "w").close()
for _ in range(18):
    os.mkdir("d" * 250)
    os.chdir("d" * 250)
open("lost.txt", "w").close()
"""


def notes_of(project: Project, name: str, work: str) -> tuple[set[str], tuple[str, ...]]:
    path = write(project.root / f"{name}.ipynb", ("output_dir: str = 'o'", PARAMETERS), work)
    done = nbprod.run(path, project=project).raise_for_status()
    return set(done.artifacts), done.record.notes


def test_links_and_pipes_are_not_kept_and_told(project: Project) -> None:
    kept, notes = notes_of(project, "links", LINKS)
    assert kept == {"real/a.txt"}
    told = {note.partition(" in the output folder is not a regular file")[0] for note in notes}
    assert told == {"dangling", "etc", "pipe", "real/up"}


def test_a_folder_that_cannot_be_read_is_told(project: Project) -> None:
    kept, (note,) = notes_of(project, "deep", DEEP)
    assert kept == {"kept.txt"}
    assert note.startswith("dddd")
    assert note.endswith("/ could not be read, so that nothing in it was kept: File name too long")
