"""What made something, and what it made: through real runs, and over random ledgers."""

import json
import shutil
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod import run
from nbprod.digest import digest_bytes, digest_file
from nbprod.environment.inputs import pin_path
from nbprod.errors import CallerError, NotFound
from nbprod.ledger import open_ledger
from nbprod.ledger.uses import AskedUses
from nbprod.project import Project
from nbprod.project.erase import Choice, carry_out, plan
from nbprod.project.home import Home
from nbprod.project.lineage import lineage_of
from nbprod.project.published import publish_step
from nbprod.project.walk import Loaded, Walk
from nbprod.record.ids import RunId
from nbprod.record.parts import PartKind
from nbprod.record.uses import LEAVING, ROLES, Use, path_key
from tests.cli.conftest import Nbprod, write_notebook
from tests.telling import START, finished, started

CLEAN = """
import helper
text = open('raw.csv').read()
open(output_dir + '/clean.csv', 'w').write(text.upper())
open('shared.txt', 'w').write('shared ' + text)
open(output_dir + '/empty', 'w').close()
"""
FIT = "open(output_dir + '/model.bin', 'w').write(open(data).read() + open('shared.txt').read())"
SCORE = "open(output_dir + '/scores.csv', 'w').write('scores of ' + open(model).read())"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A project with a pipeline of three steps, each run once, the second published, the third answered for as well."""
    root = tmp_path_factory.mktemp("pipeline")
    (root / "pyproject.toml").write_text("[tool.nbprod]\n")
    (root / "raw.csv").write_text("a,b\n1,2\n")
    (root / "helper.py").write_text("x = 1\n")
    write_notebook(root / "clean.ipynb", [("output_dir = 'o'", "parameters"), (CLEAN,)])
    head = "from pathlib import Path\noutput_dir = 'o'\n"
    write_notebook(root / "fit.ipynb", [(head + "data: Path = Path('x')", "parameters"), (FIT,)])
    write_notebook(root / "score.ipynb", [(head + "model: Path = Path('x')", "parameters"), (SCORE,)])
    project = Project.find(root)
    there = Nbprod(root)
    there.project, there.root = project, root
    there.clean = run(root / "clean.ipynb", project=project).raise_for_status()
    data = {"data": there.clean.artifacts["clean.csv"]}
    publish_step(project, str(root / "fit.ipynb"), alias="production")
    there.fit = run("fit@production", data, cwd=root, project=project).raise_for_status()
    model = {"model": there.fit.artifacts["model.bin"]}
    there.score = run(root / "score.ipynb", model, project=project).raise_for_status()
    there.again = run(root / "score.ipynb", model, reuse=True, project=project).raise_for_status()
    assert there.again.record.of == there.score.id
    yield there
    project.close()


def edges(found):
    return {(found.nodes[e.cause].label, e.how, found.nodes[e.effect].label) for e in found.edges}


def name(run):
    return f"{run.step} {run.id.short}"


@pytest.mark.kernel
def test_what_made_a_run_is_followed_to_what_nobody_here_made(here):
    found = here.score.lineage()
    assert edges(found) == {
        ("score.ipynb", "run as", name(here.score)),
        ("model.bin", "given to", name(here.score)),
        (name(here.fit), "made", "model.bin"),
        ("fit@1", "run as", name(here.fit)),
        ("clean.csv", "given to", name(here.fit)),
        ("shared.txt", "read by", name(here.fit)),
        (name(here.clean), "made", "clean.csv"),
        (name(here.clean), "left", "shared.txt"),
        ("clean.ipynb", "run as", name(here.clean)),
        ("raw.csv", "read by", name(here.clean)),
        ("helper.py", "imported by", name(here.clean)),
    }
    assert found.nodes[f"run:{here.fit.id}"].facts["ran"] == "fit@1"
    assert found.nodes[f"run:{here.score.id}"].facts["environment"] == str(here.score.record.request.environment)
    assert found.runs == (here.fit.id, here.clean.id)
    assert here.score.lineage(depth=1).runs == (here.fit.id,)
    assert here.again.lineage(depth=1).runs == (here.fit.id, here.score.id)  # the request's own input, and who answered


@pytest.mark.kernel
def test_what_came_of_a_run_is_followed_down(here):
    found = here.clean.lineage(up=False)
    assert found.runs == (here.fit.id, here.again.id, here.score.id)
    assert (name(here.score), "answered", name(here.again)) in edges(found)
    assert ("shared.txt", "read by", name(here.fit)) in edges(found)
    assert not any(label == "empty" and how != "made" for label, how, _ in edges(found))  # equal everywhere
    assert here.again.lineage(up=False).runs == ()


@pytest.mark.kernel
def test_files_digests_artifacts_and_steps_are_found(here):
    def names(what, *, up):
        return lineage_of(here.project.home, what, up=up, folder=here.root).runs

    everything = (here.clean.id, here.fit.id, here.again.id, here.score.id)
    assert names("raw.csv", up=False) == names(str(here.root / "raw.csv"), up=False) == everything
    assert names(str(digest_file(here.root / "raw.csv")[0]), up=False) == everything
    assert names("helper.py", up=False) == names("clean.ipynb", up=False) == everything
    assert names("raw.csv", up=True) == ()
    assert names(f"{here.fit.id.short}/model.bin", up=True) == (here.fit.id, here.clean.id)
    assert names(f"nbprod:{here.fit.id}/model.bin", up=False) == (here.again.id, here.score.id)
    assert names("fit@1", up=False) == names("fit@production", up=False) == (here.fit.id, here.again.id, here.score.id)
    copy = here.root / "renamed.bin"
    shutil.copyfile(here.fit.artifacts["model.bin"].path(), copy)
    assert names("renamed.bin", up=True) == (here.fit.id, here.clean.id)  # by its bytes
    for wrong, error in (("nobody", NotFound), (f"{here.fit.id.short}/nothing", NotFound)):
        with pytest.raises(error):
            names(wrong, up=True)
    with pytest.raises(CallerError):
        here.fit.lineage(depth=0)


@pytest.mark.kernel
def test_a_file_that_changed_since_is_found_by_the_path_it_was_read_from(here):
    file, kept = here.root / "raw.csv", (here.root / "raw.csv").read_bytes()
    file.write_text("other")
    try:
        found = lineage_of(here.project.home, "raw.csv", up=False, folder=here.root)
        assert here.clean.id in found.runs
        assert found.nodes["path:raw.csv"].facts["versions"] == 2
        file.unlink()
        assert here.clean.id in lineage_of(here.project.home, "raw.csv", up=False, folder=here.root).runs
    finally:
        file.write_bytes(kept)


@pytest.mark.kernel
def test_a_folder_is_asked_for_by_its_files(here):
    folder = here.root / "handed out"
    folder.mkdir()
    shutil.copyfile(here.fit.artifacts["model.bin"].path(), folder / "model.bin")
    (folder / "notes.txt").write_text("nobody's")
    try:
        up = here("lineage", "handed out")
        assert "file handed out/model.bin" in up.stdout
        assert f"made by {name(here.fit)}" in up.stdout
        assert "1 file in handed out/ was made by no run here" in up.stderr
        down = lineage_of(here.project.home, "handed out/", up=False, folder=here.root)
        assert set(down.runs) == {here.score.id, here.again.id}
        assert down.nodes[down.start].facts["files"] == 2
        (folder / "model.bin").unlink()
        assert "no run here made a file in it" in here("lineage", str(folder)).stdout
    finally:
        shutil.rmtree(folder)
    whole = lineage_of(here.project.home, ".", up=True, folder=here.root)
    assert "shared.txt" in {each.name for each in whole.edges if each.how == "a file of"}
    assert not any(".nbprod/" in node.label for node in whole.nodes.values())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pin_path, "__kwdefaults__", {"max_files": 0, "max_bytes": 0})
        with pytest.raises(CallerError, match="Name a file in it"):
            lineage_of(here.project.home, ".", up=True, folder=here.root)


def test_the_first_digits_are_enough_while_they_fit_one(tmp_path):
    home = Home(root=tmp_path, folder=tmp_path, store_url=str(tmp_path / "s"), ledger_url=str(tmp_path / "ledger.db"))
    digests: dict[str, set] = {}
    number = 0
    while max(map(len, digests.values()), default=0) < 2:  # two whose first four digits are the same
        digest = digest_bytes(b"%d" % (number := number + 1))
        digests.setdefault(digest.hex[:4], set()).add(digest)
    one, other = sorted(next(found for found in digests.values() if len(found) > 1))
    run_id = RunId.new(START, bytes.fromhex(one.hex[:20]))
    uses = tuple(Use(role="made", digest=each, name=each.hex[:4]) for each in (one, other))
    home.ledger.append(started(run_id))
    home.ledger.append(finished(run_id, uses=uses))
    for digits in (one.hex[:12], one.hex[:8], f"sha256:{one.hex[:12]}"):
        assert lineage_of(home, digits, up=True).start == str(one)
    assert lineage_of(home, run_id.text[-12:], up=True).start == f"run:{run_id}"
    with pytest.raises(CallerError, match=f"fits several.*{one}, {other}"):
        lineage_of(home, f"sha256:{one.hex[:4]}", up=True)
    clash = RunId.new(START, bytes(10)).text[:-8] + one.hex[:8]
    home.ledger.append(started(RunId(clash)))
    with pytest.raises(CallerError, match=f"a run and the bytes of a file.*{one}"):
        lineage_of(home, one.hex[:8], up=True)
    assert lineage_of(home, f"sha256:{one.hex[:8]}", up=True).start == str(one)
    for none in (f"sha256:{one.hex[:3]}", one.hex[:11] + ("0" if one.hex[11] != "0" else "1")):
        with pytest.raises(NotFound):
            lineage_of(home, none, up=True)
    home.ledger.close()


@pytest.mark.kernel
def test_the_command_draws_a_tree_and_writes_json(here):
    up = here("lineage", "score@latest")
    assert up.returncode == 0, up.stderr
    assert "answered by score" in up.stdout
    assert up.stdout.count("read raw.csv") == 1
    assert "(see above)" in up.stdout  # fit read two files that clean had left
    assert "nobody here made it" in up.stdout
    down = here("lineage", "raw.csv", "--down", "--depth", "1")
    assert "read by clean" in down.stdout
    assert "made clean.csv" not in down.stdout
    assert "more than 1 run away" in down.stderr
    told = json.loads(here("lineage", str(here.fit.id), "--json").stdout)
    assert told == here.fit.lineage().to_json()
    assert here("lineage", "nobody").returncode == 2
    few = here("lineage", "raw.csv", "--down", "--limit", "2", "--json")
    assert sum(node["kind"] == "run" for node in json.loads(few.stdout)["nodes"]) == 2


@pytest.mark.kernel
def test_erased_traces_are_told_and_names_of_files_went_with_them(here, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(here.root, root)
    project = Project.find(root)
    clean = project.run(str(here.clean.id))
    made = plan(clean, Choice(kinds=frozenset({PartKind.TRACE})), why="a test")
    carry_out(made, by="ada", at=project.now())
    found = clean.lineage()
    facts = found.nodes[f"run:{clean.id}"].facts
    assert "erased" in facts
    assert "erased" in facts["unobserved"]
    assert "raw.csv" not in json.dumps(found.to_json())
    bodies = [str(each.event) for each in project.home.ledger.events(clean.id)]
    assert not any("raw.csv" in body for body in bodies)  # an event can never be erased
    assert here.clean.id in lineage_of(project.home, "raw.csv", up=False, folder=root).runs  # whoever has the file


BYTES = [digest_bytes(bytes([each])) for each in range(5)]


@st.composite
def ledgers(draw):
    """A ledger of a few runs that used and left a few bytes, and the runs."""
    ledger = open_ledger("memory://")
    ids = [RunId.new(START + timedelta(seconds=n), bytes([n] * 10)) for n in range(draw(st.integers(1, 7)))]
    for place, run_id in enumerate(ids):
        role = st.sampled_from([role for role in ROLES if role not in ("given", "step")])
        uses = [
            Use(role=each, digest=digest, name=path_key(digest.hex))
            for each, digest in draw(st.lists(st.tuples(role, st.sampled_from(BYTES)), max_size=4, unique=True))
        ]
        earlier = ids[:place]
        if earlier and draw(st.booleans()):
            giver, digest = draw(st.sampled_from(earlier)), draw(st.sampled_from(BYTES))
            uses.append(Use(role="given", digest=digest, name="a", run=giver))
        retried = draw(st.sampled_from(earlier)) if earlier and draw(st.booleans()) else None
        at = START + timedelta(seconds=place)
        ledger.append(started(run_id, at=at, retry_of=retried))
        ledger.append(finished(run_id, at=at, uses=tuple(uses)))
    return ledger, ids


def walk(ledger, run_id, *, up):
    def load(each):
        row = ledger.run(each)
        uses = [found.use for found in ledger.uses(AskedUses(runs=(each,)))]
        return Loaded(label=each.short, facts={}, uses=dict.fromkeys(uses, ""), of=row.of, retry_of=row.retry_of)

    walked = Walk(ledger, load, up=up, depth=None)
    return set(walked.finish(walked.add_run(run_id, 0)).runs)


@given(ledgers())
def test_up_and_down_are_inverse_and_no_run_is_its_own_ancestor(drawn):
    ledger, ids = drawn
    above = {run_id: walk(ledger, run_id, up=True) for run_id in ids}
    below = {run_id: walk(ledger, run_id, up=False) for run_id in ids}
    assert {(a, b) for b in ids for a in above[b]} == {(a, b) for a in ids for b in below[a]}
    assert all(other < run_id for run_id in ids for other in above[run_id])


def test_an_equal_file_that_was_made_later_made_nothing(tmp_path):
    ledger = open_ledger("memory://")
    early, late = (RunId.new(START + timedelta(seconds=n), bytes([n] * 10)) for n in (1, 2))
    ledger.append(started(early))
    ledger.append(finished(early, uses=(Use(role="read", digest=BYTES[0], name="x"),)))
    ledger.append(started(late))
    ledger.append(finished(late, uses=(Use(role="made", digest=BYTES[0], name="x"),)))
    assert walk(ledger, early, up=True) == walk(ledger, late, up=False) == set()
    assert {*LEAVING} < {*ROLES}
    assert replace(Use(role="made", digest=BYTES[0], name="x"), role="left").role == "left"


def many(url, count):
    """A ledger of so many runs, each of which read what the one before it made and a file that all read."""
    from nbprod.ledger.ledger import StoredEvent

    ledger = open_ledger(url)
    batch, seq, last = [], 0, None
    for place in range(count):
        run_id = RunId.new(START + timedelta(seconds=place), place.to_bytes(10, "big"))
        uses = [Use(role="made", digest=digest_bytes(b"%d" % place), name="out")]
        uses.append(Use(role="read", digest=digest_bytes(b"%d" % (place - 1)), name=path_key("in")))
        uses.append(Use(role="module", digest=BYTES[0], name=path_key("m.py")))
        at = START + timedelta(seconds=place)
        for event in (started(run_id, at=at), finished(run_id, at=at, uses=tuple(uses))):
            seq += 1
            batch.append(StoredEvent(seq, event))
        last = run_id
        if len(batch) >= 2000:
            ledger.restore(batch)
            batch = []
    ledger.restore(batch)
    return ledger, last


@pytest.mark.parametrize("count", [1000, pytest.param(100_000, marks=pytest.mark.torture)])
def test_a_large_ledger_is_asked_by_its_indexes(tmp_path, count):
    ledger, last = many(str(tmp_path / "ledger.db"), count)
    began = time.monotonic()
    assert len(walk(ledger, last, up=True)) == 499
    took = time.monotonic() - began
    assert ledger.without_uses() == 0
    assert took < 30, took  # by the indexes five; without, minutes
