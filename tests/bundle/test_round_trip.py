"""Export on one machine, verify on another: what is as it was passes, and nothing else does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbprod.bundle import open_bundle
from nbprod.bundle.form import CHECKPOINT, INDEX, README, Index
from nbprod.cli.exit_codes import of_conclusion
from nbprod.digest import digest_bytes
from nbprod.errors import BundleInvalid, CallerError, EnvironmentFault, NotFound, UnsupportedVersion
from nbprod.ledger.log import NoteKind
from nbprod.project import export as exporting
from nbprod.project.checkpoint import make_checkpoint
from nbprod.project.export import export
from nbprod.project.labels import tag_run
from nbprod.verify import Conclusion, Outcome, Policy, Verification, read_trust
from tests.bundle.conftest import Exported, Members, members_of, pack, with_index, worst

pytestmark = pytest.mark.kernel

Verify = Callable[..., list[Verification]]
ALTERED, CANNOT_TELL, VERIFIED = Conclusion.ALTERED, Conclusion.CANNOT_TELL, Conclusion.VERIFIED
FOR_PEOPLE = (README, "notebook.html")


def elsewhere(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as somebody with another home, and no project."""
    home.mkdir(exist_ok=True)
    environ = {"HOME": str(home), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "nbprod", *words]
    return subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, check=False)


def test_a_machine_that_never_saw_the_ledger_verifies_it(exported: Exported, tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = elsewhere(home, "verify", str(exported.path), "--root", exported.root, "--strict", "--json")
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["subject"], second["subject"]) == (str(exported.trained.id), str(exported.prepared.id))
    assert {first["conclusion"], second["conclusion"]} == {"verified"}
    assert first["covered"]
    assert first["log"] == second["log"] == read_trust(exported.project.home.ledger.log).current.log
    assert {check["step"] for check in first["checks"]} == {1, 2, 3, 4, 5, 6}
    assert [path.name for path in home.rglob("*.json")]  # what was seen is remembered, in the home of who asked
    told = elsewhere(home, "verify", str(exported.path))
    assert told.returncode == 0
    assert f"train  {exported.trained.id}\n" in told.stdout
    assert told.stdout.endswith("\nRuns: 2 verified.\n")
    assert told.stdout.count(f"in the log {first['log']}\n") == 1
    wrong = elsewhere(home, "verify", str(exported.path), "--root", "0" * 64)
    assert wrong.returncode == of_conclusion(CANNOT_TELL)
    assert f"signed under the root key {exported.root}, and you named {'0' * 64}, " in wrong.stdout
    assert wrong.stdout.count("may sign runs is said by a list that the root key you named did not sign") == 2
    assert "not yet" not in wrong.stdout
    assert "FAILED" not in wrong.stdout


def test_it_holds_both_runs_and_all_that_they_read(exported: Exported) -> None:
    with open_bundle(exported.path) as bundle:
        assert bundle.run_ids == (exported.trained.id, exported.prepared.id)
        assert bundle.run_id == exported.trained.id
        for run in (exported.trained, exported.prepared):
            assert bundle.record(run.id) == run.record
            assert bundle.trace(run.id) == run.trace
            assert bundle.read(run.record.source_file.digest)
        kept = {each.path: bundle.read(each.digest) for each in bundle.inputs(exported.prepared.id)}
        assert kept["raw/ä.csv"] == b"1,2\n"
        assert kept["data.csv"] == b"3,4\n"
        assert kept["local_module.py"] == b"A = 1\n"
        assert digest_bytes(kept["raw"]) == exported.prepared.record.request.inputs[0].digest
        with pytest.raises(NotFound):
            bundle.read(digest_bytes(b"never kept"))
    assert not bundle.index.absent


def test_the_same_run_gives_the_same_bytes(exported: Exported, tmp_path: Path) -> None:
    made = [
        export(exported.project, exported.trained, tmp_path / name, upstream=True).path.read_bytes()
        for name in ("one.zip", "two.zip")
    ]
    assert made[0] == made[1]


def test_every_name_is_plain(exported: Exported) -> None:
    names = members_of(exported.path)
    assert any(name.endswith("artifacts/Modell_gr_er_.bin") for name in names), names
    assert all(name.isascii() and ".." not in name and not name.startswith("/") for name in names)


