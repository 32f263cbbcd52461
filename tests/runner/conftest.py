from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbprod.project import Project
from tests.notebooks import project_in
from tests.processes import nothing_survives

SETTINGS = """
[tool.nbprod.steps.strict]
notebook = "strict.ipynb"
expect.scraps.auc = { type = "float", min = 0.6 }
expect.artifacts = ["model.bin"]

[tool.nbprod.steps.observed]
notebook = "observed.ipynb"
roots = ["data"]

[tool.nbprod.steps.unobserved]
notebook = "unobserved.ipynb"
trace = false

[tool.nbprod.steps.rootless]
notebook = "rootless.ipynb"
roots = ["no such folder"]

[tool.nbprod.steps.exits]
notebook = "exits.ipynb"
exit_ok = true

[tool.nbprod.steps.secretive]
notebook = "secretive.ipynb"
secrets = ["NBPROD_TEST_TOKEN"]

[tool.nbprod.steps.stubborn]
notebook = "stubborn.ipynb"
grace = 0.5

[tool.nbprod.steps.limited]
notebook = "limited.ipynb"
cell_output_limit = 100000
"""
TOKEN = "hunter2-\u00e9-correct horse"


@pytest.fixture(scope="package", params=["started", "forked"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One project, and so one supervisor, for all real-kernel tests here; nothing of it may be left in the end.

    Each test runs twice: with kernels that are processes of their own, and with forks of a server.
    """
    root = tmp_path_factory.mktemp("a project with {braces} ü")
    environ = {"NBPROD_TEST_TOKEN": TOKEN, "NBPROD_WARM": str(request.param == "forked").lower()}
    with nothing_survives() as mark, project_in(root, mark, SETTINGS, environ) as project:
        yield project
