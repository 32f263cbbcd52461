"""People say what they think of runs and steps by command."""

import json
import shutil

import pytest

from tests.cli.conftest import Nbprod

pytestmark = pytest.mark.kernel


@pytest.fixture
def nbprod(with_runs, tmp_path):
    shutil.copytree(with_runs.folder, tmp_path / "copy", symlinks=True)
    return Nbprod(tmp_path / "copy")


def test_a_newcomer_approves_with_a_development_key(nbprod):
    done = nbprod("approve", "best", "-m", "the figures fit")
    assert (done.returncode, "signed by the key" in done.stdout) == (0, True), done.stderr
    assert "vouches for nobody" in done.stderr
    assert "approved it" in nbprod("show", "best").stdout
    shown = json.loads(nbprod("show", "best", "--json").stdout)
    assert (shown["stands"], shown["reviews"][0]["why"], shown["reviews"][0]["counts"]) == (
        "approved",
        "the figures fit",
        True,
    )
    approved = json.loads(nbprod("runs", "--approved", "--json").stdout)
    assert [(row["name"], row["stands"], row["approvals"]) for row in approved] == [("best", "approved", 1)]
    everything = json.loads(nbprod.here("runs", "--json").stdout)
    assert [row["name"] for row in everything if row["stands"] or row["approvals"] or row["rejections"]] == ["best"]
    table = nbprod.here("runs").stdout.splitlines()
    assert [("approved" in line) for line in table if "best" in line] == [True]
    assert sum("approved" in line for line in table) == 1
    assert nbprod.here("runs", "--csv").stdout.splitlines()[0].endswith(",stands")
    verified = json.loads(nbprod("verify", "best", "--require-approvals", "1", "--json").stdout)
    assert verified["conclusion"] == "verified"
    assert nbprod("verify", "best", "--require-approvals", "1", "--by-others").returncode == 22
    assert nbprod("verify", "best", "--require-clean-git").returncode == 22
    event = json.loads(nbprod("reject", "best", "-m", "no <b>\x1b[31mway", "--json").stdout)
    assert event["pointing"] == []
    assert nbprod.here("open", "best", "--html", "page.html").returncode == 0
    page = (nbprod.folder / "page.html").read_text("utf-8")
    assert '<section class="said rejected"><b>Rejected</b>' in page
    assert "because: no &lt;b&gt;way; signed by" in page
    assert page.count("approved it") == 1
    assert "<b>replaced later</b>" in page
    assert (event["kind"], event["decision"], event["label"]) == ("RunReviewed", "rejected", "development")
    assert nbprod("runs", "--approved").stdout == ""
    assert "best" in nbprod("runs", "--rejected").stdout
    assert nbprod("withdraw", "best", "-m", "sorry").returncode == 0
    assert nbprod("runs", "--rejected").stdout == ""
    assert "reviews" not in nbprod.here("runs").stdout.splitlines()[0]
    assert nbprod("runs", "--rejected", "--approved").returncode == 2


