"""Bytes in a bucket, and checkpoints sent to one; while the link is broken, nothing is called lost that waits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nbprod.errors import IntegrityError, SettingsError
from nbprod.project import Project, RunOptions
from nbprod.project.checkpoint import send
from nbprod.project.outside import opened
from nbprod.record.run_record import RunRecord
from nbprod.verify import Conclusion
from tests.notebooks import PARAMETERS, project_in, write
from tests.object_storage import ObjectStorage, new_prefix
from tests.processes import nothing_survives
from tests.proxy import Fault, Proxy
from tests.verify.conftest import Place

pytestmark = pytest.mark.kernel

WORK = "open(output_dir + '/model.bin', 'w').write('model')"


def test_runs_in_a_bucket(s3_environ: ObjectStorage, tmp_path: Path) -> None:
    address, sent = new_prefix(), f"{new_prefix()}/checkpoint.txt"
    write(tmp_path / "one.ipynb", ("output_dir = 'x'", PARAMETERS), WORK)
    settings = f'keys = "keys"\nstore = "{address}"\n'
    with nothing_survives() as mark, project_in(tmp_path, mark, settings) as project:
        run = project.run_job(project.job(project.step("one.ipynb"), {}, RunOptions()))
        place = Place(project, tmp_path / "seen.json")
        with opened(sent, project.environ) as outside:
            assert outside.read() is None
            made = send(project, sent)
            assert outside.read() == made.note.encode()
        assert not send(project, sent).new
        found = place.verify(str(run.id), given=[made.note])
        assert found, found
        assert found.covered
        digest = RunRecord.from_bytes(project.home.store.get(place.ending(str(run.id)).record)).artifacts[0].digest
        (key,) = [path for path in s3_environ.client().find(address) if path.endswith(digest.hex[2:])]
        s3_environ.client().pipe_file(key, b"another model")
        assert place.verify(str(run.id)).conclusion is Conclusion.ALTERED
        assert place.verify(str(run.id)).conclusion is Conclusion.ALTERED  # also once it was set aside
        place.sql("DELETE FROM log_notes WHERE kind = 'checkpoint'", "DELETE FROM log_leaves WHERE idx > 0")
        place.sql("DELETE FROM events WHERE seq > 1", "DELETE FROM runs")
        with pytest.raises(IntegrityError, match="cut off"):
            send(project, sent)
        with opened(sent, project.environ) as outside:
            assert outside.read() == made.note.encode()
        with pytest.raises(SettingsError, match="only read"):
            send(project, "https://example.com/checkpoint.txt")


def test_what_waits_for_its_store_is_signed_and_not_lost(s3_environ: ObjectStorage, tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text('[tool.nbprod]\nkeys = "keys"\n')
    write(root / "one.ipynb", ("output_dir = 'x'", PARAMETERS), WORK)
    with Proxy((s3_environ.host, s3_environ.port)) as proxy:
        through = {"AWS_ENDPOINT_URL_S3": f"http://{proxy.host}:{proxy.port}"}
        environ = {**os.environ, "NBPROD_STORE": new_prefix(), **through}
        proxy.switch(Fault.RESET)
        command = [sys.executable, "-m", "nbprod", "run", "one.ipynb"]
        subprocess.run(command, cwd=root, env=environ, capture_output=True, timeout=120, check=True)
        proxy.switch(Fault.NONE)
    project = Project.find(root, {**environ, "AWS_ENDPOINT_URL_S3": s3_environ.endpoint})
    place, run = Place(project, tmp_path / "seen.json"), str(project.home.ledger.find("@latest"))
    assert place.verify(run)  # on this machine, where the bytes wait
    spool = root / ".nbprod" / "spool"
    spool.rename(tmp_path / "of another machine")
    found = place.verify(run)
    assert found.conclusion is Conclusion.CANNOT_TELL
    assert any("in the spool of" in check.told for check in found.checks)
    spool.parent.mkdir(exist_ok=True)
    (tmp_path / "of another machine").rename(spool)
    assert project.deliver().waiting == 0
    spool.rename(tmp_path / "of another machine")
    assert place.verify(run)
    project.home.ledger.close()
