"""What is refused before a cell runs: whom nobody vouches for, what was altered, wishes that cannot be met."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nbprod.attest.keyfile import KeyFile, Named
from nbprod.attest.keys import PrivateKey
from nbprod.cli.app import nbprod as application
from nbprod.diff import Margin, Tolerance
from nbprod.errors import CallerError, IntegrityError, NotReproducible, SignatureInvalid
from nbprod.ledger.log import NoteKind
from nbprod.project import Project
from nbprod.project.origin import Origin, origins_of
from nbprod.project.prepared import How, prepare
from nbprod.runner import Runner
from nbprod.verify import Asked, Check, Conclusion
from tests.reproduce.conftest import Base, Place

pytestmark = pytest.mark.kernel

OTHER = "ab" * 32
"""The id of a root key that nobody has."""


class Began(Exception):
    """A run would have begun."""


@pytest.fixture(autouse=True)
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell, in the place of running it, that a run would begin."""

    def begin(*_: object, **__: object) -> None:
        raise Began

    monkeypatch.setattr(Runner, "run", begin)


Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`nbprod …` of somebody who has seen nothing, in a folder without a project."""
    for name in ("home", "tmp", "here"):
        (tmp_path / "own" / name).mkdir(parents=True)
    for name in [each for each in os.environ if each.startswith(("XDG_", "NBPROD_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "own" / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "own" / "tmp"))
    monkeypatch.chdir(tmp_path / "own" / "here")

    def run(*words: str | Path) -> Result:
        return CliRunner().invoke(application, ["reproduce", *map(str, words)])

    return run


@pytest.fixture
def left(tmp_path: Path) -> Callable[[], set[Path]]:
    return lambda: set((tmp_path / "own").rglob("*"))


def roots(place: Place) -> tuple[str, bytes]:
    """Return the id of the log's own root key, and its list of keys."""
    body = next(note for note in place.project.home.ledger.log.notes(NoteKind.KEYS)).body.encode()
    return KeyFile.open(body).root, body


def strange_list() -> bytes:
    """Return a sound list of keys of another log."""
    key = PrivateKey.from_seed(bytes(32))
    keys = {key.public.id: Named(key=key.public, label="root")}
    return KeyFile(log="nbprod.dev/log/other", number=1, root=key.public.id, keys=keys).sign(key)


def test_a_bundle_of_another_root_is_refused_and_nothing_is_left(
    base: Base, place: Place, command: Command, left: Callable[[], set[Path]], tmp_path: Path
) -> None:
    own, body = roots(place)
    (tmp_path / "strange").write_bytes(strange_list())
    (tmp_path / "own.keys").write_bytes(body)
    before = left()
    for words in (
        ("--root", OTHER),
        ("--root", OTHER, "--upstream"),  # what comes before it is not executed first
        ("--root", OTHER, "--home", "new/deeper"),
        ("--keys", str(tmp_path / "strange"), "--upstream"),
    ):
        done = command(base.bundle("next"), *words)
        assert done.exit_code == IntegrityError.exit_code, done.output
        assert "nothing that was named vouches for run " in done.output
        assert "it is not executed again" in done.output
        assert "kept in" not in done.output
        assert left() == before, words
    controls: tuple[tuple[str, ...], ...] = (("--root", own), ("--keys", str(tmp_path / "own.keys")), ())
    for given in controls:
        done = command(base.bundle("next"), *given, "--upstream")
        assert "Began" in done.output, done.output
        assert "There is no project here: the new runs are kept in " in done.output


