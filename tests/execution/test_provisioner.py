"""Any Jupyter client can have forked kernels, as good as others; and nothing of them outlives it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from nbprod.environment.key import kernel_key
from nbprod.errors import CallerError, NbprodError, NotFound
from nbprod.execution import provisioner as provisioner_module
from nbprod.execution import standing
from nbprod.execution.provisioner import ForkedProcess, WarmProvisioner
from nbprod.kernels import warm_spec
from nbprod.kernels.spec import find_kernel_spec
from tests.processes import MARK, command_of, eventually, marked

SCRIPT = Path(__file__).with_name("jupyter_client_to_try.py")


def install(prefix: Path, name: str = "warmed", **options: Any) -> Path:
    return warm_spec.install(name, display_name="Warmed", prefix=prefix, **options)


def environment(prefix: Path, mark: str) -> dict[str, str]:
    # Where PYTEST_CURRENT_TEST is set, ipykernel leaves out what is written past Python.
    inherited = {name: text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return {**inherited, MARK: mark, "JUPYTER_PATH": f"{prefix}/share/jupyter"}


def client(prefix: Path, mark: str, what: str, *arguments: object, **more: str) -> tuple[dict[str, Any], str]:
    """Return what a client of its own process tells, and its log."""
    command = [sys.executable, str(SCRIPT), what, "warmed", *map(str, arguments)]
    environ = {**environment(prefix, mark), **more}
    done = subprocess.run(command, env=environ, cwd=prefix, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told, done.stderr


@pytest.mark.kernel
def test_jupyters_own_client(tmp_path: Path, mark: str) -> None:
    install(tmp_path, preload=["decimal"])
    told, log = client(tmp_path, mark, "blocking", tmp_path / "farewell")
    assert "fork_server.py" in told["command"]
    assert "not forked" not in log
    assert told["first"]["status"] == "ok"
    pid, parent, cwd, other, preloaded = told["first"]["text"].split()
    assert int(pid) == told["pid"]
    assert int(parent) != 1
    assert (cwd, other, preloaded) == ("/", "False", "True")
    assert told["interrupted"] == "KeyboardInterrupt"
    assert told["group"] is True
    assert (told["debugger"], told["subshell"]) == (True, "ok")
    assert told["again"]["status"] == "ok"
    assert told["again"]["text"].split()[0] != pid
    assert told["server_again"] is True
    assert told["alive"] is False
    assert told["farewell"] == "in order"
    assert told["killed"] is True
    assert told["exit"] == 3
    # Nothing of ZeroMQ was in the server before it forked.
    assert told["server_threads"] == 1, "a ZeroMQ context has threads"
    assert [link for link in told["server_links"] if "eventfd" in link or "eventpoll" in link] == []


@pytest.mark.kernel
def test_papermill_and_nbclient(tmp_path: Path, mark: str) -> None:
    install(tmp_path)
    told, log = client(tmp_path, mark, "tools", tmp_path)
    assert "not forked" not in log
    assert any("7 True" in outputs for outputs in told["papermill"])
    assert any("1 True" in outputs for outputs in told["nbclient"])
    for outputs in (told["papermill"], told["nbclient"]):
        assert "fork_server.py" in outputs[-1]


@pytest.mark.kernel
def test_a_client_that_is_killed_takes_all_along(tmp_path: Path, mark: str) -> None:
    install(tmp_path)
    command = [sys.executable, str(SCRIPT), "wait_to_be_killed", "warmed"]
    with subprocess.Popen(command, env=environment(tmp_path, mark), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert {told["kernel"], told["below"]} <= marked(mark), "they live, and are told apart from others"
        process.send_signal(signal.SIGKILL)
    assert eventually(lambda: not marked(mark)), [command_of(pid) for pid in marked(mark)]


@pytest.mark.kernel
def test_a_client_that_says_nothing_takes_all_along(tmp_path: Path, mark: str) -> None:
    install(tmp_path)
    client(tmp_path, mark, "leave_open")
    assert eventually(lambda: not marked(mark)), [command_of(pid) for pid in marked(mark)]


@pytest.mark.kernel
def test_what_cannot_be_forked_is_started(tmp_path: Path, mark: str) -> None:
    folder = install(tmp_path)
    spec = json.loads((folder / "kernel.json").read_text())
    spec["metadata"]["kernel_provisioner"]["config"]["fork_timeout"] = 1.0
    (folder / "kernel.json").write_text(json.dumps(spec))
    told, log = client(tmp_path, mark, "fall_back", tmp_path / "broken.py")
    assert told == {name: ["ok", False] for name in told}
    assert len(told) == 4
    for why in (
        "it is to outlive its client",
        "its stdout is to be a pipe",
        "the fork server ended",
        "the fork server gave no answer in 1 s",
    ):
        assert f"not forked: {why}" in log


@pytest.mark.kernel
def test_a_standing_server_serves_a_jupyter_client(tmp_path: Path, mark: str) -> None:
    install(tmp_path)
    with tempfile.TemporaryDirectory(prefix="nbp-") as runtime:  # a socket's path must be short
        environ = {**environment(tmp_path, mark), "XDG_RUNTIME_DIR": runtime}
        nbprod = [sys.executable, "-m", "nbprod", "warm"]
        subprocess.run([*nbprod, "start", "-k", "warmed"], env=environ, cwd=tmp_path, check=True, timeout=60)
        try:
            client(tmp_path, mark, "leave_open", XDG_RUNTIME_DIR=runtime)
            (server,) = standing.standing(environ)
            assert server.served == 1
        finally:
            subprocess.run([*nbprod, "stop"], env=environ, cwd=tmp_path, check=True, timeout=60)
            assert eventually(lambda: not marked(mark))  # it uses the folder until then


@pytest.mark.kernel
def test_in_this_process(tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What managers ask of a provisioner, one by one."""
    install(tmp_path)
    environ = environment(tmp_path, mark)
    monkeypatch.setenv("JUPYTER_PATH", environ["JUPYTER_PATH"])

    async def launched(**options: Any) -> tuple[AsyncKernelManager, WarmProvisioner]:
        manager = AsyncKernelManager(kernel_name="warmed")
        await manager.start_kernel(env=environ, cwd=str(tmp_path), **options)
        provisioner = manager.provisioner
        assert isinstance(provisioner, WarmProvisioner)
        assert provisioner.has_process
        assert await provisioner.poll() is None
        return manager, provisioner

    async def forked() -> None:
        with (tmp_path / "log").open("wb") as log:
            manager, provisioner = await launched(stdout=log, stderr=subprocess.STDOUT)
        process = provisioner.process
        assert isinstance(process, ForkedProcess)
        assert (await provisioner.get_provisioner_info())["pgid"] == process.pid
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
        await provisioner.kill()
        assert await provisioner.wait() == -signal.SIGKILL
        assert process.wait() == -signal.SIGKILL
        assert not provisioner.has_process
        await provisioner.kill()  # of what is gone: nothing happens
        process.kill()
        await manager.cleanup_resources()

    async def left_to_be_cleaned_up() -> None:
        manager, provisioner = await launched(stdout=subprocess.DEVNULL)
        pid = provisioner.process.pid
        await manager.cleanup_resources()
        assert pid not in marked(mark)

    async def started() -> None:
        manager, provisioner = await launched(independent=True)
        assert isinstance(provisioner.process, subprocess.Popen)
        await provisioner.send_signal(signal.SIGKILL)
        assert await provisioner.wait() == -signal.SIGKILL
        await manager.cleanup_resources()

    async def ended() -> None:
        manager, provisioner = await launched()
        provisioner.process.terminate()
        provisioner.process.end()
        await manager.cleanup_resources()

    try:
        for use in (forked, left_to_be_cleaned_up, started, ended):
            asyncio.run(use())
    finally:
        forks, _ = provisioner_module._shared(os.getpid())
        forks.drop_all()


