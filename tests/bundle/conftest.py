"""A pipeline of two steps, exported; and bundles that were changed."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nbprod.bundle import open_bundle
from nbprod.bundle.form import INDEX, Index
from nbprod.digest import digest_bytes
from nbprod.project import Project, Run, RunOptions
from nbprod.project.export import export
from nbprod.project.keys import init_keys
from nbprod.verify import Asked, Conclusion, Verification, read_trust
from nbprod.verify.bundled import BundleVerifier
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import nothing_survives

SETTINGS = """
keys = "keys"
[tool.nbprod.steps.prepare]
notebook = "prepare.ipynb"
roots = ["raw"]
"""
PREPARE = """
import local_module
text = open("raw/ä.csv").read() + open("data.csv").read()
open(output_dir + "/clean.csv", "w").write(text)
"""
TRAIN = """
import scrapbook as sb
sb.glue("long", "long " * 100_000)
open(output_dir + "/Modell: größer?.bin", "w").write(open(clean).read() * 2)
"""


@dataclass(frozen=True)
class Exported:
    """What was exported from a project that is there still; tests of bundles don't look at it."""

    project: Project
    prepared: Run
    trained: Run
    path: Path
    root: str


@pytest.fixture(scope="package")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    root = tmp_path_factory.mktemp("exported")
    (root / "raw").mkdir()
    for name, text in {"raw/ä.csv": "1,2\n", "data.csv": "3,4\n", "local_module.py": "A = 1\n"}.items():
        (root / name).write_text(text)
    output = ("output_dir = 'x'", PARAMETERS)
    write(root / "prepare.ipynb", output, PREPARE)
    write(root / "train.ipynb", ("from pathlib import Path\nclean: Path = 'x'\noutput_dir = 'x'", PARAMETERS), TRAIN)
    with nothing_survives() as mark, project_in(root, mark, SETTINGS) as project:
        init_keys(project)
        current = read_trust(project.home.ledger.log).current
        assert current is not None
        key = current.root
        prepared = project.run_job(project.job(project.step("prepare"), {}, RunOptions()))
        given = {"clean": prepared.artifacts["clean.csv"]}
        trained = project.run_job(project.job(project.step("train.ipynb"), given, RunOptions()))
        assert prepared, prepared.reason
        assert trained, trained.reason
        project.close()
        made = export(project, trained, root / "train.nbprod.zip", upstream=True)
        assert made.covered
        yield Exported(project, prepared, trained, made.path, key)


@pytest.fixture
def verify(tmp_path: Path) -> Callable[..., list[Verification]]:
    """Verify as somebody who has nothing but the bundle."""

    def verified(path: Path, **asked: Any) -> list[Verification]:
        with open_bundle(path) as bundle:
            verifier = BundleVerifier(bundle, Asked(**({"seen": tmp_path / "seen.json"} | asked)), {})
            found = list(verifier.all())
            verifier.remember()
            return found

    return verified


def worst(found: list[Verification]) -> Conclusion:
    return min((each.conclusion for each in found), key=list(Conclusion).index)


Members = dict[str, bytes]


def members_of(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, members: Members) -> Path:
    """Write a zip file in the form that a bundle has."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o100644 << 16
            archive.writestr(info, members[name])
    return path


def with_index(members: Members) -> Members:
    """Return the members with an index that names them as they are: whoever makes a bundle makes that, too."""
    index = Index.from_bytes(members[INDEX])
    made = tuple(
        replace(each, digest=digest_bytes(members[each.name]), size=len(members[each.name]))
        for each in index.members
        if each.name in members
    )
    return members | {INDEX: replace(index, members=made).to_bytes()}
