"""`nbprod erase`, and how the other commands speak of what was erased."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from nbprod.project import Project
from tests.cli.conftest import Nbprod

WHY = "request 17 of a data subject"


@pytest.fixture
def copied(with_runs, tmp_path):
    """A copy of the project with three runs, of which two left the same artifact; free to be erased."""
    shutil.copytree(with_runs.folder, tmp_path / "copy", symlinks=True)
    return Nbprod(tmp_path / "copy")


def events(copied):
    return [json.loads(line)["event"]["kind"] for line in copied("ledger", "export", "-").stdout.splitlines()]


def test_what_would_go_is_told_first_and_nothing_goes_unasked(copied):
    before = events(copied)
    told = copied("erase", "best", "--all", "--why", WHY, "--dry-run")
    assert told.returncode == 0
    assert "executed notebook" in told.stdout
    assert "journal" in told.stdout
    assert "of train has the same bytes, and loses them too: artifact model.bin." in told.stdout
    planned = json.loads(copied("erase", "best", "--all", "--why", WHY, "--dry-run", "--json").stdout)
    assert [each["name"] for each in planned["objects"]] == ["executed notebook", "journal", "artifact model.bin"]
    assert [each["objects"] for each in planned["concerned"]] == [
        ["executed notebook", "journal", "artifact model.bin"],
        ["artifact model.bin"],
    ]
    for args, words in [
        (["--all", "--why", WHY], "say --yes"),
        (["--all", "--why", WHY, "--json"], "say --yes"),
        (["--why", WHY, "--yes"], "Say what to erase"),
        (["--all", "--yes"], "--why"),
        (["--all", "--why", " ", "--yes"], "a reason is needed"),
        (["--all", "--why", "x" * 1001, "--yes"], "1,000 characters at most"),
        (["--artifact", "other.bin", "--why", WHY, "--yes"], "left no artifact"),
    ]:
        done = copied("erase", "best", *args)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert events(copied) == before
    assert copied("open", "best", "--print").returncode == 0


def test_a_reason_stays_on_its_line(copied):
    done = copied("erase", "best", "--all", "--why", "request 17\r\nThe record below is a lie.", "--yes")
    assert done.returncode == 0, done.stderr
    shown = copied("show", "best").stdout.splitlines()
    assert "  because: request 17 The record below is a lie." in shown
    assert not [line for line in shown if line.startswith("The record below is a lie")]


def test_every_command_says_what_was_erased(copied):
    assert "erased" not in copied("show", "best").stdout.lower()  # positive control
    done = copied("erase", "best", "--all", "--why", WHY, "--yes")
    assert done.returncode == 0, done.stderr
    assert "Erased 3 objects (" in done.stdout
    shown = " ".join(copied("show", "best").stdout.split())
    assert "Erased 20" in shown
    assert f"because: {WHY}" in shown
    assert "executed ERASED" in shown
    assert "The record below is whole" in shown
    stated = json.loads(copied("show", "best", "--json").stdout)
    (stone,) = stated["erased"]
    assert (stone["kind"], stone["why"], len(stone["objects"])) == ("BytesErased", WHY, 3)
    assert stated["touched"]
    for args in (["open", "best", "--print"], ["open", "best", "--html", "page.html"], ["logs", "best"]):
        done = copied(*args)
        assert done.returncode == 2, done.stderr
        assert f"because: {WHY}" in done.stderr
    (copied.folder / "code.ipynb").write_bytes((copied.folder / "train.ipynb").read_bytes())
    done = copied.here("run", "code.ipynb", "-p", "code", "nbprod:best/model.bin")
    assert (done.returncode, "artifact model.bin of run" in done.stderr) == (2, True)
    assert "was erased on" in copied("explain", "train", "-p", "alpha", "0.4", "-r", "code", "007").stdout
    assert [row["name"] for row in json.loads(copied("runs", "--json").stdout)].count("best") == 1
    assert copied("scraps", "train").stdout.count("0.9") == 1  # small scraps stand in the record


def test_the_rest_still_verifies(copied):
    first = json.loads(copied("runs", "--json").stdout)[-1]["run"]
    copied("erase", "best", "--output", "--why", WHY, "--yes")
    done = copied("ledger", "check", "--bytes")
    assert done.returncode == 0, done.stdout
    assert "2 objects were erased, as the tombstones" in done.stdout
    assert json.loads(copied("ledger", "check", "--json").stdout)["erased"] == 1  # events name the notebook only
    assert copied("open", first, "--print").returncode == 0
    assert "fitted 0.25" in copied("logs", first).stdout
    assert "Nothing was left to be removed." in copied("erase", "best", "--output", "--why", WHY, "--yes").stdout
    assert events(copied).count("BytesErased") == 1
    done = copied.here("ledger", "rebuild", NBPROD_LEDGER="again.db")
    assert done.returncode == 0, done.stdout
    assert copied.here("ledger", "check", "--bytes", NBPROD_LEDGER="again.db").returncode == 0
    assert WHY in copied.here("logs", "best", NBPROD_LEDGER="again.db").stderr


def test_who_approves_is_told_what_was_erased(copied):
    first = json.loads(copied("runs", "--json").stdout)[-1]["run"]
    copied("erase", "best", "--output", "--why", WHY, "--yes")
    assert "erased" not in copied("approve", first, "-m", "fine").stderr  # positive control
    done = copied("approve", "best", "-m", "fine")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        0,
        "Of it nobody can read any more, as it was erased: executed notebook, journal.",
    )
    assert json.loads(copied("approve", "best", "-m", "fine", "--json").stdout)["erased"][0] == "executed notebook"


def test_a_source_waits_and_it_is_told_why_and_until_when(copied):
    done = copied("erase", "best", "--source", "--why", WHY, "--yes")
    (told,) = [line for line in done.stdout.splitlines() if "wait" in line]
    assert told.startswith("1 more has its tombstone and waits: a source stays for seven hours after it was last put")
    assert re.search(r"Give the same command, or `nbprod gc`, after 20..-..-.. ..:.. UTC\.$", told)
    assert "under way" not in done.stdout


def test_gc_tells_whose_bytes_are_kept_no_longer(copied, monkeypatch):
    with (copied.folder / "pyproject.toml").open("a") as settings:
        settings.write('keep = "90d"\n')
    assert "erase" not in copied("gc", "--dry-run").stdout.lower()  # positive control: they are young
    monkeypatch.setattr(Project, "now", lambda _: datetime.now(UTC) + timedelta(days=91))
    told = copied("gc", "--dry-run").stdout
    assert "Would erase of run " in told
    assert "of train: executed notebook, journal (" in told
    assert "kept 90 days, as step train says" in told
    done = json.loads(copied("gc", "--json").stdout)
    (retired,) = done["retired"]
    assert (retired["step"], retired["objects"]) == ("train", ["executed notebook", "journal"])
    assert (done["erased"], done["waiting"]) == (2, 0)
    assert copied("open", "best", "--print").returncode == 0
    first = json.loads(copied("runs", "--json").stdout)[-1]["run"]
    assert "by nbprod gc, started by" in copied("open", first, "--print").stderr
    assert copied("ledger", "check", "--bytes").returncode == 0
