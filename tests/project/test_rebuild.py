"""A ledger that was lost is made anew from the store: what runs and versions tell is as before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nbprod.digest import Digest
from nbprod.errors import CallerError
from nbprod.ledger import Ledger, RunQuery, RunRow, open_ledger
from nbprod.ledger.audit import audit
from nbprod.ledger.events import Event, RunFinished, RunHeard, RunStarted, StepPublished
from nbprod.project import Project, RunOptions
from nbprod.project.explain import explain_job
from nbprod.project.published import publish_step, set_alias
from nbprod.project.rebuild import rebuild
from nbprod.project.upkeep import check
from nbprod.publish import Manifest
from nbprod.record.ids import RunId
from nbprod.record.publication import VersionStatement
from nbprod.record.run_record import RunRecord
from nbprod.record.status import Status
from nbprod.record.verdict import Verdict
from nbprod.store import LocalStore, MemoryStore, Store, objects_beginning, open_store
from tests.notebooks import PARAMETERS, project_in, write
from tests.object_storage import ObjectStorage, new_prefix
from tests.postgres import PostgresServer
from tests.processes import nothing_survives

SETTINGS = """
[tool.nbprod.steps.train]
notebook = "train.ipynb"
reuse = "10d"
"""
WORK = "import scrapbook as sb\nsb.glue('value', 2 * alpha)\nsb.glue('long', 'x' * 5000)\nassert alpha < 9"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Runs of all kinds: succeeded with every label, failed, its retry, cached, and of two published versions."""
    root = tmp_path_factory.mktemp("rebuild ü")
    write(root / "train.ipynb", ("alpha: float = 2.0", PARAMETERS), WORK)
    mark = "rebuild"
    with project_in(root, mark, SETTINGS) as project:

        def run(what: str, alpha: float, **options: Any) -> RunId:
            job = project.job(project.step(what), {"alpha": alpha}, RunOptions(**options))
            return project.run_job(job).id

        run("train", 1.0, name="first", tags=("b", "a"), note="Größe", flow_run="flow-1")
        failed = run("train", 9.0, occasion="monday")
        run("train", 1.0, reuse=True, occasion="monday", retry_of=failed)
        publish_step(project, "train", note="frozen", alias="production")
        write(root / "train.ipynb", ("alpha: float = 3.0", PARAMETERS), WORK)
        publish_step(project, "train")
        run("train@1", 1.5)
        yield project
    nothing_survives(mark)


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    if request.param == "sqlite":
        ledger = open_ledger(str(tmp_path / "fresh.db"))
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        ledger = open_ledger(server.url(server.database()))
    yield ledger
    ledger.close()


def rows(ledger: Ledger) -> list[RunRow]:
    return [replace(row, runner_pid=0, folder="", shared=False) for row in ledger.runs(RunQuery())]


def told(ledger: Ledger) -> list[Event]:
    """The events that records can prove, without what they cannot hold."""
    kept: list[Event] = []
    for stored in ledger.events():
        event = stored.event
        if isinstance(event, RunStarted):
            kept.append(replace(event, runner_pid=0, folder="", lease_seconds=0, shared=False))
        elif isinstance(event, RunFinished | StepPublished):
            kept.append(event)
    return kept


@pytest.mark.kernel
def test_what_a_store_proves_is_told_as_before(project: Project, fresh: Ledger) -> None:
    before, store = project.home.ledger, project.home.store
    made = rebuild(fresh, store)
    assert (made.runs, made.versions, made.events) == (4, 2, 10)
    assert (made.faults, made.aside) == ([], [])
    assert rows(fresh) == rows(before)
    assert {row.status for row in rows(fresh)} == {Status.SUCCEEDED, Status.FAILED, Status.CACHED}
    assert told(fresh) == told(before)
    assert [replace(each, aliases=()) for each in before.published()] == list(fresh.published())
    assert audit(fresh).faults == []
    assert fresh.lapsed() == ()
    assert fresh.find("first") == before.find("first")
    found = [row.run_id for row in fresh.runs(RunQuery(tags=("a",), text="größe", flow_run="flow-1"))]
    assert found == [fresh.find("first")]
    with pytest.raises(CallerError, match="an empty ledger"):
        rebuild(fresh, store)


