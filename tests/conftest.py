"""What several parts of the tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from nbprod.flow.server import LocalServer
from tests.object_storage import ObjectStorage, serving
from tests.postgres import PostgresServer
from tests.tally import FIGURES, write_results

# A job that a shell put in the background starts with Ctrl-C and hang-ups ignored, and its children inherit that.
for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, default)


# Keys that the tests' runs make are nobody's: they go where the machine's owner has none.
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="nbprod-test-config-")
atexit.register(shutil.rmtree, os.environ["XDG_CONFIG_HOME"], ignore_errors=True)

# A machine that is busy with other things is no fault of a test's.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("busy")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one worker (`-n 2`), and all that need a Prefect server in the same."""
    for item in items:
        server = item.get_closest_marker("prefect") is not None or "prefect_server" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("prefect" if server else item.nodeid.partition("::")[0]))


def pytest_sessionfinish() -> None:
    """Write down what the fault tests have counted, where that is asked for."""
    if FIGURES and (path := os.environ.get("TORTURE_RESULTS")):
        write_results(Path(path))


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A real Prefect server, which this process and its children use."""
    with LocalServer(tmp_path_factory.mktemp("prefect"), os.environ) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.client_environ.items():
            patch.setenv(name, value)
        patch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

        from nbprod.flow.flush import flush

        with temporary_settings({PREFECT_API_URL: server.url, PREFECT_HOME: str(server.home)}):
            server.wait()
            yield server
            flush()


@pytest.fixture(scope="session")
def object_storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    """A real S3 server."""
    with serving(tmp_path_factory.mktemp("s3")) as storage:
        yield storage


@pytest.fixture
def s3_environ(object_storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> ObjectStorage:
    """The server, with keys and address in this process's environment."""
    for name, value in object_storage.environ.items():
        monkeypatch.setenv(name, value)
    return object_storage


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server, for a database per test."""
    with PostgresServer() as server:
        yield server
