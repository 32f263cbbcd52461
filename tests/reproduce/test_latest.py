"""What is produced goes on from what was produced, not from what somebody executed again."""

from __future__ import annotations

import pytest

from nbprod.project import RunOptions
from tests.reproduce.conftest import Place

pytestmark = pytest.mark.kernel


def test_a_reproduction_is_not_the_latest_of_its_step(place: Place) -> None:
    project = place.project
    (handed,) = (each for each in place.run("next").record.request.inputs if each.run is not None)

    def latest() -> tuple[object, object]:
        job = project.job(project.step("next"), {handed.name: f"nbprod:work@latest/{handed.path}"}, RunOptions())
        return project.run("work@latest").id, job.upstream[handed.name].run

    before = latest()
    again = place.run("work").reproduce(project=project).run
    assert again.started > project.run("work@latest").started
    assert "reproduction" in project.home.ledger.run(again.id).tags
    assert latest() == before
