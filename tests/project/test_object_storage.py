"""A project whose store is in S3, by its settings alone; and the same behind a link that breaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from nbprod.digest import digest_bytes
from nbprod.errors import Erased, StoreUnavailable
from nbprod.execution.journal import read_journal
from nbprod.ledger import RunQuery
from nbprod.project import Project, RunOptions
from nbprod.project.machine import Health
from nbprod.project.stores import check_remote
from nbprod.project.upkeep import check
from nbprod.runner import early
from nbprod.store import SpoolingStore
from tests.object_storage import ObjectStorage, new_prefix
from tests.processes import eventually
from tests.proxy import Fault, Proxy

pytestmark = pytest.mark.kernel

CELLS = [
    new_code_cell("output_dir: str = 'out'", metadata={"tags": ["parameters"]}),
    new_code_cell(
        "import scrapbook as sb\nfrom pathlib import Path\nsb.glue('rows', 3)\nsb.glue('long', 'x' * 300_000)"
    ),
    new_code_cell("_ = Path(output_dir, 'model.bin').write_bytes(b'm' * 10_000)"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("[tool.nbprod]\n")
    nbformat.write(new_notebook(cells=CELLS), tmp_path / "train.ipynb")
    return tmp_path


def nbprod(folder: Path, environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nbprod", *arguments],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_run_is_kept_in_s3_by_settings_alone(folder: Path, s3_environ: ObjectStorage) -> None:
    environ = {"NBPROD_STORE": new_prefix()}
    done = nbprod(folder, environ, "run", "train.ipynb")
    assert done.returncode == 0, done.stderr
    assert not (folder / ".nbprod" / "store").exists()
    run = Project.find(folder, {**os.environ, **environ}).run("@latest")
    assert (run.scraps["rows"], len(run.scraps["long"])) == (3, 300_000)
    assert run.artifacts["model.bin"].path().read_bytes() == b"m" * 10_000
    assert run.record.notes == ()
    shown = nbprod(folder, environ, "show", "@latest")
    assert (shown.returncode, "succeeded" in shown.stdout, "model.bin" in shown.stdout) == (0, True, True)
    (finding,) = check_remote(run.home)
    assert (finding.health, finding.found) == (Health.OK, f"{environ['NBPROD_STORE']}, can be written and read")


@pytest.mark.parametrize("beside", [True, False], ids=["beside", "control"])
def test_artifacts_arrive_while_the_cells_still_run(
    folder: Path, s3_environ: ObjectStorage, monkeypatch: pytest.MonkeyPatch, *, beside: bool
) -> None:
    monkeypatch.setattr(early, "INTERVAL", 0.2 if beside else 3600.0)
    wait = "import time\nfrom pathlib import Path\nwhile not Path('go').exists():\n    time.sleep(0.02)"
    nbformat.write(new_notebook(cells=[*CELLS, new_code_cell(wait)]), folder / "train.ipynb")
    project = Project.find(folder, {**os.environ, "NBPROD_STORE": new_prefix()})
    digest, store = digest_bytes(b"m" * 10_000), project.home.store
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(project.run_job, project.job(project.step("train.ipynb"), {}, RunOptions()))
        try:
            written = folder / ".nbprod" / "runs"
            assert eventually(lambda: list(written.glob("*/**/model.bin")), 60)
            assert eventually(lambda: store.has(digest), 20 if beside else 2) is beside
            before = store.written(digest) if beside else None
        finally:
            (folder / "go").touch()
        assert run.result(60).artifacts["model.bin"].digest == digest
    assert before in (None, store.written(digest))  # it was not sent again


def test_an_upload_does_not_hold_up_the_end_of_the_cells(
    folder: Path, s3_environ: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending, release = threading.Event(), threading.Event()

    def send(_store: SpoolingStore, _path: Path) -> bool:
        sending.set()
        assert release.wait(60)
        return False

    monkeypatch.setattr(early, "INTERVAL", 0.1)
    monkeypatch.setattr(SpoolingStore, "send", send)
    wait = "import time\nwhile not Path('go').exists():\n    time.sleep(0.02)"
    nbformat.write(new_notebook(cells=[*CELLS, new_code_cell(wait)]), folder / "train.ipynb")
    project = Project.find(folder, {**os.environ, "NBPROD_STORE": new_prefix()})
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(project.run_job, project.job(project.step("train.ipynb"), {}, RunOptions()))
        try:
            assert sending.wait(60)
            (folder / "go").touch()
            (journal,) = (folder / ".nbprod" / "runs").glob("*/journal.jsonl")
            assert eventually(lambda: any(event["e"] == "ended" for event in read_journal(journal)), 20)
            assert not run.done()
        finally:
            release.set()
        assert run.result(60).status == "succeeded"


def test_bytes_are_erased_in_s3(folder: Path, s3_environ: ObjectStorage) -> None:
    environ = {"NBPROD_STORE": new_prefix()}
    assert nbprod(folder, environ, "run", "train.ipynb").returncode == 0
    run = Project.find(folder, {**os.environ, **environ}).run("@latest")
    digest = run.artifacts["model.bin"].digest
    key = f"{environ['NBPROD_STORE'][5:]}/objects/{digest.hex[:2]}/{digest.hex[2:]}"
    assert s3_environ.client().exists(key)  # positive control
    done = nbprod(folder, environ, "erase", "@latest", "--all", "--why", "request 17", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("Erased 4 objects")
    assert not s3_environ.client().exists(key)
    with pytest.raises(Erased, match="request 17"):
        run.artifacts["model.bin"].path()
    checked = check(run.home, content=True)
    assert (checked.faults, checked.erased) == ([], 4)


def test_a_run_goes_on_while_the_store_cannot_be_reached_and_says_so(folder: Path, s3_environ: ObjectStorage) -> None:
    with Proxy((s3_environ.host, s3_environ.port)) as proxy:
        environ = {"NBPROD_STORE": new_prefix(), "AWS_ENDPOINT_URL_S3": f"http://{proxy.host}:{proxy.port}"}
        proxy.switch(Fault.RESET)
        done = nbprod(folder, environ, "run", "train.ipynb")
        assert done.returncode == 0, done.stderr
        proxy.switch(Fault.NONE)

        run = Project.find(folder, {**os.environ, **environ}).run("@latest")
        assert run.scraps["rows"] == 3
        assert run.artifacts["model.bin"].path().read_bytes() == b"m" * 10_000
        (note,) = run.record.notes
        assert f"in the spool of {run.record.host}" in note
        (row,) = run.home.ledger.runs(RunQuery())

        # On another machine, with the same ledger and store, the spool is not there.
        elsewhere = replace(run.home, folder=folder / "elsewhere")
        with pytest.raises(StoreUnavailable, match=rf"nbprod recover` on {run.record.host}"):
            elsewhere.read(row.record, row.run_id)
        doctor = json.loads(nbprod(folder, environ, "doctor", "--json").stdout)
        (spool,) = (each for each in doctor if each["what"] == "spool")
        assert (spool["health"], spool["found"].split(" ")[1:3]) == ("warn", ["objects", "wait"])

        done = nbprod(folder, environ, "recover")
        assert done.stdout.startswith("Delivered "), done.stdout + done.stderr
        assert [finding.what for finding in check_remote(run.home)] == ["store"]
        assert elsewhere.read(row.record, row.run_id) == run.record.to_bytes()
        assert elsewhere.view(run.artifacts["model.bin"].digest, "m", row.run_id).read_bytes() == b"m" * 10_000
