"""Commands that need no run: describe, steps, recover, doctor, and all of them in an empty folder."""

import contextlib
import json
import re
import sqlite3
import time
from datetime import UTC, datetime

import jsonschema
import pytest

from nbprod.cli.commands.recover import recover
from nbprod.cli.session import open_project
from nbprod.ledger import open_ledger
from nbprod.record.ids import RunId
from tests.telling import started


def test_describe(nbprod):
    shown = nbprod("describe", "train").stdout
    for part in (
        "train  Train a model",
        "alpha       float  0.25     learning rate",
        "'x'",
        "scrap auc: float",
        "model.bin",
    ):
        assert part in shown, part
    schema = json.loads(nbprod("describe", "train.ipynb", "--json").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["alpha"]["default"] == 0.25
    assert "takes no parameters" in nbprod("describe", "fail.ipynb").stdout
    assert not (nbprod.folder / ".nbprod").exists()


def test_steps(nbprod):
    assert "train  train.ipynb" in nbprod("steps").stdout
    [step] = json.loads(nbprod("steps", "--json").stdout)
    assert (step["step"], step["expect"]["artifacts"]) == ("train", ["model.bin"])
    (nbprod.folder / "train.ipynb").unlink()
    assert "not there" in nbprod("steps").stdout


def test_looking_at_nothing_makes_nothing(nbprod):
    assert (nbprod("runs").returncode, nbprod("runs").stderr) == (0, "No runs.\n")
    assert nbprod("runs", "--json").stdout == "[]\n"
    assert nbprod("recover").stdout == "Nothing to close: no run is open.\n"
    for args in (["show", "x"], ["logs", "x"], ["cancel", "x"], ["tag", "x", "y"], ["open", "x"]):
        done = nbprod(*args)
        assert done.returncode == 2
        assert "there are no runs in" in done.stderr
    assert not (nbprod.folder / ".nbprod").exists()


def test_wrong_settings_are_told_in_one_paragraph(nbprod):
    (nbprod.folder / "pyproject.toml").write_text("[tool.nbprod]\nhoem = '.x'\n")
    done = nbprod("runs")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: [tool.nbprod] has an unknown key 'hoem'. Did you mean 'home'?")


def left_open(nbprod, lease_seconds, number=0):
    """Leave a run in the ledger that nobody closes."""
    (nbprod.folder / ".nbprod").mkdir(exist_ok=True)
    ledger = open_ledger(str(nbprod.folder / ".nbprod/ledger.db"))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    run_id = RunId.new(at, bytes([number] * 10))
    ledger.append(
        started(run_id, at=at, step="lost", host="elsewhere", lease_seconds=lease_seconds, folder="/nowhere/lost")
    )
    ledger.close()
    return run_id


@pytest.fixture
def lapsed(nbprod):
    """Leave a run in the ledger whose lease is over."""
    return left_open(nbprod, 0.0)


def test_recover_tells_which_runs_are_open_and_how_long_they_may_be(nbprod):
    alive, gone = left_open(nbprod, 600.0), left_open(nbprod, 0.0, 1)
    done = nbprod("recover")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no run" not in done.stdout
    first, *rest = done.stdout.splitlines()
    assert first == "Nothing to close yet: 2 runs are open."
    [told] = [line for line in rest if alive.short in line]
    assert re.search(r" of lost on elsewhere: its runner counts as alive until \d{4}-\d\d-\d\d [\d:]+ UTC", told)
    [told] = [line for line in rest if gone.short in line]
    assert "no sign of life since its lease ended at" in told


def test_doctor_finds_this_machine_fit(nbprod):
    done = nbprod("doctor", "--json")
    found = {each["what"]: each for each in json.loads(done.stdout)}
    assert {"python", "kernel python3", "supervisor", "sockets", "store", "ledger", "git"} <= set(found)
    assert found["supervisor"]["health"] == "ok"
    assert done.returncode == any(each["health"] == "fail" for each in found.values())
    assert not (nbprod.folder / ".nbprod").exists()
    assert "ok    python" in nbprod("doctor").stdout


def test_doctor_tells_what_is_wrong(nbprod, lapsed, tmp_path):
    kernel = tmp_path / "share/jupyter/kernels/broken"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": ["/nowhere/python", "-m", "ipykernel_launcher"], "display_name": "B", "language": "python"})
    )
    environ = {"JUPYTER_PATH": str(tmp_path / "share/jupyter"), "PATH": "/nowhere", "XDG_RUNTIME_DIR": "/no"}
    done = nbprod.here("doctor", "--json", **environ)
    found = {each["what"]: each for each in json.loads(done.stdout)}
    assert found["kernel broken"]["health"] == "warn"
    assert "does not start" in found["kernel broken"]["found"]
    assert lapsed.short in found["open runs"]["found"]
    for what in ("git", "sockets", "open runs", "kernel broken"):
        assert found[what]["health"] == "warn", what
        assert found[what]["advice"]


