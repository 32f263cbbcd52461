"""Keys by command: a log's list is begun, grows, and hands over; private keys stay where they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbprod.attest.keyfile import KeyFile, Role
from nbprod.attest.keyring import DEVELOPMENT, Keyring
from nbprod.attest.keys import PrivateKey
from nbprod.errors import CallerError, EnvironmentFault, IntegrityError, SignatureInvalid
from nbprod.ledger.log import NoteKind
from nbprod.project import Project
from nbprod.project.checkpoint import make_checkpoint
from nbprod.project.keys import add_key, init_keys, own_keys, revoke_key, rotate_key
from nbprod.verify import Conclusion, Seen, Trust, read_trust
from nbprod.verify.asked import rooted
from tests.cli.conftest import Nbprod
from tests.ledger.conftest import Told


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "pyproject.toml").write_text('[tool.nbprod]\nkeys = "keys"\nledger = "l.db"\n')
    return Project.find(tmp_path, {})


def ring(project: Project) -> Keyring:
    assert project.keys is not None
    return Keyring(project.keys)


def listed(project: Project) -> KeyFile:
    current = read_trust(project.home.ledger.log).current
    assert current is not None
    return current


def grow(project: Project, runs: int = 1) -> int:
    told = Told(project.home.ledger, lambda _: None, count=int(project.home.ledger.log.size()))
    for _ in range(runs):
        told.finish(told.start())
    return project.home.ledger.log.sequence()


def terms(project: Project, role: Role) -> dict[str, tuple[int, int | None]]:
    names = {held.key.public.id: held.name for held in ring(project).all()}
    return {names.get(t.key_id, "?"): (t.first, t.end) for t in listed(project).terms.get(role, ())}


def test_a_log_begins_with_keys_of_its_own(project: Project) -> None:
    made = init_keys(project)
    assert {held.name for held in ring(project).all()} == {"root", "runner", "checkpoint"}
    assert made.keys == listed(project)
    assert terms(project, Role.RUNNER) == {"runner": (0, None)}
    assert terms(project, Role.CHECKPOINT) == {"checkpoint": (0, None)}
    assert init_keys(project).told == ()  # again, and nothing is done
    assert listed(project).number == 1


def test_what_development_keys_signed_stays_signed_and_they_sign_no_more(project: Project) -> None:
    ring(project).development()
    size = grow(project)
    make_checkpoint(project)
    assert terms(project, Role.RUNNER) == {DEVELOPMENT: (0, None)}
    root = listed(project).root
    init_keys(project)
    assert terms(project, Role.RUNNER) == {DEVELOPMENT: (0, size), "runner": (size, None)}
    assert terms(project, Role.CHECKPOINT) == {DEVELOPMENT: (0, size), "checkpoint": (size, None)}
    assert listed(project).root != root
    assert read_trust(project.home.ledger.log, root=root).current == listed(project)
    grow(project)
    assert make_checkpoint(project).new


def test_keys_that_were_there_before_the_list_count_from_the_beginning(project: Project) -> None:
    ring(project).development()
    ring(project).make("runner")
    size = grow(project)
    init_keys(project)
    assert terms(project, Role.RUNNER) == {"runner": (0, None), DEVELOPMENT: (0, size)}


def test_a_key_is_replaced_by_a_new_one(project: Project) -> None:
    init_keys(project)
    size = grow(project)
    old = ring(project).signer("runner").key.public.id
    made = rotate_key(project, "runner")
    new = ring(project).signer("runner").key.public.id
    assert new != old
    assert terms(project, Role.RUNNER) == {f"runner-{old[:16]}": (0, size), "runner": (size, None)}
    assert made.keys.number == 2
    root = listed(project).root
    rotate_key(project, "root")
    assert read_trust(project.home.ledger.log, root=root).current == listed(project)
    assert listed(project).root == ring(project).signer("root").key.public.id
    rotate_key(project, "checkpoint")
    grow(project)
    assert make_checkpoint(project).new


def test_somebody_else_s_key_gets_a_role_and_loses_it(project: Project) -> None:
    init_keys(project)
    other = PrivateKey.new().public
    add_key(project, Role.RUNNER, public=other, label="ada", first=0)
    assert listed(project).covers(Role.RUNNER, other.id, 0)
    before = listed(project)
    with pytest.raises(CallerError, match="another label, which stays") as refused:
        add_key(project, Role.REVIEWER, public=other, label="Carol")
    assert (refused.value.expected, listed(project)) == ("'ada', or no label", before)
    for role, label in ((Role.REVIEWER, "ada"), (Role.PROMOTER, None)):
        assert add_key(project, role, public=other, label=label).keys.keys[other.id].label == "ada"
    assert terms(project, Role.RUNNER)["runner"] == (0, None)  # both may sign
    size = grow(project)
    rotate_key(project, "runner")
    assert listed(project).covers(Role.RUNNER, other.id, 10**6)  # theirs is not replaced with ours
    revoke_key(project, other.id[:10])
    assert [listed(project).covers(Role.RUNNER, other.id, at) for at in (size - 1, size)] == [True, False]
    with pytest.raises(CallerError, match="no role"):
        revoke_key(project, other.id)
    made = add_key(project, Role.REVIEWER)
    assert ring(project).signer("reviewer").key.public.id in made.keys.holders(Role.REVIEWER)


def test_a_key_of_one_s_own_that_is_revoked_signs_no_more(project: Project) -> None:
    init_keys(project)
    grow(project)
    runner = ring(project).signer("runner").key.public.id
    revoke_key(project, runner, end=0)
    assert ring(project).find("runner") is None
    assert terms(project, Role.RUNNER) == {f"runner-{runner[:16]}": (0, 0)}
    rotate_key(project, "runner")
    assert ring(project).find("runner") is not None


def test_only_who_has_the_root_key_changes_the_list(project: Project, tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="no list of keys"):
        rotate_key(project, "runner")
    init_keys(project)
    other = Project.find(tmp_path, {"NBPROD_KEYS": str(tmp_path / "others")})
    before = listed(project)
    for change in (
        lambda: init_keys(other),
        lambda: add_key(other, Role.RUNNER),
        lambda: rotate_key(other, "runner"),
        lambda: revoke_key(other, before.root[:8]),
    ):
        with pytest.raises(CallerError, match="root key"):
            change()
    assert listed(project) == before
    assert own_keys(other) == {}, "nothing was made on the way"
    grow(project)
    with pytest.raises(CallerError, match="may not sign checkpoints"):
        make_checkpoint(other)
    off = Project.find(tmp_path, {"NBPROD_KEYS": "off"})
    with pytest.raises(CallerError, match="no folder for keys"):
        init_keys(off)
    for text in ("", "zz", before.root[:0]):
        with pytest.raises(CallerError):
            revoke_key(project, text)


def test_a_key_that_others_may_read_makes_no_list(project: Project) -> None:
    ring(project).make("runner")
    (ring(project).folder / "runner.pem").chmod(0o644)
    with pytest.raises(EnvironmentFault, match="others"):
        init_keys(project)
    assert list(project.home.ledger.log.notes(NoteKind.KEYS)) == []


def test_a_list_that_skips_a_number_is_refused(project: Project) -> None:
    init_keys(project)
    log = project.home.ledger.log
    with pytest.raises(SignatureInvalid):
        read_trust(log, root="0" * 64)
    root = ring(project).signer("root").key
    again = listed(project).with_key(PrivateKey.new().public, "x", Role.RUNNER, first=0)
    log.add_note(NoteKind.KEYS, again.with_key(PrivateKey.new().public, "y", Role.RUNNER, first=0).sign(root).decode())
    with pytest.raises(IntegrityError, match="do not follow each other"):
        read_trust(log)


@pytest.mark.parametrize(
    ("named", "seen", "vouched"),
    [
        (None, None, True),
        ("old", None, True),
        ("new", "old", True),
        ("new", "other", True),  # what was seen is looked at on its own
        (None, "old", True),
        ("other", None, False),
        ("other", "new", False),
        (None, "other", None),
        ("other", "other", None),  # it was seen under that root, and is no more
        (None, "newer", True),  # which the present one was seen to lead to
    ],
)
def test_a_root_key_that_is_not_the_one_makes_nothing_altered_unless_it_was_seen(
    named: str | None, seen: str | None, *, vouched: bool | None
) -> None:
    told = Trust(roots=("old", "new"))
    roots = ("old", "new", "newer") if seen == "newer" else ()
    before = None if seen is None else Seen(log="log", root=seen, number=1, roots=roots)
    if vouched is None:
        with pytest.raises(SignatureInvalid):
            rooted(told, named=named, seen=before)
        return
    trust, checks = rooted(told, named=named, seen=before)
    assert trust.unvouched is not vouched
    assert trust.pinned is (vouched and (named or seen) is not None)
    assert [check.means for check in checks] == ([] if vouched else [Conclusion.CANNOT_TELL])


# --- the command line ------------------------------------------------------------------------------


@pytest.mark.kernel
def test_by_command(tmp_path: Path) -> None:
    from tests.cli.conftest import make_project

    here = Nbprod(make_project(tmp_path))
    environ = {"NBPROD_KEYS": str(tmp_path / "keys"), "XDG_STATE_HOME": str(tmp_path / "state")}
    assert here.process("run", "train", **environ).returncode == 0
    assert here.here("keys", "init", **environ).returncode == 0
    assert here.here("keys", "add", "reviewer", **environ).returncode == 0
    shown = here.here("keys", "list", **environ)
    assert shown.returncode == 0
    assert "reviewer" in shown.stdout
    assert "development.pem" in shown.stdout
    told = json.loads(here.here("keys", "list", "--json", "--export", tmp_path / "keys.json", **environ).stdout)
    assert KeyFile.open((tmp_path / "keys.json").read_bytes()).to_json() == told["list"]
    public = tmp_path / "ada.pem"
    public.write_bytes(PrivateKey.new().public.to_pem())
    added = here.here("keys", "add", "runner", "--public", public, "--label", "ada", "--from", "0", "--json", **environ)
    (term,) = [
        each
        for each in json.loads(added.stdout)["list"]["roles"]["runner"]
        if each["from"] == 0 and each["until"] is None
    ]
    assert here.here("keys", "revoke", term["key"][:12], **environ).returncode == 0
    assert here.here("keys", "rotate", "root", **environ).returncode == 0

    assert here.here("checkpoint", "--to", tmp_path / "checkpoint.txt", **environ).returncode == 0
    again = json.loads(here.here("checkpoint", "--json", **environ).stdout)
    assert (again["new"], again["note"]) == (False, (tmp_path / "checkpoint.txt").read_text())
    verify = ("verify", "train@latest", "--checkpoint", tmp_path / "checkpoint.txt")
    good = here.here(*verify, "--keys", tmp_path / "keys.json", **environ)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "verified" in good.stdout
    assert good.stdout.splitlines()[1] == f"  in the log {told['list']['log']}"
    assert (
        here.here(*verify, "--root", told["list"]["root"], "--strict", **environ).returncode == 22
    )  # a development key
    assert here.here(*verify, "--root", "0" * 64, **environ).returncode == 22
    (line,) = here.here(*verify, "--json", **environ).stdout.splitlines()
    assert (json.loads(line)["conclusion"], json.loads(line)["log"]) == ("verified", told["list"]["log"])
    assert here.here("verify", "--all", **environ).stdout.endswith("Runs: 1 verified.\n")
    assert len(here.here("verify", "--all", "--json", **environ).stdout.splitlines()) == 2
    assert len(list((tmp_path / "state" / "nbprod" / "seen").iterdir())) == 1
    for wrong in (("verify",), ("verify", "@latest", "--all"), ("keys", "add", "king"), ("keys", "revoke", "zz")):
        assert here.here(*wrong, **environ).returncode == 2

    for artifact in (tmp_path / ".nbprod" / "store" / "objects").rglob("*"):
        if artifact.is_file() and artifact.read_bytes() == b"m" * 1234:
            artifact.unlink()
    assert here.here(*verify, **environ).returncode == 20
    assert "artifact model.bin is not in the store" in here.here("verify", "--all", **environ).stdout
    environ["NBPROD_KEYS"] = "off"
    assert here.process("run", "quit.ipynb", **environ).returncode == 10
    unsigned = here.here("verify", "quit@latest", **environ)
    assert unsigned.returncode == 21
    assert "the record is not signed" in unsigned.stdout
    (tmp_path / "state" / "nbprod" / "seen").rename(tmp_path / "moved")
    (tmp_path / "state" / "nbprod").mkdir(exist_ok=True)
    seen = next((tmp_path / "moved").iterdir())
    seen.write_text("{}")
    broken = here.here(*verify, "--seen", seen, **environ)
    assert broken.returncode == 2
    assert "seen before cannot be read" in broken.stderr
