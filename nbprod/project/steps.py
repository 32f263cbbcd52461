"""Steps by what people call them: a name in the settings, a path, an address, a published version."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nbprod.errors import CallerError, NotebookInvalid, NotFound
from nbprod.notebook import Notebook
from nbprod.project.home import Home
from nbprod.project.standings import remark_on
from nbprod.publish.reference import StepReference, resolve
from nbprod.publish.tree import frozen_step
from nbprod.step.step import Step, StepSettings
from nbprod.store.elsewhere import read_url, shown_url

if TYPE_CHECKING:
    from nbprod.project.project import Project

__all__ = ["find_step"]

_NOTEBOOK = "a Jupyter notebook"


def find_step(what: str | os.PathLike[str], project: Project) -> Step:
    """Load a step (see `Project.step`).

    Raises:
        NotFound: neither a step nor a notebook is called so.
        NotebookInvalid: the notebook cannot be read.
    """
    text, settings, home = os.fspath(what), project.settings, project.home
    if text in settings.steps:
        known = settings.steps[text]
        if known.notebook is None:
            raise CallerError(f"step {text} has no notebook", hint=f"Set `notebook` in [tool.nbprod.steps.{text}].")
        if "://" in known.notebook:
            return _elsewhere(known.notebook, text, known, home)
        return _at(text, home.root / known.notebook, known, home)
    if "://" in text:
        name = PurePosixPath(urlsplit(text).path).stem or "notebook"
        return _elsewhere(text, name, settings.steps.get(name, StepSettings()), home)
    path = next((p for p in (Path(text), home.root / text) if p.is_file()), None)
    if path is None:
        return _published(text, project)
    path = path.absolute()
    for name, each in settings.steps.items():
        if each.notebook is not None and (home.root / each.notebook).resolve() == path.resolve():
            return _at(name, path, each, home)
    return _at(path.stem, path, StepSettings(), home)


def _published(text: str, project: Project) -> Step:
    reference, home = StepReference.parse(text), project.home
    if reference is not None and home.has_ledger():
        found = resolve(reference, home.ledger)
        label = f"{found.step}@{found.version}"
        step = frozen_step(label, found.manifest, store=home.store, trees=home.folder / "steps")
        assert step.published is not None  # noqa: S101 - it was frozen
        remark = remark_on(project, found, reference.which)
        return replace(step, published=replace(step.published, remark=remark)) if remark else step
    steps = ", ".join(project.settings.steps) or "none"
    raise NotFound(
        f"there is no notebook or step {text!r}",
        expected=f"a path to an .ipynb file, or a step from pyproject.toml ({steps})",
        hint=f"Looked in {' and '.join(map(str, dict.fromkeys((Path.cwd(), home.root))))}.",
    )


def _at(name: str, path: Path, settings: StepSettings, home: Home) -> Step:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotFound(f"the notebook {path} of step {name} cannot be read", found=error.strerror) from error
    if not data:
        raise NotebookInvalid(f"{path} is empty", expected=_NOTEBOOK)
    folder = path.parent if settings.cwd is None else home.root / settings.cwd
    notebook = Notebook.parse(data, path=path)
    return Step(name=name, notebook=notebook, data=data, path=path, folder=folder, settings=settings)


def _elsewhere(url: str, name: str, settings: StepSettings, home: Home) -> Step:
    """Load a notebook from an address; it runs in the project's root unless its settings say otherwise."""
    data, shown = read_url(url), shown_url(url)
    if not data:
        raise NotebookInvalid(f"{shown} is empty", expected=_NOTEBOOK)
    return Step(
        name=name,
        notebook=Notebook.parse(data, path=shown),
        data=data,
        path=None,
        folder=home.root if settings.cwd is None else home.root / settings.cwd,
        settings=settings,
        origin=shown,
    )
