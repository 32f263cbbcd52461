"""Private keys in files: readable by their owner only, made once, refused where others may have a copy."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nbprod.attest.keyfile import Role
from nbprod.attest.keyring import DEVELOPMENT, Keyring, key_folder
from nbprod.errors import CallerError, EnvironmentFault


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "config" / "keys")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_development_key_is_made_on_first_use_and_called_so(ring: Keyring) -> None:
    assert list(ring.all()) == []
    first = ring.signer(Role.RUNNER)
    assert first.name == DEVELOPMENT
    assert ring.signer(Role.CHECKPOINT).key.public == first.key.public
    assert mode(ring.folder) == 0o700
    assert {path.name: mode(path) for path in ring.folder.iterdir()} == {"development.pem": 0o600}


def test_openssl_s_keys_are_ours_and_ours_are_openssl_s(ring: Keyring) -> None:
    held = ring.make("runner")
    told = subprocess.run(
        ["openssl", "pkey", "-in", ring.folder / "runner.pem", "-pubout"], capture_output=True, check=True
    )
    assert told.stdout == held.key.public.to_pem()
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", ring.folder / "reviewer.pem"], check=True)
    (ring.folder / "reviewer.pem").chmod(0o600)
    assert ring.signer("reviewer").name == "reviewer"


def test_a_key_of_its_own_goes_before_the_development_key(ring: Keyring) -> None:
    development = ring.signer(Role.RUNNER)
    own = ring.make("runner")
    assert ring.signer(Role.RUNNER).key.public == own.key.public
    assert ring.signer(Role.REVIEWER).key.public == development.key.public
    with pytest.raises(CallerError, match="already"):
        ring.make("runner")
    before, after = ring.replace("runner")
    assert before is not None
    assert before.key.public == own.key.public != after.key.public == ring.signer(Role.RUNNER).key.public
    names = {held.name for held in ring.all()}
    assert names == {"development", "runner", f"runner-{own.key.public.id[:16]}"}
    assert {mode(path) for path in ring.folder.iterdir()} == {0o600}


def test_many_who_come_first_make_one_key(ring: Keyring) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = {held.key.public for held in pool.map(ring.signer, [Role.RUNNER] * 32)}
    assert len(made) == 1
    script = (
        "import sys, pathlib; from nbprod.attest.keyring import Keyring\n"
        "print(Keyring(pathlib.Path(sys.argv[1])).signer('x').key.public.id)"
    )
    other = ring.folder.parent / "other"
    commands = [
        subprocess.Popen([sys.executable, "-c", script, other], stdout=subprocess.PIPE, text=True) for _ in "abc"
    ]
    assert len({command.communicate()[0] for command in commands}) == 1
    assert [path.name for path in other.iterdir()] == ["development.pem"]


def test_a_file_system_without_links_has_keys_as_well(ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    first = ring.signer(Role.RUNNER)
    assert ring.signer(Role.RUNNER).key.public == first.key.public
    assert ring._made(DEVELOPMENT).key.public == first.key.public  # who comes late finds the first one's
    assert [path.name for path in ring.folder.iterdir()] == ["development.pem"]


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_may_read_signs_nothing(ring: Keyring, bits: int) -> None:
    ring.make("runner")
    (ring.folder / "runner.pem").chmod(bits)
    with pytest.raises(EnvironmentFault, match="others"):
        ring.signer(Role.RUNNER)
    (ring.folder / "runner.pem").chmod(0o600)
    assert ring.signer(Role.RUNNER).name == "runner"


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_is_no_key_is_named(ring: Keyring, content: bytes) -> None:
    ring.make("runner")
    (ring.folder / "runner.pem").write_bytes(content)
    with pytest.raises(EnvironmentFault, match=r"runner\.pem"):
        ring.signer(Role.RUNNER)


def test_no_folder_no_key(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for ring in (Keyring(tmp_path / "file"), Keyring(tmp_path / "file" / "below")):
        with pytest.raises(EnvironmentFault, match="cannot be used"):
            ring.signer(Role.RUNNER)


def test_a_folder_that_others_could_read_is_closed(ring: Keyring) -> None:
    ring.folder.mkdir(parents=True, mode=0o755)
    ring.signer(Role.RUNNER)
    assert mode(ring.folder) == 0o700


def test_where_the_keys_are() -> None:
    root = Path("project")
    assert key_folder("off", {"HOME": "h"}, root) is None
    assert key_folder(None, {}, root) is None
    assert key_folder("mine", {}, root) == root / "mine"
    assert key_folder(None, {"HOME": "h", "XDG_CONFIG_HOME": "x"}, root) == Path("x/nbprod/keys")
    if sys.platform == "linux":
        assert key_folder(None, {"HOME": "h"}, root) == Path("h/.config/nbprod/keys")


def test_the_tests_use_no_keys_of_the_machine() -> None:
    assert "nbprod-test-config-" in os.environ["XDG_CONFIG_HOME"]
