"""The supervisor, with shell commands for kernels: whoever is killed, nothing of a run outlives it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbprod.errors import KernelUnavailable
from nbprod.execution.supervisor import Keeper, Supervisor
from tests.processes import MARK, eventually, marked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="subreapers and parent-death signals are Linux's")

GRANDCHILD = "setsid sh -c 'trap \"\" TERM INT HUP; sleep 300; true' & "
"""A grandchild in a session of its own that ignores whatever can be ignored."""


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.close()


class House:
    """Keeps shell commands under a supervisor, all of them marked."""

    def __init__(self, supervisor: Supervisor, mark: str, folder: Path) -> None:
        self.supervisor = supervisor
        self.mark = mark
        self.folder = folder

    def keep(self, command: str | list[str], **changes: Any) -> Keeper:
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else command
        env = {**os.environ, MARK: self.mark}
        arguments = {"run_id": "r", "argv": argv, "env": env, "cwd": self.folder, "log": self.folder / "log"}
        return self.supervisor.keep(**{**arguments, **changes})

    def alive(self) -> set[int]:
        return marked(self.mark)


@pytest.fixture
def house(supervisor: Supervisor, mark: str, tmp_path: Path) -> House:
    return House(supervisor, mark, tmp_path)


def launched(keeper: Keeper) -> int:
    for _ in range(10):
        if keeper.pid is not None:
            return keeper.pid
        keeper.pump(1.0)
    raise AssertionError("no news of the launch")


def exited(keeper: Keeper, seconds: int = 10) -> Keeper:
    for _ in range(seconds):
        if keeper.exit is not None or keeper.lost:
            return keeper
        keeper.pump(1.0)
    raise AssertionError("no news of the end")


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


# --- launching ----------------------------------------------------------------------------------


def test_a_kernel_gets_its_directory_environment_and_log(house: House, tmp_path: Path) -> None:
    (tmp_path / "here ü").mkdir()
    env = {"PATH": os.environ["PATH"], MARK: house.mark, "ONLY": "this"}
    keeper = house.keep("pwd; echo $ONLY; env | wc -l; echo err >&2; cat", cwd=tmp_path / "here ü", env=env)
    assert launched(keeper) > 0
    exit_ = exited(keeper).exit
    keeper.release()
    assert exit_ is not None
    assert (exit_.code, exit_.signal, exit_.oom) == (0, None, 0)
    assert (tmp_path / "log").read_text().split() == [*str(tmp_path / "here ü").split(), "this", "4", "err"]
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"argv": ["/does/not/exist"]}, "FileNotFoundError"),
        ({"argv": ["/etc/passwd"]}, "PermissionError"),
        ({"cwd": Path("/does/not/exist")}, "FileNotFoundError"),
        ({"log": Path("/does/not/exist/log")}, "FileNotFoundError"),
    ],
    ids=["no program", "not executable", "no directory", "no log"],
)
def test_what_cannot_be_launched_is_refused_with_the_reason(house: House, changes: dict[str, Any], told: str) -> None:
    keeper = house.keep("true", **changes)
    with pytest.raises(KernelUnavailable, match=told):
        launched(keeper)
    keeper.release()


@pytest.mark.parametrize(
    ("command", "code", "number"),
    [("exit 0", 0, None), ("exit 7", 7, None), ("kill -9 $$", None, 9), ("kill -SEGV $$", None, signal.SIGSEGV)],
)
def test_the_end_is_told_as_it_was(house: House, command: str, code: int | None, number: int | None) -> None:
    keeper = house.keep(command)
    exit_ = exited(keeper).exit
    assert exit_ is not None
    assert (exit_.code, exit_.signal) == (code, number)
    assert not keeper.alive
    keeper.release()


def test_a_signal_reaches_the_kernels_process_group(house: House, tmp_path: Path) -> None:
    keeper = house.keep("trap 'echo caught; exit 3' INT; echo up; while :; do sleep 0.05; done")
    launched(keeper)
    assert eventually(lambda: "up" in (tmp_path / "log").read_text())
    keeper.signal(signal.SIGINT)
    exit_ = exited(keeper).exit
    assert exit_ is not None
    assert exit_.code == 3
    keeper.release()


def test_the_launch_never_stands_on_a_command_line_or_in_a_file(house: House, tmp_path: Path) -> None:
    env = {**os.environ, MARK: house.mark, "TOKEN": "hunter2hunter2"}
    keeper = house.keep("sleep 60", env=env)
    kernel = launched(keeper)
    keeper_pid = parent_of(kernel)
    for pid in (kernel, keeper_pid, parent_of(keeper_pid)):
        assert b"hunter2" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert not any(b"hunter2" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    keeper.end(0)
    keeper.release()


# --- ending -------------------------------------------------------------------------------------


def test_the_end_takes_every_descendant_with_it(house: House) -> None:
    keeper = house.keep(GRANDCHILD + GRANDCHILD + "(sleep 300 &) ; sleep 300")
    launched(keeper)
    assert eventually(lambda: len(house.alive()) >= 6)
    keeper.end(0.0)
    assert house.alive() == set()
    keeper.release()


def test_the_control_a_plain_child_leaves_its_grandchild_alive(mark: str) -> None:
    """Without a supervisor the same command leaves a process behind: the tests above can fail."""
    child = subprocess.Popen(["/bin/sh", "-c", GRANDCHILD + "sleep 300"], env={**os.environ, MARK: mark})
    assert eventually(lambda: len(marked(mark)) >= 3)
    child.kill()
    child.wait()
    time.sleep(0.3)
    left = marked(mark)
    assert left
    for pid in left:
        os.kill(pid, signal.SIGKILL)


def test_what_a_kernel_that_ended_left_behind_is_ended_too(house: House) -> None:
    keeper = house.keep(GRANDCHILD + "exit 0")
    exited(keeper)
    assert eventually(house.alive)
    keeper.end(1.0)
    assert house.alive() == set()
    keeper.release()


def test_grace_lets_a_kernel_finish_and_is_not_waited_for_in_vain(house: House, tmp_path: Path) -> None:
    keeper = house.keep(f"sleep 0.3; echo done > '{tmp_path}/done'")
    launched(keeper)
    begun = time.monotonic()
    keeper.end(20.0)
    assert 0.1 < time.monotonic() - begun < 5.0
    assert (tmp_path / "done").exists()
    keeper.release()


def test_grace_has_an_end(house: House) -> None:
    keeper = house.keep("trap '' TERM INT; while :; do sleep 1; done")
    launched(keeper)
    begun = time.monotonic()
    keeper.end(0.3)
    assert 0.3 <= time.monotonic() - begun < 5.0
    assert house.alive() == set()
    keeper.release()


def test_leftovers_get_a_moment_to_clean_up(house: House, tmp_path: Path) -> None:
    cleanup = f"setsid sh -c 'trap \"echo clean > {tmp_path}/clean; exit\" TERM; while :; do sleep 0.02; done' & "
    keeper = house.keep(cleanup + "sleep 0.3")
    exited(keeper)
    keeper.end(1.0)
    assert (tmp_path / "clean").exists()
    keeper.release()


def test_release_lets_the_keeper_go_without_closing_the_run(house: House, tmp_path: Path) -> None:
    keeper = house.keep("sleep 60", closer=("/bin/sh", "-c", f"touch '{tmp_path}/closed'"))
    kernel = launched(keeper)
    keeper_pid = parent_of(kernel)
    keeper.end(0)
    keeper.release()
    assert eventually(lambda: not Path(f"/proc/{keeper_pid}").exists())
    assert not (tmp_path / "closed").exists()


def test_abandoning_has_the_run_ended_and_closed(house: House, tmp_path: Path) -> None:
    keeper = house.keep(GRANDCHILD + "sleep 300", closer=("/bin/sh", "-c", f"touch '{tmp_path}/closed'"))
    launched(keeper)
    keeper.abandon()
    assert eventually((tmp_path / "closed").exists)
    assert eventually(lambda: not house.alive())


# --- one supervisor, many runs ------------------------------------------------------------------


def test_many_runs_at_once_do_not_touch_each_other(house: House, tmp_path: Path) -> None:
    codes: dict[int, int | None] = {}

    def run(number: int) -> None:
        keeper = house.keep(GRANDCHILD + f"sleep 0.{number % 5}; exit {number}", log=tmp_path / f"log{number}")
        exit_ = exited(keeper, 30).exit
        codes[number] = None if exit_ is None else exit_.code
        keeper.end(1.0)
        keeper.release()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert codes == {number: number for number in range(1, 21)}
    assert house.alive() == set()


def test_ending_one_run_leaves_the_others(house: House) -> None:
    first, second = house.keep("sleep 300"), house.keep("sleep 300")
    launched(first)
    survivor = launched(second)
    first.end(0)
    first.release()
    assert Path(f"/proc/{survivor}").exists()
    second.pump(0.1)
    assert second.alive
    second.end(0)
    second.release()


def test_the_supervisor_ends_with_its_runner(mark: str, tmp_path: Path) -> None:
    supervisor = Supervisor()
    keeper = House(supervisor, mark, tmp_path).keep("true")
    exited(keeper)
    keeper.end(0)
    keeper.release()
    assert supervisor._process is not None
    pid = supervisor._process.pid
    supervisor.close()
    assert not Path(f"/proc/{pid}").exists()


def test_a_supervisor_that_died_between_two_runs_is_started_anew(house: House) -> None:
    house.supervisor.start()
    process = house.supervisor._process
    assert process is not None
    process.kill()
    process.wait()
    keeper = house.keep("exit 5")
    exit_ = exited(keeper).exit
    assert exit_ is not None
    assert exit_.code == 5
    keeper.release()


def test_a_forked_child_gets_a_supervisor_of_its_own(house: House) -> None:
    house.supervisor.start()
    process = house.supervisor._process
    assert process is not None
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            keeper = house.keep("exit 6")
            exit_ = exited(keeper).exit
            other = house.supervisor._process
            keeper.release()
            assert other is not None
            os.write(write, json.dumps([exit_.code if exit_ else None, other.pid]).encode())
            house.supervisor.close()
        os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    code, other_pid = json.loads(os.read(read, 100))
    os.close(read)
    assert code == 6
    assert other_pid != process.pid
    assert process.poll() is None


# --- kill -9 ------------------------------------------------------------------------------------


@contextlib.contextmanager
def runner(how: str, folder: Path, mark: str, command: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, int]]]:
    script = Path(__file__).with_name("runner_to_kill.py")
    argv = [sys.executable, str(script), how, str(folder), command]
    process = subprocess.Popen(argv, env={**os.environ, MARK: mark}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


FAMILY = GRANDCHILD + "sleep 300"


def test_when_the_runner_is_killed_all_ends_and_the_run_is_closed_once(mark: str, tmp_path: Path) -> None:
    with runner("supervised", tmp_path, mark, FAMILY) as (process, pids):
        assert eventually(lambda: len(marked(mark)) >= 6)
        process.kill()
        process.wait()
        assert eventually(lambda: not marked(mark), 5.0)
        assert not Path(f"/proc/{pids['kernel']}").exists()
    assert (tmp_path / "closed").read_text() == "closed\n"


def test_the_control_a_killed_runner_leaves_a_plain_kernel_alive(mark: str, tmp_path: Path) -> None:
    with runner("plain", tmp_path, mark, FAMILY) as (process, pids):
        assert eventually(lambda: len(marked(mark)) >= 4)
        process.kill()
        process.wait()
        time.sleep(0.5)
        left = marked(mark)
        assert pids["kernel"] in left
        assert len(left) >= 3
        for pid in left:
            with contextlib.suppress(ProcessLookupError):  # some end where others have
                os.kill(pid, signal.SIGKILL)


def test_when_the_keeper_is_killed_the_kernel_dies_and_the_supervisor_ends_the_orphans(
    house: House,
) -> None:
    keeper = house.keep(FAMILY)
    kernel = launched(keeper)
    assert eventually(lambda: len(house.alive()) >= 3)
    other = house.keep("exec sleep 300")
    survivor = launched(other)
    os.kill(parent_of(kernel), signal.SIGKILL)
    assert exited(keeper).lost
    assert not keeper.alive
    assert eventually(lambda: house.alive() <= {survivor}, 5.0)
    assert Path(f"/proc/{survivor}").exists()
    keeper.end(0)
    keeper.release()
    other.end(0)
    other.release()


def test_when_the_supervisor_is_killed_the_runs_go_on(house: House) -> None:
    keeper = house.keep(GRANDCHILD + "sleep 0.5; exit 4")
    launched(keeper)
    process = house.supervisor._process
    assert process is not None
    process.kill()
    process.wait()
    exit_ = exited(keeper).exit
    assert exit_ is not None
    assert exit_.code == 4
    keeper.end(1.0)
    assert house.alive() == set()
    keeper.release()
    again = house.keep("exit 9")
    exit_ = exited(again).exit
    assert exit_ is not None
    assert exit_.code == 9
    again.release()


def test_when_runner_and_supervisor_are_killed_the_keeper_still_closes(mark: str, tmp_path: Path) -> None:
    with runner("supervised", tmp_path, mark, FAMILY) as (process, pids):
        os.kill(pids["supervisor"], signal.SIGKILL)
        process.kill()
        process.wait()
        assert eventually(lambda: not marked(mark), 5.0)
        assert eventually((tmp_path / "closed").exists)


def test_when_runner_and_keeper_are_killed_nothing_is_left(mark: str, tmp_path: Path) -> None:
    with runner("supervised", tmp_path, mark, FAMILY) as (process, pids):
        os.kill(pids["keeper"], signal.SIGKILL)
        process.kill()
        process.wait()
        assert eventually(lambda: not marked(mark), 5.0)
    assert not (tmp_path / "closed").exists()


def test_a_ctrl_c_at_the_terminal_is_not_the_supervisors(house: House) -> None:
    keeper = house.keep("sleep 0.5; exit 2")
    kernel = launched(keeper)
    process = house.supervisor._process
    assert process is not None
    assert os.getpgid(process.pid) != os.getpgid(0)
    os.kill(process.pid, signal.SIGINT)
    os.kill(parent_of(kernel), signal.SIGINT)
    exit_ = exited(keeper).exit
    assert exit_ is not None
    assert exit_.code == 2
    keeper.release()
