"""A notebook as it was written: cells, tags, kernel and schema, without what earlier executions left in the file."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nbprod.errors import NotebookInvalid, NotFound
from nbprod.notebook.format import load_node, sound_node
from nbprod.notebook.headings import headings
from nbprod.notebook.leftovers import INJECTED, PARAMETERS, RECORD, source_cells
from nbprod.parameters.parameter import Parameter, Unevaluated
from nbprod.parameters.schema import Schema

__all__ = ["FRESH_FOLDER", "INJECTED", "OUTPUT_DIR", "PARAMETERS", "RECORD", "Cell", "Notebook"]

OUTPUT_DIR = "output_dir"
"""The parameter that a run fills with a fresh folder."""
FRESH_FOLDER = Unevaluated("a fresh folder per run")
"""The default of an `output_dir` that is declared without one."""
_DESCRIPTION = "papermill_description="


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of the source notebook.

    Args:
        index: its place in the source notebook, from 0; what all cell numbers in records mean.
        kind: `code`, `markdown` or `raw`.
        source: its text.
        tags: its tags.
        id: its nbformat id, unique in the notebook.
        metadata: all its metadata; not to be changed.
    """

    index: int
    kind: str
    source: str
    tags: tuple[str, ...]
    id: str
    metadata: dict[str, Any] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """A source notebook. It is never modified (law 4): `node()` hands out copies. Equal by cells and kernel.

    Args:
        path: as given, or None.
        cells: the source's cells, without those that an earlier execution added.
        kernel_name: the kernel spec's name, or None.
        language: the kernel's language in lower case; `python` where nothing says otherwise.
        raw: the nbformat 4.5 dict that `cells` was read from; not to be changed.
        dropped: sentences on the cells that an earlier execution added to the file, and that are no source.
    """

    path: str | None
    cells: tuple[Cell, ...]
    kernel_name: str | None
    language: str
    raw: dict[str, Any] = field(repr=False, compare=False)
    dropped: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def parse(cls, data: bytes, *, path: str | os.PathLike[str] | None = None) -> Notebook:
        """Read a notebook from the bytes of an `.ipynb` file, of any nbformat version.

        Raises:
            NotebookInvalid: the bytes are no sound notebook.
        """
        where = _where(path)
        try:
            return cls._of(load_node(data, where=where), None if path is None else os.fspath(path), where)
        except RecursionError as error:
            raise NotebookInvalid(f"{where} is not a notebook", found="lists or objects nested too deep") from error

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Notebook:
        """Read a notebook file.

        Raises:
            NotFound: there is no such file, or it cannot be read.
            NotebookInvalid: it is no sound notebook.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise NotFound(
                f"the notebook {os.fspath(path)} cannot be read", found=error.strerror or str(error)
            ) from error
        return cls.parse(data, path=path)

    @classmethod
    def from_node(cls, node: dict[str, Any], *, path: str | os.PathLike[str] | None = None) -> Notebook:
        """Take a notebook from an nbformat dict (or `NotebookNode`), which is copied.

        Raises:
            NotebookInvalid: it is no sound notebook.
        """
        where = _where(path)
        sound = sound_node(_plain_dicts(node), where=where)
        return cls._of(sound, None if path is None else os.fspath(path), where)

    @classmethod
    def _of(cls, node: dict[str, Any], path: str | None, where: str) -> Notebook:
        node["cells"], dropped = source_cells(node)
        kernel_name, language = _kernel(node["metadata"], where)
        cells = tuple(
            Cell(
                index=index,
                kind=cell["cell_type"],
                source=cell["source"],
                tags=tuple(cell["metadata"].get("tags", ())),
                id=cell["id"],
                metadata=copy.deepcopy(cell["metadata"]),
            )
            for index, cell in enumerate(node["cells"])
        )
        return cls(path=path, cells=cells, kernel_name=kernel_name, language=language, raw=node, dropped=dropped)

    def node(self) -> dict[str, Any]:
        """Return a copy of the nbformat 4.5 dict, one node per cell of `cells`."""
        return copy.deepcopy(self.raw)

    @property
    def name(self) -> str:
        """The path's file name, or `the notebook`, for messages."""
        return "the notebook" if self.path is None else Path(self.path).name

    @property
    def code_cells(self) -> tuple[Cell, ...]:
        """The code cells."""
        return tuple(cell for cell in self.cells if cell.kind == "code")

    @property
    def parameters_cell(self) -> int | None:
        """The index of the first code cell tagged `parameters`, or None."""
        return next((cell.index for cell in self.code_cells if PARAMETERS in cell.tags), None)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences on what a reader of the file may not expect of a run of it."""
        tagged = [cell.index for cell in self.code_cells if PARAMETERS in cell.tags]
        return self.dropped + tuple(
            f"cell {index} is tagged {PARAMETERS} too, but only cell {tagged[0]} declares them: what cell {index} "
            "assigns goes over the values that were given"
            for index in tagged[1:]
        )

    @property
    def injected_cell(self) -> int | None:
        """The index of the first code cell whose author tagged it `injected-parameters`, or None."""
        return next((cell.index for cell in self.code_cells if INJECTED in cell.tags), None)

    @property
    def schema(self) -> Schema:
        """What the parameters cell declares; of other languages than Python nothing is known, and any name is taken.

        An `output_dir` without a default is not required of the caller: a run fills it.

        Raises:
            NotebookInvalid: the parameters cell is not Python.
        """
        index = self.parameters_cell
        if index is None:
            return Schema(declared=False)
        if self.language != "python":
            return Schema(open=True)
        try:
            read = Schema.from_source(self.cells[index].source)
        except NotebookInvalid as error:
            what = f"{self.name}: cell {index}: {error.what}"
            raise NotebookInvalid(what, expected=error.expected, found=error.found, hint=error.hint) from error
        return replace(read, parameters=tuple(map(_filled_by_runs, read.parameters)))

    @property
    def title(self) -> str | None:
        """The first heading of the highest level that the notebook has, or None."""
        found = [heading for cell in self.cells if cell.kind == "markdown" for heading in headings(cell.source)]
        return min(found, key=lambda heading: heading.level).text if found else None

    def heading(self, index: int) -> str | None:
        """Return a cell's label for progress.

        It is the text after `papermill_description=` in a code cell, else the nearest markdown heading at or above the
        cell, else None.
        """
        cell = self.cells[index]
        if cell.kind == "code" and _DESCRIPTION in cell.source:
            described = cell.source.partition(_DESCRIPTION)[2].split("\n", 1)[0].strip()
            if described:
                return described
        for above in reversed(self.cells[: index + 1]):
            if above.kind == "markdown" and (found := headings(above.source)):
                return found[-1].text
        return None


def _where(path: str | os.PathLike[str] | None) -> str:
    return "the notebook" if path is None else os.fspath(path)


def _filled_by_runs(parameter: Parameter) -> Parameter:
    if parameter.name != OUTPUT_DIR or not parameter.required:
        return parameter
    return replace(parameter, default=FRESH_FOLDER)


def _plain_dicts(value: Any) -> Any:
    """Copy a tree of dicts and lists, so that a `NotebookNode` becomes a dict."""
    if isinstance(value, dict):
        return {key: _plain_dicts(item) for key, item in value.items()}
    return [_plain_dicts(item) for item in value] if isinstance(value, list | tuple) else value


def _kernel(metadata: dict[str, Any], where: str) -> tuple[str | None, str]:
    spec, info = metadata.get("kernelspec", {}), metadata.get("language_info", {})
    if not isinstance(spec, dict) or not isinstance(info, dict):
        raise NotebookInvalid(f"{where} is not valid: metadata", expected="objects as kernelspec and language_info")
    name = spec.get("name") or None
    language = info.get("name") or spec.get("language") or None
    if not all(text is None or isinstance(text, str) for text in (name, language)):
        raise NotebookInvalid(f"{where} is not valid: metadata", expected="texts as the names of kernel and language")
    if language is None:
        language = "python" if name is None or "py" in name.lower() else name
    return name, language.lower()