@pytest.mark.parametrize("how", ["flipped", "cut", "removed", "swapped", "emptied"])
def test_no_member_can_be_changed_unseen(exported: Exported, verify: Verify, tmp_path: Path, how: str) -> None:
    members = members_of(exported.path)
    assert worst(verify(pack(tmp_path / "same.zip", members))) is VERIFIED  # positive control
    names = sorted(members)
    for place, name in enumerate(names):
        changed: Members = dict(members)
        data = members[name]
        other = names[(place + 1) % len(names)]
        if how == "flipped":
            changed[name] = data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
        elif how == "cut":
            changed[name] = data[:-1]
        elif how == "emptied":
            changed[name] = b""
        elif how == "removed":
            del changed[name]
        else:
            changed[name], changed[other] = members[other], data
        try:
            assert worst(verify(pack(tmp_path / "changed.zip", changed))) is ALTERED, name
        except BundleInvalid:
            assert INDEX in (name, other) or name.startswith("log/") or other.startswith("log/"), name


def test_nothing_can_be_added_unseen(exported: Exported, verify: Verify, tmp_path: Path) -> None:
    members = members_of(exported.path)
    assert worst(verify(pack(tmp_path / "more.zip", {**members, "runs/more.txt": b"more"}))) is ALTERED


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_an_index_that_fits_the_changed_members_does_not_help(
    exported: Exported, verify: Verify, tmp_path: Path, how: str
) -> None:
    """Nobody signs the index: what is changed must be found by signatures and proofs alone."""
    members = members_of(exported.path)
    index = Index.from_bytes(members[INDEX])
    for each in index.members:
        if each.name.endswith(FOR_PEOPLE) or each.name.startswith("log/consistency"):
            continue
        if "/inputs/" in each.name and "clean.csv" in each.name:
            continue
        changed = dict(members)
        rest = [other for other in index.members if other != each]
        if how == "changed":
            # In JSON a space more changes nothing but the bytes.
            changed[each.name] = members[each.name][:-1] + b" " + members[each.name][-1:]
            told = {"digest": digest_bytes(changed[each.name]), "size": len(changed[each.name])}
            rest.append(type(each)(name=each.name, what=each.what, **told))  # type: ignore[arg-type]
        else:
            del changed[each.name]
        changed[INDEX] = type(index)(
            made_by=index.made_by, runs=index.runs, members=tuple(sorted(rest, key=lambda one: one.name))
        ).to_bytes()
        try:
            found = verify(pack(tmp_path / "changed.zip", changed), policy=Policy.strict(), root=exported.root)
        except BundleInvalid:
            continue
        assert worst(found) is not VERIFIED, each.name


def without_words(data: bytes) -> object:
    """Return what an index says but for what it says to people only: nobody signed that."""
    try:
        index = Index.from_bytes(data)
    except (BundleInvalid, UnsupportedVersion):
        return data
    members = tuple(replace(each, what="") for each in index.members)
    return replace(index, made_by="", members=members)


def test_a_mutated_member_never_passes(exported: Exported, verify: Verify, tmp_path: Path) -> None:
    members = members_of(exported.path)
    names = [name for name in sorted(members) if not name.endswith(FOR_PEOPLE)]

    @settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
    @given(
        name=st.sampled_from(names),
        place=st.floats(0, 1, exclude_max=True),
        cut=st.integers(0, 3),
        new=st.binary(max_size=3),
    )
    def mutate(name: str, place: float, cut: int, new: bytes) -> None:
        data = members[name]
        at = int(place * len(data))
        changed = data[:at] + new + data[at + cut :]
        if changed == data or (name == INDEX and without_words(changed) == without_words(data)):
            return
        try:
            assert worst(verify(pack(tmp_path / "mutated.zip", {**members, name: changed}))) is ALTERED
        except (BundleInvalid, CallerError, UnsupportedVersion):  # an event of another version is refused, too
            assert name == INDEX or name.startswith("log/")

    mutate()


def test_any_byte_of_the_file_may_be_flipped(exported: Exported, verify: Verify, tmp_path: Path) -> None:
    """Whatever is flipped: an answer, or an error of ours. Only a byte that says nothing (a time) may go unseen."""
    whole = exported.path.read_bytes()

    @settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
    @given(place=st.integers(0, len(whole) - 1), bit=st.integers(0, 7))
    def flip(place: int, bit: int) -> None:
        path = tmp_path / "flipped.zip"
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
        try:
            found = worst(verify(path))
        except (BundleInvalid, CallerError):
            return
        if found is VERIFIED:
            assert members_of(path) == members_of(exported.path)

    flip()