@pytest.mark.parametrize("below", [False, True])
def test_a_home_that_is_no_folder_is_refused(base: Base, command: Command, tmp_path: Path, *, below: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = command(base.bundle("next"), "--home", tmp_path / "pipe" / "deeper" if below else tmp_path / "pipe")
    assert done.exit_code == CallerError.exit_code, done.output
    assert "no project can be made at" in done.output


def test_whoever_names_a_root_wants_a_signature_that_it_leads_to(place: Place) -> None:
    project, run = place.project, place.run("next")
    (origin,) = origins_of(project, run, Asked(root=roots(place)[0], seen=place.root / "seen")).runs
    assert prepare(place.project, (origin,), How())  # control
    for means in (Conclusion.UNSIGNED, Conclusion.CANNOT_TELL):
        unsigned = spoilt(origin, Check.failed(1, "signature", "nobody signed it", means))
        with pytest.raises(SignatureInvalid, match="nobody signed it"):
            prepare(place.project, (unsigned,), How())
        assert prepare(place.project, (replace(unsigned, vouched=False),), How())  # who names none, believes
        assert prepare(place.project, (unsigned,), How(anyway=True))


def spoilt(origin: Origin, check: Check) -> Origin:
    checks = (*origin.verification.checks, check)
    return replace(origin, verification=replace(origin.verification, checks=checks))


def test_whatever_was_altered_is_refused_before_the_first_of_several_runs(place: Place) -> None:
    origins = origins_of(place.project, place.run("next"), Asked(seen=place.root / "seen"), upstream=True).runs
    assert len(prepare(place.project, origins, How())) == len(origins) == 2  # control
    for step in range(1, 7):
        check = Check.failed(step, "any", f"fault of step {step}", Conclusion.ALTERED)
        for found in ((spoilt(origins[0], check), origins[1]), (origins[0], spoilt(origins[1], check))):
            with pytest.raises(IntegrityError, match=f"was altered.*fault of step {step}"):
                prepare(place.project, found, How())
            assert prepare(place.project, found, How(anyway=True))


def test_a_log_that_was_altered_is_refused_though_the_run_is_sound(place: Place) -> None:
    run = place.run("next")
    seen = place.root / "seen"
    origins_of(place.project, run, Asked(seen=seen)).remember()
    remembered = json.loads(seen.read_text())
    seen.write_text(json.dumps(remembered | {"log": f"{remembered['log']}0", "keys": ""}))
    (origin,) = origins_of(place.project, run, Asked(seen=seen)).runs
    assert {check.step for check in origin.verification.checks if check.means is Conclusion.ALTERED} == {5}
    with pytest.raises(IntegrityError, match="another log is in its place"):
        prepare(place.project, (origin,), How())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("drown=1%", "Did you mean 'drawn'?"),
        ("=1%", "one of: drawn"),
        ("drawn=much", "not a tolerance"),
        ("drawn", "not a tolerance"),
        ("drawn=-1", "not a tolerance"),
        ("-5%", "not a tolerance"),
        ("drawn=nan", "not a tolerance"),
        ("drawn=", "not a tolerance"),
    ],
)
def test_a_tolerance_that_is_none_is_refused(
    text: str, told: str, base: Base, command: Command, left: Callable[[], set[Path]]
) -> None:
    before = left()
    done = command(base.bundle("volatile"), f"--tolerance={text}")
    assert done.exit_code == CallerError.exit_code, done.output
    assert told in done.output
    assert left() == before


def test_wishes_reach_the_runs_that_they_are_about(place: Place) -> None:
    project, asked = place.project, Asked(seen=place.root / "seen")
    origins = tuple(origins_of(project, place.run(name), asked).runs[0] for name in ("volatile", "large"))
    given = {"large": place.root / "data" / "large.bin"}
    how = How(given=given, tolerance=Tolerance(named={"drawn": Margin(absolute=1.0)}))
    (_, first), (_, second) = prepare(project, origins, how)
    assert (first.given, second.given) == ({}, given)
    assert (first.tolerance.named, second.tolerance.named) == (how.tolerance.named, {})
    with pytest.raises(CallerError, match="no scraps were glued"):
        prepare(project, origins[1:], how)
    given["large"].unlink()
    with pytest.raises(NotReproducible, match="parameter large"):
        prepare(project, origins, How())  # before the first one is executed


def test_secrets_that_are_not_to_be_had_are_named_before_the_first_of_several_runs(place: Place) -> None:
    origins = origins_of(place.project, place.run("next"), Asked(seen=place.root / "seen"), upstream=True).runs
    record = origins[1].record
    record = replace(record, request=replace(record.request, secrets=("API_KEY",)))
    origins = (origins[0], replace(origins[1], side=replace(origins[1].side, record=record)))
    with pytest.raises(NotReproducible, match="secret API_KEY") as caught:
        prepare(place.project, origins, How(allow_missing=True))  # of files
    assert str(origins[1].record.run_id) in str(caught.value)
    known = Project.find(place.root, {**place.project.environ, "API_KEY": "hunter2hunter2"})
    assert len(prepare(known, origins, How())) == 2  # control


def test_of_what_is_missing_nothing_is_left_either(
    base: Base, command: Command, left: Callable[[], set[Path]], tmp_path: Path
) -> None:
    before = left()
    done = command(base.bundle("secretive"), "--keep")
    assert done.exit_code == CallerError.exit_code
    assert "secret NBPROD_TEST_TOKEN" in done.output
    assert "kept in" not in done.output
    new = {path.relative_to(tmp_path / "own").parts[:2] for path in left() - before}
    assert all(parts[0] == "home" for parts in new), new  # the user's keys, and what was seen
    (tmp_path / "own" / "here" / "mine").mkdir()
    (tmp_path / "own" / "here" / "mine" / "notes.txt").touch()
    done = command(base.bundle("secretive"), "--home", "mine")
    assert done.exit_code == CallerError.exit_code
    assert [path.name for path in (tmp_path / "own" / "here" / "mine").iterdir()] == ["notes.txt"]
