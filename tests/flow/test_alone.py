"""A notebook as a flow of its own, and a run's figures; no kernel and no server."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from prefect.utilities.callables import parameter_schema

from nbprod.flow import notebook
from nbprod.flow.alone import _chosen, form_signature
from nbprod.flow.assets import asset_key
from nbprod.flow.figures import FIGURE_LIMIT, FIGURES_LIMIT, figures_of
from nbprod.parameters import json_schema

PARAMETERS = (
    "from datetime import date\nday: date = date(2013, 1, 1)  # which day\nalpha: float = 0.5\nwait_for: int = 1"
)


def test_the_form_is_the_notebooks_schema(project, write):
    write("fit", PARAMETERS, ["1"])
    task = notebook("notebooks/fit.ipynb", root=project)
    form = task.as_flow(name="alone").parameters.model_dump()
    assert form == parameter_schema(task.as_flow()).model_dump()
    assert list(form["properties"]) == ["day", "alpha", "parameters"]  # `wait_for` is Prefect's own word
    wanted = json_schema(task.fn.ordered.step().schema, title="")["properties"]
    assert wanted["day"].items() <= form["properties"]["day"].items()
    assert wanted["day"]["description"] == "which day"


def test_what_the_form_started_with_is_not_given(project, write):
    write("fit", PARAMETERS, ["1"])
    signature = form_signature(notebook("notebooks/fit.ipynb", root=project).fn.ordered.step().schema)
    values = {"day": "2013-01-01", "alpha": 0.7, "parameters": {}}
    assert _chosen(signature, values) == {"alpha": 0.7}


def test_an_assets_key_holds_what_prefect_allows():
    assert asset_key("train", "model.skops") == "nbprod://train/model.skops"
    assert asset_key("my step", "a b/c#1.txt") == "nbprod://my-step/a-b/c-1.txt"


@dataclass
class Left:
    """As much of a run as figures are read from: itself, its home and its record in one."""

    data: bytes
    digest: None = None

    @property
    def home(self):
        return self

    record = notebook = home

    def read(self, _digest):
        return self.data


def test_figures_within_the_limits_are_shown():
    def output(size: int):
        return {"output_type": "display_data", "data": {"image/png": base64.b64encode(b"x" * size).decode()}}

    cells = [{"cell_type": "code", "outputs": [output(3), output(FIGURE_LIMIT + 1)]}, {"cell_type": "markdown"}]
    figures = figures_of(Left(json.dumps({"cells": cells}).encode()))
    assert [(figure.url, figure.size) for figure in figures.shown] == [("data:image/png;base64,eHh4", 3)]
    assert figures.left_out == 1
    many = [{"cell_type": "code", "outputs": [output(3)] * (FIGURES_LIMIT + 2)}]
    figures = figures_of(Left(json.dumps({"cells": many}).encode()))
    assert (len(figures.shown), figures.left_out) == (FIGURES_LIMIT, 2)
