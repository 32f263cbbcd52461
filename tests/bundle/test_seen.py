"""What a verifier remembers of a log: older and newer bundles of it, others of the same name, keys that changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbprod.bundle.form import CHECKPOINT, CONSISTENCY, proofs_bytes
from nbprod.project import Project, Run, RunOptions
from nbprod.project.export import export
from nbprod.project.keys import init_keys, keyring_of, revoke_key, rotate_key
from nbprod.project.labels import tag_run
from nbprod.verify import Conclusion, Verification
from tests.bundle.conftest import members_of, pack, with_index, worst
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import nothing_survives

pytestmark = pytest.mark.kernel

Verify = Callable[..., list[Verification]]
ALTERED, CANNOT_TELL, VERIFIED = Conclusion.ALTERED, Conclusion.CANNOT_TELL, Conclusion.VERIFIED


class Log:
    """A log of one run, of which bundles are made."""

    def __init__(self, project: Project, run: Run) -> None:
        self.project, self.run = project, run

    @property
    def root(self) -> str:
        return keyring_of(self.project).signer("root").key.public.id

    def bundle(self, name: str) -> Path:
        """Export the run with one event more, so that the bundle's checkpoint is a new one."""
        tag_run(self.project.home.ledger, self.run.id, [name])
        return export(self.project, self.run, self.project.root / f"{name}.zip").path

    def fork(self, folder: Path) -> Log:
        """Copy all that the log's owner has."""
        self.project.close()
        shutil.copytree(self.project.root, folder)
        project = Project.find(folder, self.project.environ)
        return Log(project, project.run(str(self.run.id)))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with nothing_survives() as mark, project_in(tmp_path / "owner", mark, 'keys = "keys"\n') as project:
        write(project.root / "one.ipynb", ("n: int = 1", PARAMETERS))
        init_keys(project)
        run = project.run_job(project.job(project.step("one.ipynb"), {}, RunOptions()))
        assert run, run.reason
        yield Log(project, run)


def told(found: list[Verification], means: Conclusion) -> str:
    return "; ".join(check.told for check in found[0].checks if check.means is means)


def test_a_root_key_and_a_runner_that_are_replaced(log: Log, verify: Verify) -> None:
    first, old = log.bundle("first"), log.root
    rotate_key(log.project, "root")
    second, new = log.bundle("second"), log.root
    assert old != new
    for path in (first, second, first):  # the older one is older, and nobody altered it
        found = verify(path)
        assert worst(found) is VERIFIED
    assert any("number 2, which was seen before, counts" in check.told for check in found[0].checks)
    for path in (first, second):
        assert worst(verify(path, root=old)) is VERIFIED
    assert worst(verify(second, root=new)) is VERIFIED
    assert worst(verify(first, root=new)) is CANNOT_TELL

    runner = keyring_of(log.project).signer("runner").key.public.id
    revoke_key(log.project, runner, end=0)
    assert worst(verify(log.bundle("third"))) is not VERIFIED
    assert worst(verify(first, seen=first.with_name("fresh.json"))) is VERIFIED  # control: of that it tells nothing
    assert worst(verify(first)) is not VERIFIED  # to whom has seen the revocation, it is no better


def test_a_bundle_that_should_lead_to_what_was_seen_and_does_not(log: Log, verify: Verify, tmp_path: Path) -> None:
    other = log.fork(tmp_path / "other")
    seen = tmp_path / "seen.json"
    assert worst(verify(log.bundle("here"))) is VERIFIED
    before = seen.read_text()
    size = int(members_of(log.project.root / "here.zip")[CHECKPOINT].split(b"\n")[1])
    other.bundle("there")
    tag_run(other.project.home.ledger, other.run.id, ["once more"])
    split = other.bundle("and-more")
    assert worst(verify(split)) is ALTERED  # its proof of that size leads to another root
    members = members_of(split)
    assert size in {each["size"] for each in json.loads(members[CONSISTENCY])["proofs"]}
    without = pack(tmp_path / "without.zip", with_index(members | {CONSISTENCY: proofs_bytes({})}))
    found = verify(without)
    assert worst(found) is CANNOT_TELL
    assert f"nothing in the bundle leads from or to the checkpoint of {size} events" in told(found, CANNOT_TELL)
    assert seen.read_text() == before  # which it does not take the place of
    assert worst(verify(without, seen=tmp_path / "fresh.json")) is VERIFIED  # control
    assert worst(verify(log.bundle("later"))) is VERIFIED


def test_another_list_of_keys_of_the_same_number(log: Log, verify: Verify, tmp_path: Path) -> None:
    other = log.fork(tmp_path / "other")
    for each in (log, other):
        rotate_key(each.project, "runner")
    assert worst(verify(log.bundle("here"))) is VERIFIED
    there = other.bundle("there-and-more")
    assert "its list of keys number 2 is not the one that was seen" in told(verify(there), ALTERED)
    assert worst(verify(there, seen=tmp_path / "fresh.json")) is VERIFIED  # control


def test_what_an_earlier_nbprod_remembered_is_read(log: Log, verify: Verify, tmp_path: Path) -> None:
    seen = tmp_path / "seen.json"
    first = log.bundle("first")
    verify(first)
    now = json.loads(seen.read_text())
    seen.write_text(json.dumps({**{name: now[name] for name in ("log", "root", "number", "checkpoint")}, "form": 1}))
    assert worst(verify(first)) is VERIFIED
    assert json.loads(seen.read_text()) == now
    rotate_key(log.project, "runner")
    verify(log.bundle("second"))
    later = json.loads(seen.read_text())
    seen.write_text(json.dumps({**{name: later[name] for name in ("log", "root", "number", "checkpoint")}, "form": 1}))
    assert "Give it: --keys" in told(verify(first), CANNOT_TELL)  # the list itself was not remembered


@pytest.mark.parametrize("spoil", ["other log", "unsigned", "dash"])
def test_a_checkpoint_that_is_another_or_spoilt_proves_nothing(
    log: Log, verify: Verify, tmp_path: Path, spoil: str
) -> None:
    path = log.bundle("first")
    note = members_of(path)[CHECKPOINT].decode()
    assert worst(verify(path, given=[note])) is VERIFIED  # control
    origin = note.partition("\n")[0]
    spoilt = {
        "other log": note.replace(origin, f"{origin}0"),
        "unsigned": note[:-9] + ("A" if note[-9] != "A" else "B") + note[-8:],
        "dash": note.replace("\u2014", "--"),
    }[spoil]
    found = verify(path, given=[spoilt])
    assert worst(found) is CANNOT_TELL
    assert "the checkpoint that was given proves nothing" in told(found, CANNOT_TELL)
