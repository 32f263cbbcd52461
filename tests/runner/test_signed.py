"""Each run's record is signed as it ends, whoever closes it; without a key it runs all the same."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nbprod.attest.bundle import from_lines
from nbprod.attest.dsse import IN_TOTO, Envelope
from nbprod.attest.keyring import HeldKey, Keyring
from nbprod.attest.provenance import PROVENANCE_TYPE
from nbprod.errors import EnvironmentFault, SignatureInvalid
from nbprod.ledger.events import RunFinished
from nbprod.project import Project, Run, RunOptions
from nbprod.project.doctor import Health, examine
from nbprod.project.upkeep import check
from nbprod.record.status import Status
from nbprod.runner.signed import runner_key
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import nothing_survives
from tests.records import a_record

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    root = tmp_path_factory.mktemp("signed")
    with nothing_survives() as mark, project_in(root, mark, 'keys = "keys ü"\n', {}) as project:
        write(root / "one.ipynb", ("n: int = 1", PARAMETERS), "assert n > 0")
        yield project


def run(project: Project, n: int = 1, **options: bool) -> Run:
    return project.run_job(project.job(project.step("one.ipynb"), {"n": n}, RunOptions(**options)))  # type: ignore[arg-type]


def ending(run: Run) -> RunFinished:
    (event,) = [s.event for s in run.home.ledger.events(run.id) if isinstance(s.event, RunFinished)]
    return event


def envelopes(run: Run) -> tuple[Envelope, ...]:
    attestation = ending(run).attestation
    assert attestation is not None
    return from_lines(run.home.store.get(attestation))


def test_a_good_run_has_its_record_and_its_provenance_signed(project: Project) -> None:
    done = run(project)
    signed, built = envelopes(done)
    assert project.keys == project.root / "keys ü"
    key = Keyring(project.keys).development().key.public
    assert signed.payload == project.home.store.get(ending(done).record)
    for envelope in (signed, built):
        assert envelope.signers({key.id: key}, IN_TOTO) == (key.id,)
        with pytest.raises(SignatureInvalid):
            replace(envelope, payload=envelope.payload + b" ").signers({key.id: key}, IN_TOTO)
    told = json.loads(built.payload)
    assert told["predicateType"] == PROVENANCE_TYPE
    assert told["predicate"]["runDetails"]["metadata"]["invocationId"] == str(done.id)
    assert check(project.home, content=True).faults == []


def test_other_endings_have_their_record_signed_and_no_provenance(project: Project) -> None:
    failed = run(project, 0)
    assert failed.status is Status.FAILED
    (signed,) = envelopes(failed)
    assert signed.payload == project.home.store.get(ending(failed).record)
    run(project, 7)
    cached = run(project, 7, reuse=True)
    assert cached.status is Status.CACHED
    (signed,) = envelopes(cached)
    assert signed.payload == project.home.store.get(ending(cached).record)


def test_another_key_signs_from_the_next_run_on(project: Project) -> None:
    assert project.keys is not None
    own = Keyring(project.keys).make("runner").key.public
    try:
        assert envelopes(run(project))[0].signers({own.id: own}, IN_TOTO) == (own.id,)
    finally:
        (project.keys / "runner.pem").unlink()


@pytest.mark.parametrize("what", ["a file in the folder's place", "off", "readable by others"])
def test_without_a_key_runs_work_and_are_unsigned(project: Project, what: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    if what == "readable by others":
        Keyring(keys).make("runner")
        (keys / "runner.pem").chmod(0o644)
    elif what != "off":
        keys.write_text("")
    environ = {**project.environ, "NBPROD_KEYS": "off" if what == "off" else str(keys)}
    other = Project.find(project.root, environ)
    try:
        done = run(other)
        assert done
        assert ending(done).attestation is None
        (found,) = [each for each in examine(other) if each.what == "keys"]
        assert found.health is Health.WARN
    finally:
        other.close()


@pytest.mark.parametrize(("error", "signs"), [(errno.EMFILE, True), (errno.EIO, True), (errno.EACCES, False)])
def test_a_key_that_cannot_be_read_for_a_moment_signs_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, *, signs: bool
) -> None:
    key = Keyring(tmp_path).development().key
    find = Keyring.find
    faults = [OSError(error, "no")]

    def fails_once(ring: Keyring, name: str) -> HeldKey | None:
        if faults:
            raise EnvironmentFault("the key cannot be read") from faults.pop()
        return find(ring, name)

    monkeypatch.setattr(Keyring, "find", fails_once)
    found = runner_key(str(tmp_path))
    assert (found is not None) is signs
    assert runner_key(str(tmp_path)).public == key.public  # type: ignore[union-attr]  # the control: it was for once


def test_signing_takes_next_to_nothing_of_a_start() -> None:
    script = "import sys, nbprod, nbprod.cli.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "nbprod.cli.app" in loaded
    assert [name for name in loaded if name.startswith(("cryptography", "nbprod.attest"))] == []


def test_a_record_is_signed_as_it_was_written(project: Project) -> None:
    from nbprod.runner.signed import keep_signed

    record = a_record()
    data = record.to_bytes()
    store = project.home.store
    kept = keep_signed(record, data, store.put(data), store, str(project.keys))
    assert kept is not None
    assert from_lines(store.get(kept))[0].payload == data
    assert keep_signed(record, data, store.put(data), store, None) is None
