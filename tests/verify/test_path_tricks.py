"""Names that would be paths: given to every command that takes a name, none opens a file outside the project."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nbprod.cli.app import COMMANDS
from nbprod.cli.app import nbprod as application
from tests.notebooks import write
from tests.tally import counting
from tests.verify.conftest import Base, Place

pytestmark = pytest.mark.kernel

NAME = "{name}"
CALLS: tuple[tuple[str, ...], ...] = (
    ("show", NAME),
    ("open", NAME, "--print"),
    ("logs", NAME),
    ("cancel", NAME),
    ("explain", "step:" + NAME),
    ("scraps", NAME),
    ("rerun", NAME),
    ("publish", NAME + "@1"),
    ("step", "history", NAME),
    ("step", "diff", NAME + "@1", NAME + "@2"),
    ("step", "alias", NAME, "production", "1"),
    ("step", "alias", "train", NAME, "1"),
    ("run", "train@" + NAME),
    ("describe", "train@" + NAME),
    ("sweep", "train@" + NAME, "-p", "alpha", "1"),
    ("name", "{run}", NAME),
    ("note", "{run}", NAME),
    ("tag", "{run}", NAME),
    ("untag", "{run}", NAME),
    ("name", NAME, "x"),
    ("note", NAME, "x"),
    ("tag", NAME, "x"),
    ("untag", NAME, "x"),
    ("erase", NAME, "--why", "asked", "--touched"),
    ("erase", "{run}", "--why", "asked", "--artifact", NAME),
    ("keys", "add", NAME),
    ("keys", "rotate", NAME),
    ("keys", "revoke", NAME),
    ("verify", NAME + "@1"),
    ("verify", "{run}", "--root", NAME),
    ("verify", "{run}", "--require-sign-off", NAME),
    ("approve", NAME, "-m", "x"),
    ("approve", NAME + "@1", "-m", "x"),
    ("reject", NAME, "-m", "x"),
    ("sign-off", NAME, "-m", "x", "--as", "risk"),
    ("sign-off", "{run}", "-m", "x", "--as", NAME),
    ("withdraw", NAME, "-m", "x"),
    ("diff", NAME, "{run}"),
    ("diff", "{run}", NAME),
    ("secrets", NAME, "--no-flag"),
    ("export", NAME),
    ("lineage", NAME + "@1"),
    ("reproduce", NAME + "@1"),
    ("runs", "--step", NAME),
    ("runs", "--tag", NAME),
    ("runs", "--text", NAME),
    ("warm", "stop", NAME),
    ("recover", NAME),
    ("ledger", "check", NAME),
    ("gc", "--older-than", NAME),
    ("checkpoint", NAME),
    ("doctor", NAME),
    ("steps", NAME),
)
WATCHED = ("open", "os.listdir", "os.scandir", "sqlite3.connect", "os.remove", "os.rename", "os.mkdir", "os.link")
_opened: list[list[str]] = []


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened and event in WATCHED and isinstance(arguments[0], str | bytes | os.PathLike):
        _opened[-1].append(os.path.realpath(os.fsdecode(arguments[0])))


@contextlib.contextmanager
def opened() -> Iterator[list[str]]:
    """Note every path that this process opens, lists, makes or removes."""
    if not getattr(sys, "_nbprod_heard", False):
        sys.addaudithook(_heard)
        sys._nbprod_heard = True  # type: ignore[attr-defined] - a hook stays for ever: one is enough
    _opened.append([])
    try:
        yield _opened[-1]
    finally:
        _opened.pop()


def tricks(outside: Path, root: Path, count: int) -> list[str]:
    """Return names for files outside: by steps up, absolute, encoded, through links, with what some systems drop."""
    up = os.path.relpath(outside, root)
    dice = random.Random(count)
    ends = ("secret.ipynb", "secret.pem", "secret", "secret.db", "", "secret.ipynb/..", "../outside/secret")
    begins = (
        up, str(outside), f"./{up}", f"train/../{up}", f"notebooks/../../{up}/../outside", f"//{outside}", f"link/{up}",
        "link", ".nbprod/../" + up, f"file://{outside}", f"~/../../..{outside}", f"../../../../../../../..{outside}",
        f"{root}/../outside", "x/" * 50 + "../" * 50 + up, f"$HOME/{up}", f"%(root)s/{up}", f"..;/{up}",
        f"/proc/self/cwd/{up}",
        f"/proc/self/root{outside}", f"train@{up}", f"local://{outside}", f"simplecache::file://{outside}",
    )  # fmt: skip
    forms = (
        str,
        urllib.parse.quote,
        lambda text: urllib.parse.quote(text, safe=""),
        lambda text: urllib.parse.quote(urllib.parse.quote(text, safe=""), safe=""),
        lambda text: text.replace("/", "\\"),
        lambda text: text.replace("..", "\uff0e\uff0e").replace("/", "\uff0f"),
        lambda text: text.replace("..", "....//"),
        lambda text: text.replace("/", "//./"),
        lambda text: f" {text} ",
        lambda text: f"{text}\t",
        lambda text: f"{text}\n.ipynb",
        lambda text: text.replace("..", ".\u200b."),
        lambda text: text + "a" * 300,
        lambda text: f"@{text}",
        lambda text: f"{text}@1",
        lambda text: f"{text}#x?y",
    )
    every = [form(f"{begin}/{end}" if end else begin) for begin in begins for end in ends for form in forms]
    return dice.sample(list(dict.fromkeys(every)), count)


def leaked(call: Sequence[str], outside: Path) -> list[str]:
    with opened() as paths:
        CliRunner().invoke(application, list(call), catch_exceptions=True)
    return [path for path in paths if Path(path).is_relative_to(outside)]


@pytest.mark.parametrize("count", [4, pytest.param(500, marks=pytest.mark.torture)])
def test_no_name_opens_a_file_outside(base: Base, place: Place, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    root, outside = place.project.root, place.project.root.parent / "outside"
    outside.mkdir()
    for name in ("secret.pem", "secret", "secret.db"):
        (outside / name).write_text("a secret")
    write(outside / "secret.ipynb", "1")
    (root / "link").symlink_to(outside)
    monkeypatch.chdir(root)
    assert {call[0] for call in CALLS} == set(COMMANDS)
    assert leaked(["describe", "../outside/secret.ipynb"], outside), "the control: a notebook may be anywhere"
    assert leaked(["verify", "../outside/secret"], outside), "another one: a bundle may be anywhere"
    with counting("path tricks, each by every command that takes a name", count * len(CALLS), seed=count) as told:
        for trick in tricks(outside, root, count):
            for call in CALLS:
                words = [word.replace(NAME, trick).replace("{run}", base.runs["late"]) for word in call]
                assert leaked(words, outside) == [], words
                told.add("opened nothing outside")
    assert sorted(path.name for path in outside.iterdir()) == ["secret", "secret.db", "secret.ipynb", "secret.pem"]
    assert (outside / "secret").read_text() == "a secret"
