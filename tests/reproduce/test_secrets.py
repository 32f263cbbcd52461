"""Secrets of a run that is executed again: its project's own as they were; a stranger's record names no file here."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nbprod.reproduce.job import recorded_settings


def request(**references: str) -> Any:
    names = ("TOKEN", "KEY", "OTHER")
    return SimpleNamespace(limits={}, kernel="python3", contract={}, secrets=names, secret_references=references)


def test_a_strangers_record_names_no_place_of_this_machine() -> None:
    asked = request(KEY="file:~/.ssh/id_ed25519", OTHER="env:AWS_SECRET_ACCESS_KEY")
    own = recorded_settings(asked, Path("/project"))
    assert list(map(str, own.secrets)) == ["env:TOKEN", "file:~/.ssh/id_ed25519", "env:AWS_SECRET_ACCESS_KEY"]
    strange = recorded_settings(asked, Path("/project"), foreign=True)
    assert list(map(str, strange.secrets)) == ["env:TOKEN", "env:KEY", "env:OTHER"]


def test_files_are_those_of_the_project() -> None:
    (_, key, _) = recorded_settings(request(KEY="file:secrets/key"), Path("/project")).secrets
    assert str(key) == "file:/project/secrets/key"