def test_an_earlier_and_a_later_checkpoint(exported: Exported, verify: Verify, tmp_path: Path) -> None:
    project = exported.project
    early = members_of(exported.path)[CHECKPOINT].decode()
    tag_run(project.home.ledger, exported.trained.id, ["later"])
    late = make_checkpoint(project).note
    made = export(project, exported.trained, tmp_path / "late.zip")
    assert worst(verify(made.path, given=[early])) is VERIFIED
    assert worst(verify(made.path, given=[late])) is VERIFIED
    # Nothing leads from the earlier bundle to what came later; what was seen is no fault of the bundle's.
    assert worst(verify(exported.path, given=[late])) is CANNOT_TELL
    (told,) = [
        check
        for check in verify(exported.path)[0].checks
        if check.outcome is Outcome.NOT_APPLICABLE and check.name == "consistency"
    ]
    assert "the bundle was made before" in told.told
    forged = early.replace(early.split("\n")[2], members_of(made.path)[CHECKPOINT].decode().split("\n")[2])
    assert worst(verify(made.path, given=[forged])) is CANNOT_TELL  # nobody has signed that


def test_a_run_that_a_checkpoint_covers_needs_nothing_of_the_other_events(
    exported: Exported, verify: Verify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = exported.project
    covered = export(project, exported.trained, tmp_path / "before.zip").path
    tag_run(project.home.ledger, exported.prepared.id, ["of another run"])
    monkeypatch.setattr(exporting, "make_checkpoint", pytest.fail)
    again = export(project, exported.trained, tmp_path / "again.zip").path
    assert members_of(again)[CHECKPOINT] == members_of(covered)[CHECKPOINT]
    assert worst(verify(again)) is VERIFIED
    monkeypatch.undo()  # control: the other run has an event that no checkpoint covers yet
    other = export(project, exported.prepared, tmp_path / "other.zip").path
    assert members_of(other)[CHECKPOINT] != members_of(covered)[CHECKPOINT]


def test_another_log_of_the_same_name_is_noticed(exported: Exported, verify: Verify, tmp_path: Path) -> None:
    """Whoever has the keys makes another history: a checkpoint that was kept tells."""
    from nbprod.attest.checkpoint import Checkpoint
    from nbprod.project.keys import keyring_of

    kept = members_of(exported.path)[CHECKPOINT].decode()
    true = Checkpoint.parse(kept.rpartition("\n\n")[0] + "\n")
    held = keyring_of(exported.project).signer("checkpoint")
    other = Checkpoint(origin=true.origin, size=true.size, root=bytes(32)).sign(held.key)
    assert worst(verify(exported.path, given=[other])) is ALTERED
    assert any(note.body == kept for note in exported.project.home.ledger.log.notes(NoteKind.CHECKPOINT))


def test_what_was_left_out_is_told(exported: Exported, verify: Verify, tmp_path: Path) -> None:
    made = export(exported.project, exported.prepared, tmp_path / "bare.zip", inputs=False)
    assert {each.what for each in made.absent} >= {"input data.csv", "input local_module.py", "input raw/ä.csv"}
    found = verify(made.path)
    assert worst(found) is VERIFIED
    assert any("left out what the run read: input data.csv, " in check.told for check in found[0].checks)


def test_nothing_is_written_over_or_too_large(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "there.zip"
    path.write_bytes(b"mine")
    with monkeypatch.context() as patched:  # before what takes time: neither a page nor the log's proofs are made
        patched.setattr(exporting, "_add_page", pytest.fail)
        patched.setattr(exporting, "_add_log", pytest.fail)
        with pytest.raises(CallerError, match="already"):
            export(exported.project, exported.trained, path)
        for place, told in ((tmp_path, "a folder"), (tmp_path / "none" / "x.zip", "no folder")):
            with pytest.raises(CallerError, match=told):
                export(exported.project, exported.trained, place, force=True)
        with pytest.raises(CallerError, match="too large"):
            export(exported.project, exported.trained, tmp_path / "large.zip", largest=1000)
        patched.setattr(os, "access", lambda *_: False)  # root may write everywhere
        with pytest.raises(EnvironmentFault, match="may not write"):
            export(exported.project, exported.trained, tmp_path / "new.zip")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["there.zip"]
    assert path.read_bytes() == b"mine"
    export(exported.project, exported.trained, path, force=True)
    assert zipfile.is_zipfile(path)


def test_the_command_writes_it_and_says_what_is_in_it(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from nbprod.cli.app import nbprod

    monkeypatch.chdir(exported.project.root)
    path = tmp_path / "made.zip"
    words = ["export", str(exported.trained.id), "-o", str(path), "--without-inputs"]
    done = CliRunner().invoke(nbprod, [*words, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["runs"], told["root"], told["covered"]) == ([str(exported.trained.id)], exported.root, True)
    assert told["size"] == path.stat().st_size
    assert told["members"] == len(members_of(path))
    assert [each["what"].rpartition("/")[2] for each in told["absent"]] == ["clean.csv"]
    assert CliRunner().invoke(nbprod, words).exit_code == CallerError.exit_code  # it is there already
    done = CliRunner().invoke(nbprod, [*words, "--force", "--max-size", "1 GiB"])
    assert done.exit_code == 0, done.output
    assert exported.root in done.output
    assert CliRunner().invoke(nbprod, ["verify", str(path), "--seen", str(tmp_path / "seen")]).exit_code == 0
    assert CliRunner().invoke(nbprod, ["verify", str(tmp_path / "none.zip")]).exit_code == CallerError.exit_code


def test_files_are_what_their_names_say(exported: Exported, verify: Verify, tmp_path: Path) -> None:
    members = members_of(exported.path)
    assert worst(verify(pack(tmp_path / "same.zip", with_index(members)))) is Conclusion.VERIFIED  # control
    (notebook,) = (name for name in members if str(exported.trained.id) in name and name.endswith("/notebook.ipynb"))
    folder = notebook.rpartition("/")[0]
    data = members[notebook]
    index = Index.from_bytes(members[INDEX])
    like = next(each for each in index.members if each.name == notebook)
    for added in ("inputs/zz", "artifacts/more.bin", "statements/approval.jsonl", "notebook~2.txt"):
        name = f"{folder}/{added}"
        more = replace(index, members=(*index.members, replace(like, name=name)))
        forged = members | {name: data, notebook: data.replace(b"long", b"lang"), INDEX: more.to_bytes()}
        assert worst(verify(pack(tmp_path / "forged.zip", with_index(forged)))) is Conclusion.ALTERED, added
    for name in ("runs/approved.txt", "log/more"):
        more = replace(index, members=(*index.members, replace(like, name=name)))
        forged = members | {name: b"x", INDEX: more.to_bytes()}
        assert worst(verify(pack(tmp_path / "forged.zip", with_index(forged)))) is Conclusion.ALTERED, name


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_a_run_without_its_record_hides_nothing_that_is_wrong(
    exported: Exported, verify: Verify, tmp_path: Path, how: str
) -> None:
    members = members_of(exported.path)
    index = Index.from_bytes(members[INDEX])
    record = f"runs/{exported.trained.id}/record.json"
    like = next(each for each in index.members if each.name == record)
    planted = f"runs/{exported.prepared.id}/inputs/approved.txt"
    rest = index.members if how == "changed" else tuple(each for each in index.members if each is not like)
    more = replace(index, members=tuple(sorted((*rest, replace(like, name=planted)), key=lambda each: each.name)))
    forged = members | {planted: b"approved", record: members[record] + b" ", INDEX: more.to_bytes()}
    if how == "removed":
        del forged[record]
    found = verify(pack(tmp_path / "forged.zip", with_index(forged)))
    wrong = [check.told for check in found[0].checks if check.means is ALTERED]
    unknown = "is not what any of its runs knows under that name"
    assert wrong == [f"{name} {unknown}" for name in sorted([planted, *([record] if how == "changed" else [])])]
    assert worst(found) is ALTERED


def test_the_step_in_the_index_is_nobody_s_word(exported: Exported, verify: Verify, tmp_path: Path) -> None:
    members = members_of(exported.path)
    index = Index.from_bytes(members[INDEX])
    first, second = index.runs
    for runs, wrong in (((replace(first, step="payroll"), second), 0), ((first, replace(second, step="x  ok")), 1)):
        path = pack(tmp_path / "forged.zip", members | {INDEX: replace(index, runs=runs).to_bytes()})
        found = verify(path)
        told = [[check.told for check in each.checks if check.means is ALTERED] for each in found]
        assert told[wrong] == ["its index names another step of the run than the events"]
        assert told[1 - wrong] == []  # control
        shown = elsewhere(tmp_path / "home", "verify", str(path)).stdout if not wrong else "train  "
        assert "train  " in shown
        assert "payroll" not in shown


def test_a_forged_bundle_that_came_first_speaks_not_against_the_genuine_one(
    exported: Exported, verify: Verify, tmp_path: Path
) -> None:
    seen = tmp_path / "seen.json"  # as `verify` has it
    assert worst(verify(exported.path)) is VERIFIED
    genuine = seen.read_text()
    strange = {"root": "0" * 64, "roots": ["0" * 64], "keys": ""}
    seen.write_text(json.dumps(json.loads(genuine) | strange))
    doubted = verify(exported.path)
    assert worst(doubted) is ALTERED  # control: nobody named the root key, and it was seen under another
    told = next(check.told for check in doubted[0].checks if check.means is ALTERED)
    assert told.startswith(
        f"this log was seen before, under another root key. Expected: {'0' * 64}. Found: {exported.root}."
    )
    assert told.endswith("and name it: --root ID.")
    found = verify(exported.path, root=exported.root)
    assert worst(found) is VERIFIED
    told = f"what was seen of a log of this name under another root key, {'0' * 16}, does not count"
    assert any(check.told.startswith(told) and check.step == 5 for check in found[0].checks)
    assert seen.read_text() == genuine  # and from now on this one counts
    assert worst(verify(exported.path)) is VERIFIED


def test_wrong_usage_is_no_fault_of_the_bundle(exported: Exported, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from nbprod.cli.app import nbprod

    (tmp_path / "empty").touch()
    checkpoint = tmp_path / "checkpoint.txt"
    checkpoint.write_bytes(members_of(exported.path)[CHECKPOINT])
    for option, wrong in (
        ("--checkpoint", tmp_path / "empty"),
        ("--checkpoint", exported.path),
        ("--keys", tmp_path / "empty"),
        ("--keys", checkpoint),
        ("--checkpoint", Path("/dev/zero")),
        ("--keys", Path("/dev/zero")),
    ):
        words = ["verify", str(exported.path), "--seen", str(tmp_path / "seen"), option, str(wrong)]
        done = CliRunner().invoke(nbprod, words)
        assert done.exit_code == CallerError.exit_code, done.output
        assert option in done.output
        assert wrong.name in done.output.replace("\n", "")
    for more in (["--by-others"], ["--by-others", "--require-approvals", "0"], ["--require-sign-off", ""]):
        assert CliRunner().invoke(nbprod, ["verify", str(exported.path), *more]).exit_code == CallerError.exit_code
    words = ["verify", str(exported.path), "--seen", str(tmp_path / "seen"), "--checkpoint", str(checkpoint)]
    assert CliRunner().invoke(nbprod, [*words, "--root", exported.root.upper()]).exit_code == 0  # control


def test_a_checkpoint_is_read_as_mail_and_editors_leave_it(exported: Exported, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from nbprod.cli.app import nbprod

    note = members_of(exported.path)[CHECKPOINT].decode()
    checkpoint = tmp_path / "checkpoint.txt"
    words = ["verify", str(exported.path), "--seen", str(tmp_path / "seen"), "--checkpoint", str(checkpoint)]
    for left in (
        note.replace("\n", "\r\n"),
        "\ufeff" + note,
        note.rstrip("\n"),
        f"\n{note}\n\n",
        note.replace("\n", "  \n"),
        "".join(f"> {line}\n" for line in note.splitlines()),
    ):
        checkpoint.write_text(left, encoding="utf-8", newline="")
        done = CliRunner().invoke(nbprod, words)
        assert done.exit_code == 0, (left, done.output)
        assert "(the one given), unchanged" in done.output.replace("\n", " ")
    checkpoint.write_text(note.replace("\u2014", "--"), encoding="utf-8")
    assert CliRunner().invoke(nbprod, words).exit_code == of_conclusion(CANNOT_TELL)  # control
