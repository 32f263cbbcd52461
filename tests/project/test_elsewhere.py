"""Notebooks from elsewhere: read by their address, pinned by their digest, their credentials never kept."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nbprod.digest import digest_bytes
from nbprod.errors import EnvironmentFault, NotebookInvalid, NotFound, SettingsError, StoreUnavailable
from nbprod.project import Project, Run, RunOptions
from nbprod.project.rerun import rerun_job
from nbprod.record.status import Status
from nbprod.store.elsewhere import read_url, shown_url
from tests.notebooks import PARAMETERS, project_in, write
from tests.object_storage import ObjectStorage, new_prefix
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
        ("git+file:///srv/x.git@main#a.txt", "git+file:///srv/x.git@main"),
        ("git+ssh://git@host:team/x.git@main", "git+ssh://host:team/x.git@main"),
        ("https://ada:wo#rd@host/b.ipynb", "https://…host/b.ipynb"),
        ("https://ada:wo/rd@host/b.ipynb", "https://…host/b.ipynb"),
        ("https://ada:word@[::1/b.ipynb", "https://…"),
        ("data/b@c.ipynb", "data/b@c.ipynb"),
    ],
)
def test_credentials_are_not_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.kernel
def test_from_a_bucket_into_a_bucket(s3_environ: ObjectStorage, tmp_path: Path) -> None:
    """`nbprod run s3://…/x.ipynb s3://…/out-{p}.ipynb`, and what may be overwritten there."""
    bucket, client = new_prefix(), s3_environ.client()
    source = write(tmp_path / "x.ipynb", ("p: int = 0", PARAMETERS), "print(p + 1)").read_bytes()
    client.pipe_file(f"{bucket}/x.ipynb", source)
    client.pipe_file(f"{bucket}/data-1.csv", b"a,b")
    (tmp_path / "x.ipynb").unlink()
    (tmp_path / "pyproject.toml").write_text("[tool.nbprod]\n")

    def ask(output: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "nbprod", "run", f"{bucket}/x.ipynb", output, "-p", "p", "1"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)

    for _ in range(2):  # an executed notebook may be overwritten
        done = ask(f"{bucket}/out/out-{{p}}.ipynb")
        assert done.returncode == 0, done.stderr
        assert f"{bucket}/out/out-1.ipynb" in done.stdout
        run = Project.find(tmp_path).run("@latest")
        assert client.cat_file(f"{bucket}/out/out-1.ipynb") == run.notebook.read_bytes()
        assert run.record.request.notebook == f"{bucket}/x.ipynb"
        assert run.record.source_file.digest == digest_bytes(source)
        about = json.loads(run.notebook.read_bytes())["metadata"]["papermill"]
        assert (about["input_path"], about["output_path"]) == (f"{bucket}/x.ipynb", f"{bucket}/out/out-1.ipynb")
    for output, told in (
        (f"{bucket}/x.ipynb", "is the notebook itself"),
        (f"{bucket}/data-{{p}}.csv", "is there already"),
        ("https://127.0.0.1/out.ipynb", "only read"),
        ("s3://no-such-bucket/out.ipynb", "cannot be"),
    ):
        refused = ask(output)
        assert refused.returncode != 0
        assert told in " ".join(refused.stderr.split()), refused.stderr
    assert client.cat_file(f"{bucket}/x.ipynb") == source
    assert client.cat_file(f"{bucket}/data-1.csv") == b"a,b"


@pytest.mark.kernel
def test_a_run_whose_output_does_not_arrive_is_recorded(served: tuple[Path, str], tmp_path: Path) -> None:
    """The storage may have gone while the notebook ran: the run is not lost with it."""
    output = f"local://{tmp_path}/gone/out.ipynb"
    with nothing_survives() as mark, project_in(tmp_path / "project", mark) as project:
        write(project.root / "x.ipynb", "import pathlib; pathlib.Path('../gone').write_text('no folder')")
        job = project.job(project.step("x.ipynb"), {}, RunOptions(output=output))
        with pytest.raises(EnvironmentFault, match="recorded all the same"):
            project.run_job(job)
        assert project.run("@latest").status is Status.SUCCEEDED


@pytest.mark.prefect
@pytest.mark.kernel
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_task_is_made_of_an_address(served: tuple[Path, str], prefect_server: object, tmp_path: Path) -> None:
    from prefect import flow

    from nbprod.flow import notebook
    from nbprod.flow.call import project_at

    folder, address = served
    path = write(folder / "task.ipynb", ("alpha: int = 1", PARAMETERS), "import scrapbook as sb\nsb.glue('x', alpha)")
    (tmp_path / "pyproject.toml").write_text("[tool.nbprod]\n")
    task = notebook(f"{address}/task.ipynb", root=tmp_path)

    @flow
    def nightly() -> Run:
        run: Run = task(alpha=4)
        return run

    run = nightly()
    project_at(tmp_path).close()
    assert (run.scraps["x"], run.record.request.notebook) == (4, f"{address}/task.ipynb")
    assert run.record.source_file.digest == digest_bytes(path.read_bytes())
