"""The request digest: equal for equal source, parameters, inputs and environment, whatever the paths (law 4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from nbprod.digest import digest_bytes
from nbprod.record.request import Input, RunRequest

from .strategies import requests, words

DATA = Input(kind="file", name="data", path="data.csv", digest=digest_bytes(b"1"), size=1)
REQUEST = RunRequest(
    step="train",
    notebook="notebooks/train.ipynb",
    source=digest_bytes(b"source"),
    kernel="python3",
    parameters={"alpha": 0.1, "data": "/here/data.csv", "output_dir": "/here/1"},
    given=("alpha",),
    inputs=(DATA,),
    environment=digest_bytes(b"environment"),
    limits={"timeout": None},
    contract={"scraps": {}, "artifacts": []},
)


@pytest.mark.parametrize(
    "changes",
    [
        {"step": "other"},
        {"notebook": "elsewhere/train.ipynb"},
        {"parameters": {"alpha": 0.1, "data": "/there/d.csv", "output_dir": "/there/2"}},
        {"inputs": (replace(DATA, path="/there/d.csv"),)},
        {"given": ()},
        {"limits": {"timeout": 3}},
        {"contract": {"scraps": {"auc": {}}, "artifacts": []}},
    ],
    ids=["step", "notebook", "paths", "input's path", "given", "limits", "contract"],
)
def test_it_does_not_depend_on(changes: dict[str, Any]) -> None:
    assert replace(REQUEST, **changes).digest == REQUEST.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"source": digest_bytes(b"other")},
        {"parameters": {**REQUEST.parameters, "alpha": 0.2}},
        {"parameters": {**REQUEST.parameters, "beta": None}},
        {"parameters": {**REQUEST.parameters, "alpha": "0.1"}},
        {"inputs": (replace(DATA, digest=digest_bytes(b"2")),)},
        {"inputs": (replace(DATA, digest=None, note="it is too big"),)},
        {"inputs": ()},
        {"environment": digest_bytes(b"other")},
        {"kernel": "ir"},
        {"secrets": ("TOKEN",)},
    ],
    ids=["source", "value", "one more", "type", "bytes", "unpinned", "no input", "environment", "kernel", "secrets"],
)
def test_it_changes_with(changes: dict[str, Any]) -> None:
    assert replace(REQUEST, **changes).digest != REQUEST.digest


@given(requests, words, words)
def test_paths_of_inputs_never_matter(request: RunRequest, first: str, second: str) -> None:
    one, two = (
        replace(request, inputs=tuple(replace(entry, path=path) for entry in request.inputs))
        for path in (first, second)
    )
    assert one.digest == two.digest


@given(requests)
def test_it_survives_json(request: RunRequest) -> None:
    again = RunRequest.from_json(request.to_json())
    assert again == request
    assert again.digest == request.digest
