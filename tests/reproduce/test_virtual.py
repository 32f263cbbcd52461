"""Environments made anew from a record: real installs of wheels from a folder, nothing from anywhere else."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from nbprod.environment.probe import environment_of
from nbprod.errors import EnvironmentFault, IntegrityError
from nbprod.project.reproduce import How
from nbprod.record.compare import compare_environments
from nbprod.reproduce.virtual import install_command, make_environment, requirements
from tests.reproduce.conftest import Place

UV = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
"""The quicker installer, where it is there; else it is done by pip."""
SPEC = {"argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "language": "python"}


def wheel(folder: Path, name: str, version: str) -> None:
    """Write a wheel of one module by hand."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text)}")
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """The variables of an installer that sees one folder and no index."""
    (tmp_path / "wheels").mkdir()
    wheel(tmp_path / "wheels", "one", "1.0")
    wheel(tmp_path / "wheels", "one", "2.0")
    wheel(tmp_path / "wheels", "two", "0.1")
    found = {f"{tool}_FIND_LINKS": str(tmp_path / "wheels") for tool in ("PIP", "UV")}
    found |= {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}
    return {**{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}, **found}


def test_an_environment_is_made_anew_with_the_same_key(offline: dict[str, str], tmp_path: Path) -> None:
    wanted: dict[str, Any] = {
        "python": {"version": sys.version.split()[0]},
        "distributions": [
            {"name": "one", "version": "1.0", "record": None},
            {"name": "own", "version": "3", "sources": None},
        ],
        "kernel": SPEC,
    }
    made = make_environment(wanted, tmp_path / "made", offline)
    assert made.new
    assert made.left_out == ("own",)
    key = environment_of(made.python, SPEC, offline).key.to_json()
    assert [(each["name"], each["version"]) for each in key["distributions"]] == [("one", "1.0")]
    # From the key that was recorded there, the same key comes about elsewhere.
    again = make_environment(key, tmp_path / "again", offline, uv=UV)  # and by the other installer
    assert compare_environments(key, environment_of(again.python, SPEC, offline).key.to_json()) == ()
    assert not make_environment(key, tmp_path / "again", {}).new  # it is there already


def test_what_no_index_has_is_told_and_nothing_half_made_is_used(offline: dict[str, str], tmp_path: Path) -> None:
    key = {"python": {"version": sys.version.split()[0]}, "distributions": [{"name": "three", "version": "1"}]}
    for _ in range(2):
        with pytest.raises(EnvironmentFault, match="three"):
            make_environment(key, tmp_path / "made", offline, uv=UV)


BACKEND = """
import pathlib, shutil
def build_wheel(folder, config_settings=None, metadata_directory=None):
    pathlib.Path({mark!r}).write_text("code of the package has run")
    shutil.copy({wheel!r}, folder)
    return pathlib.Path({wheel!r}).name
"""


def sources(folder: Path, name: str, version: str, mark: Path) -> None:
    """Write the sources of a distribution that has no wheel where packages come from, and tells when it is built."""
    (folder.parent / "elsewhere").mkdir()
    wheel(folder.parent / "elsewhere", name, version)
    (built,) = (folder.parent / "elsewhere").iterdir()
    files = {
        "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n",
        "backend.py": BACKEND.format(mark=str(mark), wheel=str(built)),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    with tarfile.open(folder / f"{name}-{version}.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            about = tarfile.TarInfo(f"{name}-{version}/{path}")
            about.size = len(text)
            archive.addfile(about, io.BytesIO(text.encode()))


@pytest.mark.parametrize("program", ["uv", "pip"])
def test_what_has_no_wheel_is_built_where_that_is_asked_for(
    offline: dict[str, str], tmp_path: Path, program: str
) -> None:
    ran = tmp_path / "ran"
    sources(tmp_path / "wheels", "Only_Sources", "1.0", ran)
    told = [{"name": name, "version": "1.0", "record": None} for name in ("one", "Only_Sources")]
    key = {"python": {"version": sys.version.split()[0]}, "distributions": told, "kernel": SPEC}
    uv = str(Path(sys.executable).with_name("uv")) if program == "uv" else None
    offline |= {"UV_FIND_LINKS": offline["PIP_FIND_LINKS"], "UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_NO_CACHE": "1"}
    for builds in ((), ("one",)):
        with pytest.raises(EnvironmentFault) as caught:
            make_environment(key, tmp_path / "made", offline, uv=uv, builds=builds)
        assert "--build NAME" in str(caught.value)
        assert not ran.exists()
    made = make_environment(key, tmp_path / "made", offline, uv=uv, builds=["only-sources"])
    assert ran.read_text() == "code of the package has run"
    found = environment_of(made.python, SPEC, offline).key.to_json()["distributions"]
    assert {each["name"].lower().replace("_", "-") for each in found} == {"one", "only-sources"}


def test_the_commands_install_wheels_and_nothing_else(tmp_path: Path) -> None:
    listed, pinned = tmp_path / "r.txt", ("one==1", "Two.x==2")
    for uv in (None, "/bin/uv"):
        command = install_command(tmp_path / "bin/python", listed, pinned, uv=uv)
        assert command[-4:] == ["--no-deps", "--only-binary=:all:", "-r", str(listed)]
        assert str(tmp_path / "bin/python") in command
        command = install_command(tmp_path / "bin/python", listed, pinned, uv=uv, builds=["two-X"])
        assert command[-4:] == ["--no-deps", "--only-binary=one", "-r", str(listed)]
    assert requirements({"distributions": []}) == ((), ())


@pytest.mark.kernel
def test_a_run_is_executed_in_the_environment_that_was_made(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache" / "nbprod" / "environments" / place.run("next").record.request.environment.hex
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "all.pth").write_text(sysconfig.get_path("purelib"))
    (folder / ".nbprod-complete").touch()
    monkeypatch.setitem(place.project.environ, "XDG_CACHE_HOME", str(tmp_path / "cache"))  # type: ignore[arg-type]
    found = place.run("next").reproduce(How(rebuild_environment=True, strict_environment=True), project=place.project)
    assert found.level == 3, found.reached.why_not
    assert found.stated.rebuilt
    facts = place.project.home.store.get(found.run.record.environment_facts)
    assert str(folder).encode() in facts


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("one\n--no-binary :all:", "1.0"),
        ("-r /etc/passwd", "1"),
        ("one @ file:///x", "1"),
        ("one", "1.0; extra"),
        ("", "1"),
    ],
)
def test_no_more_than_names_and_versions_reaches_an_installer(name: str, version: str) -> None:
    with pytest.raises(IntegrityError, match="no distribution's name and version"):
        requirements({"distributions": [{"name": name, "version": version}]})
    control = requirements({"distributions": [{"name": "ruamel.yaml-x_1", "version": "1!2.0rc1+local.3"}]})
    assert control == (("ruamel.yaml-x_1==1!2.0rc1+local.3",), ())
