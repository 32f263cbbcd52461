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
    assert [row["name"] for row in approved] == ["best"]
    verified = json.loads(nbprod("verify", "best", "--require-approvals", "1", "--json").stdout)
    assert verified["conclusion"] == "verified"
    assert nbprod("verify", "best", "--require-approvals", "1", "--by-others").returncode == 22
    assert nbprod("verify", "best", "--require-clean-git").returncode == 22
    event = json.loads(nbprod("reject", "best", "-m", "no", "--json").stdout)
    assert (event["kind"], event["decision"], event["label"]) == ("RunReviewed", "rejected", "development")
    assert nbprod("runs", "--approved").stdout == ""
    assert "best" in nbprod("runs", "--rejected").stdout
    assert nbprod("withdraw", "best", "-m", "sorry").returncode == 0
    assert nbprod("runs", "--rejected").stdout == ""
    assert nbprod("runs", "--rejected", "--approved").returncode == 2


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
