"""The request digest: equal for equal source, parameters, inputs and environment, whatever the paths (law 4)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from nbprod.digest import digest_bytes
from nbprod.environment.inputs import paths_in
from nbprod.parameters import tag
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


def containers(root: str, content: bytes) -> RunRequest:
    """Return a request whose parameters name files within containers, below a root that differs by machine."""
    values = {
        "files": [Path(root, "a"), 1],
        "pair": (Path(root, "a"), "x"),
        "some": {Path(root, "a")},
        "tables": {"weather": Path(root, "a")},
        "odd": {1: Path(root, "a")},
    }
    names = [where for where, _ in paths_in(values, set(), Path("/"))]
    inputs = tuple(
        Input(kind="file", name=name, path=f"{root}/a", digest=digest_bytes(content), size=1) for name in names
    )
    assert len(inputs) == len(values)
    tagged = {name: tag(value) for name, value in values.items()}
    return replace(REQUEST, parameters=tagged, inputs=inputs)


def test_files_within_containers_count_by_their_bytes_and_not_by_their_paths() -> None:
    assert containers("/here", b"1").digest == containers("/there", b"1").digest
    assert containers("/here", b"1").digest != containers("/here", b"2").digest


def test_two_missing_paths_are_two_requests() -> None:
    def missing(path: str) -> RunRequest:
        entry = Input(kind="missing", name="data", path=path)
        return replace(REQUEST, parameters={"data": tag(Path(path))}, inputs=(entry,))

    assert missing("a").digest != missing("b").digest
