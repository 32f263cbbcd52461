"""The environment key: what moves it, what doesn't, and what it costs."""

from __future__ import annotations

import json
import os
import sys
import time
import venv
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from nbprod.digest import Digest
from nbprod.environment.distributions import Distribution, distributions
from nbprod.environment.key import Environment, kernel_key
from nbprod.environment.probe import EnvironmentProbe, environment_of
from nbprod.errors import KernelUnavailable

SPEC = {
    "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python 3",
    "language": "python",
}
RUNNING = Path(sys.executable)
WHEEL_LINES = ["demo/__init__.py,sha256=aaa,10", "demo-1.0.dist-info/METADATA,sha256=bbb,20"]
INSTALL_LINES = [
    "../../../bin/demo,sha256=ccc,300",
    "demo-1.0.dist-info/INSTALLER,sha256=ddd,4",
    "demo-1.0.dist-info/RECORD,,",
    "demo-1.0.dist-info/REQUESTED,sha256=eee,0",
    "demo-1.0.dist-info/direct_url.json,sha256=fff,56",
    "demo-1.0.dist-info/uv_cache.json,sha256=ggg,56",
    "demo/__pycache__/__init__.cpython-311.pyc,,",
]


def install(site: Path, lines: list[str], folder: str = "demo-1.0.dist-info") -> Path:
    info = site / folder
    info.mkdir(parents=True, exist_ok=True)
    (info / "RECORD").write_text("\n".join(lines) + "\n")
    return info


def only(site: Path, memory: dict | None = None) -> Distribution:
    (found,) = distributions([site], {} if memory is None else memory)
    return found


def test_lines_of_the_installer_do_not_count(tmp_path: Path) -> None:
    install(tmp_path / "a", WHEEL_LINES + INSTALL_LINES)
    install(tmp_path / "b", WHEEL_LINES[::-1])
    install(tmp_path / "c", [WHEEL_LINES[0].replace("aaa", "zzz"), WHEEL_LINES[1]])
    one, two, other = (only(tmp_path / name) for name in "abc")
    assert one == two
    assert (one.name, one.version) == ("demo", "1.0")
    assert one.digest != other.digest  # the control: a file of the wheel is another


def test_names_are_normalised_and_the_first_folder_wins(tmp_path: Path) -> None:
    install(tmp_path / "a", WHEEL_LINES, "My_Pkg.Core-2.0.dist-info")
    install(tmp_path / "b", WHEEL_LINES, "my.pkg_core-1.0.dist-info")
    (tmp_path / "b" / "Old-3.1-py3.11.egg-info").mkdir()
    found = distributions([tmp_path / "a", tmp_path / "b", tmp_path / "missing"], {})
    assert [(d.name, d.version) for d in found] == [("my-pkg-core", "2.0"), ("old", "3.1")]
    assert found[1].to_json() == {"name": "old", "version": "3.1", "record": None}


def test_an_editable_install_counts_by_its_sources(tmp_path: Path) -> None:
    project, site = tmp_path / "pro ject", tmp_path / "site"
    (project / "src" / "demo").mkdir(parents=True)
    (project / ".venv").mkdir()
    (project / "src" / "demo" / "a.py").write_text("x = 1")
    info = install(site, ["demo.pth,sha256=x,1"])
    (info / "direct_url.json").write_text(json.dumps({"url": project.as_uri(), "dir_info": {"editable": True}}))
    memory: dict = {}
    before = only(site, memory)
    (project / ".venv" / "b.py").write_text("ignored")
    (project / "notes.txt").write_text("ignored")
    assert only(site, memory) == before
    assert before.editable
    (project / "src" / "demo" / "a.py").write_text("x = 22")
    changed = only(site, memory)
    assert changed.digest != before.digest
    assert changed == only(site, {})
    (project / "src" / "demo" / "a.py").rename(project / "src" / "demo" / "c.py")
    assert only(site, memory).digest != changed.digest


def test_a_reinstall_is_noticed_by_a_warm_probe(tmp_path: Path) -> None:
    install(tmp_path, WHEEL_LINES)
    memory: dict = {}
    before = only(tmp_path, memory)
    assert only(tmp_path, memory) == before
    install(tmp_path, [*WHEEL_LINES, "demo/new.py,sha256=x,1"])
    assert only(tmp_path, memory) != before


@pytest.fixture(scope="module")
def running() -> Environment:
    return environment_of(RUNNING, SPEC, {})


