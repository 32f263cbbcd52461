"""`nbprod secrets`, and the flags of runs."""

import json

import pytest

from tests.cli.conftest import Nbprod, write_notebook

TOKEN = "AKIA" + "QWERTYUIOPASDF12"
PASSWORD = "hunter2-correct-horse"
SETTINGS = 'secrets = {PASSWORD = "file:password"}\nexpect.artifacts = ["clean.txt"]\n'
CELLS = [
    ("dsn = ''\noutput_dir = '.'", "parameters"),
    "# Text",
    ("import os\nprint(os.environ['PASSWORD'])",),
    ("print('using AKIA' + 'QWERTYUIOPASDF12\\nDB_PASSWORD' + '=hunter3hunter')",),
    ("open(output_dir + '/clean.txt', 'w').write('x')",),
    ("open(output_dir + '/held.txt', 'w').write(os.environ['PASSWORD'])",),
]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A project with one run that let out a registered secret, and another that nobody registered."""
    here = Nbprod(tmp_path_factory.mktemp("secretive"))
    (here.folder / "pyproject.toml").write_text(f'[tool.nbprod.steps.leaky]\nnotebook = "leaky.ipynb"\n{SETTINGS}')
    (here.folder / "password").write_text(f"{PASSWORD}\n")
    (here.folder / "password").chmod(0o600)
    write_notebook(here.folder / "leaky.ipynb", CELLS)
    here.done = here("run", "leaky", "-r", "dsn", "postgresql://svc:" + "pa55w0rd1@db/prod")
    return here


def test_a_run_that_let_out_a_secret_says_so_and_is_flagged(ran):
    assert ran.done.returncode == 0, ran.done.stderr
    told = ran.done.stdout + ran.done.stderr
    assert "output held the secret PASSWORD, masked in cell 2" in told
    assert "held.txt in the output folder was not kept: it holds «secret:PASSWORD»" in told
    assert PASSWORD not in told
    (row,) = json.loads(ran("runs", "--flagged", "--json").stdout)
    assert "secret-masked" in row["tags"]
    shown = ran("show", "@latest").stdout
    assert "PASSWORD (file:password)" in shown
    statement = json.loads(ran("show", "@latest", "--json").stdout)
    assert statement["predicate"]["masked"] == [{"secret": "PASSWORD", "cells": [2], "elsewhere": True}]
    assert statement["predicate"]["request"]["secret_references"] == {"PASSWORD": "file:password"}
    assert [kept["name"] for kept in statement["predicate"]["artifacts"]] == ["clean.txt"]


def test_what_looks_like_a_secret_is_reported_once_flagged_and_may_be_let_be(ran):
    (only,) = json.loads(ran("secrets", "--no-flag", "--json").stdout)
    assert [(place["where"], place["kind"]) for place in only["places"]] == [
        ("parameter dsn", "Basic Auth Credentials"),
        ("output of cell 3", "AWS Access Key"),
        ("output of cell 3", "Secret Keyword"),
    ]
    (row,) = json.loads(ran("runs", "--json").stdout)
    assert row["tags"] == ["secret-masked"]
    done = ran("secrets", "@latest")
    assert done.returncode == 1
    assert "output of cell 3: AWS Access Key (AKIA…, 20 characters)" in done.stdout
    assert TOKEN not in done.stdout + done.stderr
    ran("untag", "@latest", "secret-masked")
    assert len(json.loads(ran("runs", "--flagged", "--json").stdout)) == 1
    ran("untag", "@latest", "secret-suspected")
    assert json.loads(ran("runs", "--flagged", "--json").stdout) == []
    assert ran("secrets").returncode == 1
    assert json.loads(ran("runs", "--flagged", "--json").stdout) == []  # somebody has looked at it already
    assert ran("secrets", "--since", "2999-01-01").returncode == 0


def test_what_is_said_of_a_run_later_is_refused_if_it_holds_a_secret(ran):
    for args, what in [
        (["name", "@latest", PASSWORD], "name"),
        (["note", "@latest", f"see {PASSWORD}"], "note"),
        (["tag", "@latest", "fine", PASSWORD], "tags"),
        (["reject", "@latest", "-m", f"it shows {PASSWORD}"], "reason"),
        (["erase", "@latest", "--all", "--why", f"it shows {PASSWORD}", "--yes"], "reason"),
    ]:
        done = ran(*args)
        assert (done.returncode, f"the {what} would hold the value of a secret" in done.stderr) == (2, True), done
        assert PASSWORD not in done.stdout + done.stderr
    assert PASSWORD not in ran("ledger", "export", "-").stdout
    assert ran("note", "@latest", "see the file").returncode == 0  # the positive control


def test_a_secret_that_cannot_be_had_is_refused(ran, tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.nbprod.steps.leaky]\nnotebook = "leaky.ipynb"\nsecrets = {PASSWORD = "file:absent"}\n'
    )
    write_notebook(tmp_path / "leaky.ipynb", CELLS)
    done = Nbprod(tmp_path)("run", "leaky")
    assert done.returncode == 2
    assert "PASSWORD (file:absent): there is no such file" in done.stderr
    assert not (tmp_path / ".nbprod" / "runs").exists() or not list((tmp_path / ".nbprod" / "runs").iterdir())


def test_a_ledger_that_is_made_anew_has_the_flag(ran, tmp_path):
    environ = {"NBPROD_LEDGER": str(tmp_path / "anew.db")}
    done = ran.here("ledger", "rebuild", **environ)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(ran.here("runs", "--flagged", "--json", **environ).stdout)
    assert row["tags"] == ["secret-masked"]