def test_doctor_fails_where_the_ledger_is_none(nbprod):
    (nbprod.folder / ".nbprod").mkdir()
    (nbprod.folder / ".nbprod/ledger.db").write_bytes(b"not a database" * 100)
    done = nbprod("doctor")
    assert done.returncode == 1
    assert "✘ fail  ledger" in done.stdout


def test_a_run_that_was_closed_is_told_with_the_verdict_that_it_has(with_runs, monkeypatch, capsys):
    monkeypatch.chdir(with_runs.folder)
    ids = {row["status"]: RunId(row["run"]) for row in json.loads(with_runs.here("runs", "--json").stdout)}
    assert set(ids) == {"succeeded", "failed"}
    # What is closed late may have come to its end long before, with only its record left to write.
    monkeypatch.setattr("nbprod.project.recovery.close_lapsed", lambda _: list(ids.values()))
    open_project()
    told = capsys.readouterr().err
    recover.callback(as_json=False)
    closed = capsys.readouterr().out
    for status, run_id in ids.items():
        assert f"Closed a run whose runner vanished, as {status}: {run_id.short}\n" in told
        assert f"Closed run {run_id.short} as {status}; see" in closed


def test_recovery_costs_little_and_never_makes_a_ledger(nbprod, lapsed, monkeypatch):
    monkeypatch.chdir(nbprod.folder)
    project = open_project()  # opens the ledger
    begun = time.perf_counter()
    open_project()
    assert time.perf_counter() - begun < 0.25, "a few milliseconds on an idle machine"
    with contextlib.closing(sqlite3.connect(project.root / ".nbprod/ledger.db")) as ledger:
        assert ledger.execute("select status from runs").fetchall() == [(None,)]


def test_doctor_knows_distributions_that_do_not_go_together(nbprod, monkeypatch):
    versions = {"scrapbook": "0.5.0", "nteract-scrapbook": "0.4.1", "prefect": "3.8.8", "fastapi": "0.151.0"}
    monkeypatch.setattr("nbprod.project.doctor._version", versions.get)
    found = {each["what"]: each for each in json.loads(nbprod("doctor", "--json").stdout)}
    assert found["scrapbook"]["health"] == found["prefect"]["health"] == "fail"
    assert "fastapi<0.151" in found["prefect"]["advice"]


def test_doctor_sees_a_kernel_without_ipykernel_and_one_of_another_language(nbprod, tmp_path):
    for name, argv, language in (
        ("bare", ["/bin/false", "-m", "ipykernel_launcher"], "python"),
        ("other", ["no-such-program", "{connection_file}"], "klingon"),
        ("shell", ["sh", "{connection_file}"], "sh"),
    ):
        folder = tmp_path / "share/jupyter/kernels" / name
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": name, "language": language}))
    done = nbprod.here("doctor", "--json", JUPYTER_PATH=str(tmp_path / "share/jupyter"))
    health = {each["what"]: each["health"] for each in json.loads(done.stdout)}
    assert (health["kernel bare"], health["kernel other"], health["kernel shell"]) == ("warn", "warn", "ok")


def test_steps_without_any_and_recover_in_json(tmp_path, nbprod):
    (nbprod.folder / "pyproject.toml").write_text("[tool.nbprod]\n")
    assert nbprod("steps").stderr.startswith("No steps. Name them in pyproject.toml")
    assert nbprod("recover", "--json").stdout == "[]\n"
