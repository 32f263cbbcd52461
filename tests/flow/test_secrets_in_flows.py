"""Secrets in flows: values out of Prefect's own blocks, and nothing of them in what Prefect keeps."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest
from prefect import flow
from prefect.blocks.system import Secret

import nbprod
from nbprod.errors import CallerError
from nbprod.flow import notebook
from nbprod.flow.blocks import secret_of
from nbprod.flow.call import project_at
from nbprod.flow.flush import flush
from tests import planted
from tests.notebooks import PARAMETERS
from tests.notebooks import write as write_notebook

pytestmark = [pytest.mark.prefect, pytest.mark.kernel]

VALUE = "only-prefect-knows/this+value"


@pytest.fixture(scope="module")
def blocks(prefect_server) -> None:
    Secret(value=VALUE).save("nbprod-planted", overwrite=True, _sync=True)
    Secret(value={"user": "x"}).save("nbprod-object", overwrite=True, _sync=True)


def test_a_block_is_read_by_a_plain_run_and_by_a_flow(project: Path, write, blocks: None) -> None:
    settings = '[tool.nbprod.steps.reads]\nnotebook = "notebooks/reads.ipynb"\nsecrets = {'
    (project / "pyproject.toml").write_text(f'{settings}TOKEN = "prefect:secret/nbprod-planted"}}\n')
    write("reads", "dsn: str = ''", ["import os\nv = os.environ['TOKEN']\nprint(len(v), v)"])
    done = nbprod.run("reads", project=project_at(project))
    assert done, done.reason
    assert done.record.request.secret_references == {"TOKEN": "prefect:secret/nbprod-planted"}

    @flow
    def reading():
        return notebook("reads", root=project, reuse=False)()

    assert reading()
    text = done.notebook.read_text("utf-8")
    assert f"{len(VALUE)} «secret:TOKEN»" in text
    assert VALUE not in text


def test_blocks_that_are_not_there_or_hold_no_text_are_refused(blocks: None) -> None:
    with pytest.raises(CallerError, match="Prefect has no Secret block 'nbprod-absent'"):
        secret_of("nbprod-absent")
    with pytest.raises(CallerError, match="the block holds no text but dict"):
        secret_of("nbprod-object")


@pytest.mark.torture
def test_no_secret_is_found_in_what_prefect_keeps(tmp_path: Path, prefect_server, monkeypatch, capfd) -> None:
    values = planted.registered()
    for name, value in values.items():
        monkeypatch.setenv(f"OUTER_{name}", value)
    monkeypatch.setenv("PLANTED_CONTROL", planted.CONTROL)
    table = ", ".join(f'{name} = "env:OUTER_{name}"' for name in values)
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.nbprod.steps.planted]\nnotebook = "planted.ipynb"\nsecrets = {{{table}}}\n'
    )
    write_notebook(tmp_path / "planted.ipynb", ("output_dir = ''", PARAMETERS), *planted.CELLS)

    @flow
    def planting():
        notebook("planted", root=tmp_path)()

    state = planting(return_state=True)
    assert state.is_failed()
    flush()
    project_at(tmp_path).close()
    gc.collect()
    captured = capfd.readouterr()
    places = planted.files_below(tmp_path, prefect_server.home)
    places |= {"terminal": (captured.out + captured.err).encode("utf-8", "surrogateescape")}
    planted.nowhere(places, "what Prefect keeps of a flow")
    control = planted.hits(places, {"CONTROL": planted.CONTROL})
    assert json.dumps(control).count("prefect.db") > 0, "the search does look into Prefect's database"
