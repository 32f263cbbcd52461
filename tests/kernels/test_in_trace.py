"""The observation without a kernel: it changes nothing that a program can tell, and bears what programs do to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nbprod.kernels.bootstrap import Observed, bootstrap_source

LOOKUPS = r"""
import inspect, os, pathlib, pickle, stat

cases = {
    "a file": lambda f: f("there.txt"),
    "bytes": lambda f: f(b"there.txt"),
    "a path": lambda f: f(pathlib.Path("there.txt")),
    "by keyword": lambda f: f(path="there.txt"),
    "a folder": lambda f: f("."),
    "gone": lambda f: f("gone"),
    "below a file": lambda f: f("there.txt/gone"),
    "a link to nowhere": lambda f: f("dangling"),
    "nothing": lambda f: f(),
    "a number": lambda f: f(1.5),
    "None": lambda f: f(None),
    "with NUL": lambda f: f("a\0b"),
    "empty": lambda f: f(""),
    "unknown keyword": lambda f: f("there.txt", nonsense=1),
    "too many": lambda f: f("there.txt", 1, 2),
    "by descriptor": lambda f: f(0),
    "within a folder": lambda f: f("there.txt", dir_fd=folder),
    "gone in a folder": lambda f: f("gone", dir_fd=folder),
    "the link itself": lambda f: f("dangling", follow_symlinks=False),
}
folder = os.open(".", os.O_RDONLY)

def said(case, function):
    try:
        found = case(function)
    except Exception as error:
        return [type(error).__name__, str(error), getattr(error, "errno", None), str(getattr(error, "filename", None))]
    return [found.st_ino, found.st_mode]

told = {f"{name} {case}": said(cases[case], getattr(os, name)) for name in ("stat", "lstat") for case in cases}
for name in ("stat", "lstat", "access"):
    function = getattr(os, name)
    told[name] = [
        function.__name__, function.__doc__, str(inspect.signature(function)), function in os.supports_dir_fd,
        function in os.supports_fd, function in os.supports_follow_symlinks, function in os.supports_effective_ids,
        pickle.loads(pickle.dumps(function)) is function,
    ]
told["access"] += [os.access("there.txt", os.R_OK), os.access("gone", os.F_OK), os.access(path=".", mode=os.F_OK)]
told["exists"] = [os.path.exists("gone"), os.path.lexists("dangling"), os.path.isdir("."), os.path.isfile("gone")]
"""


def program(folder: Path, script: str, *, observed: bool = True) -> str:
    """Run a script with the observation; return what it printed."""
    (folder / "own").mkdir(exist_ok=True)
    (folder / "there.txt").write_text("there")
    if not (folder / "dangling").is_symlink():
        (folder / "dangling").symlink_to("nowhere")
    how = Observed(file=folder / "own" / "trace.jsonl", roots=(folder,), own=folder / "own") if observed else None
    source = f"{bootstrap_source(how)}\n{script}"
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "own" / "trace.jsonl").read_text().splitlines()]


def paths(folder: Path, kind: str) -> list[str]:
    return [str(Path(line["path"]).relative_to(folder)) for line in lines(folder) if line["e"] == kind]


def test_lookups_are_as_they_were(tmp_path: Path) -> None:
    script = LOOKUPS + "\nimport json; print(json.dumps(told))"
    stock = json.loads(program(tmp_path, script, observed=False))
    assert not (tmp_path / "own" / "trace.jsonl").exists()
    assert json.loads(program(tmp_path, script)) == stock
    assert len(stock) > 40
    assert "gone" in paths(tmp_path, "missing")


def test_the_file_is_the_owner_s_and_no_subprocess_inherits_it(tmp_path: Path) -> None:
    listing = "import os; print(os.listdir('/proc/self/fd'))"
    script = f"import os, sys\nos.execv(sys.executable, [sys.executable, '-c', {listing!r}])"
    observed, stock = program(tmp_path, script), program(tmp_path, script, observed=False)
    assert observed == stock
    assert (tmp_path / "own" / "trace.jsonl").stat().st_mode & 0o777 == 0o600
    assert [line["e"] for line in lines(tmp_path)] == ["on", "process"]


def test_a_program_that_closes_all_descriptors_keeps_its_files_clean(tmp_path: Path) -> None:
    script = """
import os
os.closerange(3, 100)
taken = [os.open(f"taken{number}", os.O_RDWR | os.O_CREAT) for number in range(10)]
open("there.txt").read()
print([os.fstat(descriptor).st_size for descriptor in taken])
"""
    assert program(tmp_path, script) == f"{[0] * 10}\n"
    assert paths(tmp_path, "read") == ["there.txt"]


def test_too_many_facts_are_told_to_be_too_many(tmp_path: Path) -> None:
    script = "import os\nfor number in range(50_100): os.path.exists(f'gone{number}')"
    program(tmp_path, script)
    told = lines(tmp_path)
    assert len(told) == 50_001
    assert told[-1]["e"] == "full"


def test_a_project_inside_of_an_environment_is_seen_and_one_inside_of_it_is_not(tmp_path: Path) -> None:
    for folder in ("project/.venv/lib", "lib"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.txt").write_text("a")
    (tmp_path / "project" / "a.txt").write_text("a")
    root = tmp_path / "project"
    how = Observed(file=tmp_path / "trace.jsonl", roots=(root,), own=tmp_path / "own")
    script = f"""
import sys
sys.prefix, sys.exec_prefix, sys.base_prefix = {str(root / ".venv")!r}, {str(root / ".venv")!r}, {str(tmp_path)!r}
{bootstrap_source(how)}
for path in ("project/a.txt", "project/.venv/lib/a.txt", "lib/a.txt"):
    open(path).read()
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)
    told = [json.loads(line) for line in (tmp_path / "trace.jsonl").read_text().splitlines()]
    assert [line["path"] for line in told if line["e"] == "read"] == [str(root / "a.txt")]


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_multiprocessing_is_told(tmp_path: Path, method: str) -> None:
    (tmp_path / "work.py").write_text("def work(name):\n    return open(name).read()\n")
    script = f"""
import multiprocessing, work
with multiprocessing.get_context({method!r}).Pool(1) as pool:
    print(pool.map(work.work, ['there.txt']))
"""
    if method == "spawn":
        script = f"import sys; sys.path.insert(0, '')\n{script}"
    assert program(tmp_path, script) == "['there']\n"
    assert paths(tmp_path, "module") == ["work.py"]
    told = {line["e"] for line in lines(tmp_path)}
    assert ("process" in told, "fork" in told) == (method == "spawn", method == "fork")
    assert (paths(tmp_path, "read") == ["there.txt"]) is (method == "fork")
