"""`nbprod ledger`, and runs told to PostgreSQL by settings alone."""

import json
import shutil

import pytest

from tests.processes import eventually


@pytest.fixture
def on_postgresql(nbprod, postgres):
    """The command line with an empty ledger on PostgreSQL; the password is where people put it."""
    address = postgres.url(postgres.database()).replace(f":{postgres.password}@", "@")
    nbprod.environ |= {"NBPROD_LEDGER": address, "PGPASSWORD": postgres.password}
    return nbprod


@pytest.mark.kernel
def test_a_runner_that_was_killed_is_closed_in_postgresql(on_postgresql, project, postgres):
    nbprod = on_postgresql
    assert nbprod.process("run", "train").returncode == 0
    with nbprod.start("run", "slow.ipynb", "--log-output") as child:
        assert any("tick" in line for line in child.stderr)
        child.kill()
        child.communicate()

    def crashed():
        nbprod.process("recover")
        rows = json.loads(nbprod.process("runs", "--json").stdout)
        return [row["status"] for row in rows] == ["crashed", "succeeded"]

    assert eventually(crashed, 90)
    assert not (project / ".nbprod" / "ledger.db").exists()
    done = nbprod.process("ledger", "check")
    assert (done.returncode, done.stdout) == (0, "Checked 4 events of 2 runs: all is well.\n")
    kept = b"".join(path.read_bytes() for path in (project / ".nbprod").rglob("*") if path.is_file())
    assert postgres.password.encode() not in kept


def test_a_ledger_is_made_carried_over_and_checked(with_runs, on_postgresql, tmp_path):
    nbprod, file = on_postgresql, tmp_path / "events.jsonl"
    assert with_runs.here("ledger", "export", file).returncode == 0
    made = json.loads(nbprod.process("ledger", "migrate", "--json").stdout)
    assert (made["from"], made["to"]) == (None, "0007")
    assert "up to date" in nbprod.process("ledger", "migrate").stdout
    done = nbprod.process("ledger", "import", file)
    assert done.returncode == 0, done.stderr
    assert "0 were there already" in done.stdout
    again = nbprod.process("ledger", "import", file)
    assert "Imported 0 of" in again.stdout
    assert nbprod.process("ledger", "export", "-").stdout.encode() == file.read_bytes()
    missing = nbprod.process("ledger", "check")
    assert (missing.returncode, "is not in the store" in missing.stdout) == (4, True)
    assert nbprod.process("ledger", "check", "--no-store").returncode == 0
    shutil.copytree(with_runs.folder / ".nbprod" / "store", nbprod.folder / ".nbprod" / "store", dirs_exist_ok=True)
    assert json.loads(nbprod.process("ledger", "check", "--json").stdout)["faults"] == []
    file.write_text("{}\n")
    assert nbprod.process("ledger", "import", file).returncode == 4


def test_a_lost_ledger_is_made_anew(with_runs, nbprod, tmp_path):
    store = with_runs.folder / ".nbprod" / "store"
    nowhere = nbprod.here("ledger", "rebuild", "--from-store", tmp_path / "nowhere")
    assert (nowhere.returncode, "is empty" in nowhere.stderr) == (2, True)
    done = nbprod.here("ledger", "rebuild", "--from-store", store)
    assert done.returncode == 0, done.stderr
    assert "Found 3 runs and 0 versions of steps in" in done.stdout
    assert "aliases of published steps" in done.stdout
    assert "set `store` to the one that was read" in done.stderr
    shutil.copytree(store, nbprod.folder / ".nbprod" / "store")
    rows = [json.loads(each.here("runs", "--json").stdout) for each in (nbprod, with_runs)]
    assert rows[0] == rows[1]
    statements = [each.here("show", "best", "--json").stdout for each in (nbprod, with_runs)]
    assert statements[0] == statements[1]
    assert nbprod.here("ledger", "check").returncode == 0
    again = nbprod.here("ledger", "rebuild")
    assert (again.returncode, "Expected: an empty ledger" in again.stderr) == (2, True)
    other = tmp_path / "empty.db"
    record = rows[0][0]["record"].removeprefix("sha256:")
    object_ = nbprod.folder / ".nbprod" / "store" / "objects" / record[:2] / record[2:]
    object_.chmod(0o644)
    object_.write_bytes(b"spoilt")
    spoilt = nbprod.here("ledger", "rebuild", "--json", NBPROD_LEDGER=str(other))
    assert spoilt.returncode == 4
    told = json.loads(spoilt.stdout)
    assert (told["runs"], len(told["faults"])) == (2, 1)


def test_bytes_are_read_and_hashed_when_asked_for(with_runs, nbprod):
    shutil.copytree(with_runs.folder / ".nbprod", nbprod.folder / ".nbprod", dirs_exist_ok=True)
    whole = nbprod.here("ledger", "check", "--bytes")
    assert (whole.returncode, "all is well" in whole.stdout) == (0, True), whole.stdout
    plain = json.loads(nbprod.here("ledger", "check", "--json").stdout)["objects"]
    assert json.loads(nbprod.here("ledger", "check", "--bytes", "--json").stdout)["objects"] > plain + 5
    record = json.loads(nbprod.here("show", "best", "--json").stdout)
    predicate = record.get("predicate", record)

    def path(digest):
        name = digest.removeprefix("sha256:")
        return nbprod.folder / ".nbprod" / "store" / "objects" / name[:2] / name[2:]

    artifact, journal = predicate["artifacts"][0]["digest"], predicate["journal"]["digest"]
    path(artifact).chmod(0o644)
    path(artifact).write_bytes(b"spoilt")
    path(journal).unlink()
    assert nbprod.here("ledger", "check").returncode == 0  # what records name is looked at with --bytes only
    done = nbprod.here("ledger", "check", "--bytes")
    assert done.returncode == 4
    assert f"{journal}, which run {predicate['run']} names, is not in the store" in done.stdout
    assert any(artifact in line and "is corrupt" in line for line in done.stdout.splitlines())
    assert "2 faults" in done.stdout
    assert nbprod.here("ledger", "check", "--bytes", "--no-store").returncode == 2
