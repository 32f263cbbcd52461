"""The supervisor: a process outside the runner's that holds every kernel's whole descent.

This file is run as a script by `python -I -S` and uses the standard library only, so that it is up in a few
milliseconds. One supervisor serves all runs of one runner process. For each run it forks a *keeper*, which is
the kernel's parent and a child subreaper (prctl(2)): whatever the kernel starts, `setsid` grandchildren too, stays
below the keeper and is ended with the run, also when the runner is gone. Should the keeper itself be
killed, the kernel gets SIGKILL by its parent-death signal, and its orphans fall to the supervisor, which ends them.

Messages are JSON, one per packet of a SOCK_SEQPACKET socket pair.

runner → supervisor  {"op": "keep", "run": id}            with the run's socket and the launch, as descriptors
runner → keeper      {"op": "signal", "signal": n}        to the kernel's process group
                     {"op": "end", "grace": seconds}      wait that long for the kernel, then kill what is left
                     {"op": "bye"}                        the run is closed; without it the keeper has it closed
keeper → runner      {"event": "launched", "pid": n, …} | {"event": "refused", "error": text}
                     {"event": "exited", "code": n | null, "signal": n | null, "oom": n}
                     {"event": "ended", "killed": n}
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
TERM_GRACE = 0.25
"""Seconds between SIGTERM and SIGKILL for what a kernel left behind (loky's workers clean up on SIGTERM)."""

MOST = 4
"""Descriptors that come with one message at most."""

_OOM_FILES = ("memory.events", "memory.oom_control")


def prctl(option: int, value: int) -> None:
    """Set one of the process's own attributes (Linux; elsewhere without effect, and `nbprod doctor` says so)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def receive(sock: socket.socket) -> tuple[dict[str, object] | None, list[int]]:
    """Return one message and its descriptors; `(None, [])` at end of file."""
    descriptors = array.array("i")
    try:
        data, ancillary, _, _ = sock.recvmsg(1 << 16, socket.CMSG_SPACE(MOST * descriptors.itemsize))
    except ConnectionError:
        return None, []
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
    if not data:
        return None, list(descriptors)
    return json.loads(data), list(descriptors)


def wait_for(sock: socket.socket, descriptor: int, timeout: float | None = None) -> list[int]:
    """Return which of the two can be read, after at most `timeout` seconds."""
    return select.select([sock.fileno(), descriptor], [], [], timeout)[0]


def tell(sock: socket.socket, **message: object) -> None:
    """Send one message; a runner that is gone is no error here."""
    with contextlib.suppress(OSError):
        sock.send(json.dumps(message).encode())


def children_of(pid: int) -> list[int]:
    """Return the living children of a process, zombies left out."""
    found: list[int] = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - pathlib would double the start-up of this script
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{entry}/stat", "rb") as stat:  # noqa: PTH123
            fields = stat.read().rpartition(b")")[2].split()
            if int(fields[1]) == pid and fields[0] not in (b"Z", b"X"):
                found.append(int(entry))
    return found


def descent_of(pid: int) -> list[int]:
    """Return all living descendants of a process, nearest first."""
    found: list[int] = []
    queue = [pid]
    while queue:
        below = children_of(queue.pop())
        found += below
        queue += below
    return found


def send_signal(pid: int, number: int) -> None:
    """Signal a process; that it is gone already is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def reap() -> list[tuple[int, int]]:
    """Collect all children that have ended: pairs of pid and wait status."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, status))


def own_groups() -> tuple[str | None, str | None]:
    """Return the folders of this process's memory cgroup and of its place in the unified hierarchy (cgroups(7))."""
    memory = unified = None
    with contextlib.suppress(OSError, ValueError), open("/proc/self/cgroup", encoding="ascii") as groups:  # noqa: PTH123
        for line in groups:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if "memory" in controllers.split(","):
                memory = "/sys/fs/cgroup/memory" + path
            elif not controllers:
                roots = [root + path for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")]
                unified = next((root for root in roots if os.path.exists(f"{root}/cgroup.procs")), None)  # noqa: PTH110
    return memory or unified, unified


def oom_kills(folder: str | None) -> int:
    """Return how many out-of-memory kills a memory cgroup has counted; 0 where nobody counts."""
    for name in _OOM_FILES:
        with contextlib.suppress(OSError), open(f"{folder}/{name}", encoding="ascii") as counts:  # noqa: PTH123
            for count in counts:
                if count.startswith("oom_kill "):
                    return int(count.split()[1])
    return 0


class Group:
    """A cgroup of the run's own, where one may be made: its kill reaches every process at once, however they fork."""

    def __init__(self, parent: str | None, keeper: int, *, new: bool = True) -> None:
        self.folder = None if parent is None else f"{parent.rstrip('/')}/nbprod-{keeper}"
        if new and self.folder is not None:
            try:
                os.mkdir(self.folder, 0o700)  # noqa: PTH102
            except OSError:
                self.folder = None

    def _write(self, file: str, text: str) -> None:
        if self.folder is not None:
            with contextlib.suppress(OSError), open(f"{self.folder}/{file}", "w", encoding="ascii") as control:  # noqa: PTH123
                control.write(text)

    def enter(self) -> None:
        """Move this process into the group; its children are born in it."""
        self._write("cgroup.procs", "0")

    def kill(self) -> None:
        """Kill every process in the group (Linux 5.14; on older ones the loop over the descent has to do)."""
        self._write("cgroup.kill", "1")

    def remove(self) -> None:
        """Remove the group once it is empty."""
        if self.folder is not None:
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)  # noqa: PTH106


class Keeper:
    """Holds one run's kernel and everything below it."""

    def __init__(self, run: socket.socket, launch: dict[str, object]) -> None:
        self.run = run
        self.launch = launch
        self.kernel = 0
        self.status: int | None = None
        self.killed = 0
        self.memory, unified = own_groups()
        self.oom_before = oom_kills(self.memory)
        self.group = Group(unified, os.getpid())
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_write, False)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        prctl(PR_SET_CHILD_SUBREAPER, 1)

    def start(self) -> bool:
        """Launch the kernel; tell the runner its pid or why not."""
        self_pid = os.getpid()
        report_read, report_write = os.pipe()  # close-on-exec: end of file means that exec worked
        pid = os.fork()
        if pid == 0:
            os.close(report_read)
            self._become_kernel(self_pid, report_write)
        os.close(report_write)
        problem = b""
        while chunk := os.read(report_read, 4096):
            problem += chunk
        os.close(report_read)
        if problem:
            os.waitpid(pid, 0)
            tell(self.run, event="refused", error=problem.decode("utf-8", "replace"))
            return False
        self.kernel = pid
        tell(self.run, event="launched", pid=pid, **self.about())
        return True

    def about(self) -> dict[str, object]:
        """Return what is told of the kernel beside its pid."""
        return {}

    def _become_kernel(self, parent: int, report: int) -> None:
        """Be the kernel: in a session, a group and a folder of its own, ended with its parent."""
        try:
            os.setsid()
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            self.group.enter()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            log = os.open(str(self.launch["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(str(self.launch["cwd"]))
            self.execute(report)
        except BaseException as error:  # noqa: BLE001 - whatever it was, the runner must hear of it
            os.write(report, f"{type(error).__name__}: {error}".encode())
        os._exit(127)

    def execute(self, report: int) -> None:  # noqa: ARG002 - exec closes it
        """Become what the launch says. Does not return.

        Args:
            report: closing it tells that all went well.
        """
        argv: list[str] = self.launch["argv"]  # type: ignore[assignment]
        env: dict[str, str] = self.launch["env"]  # type: ignore[assignment]
        os.execvpe(argv[0], argv, env)

    def serve(self) -> None:
        """Do as the runner says until the run ends; without a runner, end everything and close the run."""
        while True:
            ready = wait_for(self.run, self.wake_read)
            if self.wake_read in ready:
                os.read(self.wake_read, 4096)
                self.collect()
            if self.run.fileno() in ready:
                message, _ = receive(self.run)
                if message is None:
                    self.kill_all(0.0)
                    self.close_run()
                    return
                if message["op"] == "signal":
                    self.signal_kernel(int(str(message["signal"])))
                elif message["op"] == "end":
                    self.end(float(str(message["grace"])))
                elif message["op"] == "bye":
                    return

    def collect(self) -> None:
        """Reap; when the kernel is among the dead, say so with its status."""
        for pid, status in reap():
            if pid == self.kernel and self.status is None:
                self.status = status
                died = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
                code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
                tell(self.run, event="exited", code=code, signal=died, oom=oom_kills(self.memory) - self.oom_before)

    def signal_kernel(self, number: int) -> None:
        """Signal the kernel's process group, as Jupyter's local provisioner does."""
        if self.status is None and self.kernel:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.kernel, number)

    def end(self, grace: float) -> None:
        """Wait for the kernel at most `grace` seconds, then kill whatever is left."""
        deadline = time.monotonic() + grace
        while self.status is None and (left := deadline - time.monotonic()) > 0:
            ready = wait_for(self.run, self.wake_read, timeout=left)
            if self.wake_read in ready:
                os.read(self.wake_read, 4096)
                self.collect()
            if self.run.fileno() in ready:
                break  # asked again, or the runner is gone: no more patience
        self.kill_all(TERM_GRACE if self.status is not None else 0.0)
        tell(self.run, event="ended", killed=self.killed)

    def kill_all(self, term_grace: float) -> None:
        """End all descendants: SIGTERM and a moment where `term_grace` allows, then SIGKILL until none is left."""
        me = os.getpid()
        self.collect()
        left = descent_of(me)
        self.killed += len(left)
        if left and term_grace > 0:
            for pid in left:
                send_signal(pid, signal.SIGTERM)
            deadline = time.monotonic() + term_grace
            while descent_of(me) and time.monotonic() < deadline:
                time.sleep(0.005)
                self.collect()
        while left := descent_of(me):
            self.group.kill()
            for pid in left:
                send_signal(pid, signal.SIGKILL)
            time.sleep(0.002)
            self.collect()
        self.collect()
        self.group.remove()

    def close_run(self) -> None:
        """The runner is gone: hand over to the command that writes the ending (it needs the whole of nbprod)."""
        argv: list[str] = self.launch["closer"]  # type: ignore[assignment]
        if not argv:
            return
        log = os.open(str(self.launch["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        env: dict[str, str] = self.launch.get("closer_env") or dict(os.environ)  # type: ignore[assignment]
        if self.launch.get("secrets"):
            # What it masks, in a file that has no name: as the kernel had it from us, and never as words or variables.
            handed = os.memfd_create("secrets") if sys.platform == "linux" else os.open(os.devnull, os.O_RDWR)
            os.write(handed, json.dumps(self.launch["secrets"]).encode())
            os.lseek(handed, 0, os.SEEK_SET)
            os.dup2(handed, 0)
        os.execve(argv[0], argv, env)


def read_launch(descriptor: int) -> dict[str, object]:
    """Return the launch that a descriptor leads to, and close it."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(descriptor, "rb") as spec:
        launch: dict[str, object] = json.loads(spec.read())
    return launch


def keep(descriptors: list[int]) -> None:
    """Be the keeper of one run (in a forked child)."""
    keeper = Keeper(socket.socket(fileno=descriptors[0]), read_launch(descriptors[1]))
    if keeper.start():
        keeper.serve()


def clear_after(dead: list[int], keepers: set[int], unified: str | None) -> None:
    """End what keepers left. One that ended as it should leaves nobody; what falls to us is of one that was killed."""
    for pid in dead:
        group = Group(unified, pid, new=False)
        group.kill()
        group.remove()
    for orphan in set(children_of(os.getpid())) - keepers if dead else ():
        for pid in [orphan, *descent_of(orphan)]:
            send_signal(pid, signal.SIGKILL)


def main() -> None:
    """Serve keep requests until the runner is gone and the last keeper has ended."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a Ctrl-C at the terminal is the runner's to handle
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    _, unified = own_groups()
    keepers: set[int] = set()
    open_for_runs = True
    while open_for_runs or keepers:
        watched = [control] if open_for_runs else []
        ready, _, _ = select.select(watched, [], [], 1.0 if keepers else None)
        if ready:
            message, descriptors = receive(control)
            if message is None:
                open_for_runs = False
            elif len(descriptors) == 2:  # noqa: PLR2004 - the run's socket and its launch
                pid = os.fork()
                if pid == 0:
                    control.close()
                    try:
                        keep(descriptors)
                    finally:
                        os._exit(0)
                keepers.add(pid)
                for descriptor in descriptors:
                    os.close(descriptor)
        dead = [pid for pid, _ in reap() if pid in keepers]
        keepers.difference_update(dead)
        clear_after(dead, keepers, unified)


if __name__ == "__main__":
    main()
