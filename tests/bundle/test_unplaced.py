"""Events to which a bundle gives no place are nobody's proof of when something was signed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbprod.bundle.form import CHECKPOINT, CONSISTENCY, EVENTS, Proven, events_bytes, read_events
from nbprod.project import Run, RunOptions
from nbprod.project.export import export
from nbprod.project.keys import init_keys, rotate_key
from nbprod.verify import Conclusion, Verification
from tests.bundle.conftest import members_of, pack, with_index, worst
from tests.notebooks import project_in, write
from tests.processes import nothing_survives

pytestmark = pytest.mark.kernel

Verify = Callable[..., list[Verification]]


def test_a_key_that_was_replaced_signs_nothing_more_behind_an_old_checkpoint(tmp_path: Path, verify: Verify) -> None:
    root = tmp_path / "project"
    root.mkdir()
    write(root / "n.ipynb", "1")
    with nothing_survives() as mark, project_in(root, mark, 'keys = "keys"') as project:
        init_keys(project)

        def run() -> Run:
            return project.run_job(project.job(project.step("n.ipynb"), {}, RunOptions()))

        old = members_of(export(project, run(), tmp_path / "old.zip").path)
        second = run()
        rotate_key(project, "runner")
        honest = members_of(export(project, second, tmp_path / "second.zip").path)
        project.close()
    assert worst(verify(pack(tmp_path / "honest.zip", honest))) is Conclusion.VERIFIED  # control: its place is proven
    unplaced = events_bytes(tuple(Proven(body=each.body) for each in read_events(honest[EVENTS])))
    forged = {name: data for name, data in honest.items() if name not in (CHECKPOINT, CONSISTENCY)}
    forged |= {EVENTS: unplaced, **{name: old[name] for name in (CHECKPOINT, CONSISTENCY) if name in old}}
    seen = {"seen": tmp_path / "new.json"}
    assert worst(verify(pack(tmp_path / "forged.zip", with_index(forged)), **seen)) is Conclusion.CANNOT_TELL
