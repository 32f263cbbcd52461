"""Prefect's API slow, gone or silent: the records are complete all the same, and nobody waits for minutes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nbprod.flow.server import LocalServer
from nbprod.ledger import RunQuery
from nbprod.project import Project
from nbprod.record.status import Status
from tests.processes import eventually
from tests.proxy import Fault, Proxy

pytestmark = [pytest.mark.prefect, pytest.mark.kernel, pytest.mark.slow]

FLOW = """
    from prefect import flow
    from nbprod.flow import notebook
    from nbprod.flow.flush import flush
    short = notebook("notebooks/short.ipynb")

    @flow
    def two():
        short(alpha=1)
        short(alpha=2)

    try:
        two()
    finally:
        flush(5)
"""
WAITS = """
    import time
    from pathlib import Path
    Path(f"up{alpha}").touch()
    while alpha == 1 and not Path("go").exists():
        time.sleep(0.05)
"""


CASES = {"slow": Fault.DELAY, "restarted": Fault.RESET, "gone": Fault.RESET}
PATIENCE = 150.0
"""Seconds: what three requests that find nobody may take, three times that for a busy machine."""


@pytest.mark.parametrize("retries", ["2", pytest.param(None, marks=pytest.mark.torture)], ids=["impatient", "as it is"])
def test_the_records_are_complete(project: Path, write, prefect_server: LocalServer, retries: str | None):
    write("short", "alpha: int = 1", [textwrap.dedent(WAITS)])
    (project / "flow.py").write_text(textwrap.dedent(FLOW), encoding="utf-8")
    address = urlsplit(prefect_server.url)
    roots = {name: Path(shutil.copytree(project, project.with_name(name))) for name in CASES}
    with contextlib.ExitStack() as stack:
        proxies = {n: stack.enter_context(Proxy((address.hostname, address.port), delay=0.3)) for n in CASES}
        few = {} if retries is None else {"gone": {"PREFECT_CLIENT_MAX_RETRIES": retries}}
        flows = {n: stack.enter_context(started(roots[n], prefect_server, proxies[n], few.get(n, {}))) for n in CASES}
        for name, fault in CASES.items():
            assert eventually((roots[name] / "notebooks" / "up1").exists, 90)
            proxies[name].switch(fault)
            (roots[name] / "notebooks" / "go").touch()
        assert eventually(lambda: records(roots["restarted"]), 60)
        proxies["restarted"].switch(Fault.NONE)  # the control: the same fault, but it passes
        told = {name: flow.communicate(timeout=PATIENCE)[0].decode() for name, flow in flows.items()}
    for name, root in roots.items():
        assert records(root) == {1: Status.SUCCEEDED, 2: Status.SUCCEEDED}, told[name]
    assert {name: flow.returncode for name, flow in flows.items()} == {"slow": 0, "restarted": 0, "gone": 1}, told


def started(root: Path, server: LocalServer, proxy: Proxy, more: dict[str, str]) -> subprocess.Popen[bytes]:
    url = f"http://{proxy.host}:{proxy.port}/api"
    environ = {**os.environ, **server.client_environ, "PREFECT_API_URL": url, **more}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, str(root / "flow.py")], cwd=root, env=environ, **pipes)


def records(root: Path) -> dict[int, Status]:
    return {run.parameters["alpha"]: run.status for run in Project.find(root, {}).runs(RunQuery())}
