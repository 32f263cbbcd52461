"""Twenty secrets, let out by a notebook in every way there is: none may be found afterwards, in no encoding."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

import nbprod
from nbprod.errors import CallerError
from nbprod.execution.events import Event, StreamText
from nbprod.ledger import RunQuery
from nbprod.project import Project
from tests import planted
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import eventually, marked, nothing_survives

pytestmark = pytest.mark.kernel

FROM_FILES = ("PLANTED_PEM", "PLANTED_LONG", "PLANTED_ACCENTS")
"""Those that are read from files; the others from variables of other names."""


def settings(vault: Path) -> str:
    references = {
        name: f"file:{vault}/{name}" if name in FROM_FILES else f"env:OUTER_{name}" for name in planted.registered()
    }
    table = ", ".join(f"{name} = {json.dumps(reference)}" for name, reference in references.items())
    return (
        f'[tool.nbprod.steps.planted]\nnotebook = "planted.ipynb"\ncell_output_limit = 99999999\n'
        f"secrets = {{{table}}}\n"
    )


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vault")
    for name in FROM_FILES:
        (folder / name).write_bytes(planted.registered()[name].encode() + b"\n")
        (folder / name).chmod(0o600)
    return folder


def outer() -> dict[str, str]:
    return {f"OUTER_{name}": value for name, value in planted.registered().items() if name not in FROM_FILES}


@pytest.fixture(scope="module", params=["forked", pytest.param("started", marks=pytest.mark.torture)])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, vault: Path) -> Iterator[Project]:
    root = tmp_path_factory.mktemp(f"planted-{request.param}")
    temporary = tmp_path_factory.mktemp("temporary")
    environ = {**outer(), "PLANTED_CONTROL": planted.CONTROL, "TMPDIR": str(temporary)}
    environ["NBPROD_WARM"] = str(request.param == "forked").lower()
    with nothing_survives() as mark, project_in(root, mark, settings(vault), environ) as project:
        yield project


@pytest.mark.counted
def test_no_secret_is_found_in_any_encoding_anywhere(project: Project) -> None:
    path = write(project.root / "planted.ipynb", ("output_dir = ''", PARAMETERS), *planted.CELLS)
    heard: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, StreamText):
            heard.append(event.text)

    with planted.processes_watched() as processes:
        done = nbprod.run(path, project=project, listener=listen)
    assert done.status == "failed"
    assert "ExceptionGroup" in done.reason, done.reason
    *before, last = [str(cell.status) for cell in done.record.verdict.cells]
    assert ({*before}, last) == ({"ok"}, "failed")
    places = planted.files_below(project.root, Path(project.environ["TMPDIR"]))
    places |= {"listener": "".join(heard).encode("utf-8", "surrogateescape"), **processes}
    planted.nowhere(places, "the files, output and processes of a run")

    control = planted.hits(places, {"CONTROL": planted.CONTROL})  # the search finds what nobody registered
    for what in ("plain", "repr", "JSON", "bytes", "hex", "URL", "HTML", "base64 behind 0", "base64 behind 2"):
        assert any(line.startswith(f"CONTROL, {what}:") for line in control), what
    assert any(line.endswith("listener") for line in control)
    assert "\ufffd" not in "".join(heard)  # no letter is cut, and no secret with it

    nbformat.validate(nbformat.read(done.notebook, as_version=4))
    assert {entry.secret for entry in done.record.masked} == set(planted.registered())
    assert all({1, 2, 3, 4} <= set(entry.cells) for entry in done.record.masked)
    names = {entry.name for entry in done.record.artifacts}
    assert "clean.txt" in names
    assert "packed-PLANTED_PEM.bin" in names
    assert {"plain-PLANTED_CONTROL.bin", "wide-PLANTED_CONTROL.bin"} <= names
    kept = [
        n
        for n in names
        for s in planted.registered()
        if n in (f"plain-{s}.bin", f"wide-{s}.bin", f"b64-{s}.bin", f"{s}.npz", f"{s}.csv.gz")
    ]
    assert kept == []
    rows = list(project.home.ledger.runs(RunQuery(flagged=True)))
    assert [row.run_id for row in rows] == [done.id]
    assert rows[0].tags == ("secret-masked",)


def test_a_parameter_that_is_a_secret_is_refused_and_told_nowhere(project: Project) -> None:
    path = write(project.root / "planted.ipynb", ("dsn = ''", PARAMETERS), "1")
    for value in planted.registered().values():
        with pytest.raises(CallerError) as caught:
            nbprod.run(path, {"dsn": f"x {value} y"}, project=project)
        assert planted.hits({"error": str(caught.value).encode()}, planted.registered()) == []
    assert planted.hits(planted.files_below(project.root / ".nbprod"), planted.registered()) == []


ASLEEP = "open('asleep', 'w').close(); time.sleep(60)"
RUNNER = "import nbprod; nbprod.run('planted.ipynb')"


@pytest.mark.counted
def test_a_run_that_is_killed_is_closed_with_everything_masked(tmp_path: Path, vault: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environ = {**outer(), "PLANTED_CONTROL": planted.CONTROL, "TMPDIR": str(temporary)}
    with nothing_survives() as mark, project_in(tmp_path / "p", mark, settings(vault), environ) as project:
        cells = (planted.FIRST, planted.OUTSIDE, planted.FILES, ASLEEP)
        write(project.root / "planted.ipynb", ("output_dir = ''", PARAMETERS), *cells)
        argv = [sys.executable, "-c", RUNNER]
        with subprocess.Popen(argv, cwd=project.root, env=dict(project.environ)) as runner:
            assert eventually((project.root / "asleep").exists, 60.0)
            runner.kill()
        assert eventually(lambda: not marked(mark), 20.0)
        (row,) = project.home.ledger.runs(RunQuery(flagged=True))  # its keeper had it closed
        record = project.run(str(row.run_id)).record
        assert record.verdict.status == "crashed"
        assert {entry.secret for entry in record.masked} == set(planted.registered())
        names = {entry.name for entry in record.artifacts}
        assert {"clean.txt", "plain-PLANTED_CONTROL.bin"} <= names
        assert "plain-PLANTED_TOKEN.bin" not in names
        places = planted.files_below(project.root, temporary)
        planted.nowhere(places, "all files after a run that was killed")
        assert planted.hits(places, {"CONTROL": planted.CONTROL}) != []
