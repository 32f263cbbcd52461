"""Kernel specs for Jupyter clients, by command."""

import json


def test_a_kernel_spec_is_installed_and_uninstalled(nbprod, tmp_path):
    data = str(tmp_path / "jupyter")
    done = nbprod.here(
        "warm", "install", "--user", "--name", "mine", "--display-name", "Mine", "--preload", "pandas",
        JUPYTER_DATA_DIR=data,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    path = tmp_path / "jupyter" / "kernels" / "mine" / "kernel.json"
    spec = json.loads(path.read_text())
    assert spec["display_name"] == "Mine"
    assert spec["metadata"]["kernel_provisioner"]["config"] == {"preload": ["pandas"]}
    removed = nbprod.here("warm", "uninstall", "--user", "--name", "mine", JUPYTER_DATA_DIR=data)
    assert removed.returncode == 0, removed.stderr
    assert not path.parent.exists()


def test_what_is_not_there_is_not_uninstalled(nbprod, tmp_path):
    done = nbprod.here("warm", "uninstall", "--user", "--name", "none", JUPYTER_DATA_DIR=str(tmp_path))
    assert done.returncode == 2
    assert "no kernel spec 'none'" in done.stderr
