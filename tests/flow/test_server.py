"""A Prefect server of one's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from nbprod.errors import CallerError, EnvironmentFault
from nbprod.flow.server import LocalServer

STARTS = """
import os, sys, time
from pathlib import Path
from nbprod.flow.server import LocalServer
server = LocalServer(Path(sys.argv[1]), os.environ)
print(server._process.pid, flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    listed = subprocess.run(["ps", "-p", str(pid), "-o", "stat="], capture_output=True, text=True, check=False)
    return listed.stdout.strip() not in ("", "Z")


def test_one_server_per_folder(tmp_path):
    with LocalServer(tmp_path, os.environ), pytest.raises(CallerError, match="another process"):
        LocalServer(tmp_path, os.environ)
    LocalServer(tmp_path, os.environ).stop()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends what was left")
def test_a_killed_process_leaves_no_server(tmp_path):
    command = [sys.executable, "-c", STARTS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline())
        time.sleep(1.0)
        assert alive(pid)
        process.send_signal(signal.SIGKILL)
    until = time.monotonic() + 10
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive(pid)
    LocalServer(tmp_path, os.environ).stop()  # and nothing stands in the way of the next


def test_a_server_that_cannot_start_says_why(tmp_path):
    broken = {**os.environ, "PYTHONHOME": str(tmp_path / "nowhere")}
    with LocalServer(tmp_path, broken) as server, pytest.raises(EnvironmentFault, match="did not start") as caught:
        server.wait(timeout=20)
    assert "server.log" in str(caught.value)