def test_the_running_interpreter(running: Environment) -> None:
    key = running.key.to_json()
    assert key["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    names = {distribution["name"] for distribution in key["distributions"]}
    assert {"ipykernel", "scrapbook", "papermill"} <= names
    assert key["settings"] == {}
    assert running.key.digest == environment_of(RUNNING, SPEC, {}).key.digest
    assert isinstance(running.key.digest, Digest)


def test_the_key_names_no_place_of_this_machine(running: Environment) -> None:
    text = json.dumps(running.key.to_json())
    for place in (sys.prefix, str(Path.home()), os.uname().nodename + '"'):
        assert place not in text
    assert sys.prefix in json.dumps(running.facts)


MOVING = {
    "threads": (SPEC, {"OMP_NUM_THREADS": "1"}),
    "hash seed": (SPEC, {"PYTHONHASHSEED": "0"}),
    "arguments": (SPEC | {"argv": [*SPEC["argv"], "--quiet"]}, {}),
    "spec's variables": (SPEC | {"env": {"MODE": "fast"}}, {}),
    "language": (SPEC | {"language": "R"}, {}),
}
RESTING = {
    "other variables": (SPEC, {"HOME": "/x", "PATH": "/y"}),
    "interpreter's place": (SPEC | {"argv": ["/opt/env/bin/python3.11", *SPEC["argv"][1:]]}, {}),
    "display name": (SPEC | {"display_name": "Mine", "metadata": {"debugger": True}}, {}),
}


@pytest.mark.parametrize(("spec", "environ"), MOVING.values(), ids=MOVING)
def test_what_can_change_a_result_moves_the_key(spec: Mapping, environ: Mapping, running: Environment) -> None:
    assert environment_of(RUNNING, spec, environ).key.digest != running.key.digest


@pytest.mark.parametrize(("spec", "environ"), RESTING.values(), ids=RESTING)
def test_what_cannot_does_not(spec: Mapping, environ: Mapping, running: Environment) -> None:
    assert environment_of(RUNNING, spec, environ).key.digest == running.key.digest


def test_a_kernel_spec_without_paths_and_secrets() -> None:
    spec = {
        "argv": ["/a/launch.sh", "--conf=/a/b.cfg", "--token=hunter2", "-x"],
        "env": {"LIBS": "/a/x:/b/y", "API_KEY": "hunter2", "HOST": "${WHERE}", "N": "1"},
        "language": "python",
    }
    assert kernel_key(spec, {"WHERE": "here"}) == {
        "argv": ["{path}/launch.sh", "--conf={path}/b.cfg", "--token={hidden}", "-x"],
        "env": {"LIBS": "{path}/x:{path}/y", "API_KEY": "{hidden}", "HOST": "here", "N": "1"},
        "language": "python",
        "interrupt_mode": "signal",
    }


def test_a_kernel_of_another_language_has_no_distributions() -> None:
    key = environment_of(None, {"argv": ["R"], "language": "R"}, {}).key
    assert (key.python, key.distributions, key.kernel["language"]) == (None, (), "R")


def test_another_interpreter_is_asked_once(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    install(site, WHEEL_LINES)
    probe = EnvironmentProbe(tmp_path / "cache")
    cold = probe.environment_of(python, SPEC, {})
    assert [distribution.name for distribution in cold.key.distributions] == ["demo"]
    assert cold.facts["python"]["prefix"] == str(tmp_path / "env")
    for again in (probe, EnvironmentProbe(tmp_path / "cache")):
        # Starting a process would take longer than this.
        assert min(seconds(lambda: again.environment_of(python, SPEC, {})) for _ in range(5)) < 0.01  # noqa: B023
        assert again.environment_of(python, SPEC, {}).key == cold.key
    install(site, WHEEL_LINES, "later-1.0.dist-info")
    assert len(probe.environment_of(python, SPEC, {}).key.distributions) == 2
    install(tmp_path / "more", WHEEL_LINES, "extra-1.0.dist-info")
    extended = probe.environment_of(python, SPEC, {"PYTHONPATH": str(tmp_path / "more")})
    assert len(extended.key.distributions) == 3


@pytest.fixture
def site_of(tmp_path: Path) -> Path:
    """Make a venv in `env`, and return its site-packages."""
    venv.create(tmp_path / "env", with_pip=False)
    return next((tmp_path / "env" / "lib").glob("python*/site-packages"))


def names_in(tmp_path: Path, spec: Mapping = SPEC, environ: Mapping | None = None) -> list[str]:
    """Return the distributions by name, as a probe with a cache on disk finds them."""
    probe = EnvironmentProbe(tmp_path / "cache")
    python = tmp_path / "env" / "bin" / "python"
    return [each.name for each in probe.environment_of(python, spec, environ or {}).key.distributions]


def test_distributions_that_come_by_a_pth_file_count(tmp_path: Path, site_of: Path) -> None:
    install(tmp_path / "other", WHEEL_LINES)
    assert names_in(tmp_path) == []
    (site_of / "a.pth").write_text(f"# other packages\n{tmp_path / 'other'}\n")
    assert names_in(tmp_path) == ["demo"]
    install(tmp_path / "other", WHEEL_LINES, "later-1.0.dist-info")
    assert names_in(tmp_path) == ["demo", "later"]
    install(tmp_path / "third", WHEEL_LINES, "third-1.0.dist-info")
    (site_of / "a.pth").write_text(f"{tmp_path / 'third'}\n")
    assert names_in(tmp_path) == ["third"]
    (site_of / "a.pth").unlink()
    assert names_in(tmp_path) == []


def test_a_pth_file_counts_as_the_interpreter_takes_it(tmp_path: Path, site_of: Path) -> None:
    install(tmp_path / "by code", WHEEL_LINES)
    install(tmp_path / "deeper", WHEEL_LINES, "deeper-1.0.dist-info")
    (tmp_path / "by code" / "more.pth").write_text(f"{tmp_path / 'deeper'}\n")
    (site_of / "a.pth").write_text(f"import site; print('noise'); site.addsitedir({str(tmp_path / 'by code')!r})\n")
    assert names_in(tmp_path) == ["deeper", "demo"]
    (tmp_path / "by code" / "more.pth").unlink()
    assert names_in(tmp_path) == ["demo"]


def test_a_folder_that_a_pth_file_names_may_be_made_later(tmp_path: Path, site_of: Path) -> None:
    (site_of / "a.pth").write_text(f"{tmp_path / 'other'}\n")
    assert names_in(tmp_path) == []
    install(tmp_path / "other", WHEEL_LINES)
    assert names_in(tmp_path) == ["demo"]


@pytest.mark.usefixtures("site_of")
def test_variables_and_options_of_the_spec_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "other", WHEEL_LINES)
    path = {"PYTHONPATH": str(tmp_path / "other")}
    assert names_in(tmp_path) == []
    assert names_in(tmp_path, environ=path) == ["demo"]
    assert names_in(tmp_path, SPEC | {"env": {"PYTHONPATH": "${MORE}"}}, {"MORE": path["PYTHONPATH"]}) == ["demo"]
    assert names_in(tmp_path, SPEC | {"argv": ["python", "-I", *SPEC["argv"][1:]]}, path) == []
    monkeypatch.chdir(tmp_path)
    assert names_in(tmp_path, environ={"PYTHONPATH": "other"}) == ["demo"]
    (tmp_path / "json.py").write_text("1 / 0")  # the current folder is none of an interpreter's places
    assert names_in(tmp_path, environ={"PYTHONNOUSERSITE": "1"}) == []


def test_a_broken_cache_is_forgotten(tmp_path: Path, running: Environment) -> None:
    assert EnvironmentProbe(tmp_path).environment_of(RUNNING, SPEC, {}).key == running.key
    (kept,) = tmp_path.iterdir()
    for broken in ("{", "[]", '{"format": 99}'):
        kept.write_text(broken)
        assert EnvironmentProbe(tmp_path).environment_of(RUNNING, SPEC, {}).key == running.key


@pytest.mark.parametrize("python", ["missing/python", "/bin/false"])
def test_an_interpreter_that_does_not_answer(python: str) -> None:
    with pytest.raises(KernelUnavailable, match="does not answer") as raised:
        environment_of(Path(python), SPEC, {})
    assert "\n" not in str(raised.value)


def test_it_costs_little(tmp_path: Path) -> None:
    for number in range(200):
        lines = [f"demo{number}/m{file}.py,sha256={file:064x},{file}" for file in range(100)]
        install(tmp_path, lines, f"demo{number}-1.0.dist-info")
    memory: dict = {}
    assert len(distributions([tmp_path], memory)) == 200
    assert min(seconds(lambda: distributions([tmp_path], {})) for _ in range(3)) < 0.15
    assert min(seconds(lambda: distributions([tmp_path], memory)) for _ in range(5)) < 0.02


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
