"""What a run touched, as a real kernel's notebook touches it."""

from __future__ import annotations

import hashlib
import os
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbprod.errors import CallerError
from nbprod.project import Project, Run, RunOptions
from nbprod.record.trace import Touched, Trace, path_text
from nbprod.runner.touched import digest_names
from tests.notebooks import write

pytestmark = pytest.mark.kernel

TOUCH = r"""
import glob, os, pathlib, shutil, socket, sqlite3, subprocess, sys, threading, tempfile
open("read.txt").read(); open("read.txt", "rb").read()
pathlib.Path("path.txt").read_text()
open("ünï.txt").read(); open(b"\xff.txt").read()
open("written.txt", "w").write("w"); open("written.txt").read()
open("appended.txt", "a").write("more")
with open("both.txt", "r+") as both:
    both.read(); both.write("!")
descriptor = os.open("low.txt", os.O_RDONLY); os.close(descriptor)
with open("temporary", "w") as temporary:
    temporary.write("t")
os.replace("temporary", "replaced.txt"); open("replaced.txt").read()
tempfile.TemporaryFile().write(b"t")
os.path.exists("gone-exists"); pathlib.Path("gone-path").is_file(); os.access("gone-access", os.R_OK)
try:
    open("gone-open")
except FileNotFoundError:
    pass
os.listdir("listed"); list(pathlib.Path("globbed").glob("*.csv")); list(os.scandir("scanned")); glob.glob("globbed2/*")
os.mkdir("made"); os.listdir("made")
sqlite3.connect("base.db").execute("select * from t").fetchall()
sqlite3.connect(":memory:"); sqlite3.connect("fresh.db").execute("create table t (a)")
import cold_module, cold_module as again
"""
MORE = r"""
sys.path.insert(0, "library")
import warm_module
thread = threading.Thread(target=lambda: open("thread.txt").read()); thread.start(); thread.join()
child = os.fork()
if child == 0:
    open("forked.txt").read()
    os._exit(0)
os.waitpid(child, 0)
subprocess.run([sys.executable, "-c", "open('unseen.txt')"], check=True)
os.system("true --secretly")
socket.create_connection(("127.0.0.1", int(os.environ["NBPROD_TEST_PORT"]))).close()
open("changes.txt").read()
with open("changes.txt", "a") as later:
    later.write("later")
open("swapped.txt").read(); subprocess.run("echo other > swapped.txt", shell=True, check=True)
os.chdir("elsewhere"); open("inner.txt").read(); os.chdir("..")
os.closerange(200, 300); open("after.txt").read()
assert open("data/a.csv").read() == "a"
"""
WRITTEN = ("written.txt", "appended.txt", "both.txt", "replaced.txt", "fresh.db", "changes.txt")
READ = (
    "read.txt",
    "path.txt",
    "ünï.txt",
    "low.txt",
    "base.db",
    "thread.txt",
    "forked.txt",
    "elsewhere/inner.txt",
    "after.txt",
)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def root(project: Project) -> Path:
    """The project's root with all that the notebooks touch."""
    import sqlite3
    import subprocess
    import sys

    here = project.root
    names = ["both.txt", "appended.txt", "changes.txt", "swapped.txt", "unseen.txt", *READ]
    for folder in ("elsewhere", "listed", "globbed", "globbed2", "scanned", "library", "data"):
        (here / folder).mkdir(exist_ok=True)
        (here / folder / "a.csv").write_text("a")
    for name in names:
        (here / name).write_bytes(b"" if name == "base.db" else name.encode())
    (here / os.fsdecode(b"\xff.txt")).write_text("no UTF-8")
    with sqlite3.connect(here / "base.db") as base:
        base.execute("create table t (a)")
    base.close()
    (here / "cold_module.py").write_text("A = 1\n")
    (here / "library" / "warm_module.py").write_text("A = 1\n")
    subprocess.run([sys.executable, "-m", "compileall", "-q", here / "library"], check=True)
    write(here / "observed.ipynb", TOUCH, MORE)
    write(here / "unobserved.ipynb", "open('read.txt').read()")
    write(here / "rootless.ipynb", "1")
    return here


def run_of(project: Project, step: str) -> Run:
    return project.run_job(project.job(project.step(step), {}, RunOptions()))


@pytest.fixture(scope="module")
def run(project: Project, root: Path, port: int) -> Run:
    project.environ["NBPROD_TEST_PORT"] = str(port)
    done = run_of(project, "observed")
    assert done, done.reason
    return done