@pytest.mark.kernel
def test_a_ledger_is_made_anew_from_a_bucket(project: Project, s3_environ: ObjectStorage, tmp_path: Path) -> None:
    """By the command line, on a machine that has neither the ledger nor the folder."""
    url, before = new_prefix(), project.home.store
    bucket = open_store(url, base=tmp_path)
    for digest in before.digests():
        bucket.put(before.get(digest))
    (tmp_path / "pyproject.toml").write_text("[tool.nbprod]\n")
    command = [sys.executable, "-m", "nbprod", "ledger", "rebuild", "--from-store", url, "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["runs"], made["versions"], made["events"]) == (4, 2, 10)
    assert (made["faults"], made["aside"], made["objects"]) == ([], [], len(list(before.digests())))
    again = Project.find(tmp_path, {**os.environ, "NBPROD_STORE": url})
    try:
        assert rows(again.home.ledger) == rows(project.home.ledger)
        assert told(again.home.ledger) == told(project.home.ledger)
        assert again.run("first").scraps["long"] == "x" * 5000
    finally:
        again.home.ledger.close()


@pytest.mark.kernel
def test_reuse_and_published_steps_work_on(project: Project, tmp_path: Path) -> None:
    settings = replace(project.settings, ledger=str(tmp_path / "new.db"))
    again = Project(project.root, settings, project.environ)
    rebuild(again.home.ledger, project.home.store)
    try:
        job = again.job(again.step("train@1"), {"alpha": 1.5}, RunOptions(reuse=True))
        assert explain_job(again, job).answer is not None
        assert again.run_job(job).status is Status.CACHED
        assert again.run("first").scraps["value"] == 2.0
        set_alias(again, "train", "production", 1)
        assert again.step("train@production").published == again.step("train@1").published
    finally:
        with suppress(AttributeError):
            again._engine.runner._ports.supervisor.close()  # type: ignore[union-attr]
        again.home.ledger.close()


def a_record(project: Project) -> RunRecord:
    row = next(project.home.ledger.runs(RunQuery(statuses=(Status.SUCCEEDED,))))
    assert row.record is not None
    return RunRecord.from_bytes(project.home.store.get(row.record))


def with_parts(store: Store, record: RunRecord) -> Digest:
    return store.put(replace(record, notebook=replace(record.notebook, digest=store.put(b"{}"))).to_bytes())


@pytest.mark.kernel
def test_of_two_records_of_a_run_the_first_is_the_verdict(project: Project, fresh: Ledger) -> None:
    store, record = MemoryStore(), a_record(project)
    late = replace(
        record,
        finished=record.finished + timedelta(seconds=1),
        verdict=Verdict(status=Status.CRASHED, reason="it vanished"),
    )
    second, first = with_parts(store, late), with_parts(store, record)
    made = rebuild(fresh, store)
    row = fresh.run(record.run_id)
    assert (row.record, row.status) == (first, Status.SUCCEEDED)
    heard = [each.event for each in fresh.events() if isinstance(each.event, RunHeard)]
    assert [event.data["record"] for event in heard] == [str(second)]
    assert len(made.aside) == 1


@pytest.mark.kernel
def test_what_is_corrupt_missing_or_foreign_is_named_and_skipped(
    project: Project, fresh: Ledger, tmp_path: Path
) -> None:
    store, record = LocalStore(tmp_path / "store"), a_record(project)
    other = replace(record, run_id=RunId.new(record.started, b"other-run!"))
    with_parts(store, record)
    spoilt = with_parts(store, other)
    path = tmp_path / "store" / "objects" / spoilt.hex[:2] / spoilt.hex[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"succeeded", b"SUCCEEDED"))
    newer = store.put(record.to_bytes().replace(b"attestation/run/v1", b"attestation/run/v9"))
    bare = replace(record, run_id=RunId.new(record.started, b"bare-run!!"))
    store.put(bare.to_bytes())
    store.put(b'{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://slsa.dev/provenance/v1"}')
    store.put(b'{"_type":"https://in-toto.io/Statement/v1",' + b"x" * 100_000)
    made = rebuild(fresh, store)
    assert made.runs == 2
    assert len(made.faults) == 3
    for part in (str(spoilt), str(newer), f"the executed notebook {record.notebook.digest} of run {bare.run_id}"):
        assert any(part in fault for fault in made.faults)
    assert {row.run_id for row in rows(fresh)} == {record.run_id, bare.run_id}


@pytest.mark.kernel
def test_versions_are_taken_over_without_a_gap(project: Project, fresh: Ledger) -> None:
    store = MemoryStore()
    manifests = [store.put(b"manifest %d" % number) for number in range(4)]
    at = a_record(project).started

    def state(step: str, version: int, manifest: int, *, by: str = "ada", seconds: int = 0) -> None:
        moment = at + timedelta(seconds=seconds)
        stated = VersionStatement(step=step, version=version, manifest=manifests[manifest], at=moment, by=by)
        store.put(stated.to_bytes())

    state("train", 1, 0)
    state("train", 1, 1, by="bob", seconds=1)  # lost the race for the first version
    state("train", 2, 1, by="bob", seconds=1)
    state("train", 4, 2, seconds=2)
    state("score", 1, 3, seconds=-1)
    made = rebuild(fresh, store)
    assert [(each.step, each.version, each.manifest) for each in fresh.published()] == [
        ("score", 1, manifests[3]),
        ("train", 2, manifests[1]),
        ("train", 1, manifests[0]),
    ]
    assert made.aside == ["train@4 was left out: nothing states train@3"]
    assert made.faults == []


def test_big_objects_are_not_read_whole() -> None:
    class Counting(MemoryStore):
        def get(self, digest: Digest) -> bytes:
            got.append(digest)
            return super().get(digest)

    got: list[Digest] = []
    store = Counting()
    store.put(b"x" * 200_000)
    like = store.put(b'{"_type":"https://in-toto.io/Statement/v1",' + b" " * 200_000)
    got.clear()
    found = list(objects_beginning(store, b'{"_type":'))
    assert [look.digest for look in found] == [like]
    assert got == [like]


@pytest.mark.kernel
def test_what_versions_and_runs_name_is_read_and_hashed(project: Project) -> None:
    found = check(project.home, content=True)
    assert found.faults == []
    plain = check(project.home).objects
    manifest = Manifest.from_bytes(project.home.store.get(project.home.ledger.published("train")[0].manifest))
    digest = manifest.notebook.digest
    assert found.objects > plain
    path = Path(project.home.store_url) / "objects" / digest.hex[:2] / digest.hex[2:]
    held = path.read_bytes()
    path.unlink()
    try:
        (fault,) = check(project.home, content=True).faults
        assert fault == f"{digest}, which train@2 names, is not in the store"
    finally:
        project.home.store.put(held)
    assert check(project.home, content=True).faults == []
