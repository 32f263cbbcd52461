"""The source digest: what changes it, and what doesn't."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.notebook import Notebook, source_digest

texts = st.text(st.characters(), max_size=20)
cells = st.lists(
    st.builds(
        lambda kind, source, tags: (kind, source, tags),
        st.sampled_from(["code", "markdown", "raw"]),
        texts,
        st.lists(st.text(min_size=1, max_size=4), max_size=3, unique=True),
    ),
    max_size=4,
)


def node(parts, **noise):
    found = []
    for kind, source, tags in parts:
        more = {"outputs": []} if kind == "code" else {}
        found.append({"cell_type": kind, "source": source, "metadata": {"tags": tags, **noise}, **more})
    metadata = {"kernelspec": {"name": "python3"}, **noise}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": found}


def digest(value):
    return source_digest(Notebook.from_node(value))


@given(cells)
def test_noise_does_not_change_it(parts):
    plain = node(parts)
    noisy = node([(kind, source, tags[::-1]) for kind, source, tags in parts], papermill={"status": "completed"})
    for index, cell in enumerate(noisy["cells"]):
        cell["id"] = f"id{index}"
        cell["source"] = cell["source"].splitlines(keepends=True) if "\ud800" not in cell["source"] else cell["source"]
        if cell["cell_type"] == "code":
            cell["execution_count"] = index
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x"}]
    assert digest(plain) == digest(noisy)
    assert digest(plain) == source_digest(Notebook.parse(json.dumps(plain).encode()))


BASE = node([("code", "a = 1", ["parameters"]), ("markdown", "b", [])])


@pytest.mark.parametrize(
    "other",
    [
        node([("code", "a = 2", ["parameters"]), ("markdown", "b", [])]),
        node([("code", "a = 1", []), ("markdown", "b", [])]),
        node([("code", "a = 1", ["parameters"]), ("raw", "b", [])]),
        node([("markdown", "b", []), ("code", "a = 1", ["parameters"])]),
        node([("code", "a = 1", ["parameters"])]),
        node([("code", "a = 1", ["parameters"]), ("markdown", "b", [])], kernelspec={"name": "other-py"}),
        node([("code", "a = 1", ["parameters"]), ("markdown", "b", [])], language_info={"name": "julia"}),
    ],
    ids=["source", "tags", "kind", "order", "fewer", "kernel", "language"],
)
def test_what_changes_it(other):
    assert digest(BASE) == digest(json.loads(json.dumps(BASE)))
    assert digest(BASE) != digest(other)


def test_it_is_the_same_for_ever():
    # A change here changes the identity of every step that was ever recorded.
    assert str(digest(BASE)) == "sha256:53ad4e493a9edeef4536599b8c82b113e3e286944e5812ecbc51ab251cdd2cbe"


MODULES = sorted(
    f"nbprod.{package}.{module.name}"
    for package in ("parameters", "notebook")
    for module in pkgutil.iter_modules(importlib.import_module(f"nbprod.{package}").__path__)
)
LIGHT = """
import sys
import {module}
slow = {{"pandas", "numpy", "papermill", "prefect", "nbformat", "IPython"}} & set(sys.modules)
sys.exit(f"{module} loads {{slow}}" if slow else 0)
"""


@pytest.mark.parametrize("module", MODULES)
def test_imports_alone_and_light(module):
    done = subprocess.run(
        [sys.executable, "-c", LIGHT.format(module=module)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
