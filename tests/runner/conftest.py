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

keep_inputs = "64 MiB"

[tool.nbprod.steps.keeping]
notebook = "keeping.ipynb"
keep_inputs = "2 KiB"

[tool.nbprod.steps.unkeeping]
notebook = "unkeeping.ipynb"
keep_inputs = 0

[tool.nbprod.steps.stubborn]
notebook = "stubborn.ipynb"
grace = 0.5

[tool.nbprod.steps.limited]
notebook = "limited.ipynb"
cell_output_limit = 100000
"""
TOKEN = "hunter2-\u00e9-correct horse"


WITH_NBCLIENT = ("test_endings", "test_good_run", "test_forked")
"""Files whose tests are run with the other driver, too: those that say what a run is like."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = []
    for item in items:
        if isinstance(item, pytest.Function) and _kind(item) == "nbclient":
            if item.path.stem not in WITH_NBCLIENT:
                left_out.append(item)
            elif (differs := item.get_closest_marker("differs")) is not None:
                item.add_marker(pytest.mark.xfail(reason=differs.kwargs["nbclient"], strict=True))
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _kind(item: pytest.Function) -> object:
    callspec = getattr(item, "callspec", None)
    return callspec and callspec.params.get("project")


@pytest.fixture(scope="package", params=["started", "forked", "nbclient"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One project, and so one supervisor, for all real-kernel tests here; nothing of it may be left in the end.

    Each test runs twice: with kernels that are processes of their own, and with forks of a server; some run a third
    time, with nbclient as the driver. What that cannot do is marked at the test, and told in the decision record.
    """
    root = tmp_path_factory.mktemp("a project with {braces} ü")
    environ = {"NBPROD_TEST_TOKEN": TOKEN, "NBPROD_WARM": str(request.param == "forked").lower()}
    if request.param == "nbclient":
        environ["NBPROD_DRIVER"] = "nbclient"
    with nothing_survives() as mark, project_in(root, mark, SETTINGS, environ) as project:
        yield project