@pytest.fixture(scope="module")
def trace(run: Run) -> Trace:
    assert run.trace is not None
    return run.trace


def by_path(entries: tuple[Touched, ...]) -> dict[str, Touched]:
    return {entry.path: entry for entry in entries}


def test_the_trace_is_whole(trace: Trace) -> None:
    assert (trace.on, trace.why_off, trace.complete, trace.notes) == (True, "", True, ())


def test_what_was_read_stands_with_its_digest(trace: Trace, root: Path) -> None:
    reads = by_path(trace.reads)
    for name in READ:
        assert reads[name].digest is not None, reads[name]
        assert reads[name].digest.hex == hashlib.sha256((root / name).read_bytes()).hexdigest()
        assert reads[name].seen == ("audit",)
    assert reads[path_text(root / os.fsdecode(b"\xff.txt"), root)].digest is not None


def test_a_declared_root_is_an_input_and_is_seen_by_both_means(run: Run, trace: Trace) -> None:
    (entry,) = run.record.request.inputs
    assert (entry.kind, entry.path, entry.name) == ("root", "data", "")
    assert by_path(trace.reads)["data/a.csv"].seen == ("audit", "root")
    assert by_path(trace.reads)["data"].seen == ("root",)
    assert by_path(trace.reads)["data"].digest == entry.digest


def test_what_changed_meanwhile_has_no_digest(trace: Trace) -> None:
    reads = by_path(trace.reads)
    assert {reads[name].note for name in ("both.txt", "changes.txt")} == {"digest unknown: the run changed it"}
    assert (reads["swapped.txt"].digest, reads["swapped.txt"].note) == (None, "digest unknown: changed meanwhile")


def test_the_run_s_own_work_is_no_input(trace: Trace) -> None:
    assert not by_path(trace.reads).keys() & {"written.txt", "replaced.txt", "fresh.db", "unseen.txt", "appended.txt"}
    assert "made" not in {entry.path for entry in trace.listings}
    written = by_path(trace.written)
    assert set(WRITTEN) <= set(written)
    assert all(written[name].digest is not None for name in WRITTEN)
    assert not {name for name in written if "temporary" in name or "__pycache__" in name}


def test_nothing_of_the_environment_or_of_the_run_s_folder_is_told(trace: Trace) -> None:
    told = [entry.path for entry in (*trace.reads, *trace.modules, *trace.written, *trace.missing, *trace.listings)]
    assert [path for path in told if path.startswith("/") or ".nbprod" in path] == []


def test_listings_and_failed_lookups_are_told(trace: Trace, root: Path) -> None:
    listings = {entry.path: entry.digest for entry in trace.listings}
    assert set(listings) == {"listed", "globbed", "globbed2", "scanned"}
    assert listings["listed"] == digest_names(root / "listed")
    names = {entry.path for entry in trace.missing}
    assert names == {"gone-exists", "gone-path", "gone-access", "gone-open"}


def test_local_modules_are_told_by_their_sources_cold_or_compiled(trace: Trace) -> None:
    assert set(by_path(trace.modules)) == {"cold_module.py", "library/warm_module.py"}
    assert all(entry.digest is not None for entry in trace.modules)


def test_hosts_and_subprocesses_are_told(trace: Trace, port: int) -> None:
    assert f"127.0.0.1:{port}" in map(str, trace.hosts)
    started = {(entry.program.rpartition("/")[2], entry.how, entry.observed) for entry in trace.subprocesses}
    assert ("true", "shell", False) in started
    assert ("echo", "shell", False) in started
    assert ("a fork of the kernel", "fork", True) in started
    assert any(name.startswith("python") and how == "subprocess" for name, how, _ in started)
    assert "secretly" not in trace.to_bytes().decode()


def test_people_are_told_in_the_executed_notebook(run: Run) -> None:
    cell = run.notebook.read_text("utf-8")
    assert "What it read" in cell
    assert "more" in cell
    assert "Contacted: 127.0.0.1:" in cell
    assert not (run.notebook.parent / "trace.jsonl").exists()


def test_with_the_setting_nothing_is_seen_and_the_record_says_so(project: Project, root: Path) -> None:
    done = run_of(project, "unobserved")
    assert done.trace == Trace(on=False, why_off="`trace = false` is set")
    assert "Not observed: `trace = false` is set." in done.notebook.read_text("utf-8")
    assert done.trace.blockers()


def test_a_declared_root_that_is_not_there_is_refused(project: Project, root: Path) -> None:
    with pytest.raises(CallerError, match="no such folder of step rootless is not there"):
        run_of(project, "rootless")