def test_that_an_alias_names_what_was_rejected_since_is_told(nbprod):
    nbprod.here("publish", "train", "--alias", "production")
    assert "Warning" not in nbprod.here("run", "train@production", "-", "--prepare-only").stderr  # the positive control
    done = nbprod.here("reject", "train@production", "-m", "it leaks")
    assert "train@production points at it still" in done.stderr
    assert "production → 1 REJECTED" in nbprod.here("steps").stdout
    (listed,) = [each for each in json.loads(nbprod.here("steps", "--json").stdout) if each["step"] == "train"]
    assert [(each["aliases"], each["stands"]) for each in listed["published"]] == [(["production"], "rejected")]
    assert "train@production points at it" in nbprod.here("step", "show", "train@1").stdout
    verified = nbprod.here("verify", "train@production")
    assert (verified.returncode, "somebody whose word counts has REJECTED it" in verified.stdout) == (0, True)
    assert json.loads(nbprod.here("verify", "train@1", "--json").stdout)["rejected"] is True
    assert "train@production points at version 1: " in nbprod.here("doctor").stdout
    done = nbprod("run", "train@production", "-p", "alpha", "1")
    assert (done.returncode, "rejected it: it leaks" in done.stderr) == (0, True)
    assert "remark       REJECTED: train@1, which train@production names" in nbprod.here("show", "train@latest").stdout
    assert nbprod.here("withdraw", "train@1", "-m", "it does not").returncode == 0
    lines = nbprod.here("step", "show", "train@1").stdout.splitlines()
    assert [line.endswith("(taken back later)") for line in lines if "it leaks" in line] == [True]
    assert [line.endswith(")") for line in lines if "took back" in line] == [False]
    again = nbprod.here("withdraw", "train@1", "-m", "it does not")
    assert (again.returncode, "nothing left to take back" in again.stderr) == (2, True)
    assert "REJECTED" not in nbprod.here("steps").stdout + nbprod.here("verify", "train@production").stdout
    assert "Warning" not in nbprod.here("run", "train@production", "-", "--prepare-only").stderr


def test_nobody_begins_the_list_of_keys_of_others(nbprod, tmp_path):
    environ = {"NBPROD_KEYS": str(tmp_path / "theirs")}
    nbprod.here("publish", "train")
    for what in ("best", "train@1"):
        for command in ("approve", "reject"):
            done = nbprod.here(command, what, "-m", "x", **environ)
            assert (done.returncode, "not yours" in done.stderr or "does not know" in done.stderr) == (2, True), done
    assert json.loads(nbprod("keys", "list", "--json").stdout)["list"] is None
    assert nbprod("reject", "best", "-m", "x").returncode == 0  # the positive control
    assert json.loads(nbprod("keys", "list", "--json").stdout)["list"]


def test_a_failed_run_is_not_approved(nbprod):
    done = nbprod("approve", "fail@latest", "-m", "x")
    assert (done.returncode, "nothing to approve" in done.stderr) == (2, True)
    assert nbprod("approve", "best").returncode == 2  # without a reason
    done = nbprod.here("reject", "best", "-m", "a\udc9bb")
    assert (done.returncode, "the reason is no text" in done.stderr, "characters" in done.stderr) == (2, True, False)
    assert "at most 1,000 characters. Found: 1,001" in nbprod.here("reject", "best", "-m", "x" * 1001).stderr


def test_versions_are_signed_off_and_shown(nbprod):
    assert json.loads(nbprod("publish", "train", "--json").stdout)[0]["signed"] is True
    assert "Nobody has approved" in nbprod("step", "show", "train@1").stdout
    done = nbprod("sign-off", "train@1", "--as", "four eyes", "-m", "both looked")
    assert (done.returncode, "Signed off train@1 as 'four eyes'" in done.stdout) == (0, True), done.stderr
    shown = json.loads(nbprod("step", "show", "train@1", "--json").stdout)
    assert (list(shown["signed_off"]), shown["stands"]) == (["four eyes"], None)
    assert "signed off as four eyes" in nbprod("step", "history", "train").stdout
    assert nbprod("verify", "train@1", "--require-sign-off", "four eyes").returncode == 0
    assert nbprod("verify", "train@1", "--require-sign-off", "risk").returncode == 22


def test_a_key_of_one_s_own_is_made_and_shown(nbprod, tmp_path):
    where = tmp_path / "reviewer.pub"
    environ = {"NBPROD_KEYS": str(tmp_path / "keys")}
    made = nbprod.here("keys", "new", "reviewer", "--public", str(where), "--json", **environ)
    assert json.loads(made.stdout)["public"] == where.read_text()
    again = nbprod.here("keys", "new", "reviewer", **environ)
    assert (again.stdout, "There is the key" in again.stderr) == (where.read_text(), True)