# --- kernel specs -----------------------------------------------------------------------------------


def test_the_provisioner_is_found_by_its_name() -> None:
    (entry,) = entry_points(group="jupyter_client.kernel_provisioners", name=warm_spec.PROVISIONER)
    assert entry.load().__name__ == "WarmProvisioner"


def test_a_spec_is_written_found_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    before = set(KernelSpecManager().find_kernel_specs())
    folder = install(tmp_path, preload=["pandas"])
    assert install(tmp_path, preload=["numpy"]) == folder, "one of ours is replaced"
    assert set(KernelSpecManager().find_kernel_specs()) - before == {"warmed"}
    spec = find_kernel_spec("warmed")
    assert (spec.display_name, str(spec.python)) == ("Warmed", sys.executable)
    config = {"provisioner_name": "nbprod-warm", "config": {"preload": ["numpy"]}}
    assert spec.metadata["kernel_provisioner"] == config
    assert warm_spec.uninstall("warmed", prefix=tmp_path) == folder
    assert set(KernelSpecManager().find_kernel_specs()) == before
    assert list(folder.parent.iterdir()) == []
    with pytest.raises(NotFound):
        warm_spec.uninstall("warmed", prefix=tmp_path)


def test_a_users_spec_is_in_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    folder = warm_spec.install("mine", display_name="Mine", user=True)
    assert folder == tmp_path / "kernels" / "mine"
    assert warm_spec.uninstall("mine", user=True) == folder


def test_another_s_spec_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "share" / "jupyter" / "kernels" / "theirs"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text('{"argv": ["x"], "display_name": "x", "language": "x"}')
    with pytest.raises(CallerError, match="another's"):
        install(tmp_path, "theirs")
    with pytest.raises(CallerError, match="another's"):
        warm_spec.uninstall("theirs", prefix=tmp_path)
    assert (folder / "kernel.json").exists()


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "..\\", "../x"])
def test_what_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    for action in (lambda: install(tmp_path, name), lambda: warm_spec.uninstall(name, prefix=tmp_path)):
        with pytest.raises(NbprodError):
            action()


def test_what_is_no_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="module"):
        install(tmp_path, preload=["pandas; x"])


def test_the_key_of_its_environment_is_that_of_an_ordinary_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    install(tmp_path)
    ours, theirs = (kernel_key(find_kernel_spec(name).to_json(), os.environ) for name in ("warmed", "python3"))
    assert ours == theirs
