"""Inputs that are kept with a run: which ones, which not, and that nothing else gets into the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbprod.digest import digest_bytes
from nbprod.project import Project, Run, RunOptions
from nbprod.record.folder import read_folder
from nbprod.record.kept import kept_inputs
from nbprod.record.trace import Touched
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import nothing_survives
from tests.runner.conftest import TOKEN

pytestmark = pytest.mark.kernel

READS = """
import kept_module
for name in ("kept/small.txt", "kept/large.txt", "kept/.env", "kept/link.txt", outside):
    open(name, "rb").read()
open("kept/removed.txt").read(); open("kept/changed.txt").read()
import os; os.remove("kept/removed.txt"); os.system("echo later > kept/changed.txt")
"""
OTHERS = """
[tool.nbprod.steps.a]
notebook = "a.ipynb"
secrets = {KEY = "file:api-key.txt"}
"""
SECRETIVE = """
import os
for name in sorted(os.listdir("hidden")):
    open("hidden/" + name, "rb").read()
"""


def run_of(project: Project, step: str, **parameters: object) -> Run:
    return project.run_job(project.job(project.step(step), parameters, RunOptions()))


def reads(run: Run) -> dict[str, Touched]:
    assert run.trace is not None
    return {entry.path: entry for entry in (*run.trace.reads, *run.trace.modules)}


@pytest.fixture(scope="module")
def run(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Run:
    root, elsewhere = project.root, tmp_path_factory.mktemp("elsewhere") / "outside.txt"
    elsewhere.write_text("outside")
    (root / "kept").mkdir()
    (root / "whole" / "inner").mkdir(parents=True)
    files = {"small.txt": b"small", "large.txt": b"l" * 3000, ".env": b"A=b", "removed.txt": b"r", "changed.txt": b"c"}
    for name, data in files.items():
        (root / "kept" / name).write_bytes(data)
    (root / "kept" / "link.txt").symlink_to(elsewhere)
    for name, data in {"a.csv": b"a", "inner/b.csv": b"b" * 3000, "inner/c.pem": b"key"}.items():
        (root / "whole" / name).write_bytes(data)
    (root / "kept_module.py").write_text("A = 2\n")
    (root / "given.txt").write_text("given")
    source = f"from pathlib import Path\noutside = {str(elsewhere)!r}\ngiven: Path = 'given.txt'\nwhole: Path = 'whole'"
    write(root / "keeping.ipynb", (source, PARAMETERS), READS)
    done = run_of(project, "keeping")
    assert done, done.reason
    return done


def test_what_it_read_in_the_project_is_kept(project: Project, run: Run) -> None:
    for name, data in {"kept/small.txt": b"small", "given.txt": b"given", "kept_module.py": b"A = 2\n"}.items():
        entry = reads(run)[name]
        assert (entry.kept, entry.note) == (True, "")
        assert entry.digest == digest_bytes(data)
        assert project.home.store.get(entry.digest) == data


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("kept/large.txt", "larger than 2 KiB"),
        ("kept/.env", "files with such names hold secrets"),
        ("kept/link.txt", "neither in the project nor below"),
        ("kept/removed.txt", None),
        ("kept/changed.txt", None),
    ],
)
def test_what_may_not_be_kept_is_not(project: Project, run: Run, name: str, why: str | None) -> None:
    entry = reads(run)[name]
    if why is None:  # the trace knows no digest of it
        assert (entry.digest, entry.kept) == (None, None)
    else:
        assert entry.kept is False
        assert why in entry.note
        assert entry.digest is not None
        assert not project.home.store.has(entry.digest)


def test_nothing_from_elsewhere_is_kept(project: Project, run: Run) -> None:
    assert not project.home.store.has(digest_bytes(b"outside"))


def test_a_folder_is_kept_file_by_file(project: Project, run: Run) -> None:
    entry = reads(run)["whole"]
    assert entry.digest is not None
    assert (entry.kept, entry.folder, entry.unkept) == (True, True, ("inner/b.csv", "inner/c.pem"))
    assert "larger than 2 KiB, files with such names hold secrets" in entry.note
    listed = {each.name: each for each in read_folder(project.home.store.get(entry.digest))}
    assert {name: each.kind for name, each in listed.items()} == {
        "a.csv": "file",
        "inner": "folder",
        "inner/b.csv": "file",
        "inner/c.pem": "file",
    }
    assert run.trace is not None
    kept = {each.path: each.digest for each in kept_inputs(run.trace, project.home.store.get)}
    assert project.home.store.get(kept["whole/a.csv"]) == b"a"
    assert kept["whole"] == entry.digest
    assert not kept.keys() & {"whole/inner/b.csv", "whole/inner/c.pem"}


def test_no_file_that_holds_a_secret_in_any_form_is_kept(project: Project) -> None:
    import base64
    import json
    from urllib.parse import quote

    hidden = project.root / "hidden"
    hidden.mkdir()
    forms = [TOKEN, base64.b64encode(TOKEN.encode()).decode(), quote(TOKEN), json.dumps(TOKEN), TOKEN.encode().hex()]
    for number, form in enumerate(forms):
        # Across the edge of two blocks, in which a file is looked through.
        (hidden / f"{number}.txt").write_bytes(b"x" * ((1 << 20) - 5) + form.encode() + b"y")
    (hidden / "fine.txt").write_bytes(b"x" * (1 << 20))
    write(project.root / "secretive.ipynb", SECRETIVE)
    done = run_of(project, "secretive")
    assert done, done.reason
    found = reads(done)
    for number in range(len(forms)):
        entry = found[f"hidden/{number}.txt"]
        assert (entry.kept, entry.note) == (False, "not kept: it holds a secret")
        assert entry.digest is not None
        assert not project.home.store.has(entry.digest)
    assert found["hidden/fine.txt"].kept is True  # positive control


def test_nothing_is_kept_where_the_step_says_so(project: Project, run: Run) -> None:
    (project.root / "unkept.txt").write_text("not to be kept")
    write(project.root / "unkeeping.ipynb", "open('unkept.txt').read()")
    entry = reads(run_of(project, "unkeeping"))["unkept.txt"]
    assert (entry.kept, entry.note) == (None, "")
    assert not project.home.store.has(digest_bytes(b"not to be kept"))


def test_where_nobody_looks_what_was_given_is_kept(project: Project, run: Run) -> None:
    (project.root / "parameter.txt").write_text("named by a parameter")
    write(project.root / "unobserved.ipynb", ("from pathlib import Path\ndata: Path = 'parameter.txt'", PARAMETERS))
    done = run_of(project, "unobserved")
    assert done.trace is not None
    assert not done.trace.on
    entry = reads(done)["parameter.txt"]
    assert (entry.kept, entry.seen) == (True, ("parameter",))


def test_what_is_there_already_is_not_written_again(project: Project, run: Run) -> None:
    digest = reads(run)["kept/small.txt"].digest
    assert digest is not None
    path = Path(project.home.folder, "store", "objects", digest.hex[:2], digest.hex[2:])
    before = path.stat()
    (project.root / "again.txt").write_bytes(b"small")
    write(project.root / "again.ipynb", "open('again.txt').read()")
    assert reads(run_of(project, "again.ipynb"))["again.txt"].kept is True
    assert path.stat() == before


def test_a_file_with_the_secret_of_another_step_is_not_kept(tmp_path: Path) -> None:
    with nothing_survives() as mark, project_in(tmp_path, mark, OTHERS) as project:
        for name, text in {"api-key.txt": "k" * 20, "plain.txt": "p" * 20}.items():
            (tmp_path / name).write_text(text)
        (tmp_path / "linked.txt").hardlink_to(tmp_path / "api-key.txt")
        write(tmp_path / "b.ipynb", "for name in ('api-key.txt', 'linked.txt', 'plain.txt'): open(name).read()")
        found = reads(run_of(project, "b.ipynb"))
        project.close()
    assert [found[name].kept for name in ("api-key.txt", "linked.txt", "plain.txt")] == [False, False, True]
