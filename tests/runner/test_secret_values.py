"""Where a secret's value is taken from, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbprod.errors import CallerError
from nbprod.masking import Masker
from nbprod.runner.values import of_one_value, readable_by_others, secret_values
from nbprod.step.secret import read_secrets


def no_block(name: str) -> str:
    raise CallerError(f"Prefect has no Secret block {name!r}")


def values(root: Path, **table: str) -> dict[str, str]:
    references = read_secrets(table, "secrets")
    return secret_values(references, "ingest", environ={"THERE": "from env"}, root=root, block=no_block)


def test_variables_and_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    # As Kubernetes mounts a secret: a link to a link to the file.
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "password").write_bytes("päss\nwörd\n\n".encode())
    (tmp_path / "password").symlink_to("..data/password")
    (tmp_path / "dos").write_bytes(b"value\r\n")
    assert values(tmp_path, A="env:THERE", B="file:password", C="file:~/dos", D=f"file:{tmp_path}/dos") == {
        "A": "from env",
        "B": "päss\nwörd\n",
        "C": "value",
        "D": "value",
    }


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("env:ABSENT", "the variable is not set"),
        ("file:absent", "there is no such file"),
        ("file:.", "it is not a regular file"),
        ("file:large", "it has more than 65,536 bytes"),
        ("file:latin", "it is not UTF-8"),
        ("file:nul", "it holds a NUL"),
        ("prefect:secret/absent", "Prefect has no Secret block 'absent'"),
    ],
)
def test_what_cannot_be_had_is_named_by_its_reference_and_never_by_its_value(
    tmp_path: Path, reference: str, why: str
) -> None:
    (tmp_path / "large").write_bytes(b"hunter2" * 10_000)
    (tmp_path / "latin").write_bytes(b"hunter2\xe9")
    (tmp_path / "nul").write_bytes(b"hunter2\0")
    with pytest.raises(CallerError) as caught:
        values(tmp_path, FINE="env:THERE", WRONG=reference)
    assert f"WRONG ({reference}): {why}" in str(caught.value)
    assert "FINE (" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "closed").touch(0o000)
    with pytest.raises(CallerError, match="Permission denied"):
        values(tmp_path, A="file:closed")


def test_a_file_that_everybody_may_read_is_told(tmp_path: Path) -> None:
    for name, mode in (("open", 0o644), ("shut", 0o640)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    references = read_secrets({"A": "file:open", "B": "file:shut", "C": "env:X"}, "secrets")
    assert readable_by_others(references, tmp_path) == (
        "the file of the secret A can be read by everybody on this machine",
    )


def test_secrets_of_one_value_are_told() -> None:
    assert of_one_value({"A": "long enough", "B": "another one", "C": "long enough", "D": "third one"}) == (
        "the secrets A and C have one value, which is masked as C",
    )
    assert Masker({"A": "long enough", "C": "long enough"}).mask_text("long enough") == "«secret:C»"
