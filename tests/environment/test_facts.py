"""Facts about the machine, read below a root that the tests furnish."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbprod.environment.facts import machine_facts


def furnish(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_this_machine() -> None:
    facts = machine_facts({})
    assert facts["cpu"]["count"] >= facts["cpu"]["usable"] >= 1
    assert facts["memory_bytes"] > 1 << 20
    assert facts["os"]["system"]
    json.dumps(facts, allow_nan=False)


def test_an_empty_root_makes_no_trouble(tmp_path: Path) -> None:
    facts = machine_facts({}, tmp_path)
    assert facts["container"] is None
    assert facts["os"]["name"] is None
    assert facts["locale"]["name"] is None


def test_files_and_variables_are_told(tmp_path: Path) -> None:
    release = 'NAME=x\nPRETTY_NAME="Debian 12"\n'
    root = furnish(tmp_path, etc__release=release, proc__cpuinfo="processor: 0\nmodel name\t: Fast 9000\n")
    (root / "etc/release").rename(root / "etc/os-release")
    (root / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    facts = machine_facts({"LANG": "de_DE.UTF-8", "LC_ALL": ""}, root)
    assert facts["os"]["name"] == "Debian 12"
    assert facts["cpu"]["model"] == "Fast 9000"
    assert facts["time_zone"] == "Europe/Berlin"
    assert facts["locale"]["name"] == "de_DE.UTF-8"
    assert machine_facts({"TZ": ":Asia/Tokyo"}, root)["time_zone"] == "Asia/Tokyo"


CONTAINERS = {
    "kubernetes": ({}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes", None),
    "docker": ({".dockerenv": ""}, {}, "docker", None),
    "podman": ({"run__.containerenv": 'image="quay.io/x:1"\n'}, {}, "podman", "quay.io/x:1"),
    "cgroup": ({"proc__1__cgroup": "0::/docker/abc\n"}, {"CONTAINER_IMAGE": "x:2"}, "cgroup", "x:2"),
}


@pytest.mark.parametrize(("files", "environ", "kind", "image"), CONTAINERS.values(), ids=CONTAINERS)
def test_containers(files: dict, environ: dict, kind: str, image: str | None, tmp_path: Path) -> None:
    assert machine_facts(environ, furnish(tmp_path, **files))["container"] == {"kind": kind, "image": image}
