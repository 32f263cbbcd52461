"""Notebooks from elsewhere: read by their address, pinned by their digest, their credentials never kept."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nbprod.digest import digest_bytes
from nbprod.errors import NotebookInvalid, NotFound, SettingsError, StoreUnavailable
from nbprod.project import Project, Run, RunOptions
from nbprod.project.rerun import rerun_job
from nbprod.record.status import Status
from nbprod.store.elsewhere import read_url, shown_url
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import nothing_survives


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which its files are served."""
    folder = tmp_path_factory.mktemp("served")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.kernel
def test_a_notebook_is_run_from_its_address(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    path = write(folder / "train.ipynb", ("alpha: int = 1", PARAMETERS), "import scrapbook as sb\nsb.glue('x', alpha)")
    url = f"{address}/train.ipynb"
    with nothing_survives() as mark, project_in(tmp_path, mark) as project:
        run = project.run_job(project.job(project.step(f"{url}?token=hunter2"), {"alpha": 3}, RunOptions()))
        assert (run.status, run.step, run.scraps["x"]) == (Status.SUCCEEDED, "train", 3)
        assert run.record.request.notebook == url
        assert run.record.source_file.digest == digest_bytes(path.read_bytes())
        assert b"hunter2" not in run.record.to_bytes()
        assert b"hunter2" not in run.notebook.read_bytes()
        path.unlink()
        again: Run = project.run_job(rerun_job(project, run))  # from what was kept
        assert (again.scraps["x"], again.record.request.notebook) == (3, url)


def test_what_cannot_be_read_is_told(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    project = Project.find(tmp_path, {})
    (folder / "empty.ipynb").write_bytes(b"")
    (folder / "text.ipynb").write_text("no notebook")
    with pytest.raises(NotFound, match="there is no file"):
        project.step(f"{address}/nothing.ipynb")
    with pytest.raises(NotebookInvalid, match="is empty"):
        project.step(f"{address}/empty.ipynb")
    with pytest.raises(NotebookInvalid, match="not a notebook"):
        project.step(f"{address}/text.ipynb")
    with pytest.raises(SettingsError, match="driver"):
        project.step("nosuchscheme://bucket/train.ipynb")
    with pytest.raises(StoreUnavailable, match="cannot be read") as caught:
        read_url("http://ada:hunter2@127.0.0.1:9/train.ipynb?signature=hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/a/b.ipynb", "s3://bucket/a/b.ipynb"),
        ("https://ada:word@host:8443/b.ipynb?sig=x#part", "https://host:8443/b.ipynb"),
        ("github://org:repo@main/b.ipynb", "github://org:repo@main/b.ipynb"),
    ],
)
def test_credentials_are_not_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown
