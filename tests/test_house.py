"""The house rules: what imports what, how light it is, how big it may be, and that errors cross processes."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from nbprod.digest import Digest
from nbprod.errors import NbprodError, ParameterFault
from nbprod.record.ids import RunId
from nbprod.record.status import Status
from tests.house import FILES, MODULES, ROOT, long_functions, module_name

MODULE_LINES = 400
FUNCTION_LINES = 80

HEAVY = {
    "prefect",
    "papermill",
    "nbclient",
    "pandas",
    "fastapi",
    "starlette",
    "uvicorn",
    "flask",
    "sklearn",
    "scrapbook",
}
MAY_LOAD = {
    "nbprod.execution.languages": {"papermill", "nbclient"},
    "nbprod.execution.nbclient_driver": {"nbclient"},
    "nbprod.foreign": {"papermill", "nbclient"},
}
"""Modules that are imported when a notebook is executed, and what they may bring; `nbprod.flow` brings Prefect."""


def fresh(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=250, check=False, cwd=cwd
    )


def roots(loaded: list[str]) -> set[str]:
    return {module.partition(".")[0] for module in loaded}


def alone(*modules: str) -> dict[str, dict[str, Any]]:
    done = fresh("-W", "error", str(ROOT / "tests" / "import_alone.py"), *modules)
    assert done.returncode == 0, done.stderr
    return {entry["module"]: entry for entry in map(json.loads, done.stdout.splitlines())}


# --- imports ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_module_imports_alone_without_a_warning_and_stays_light() -> None:
    modules = [name for name in MODULES if not name.startswith("nbprod.flow")]
    found = alone(*modules)
    assert set(found) == set(modules)
    assert {name: entry["fault"] for name, entry in found.items() if entry["fault"]} == {}
    brought = {name: (roots(entry["loaded"]) & HEAVY) - MAY_LOAD.get(name, set()) for name, entry in found.items()}
    assert {name: heavy for name, heavy in brought.items() if heavy} == {}


def test_import_alone_tells_what_is_broken_noisy_or_heavy(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("from nbprod.errors import Nothing\n")
    (tmp_path / "noisy.py").write_text("import warnings\nwarnings.warn('old', DeprecationWarning)\n")
    (tmp_path / "heavy.py").write_text("import pandas\n")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "tests" / "import_alone.py"), "broken", "noisy", "heavy"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
    )
    broken, noisy, heavy = map(json.loads, done.stdout.splitlines())
    assert "ImportError" in broken["fault"]
    assert "DeprecationWarning" in noisy["fault"]
    assert "pandas" in roots(heavy["loaded"])


def test_import_nbprod_costs_next_to_nothing() -> None:
    loaded = set(alone("nbprod")["nbprod"]["loaded"])
    assert loaded & {name for name in MODULES if name != "nbprod"} == set()
    assert roots(sorted(loaded)) & HEAVY == set()


def test_help_loads_neither_prefect_nor_papermill_nor_pandas_nor_a_web_framework() -> None:
    script = (
        "import json, sys\n"
        "from nbprod.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code\nelse:\n    code = 0\n"
        "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)\n"
    )
    done = fresh("-W", "error", "-c", script, "--help")
    assert done.returncode == 0, done.stderr
    code, loaded = json.loads(done.stderr.splitlines()[-1])
    assert not code
    assert "Usage" in done.stdout
    assert roots(loaded) & (HEAVY | {"numpy", "pyarrow", "sqlalchemy", "jupyter_client"}) == set()


def test_import_papermill_loads_nothing_of_nbprod_but_the_entry_point() -> None:
    entry = alone("papermill")["papermill"]
    assert entry["fault"] is None
    assert [name for name in entry["loaded"] if name.startswith("nbprod")] == ["nbprod", "nbprod.engine"]


def test_papermill_finds_the_engine() -> None:
    (entry,) = entry_points(group="papermill.engine", name="nbprod")
    assert entry.value == "nbprod.engine:NbprodEngine"
    script = "from papermill.engines import papermill_engines as e; print(e.get_engine('nbprod').__name__)"
    assert fresh("-c", script).stdout.strip() == "NbprodEngine"


@pytest.mark.slow
def test_prefects_api_server_starts_with_the_locked_fastapi() -> None:
    # Prefect 3.8 with a newer fastapi dies here: Body() got an unexpected keyword argument 'min_items'.
    script = "from prefect.server.api.server import create_api_app\nprint(len(create_api_app().openapi()['paths']))\n"
    done = fresh("-c", script)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 100


# --- layers and sizes ---------------------------------------------------------------------------


def test_layers_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_design_shows_the_layers_that_are_checked() -> None:
    contract = (ROOT / ".importlinter").read_text("utf-8").partition("layers =\n")[2].partition("\n\n")[0]
    checked = {word.strip(" ()|") for line in contract.splitlines() for word in line.split("|")}
    house = (ROOT / "docs" / "design.md").read_text("utf-8").partition("## The house")[2].split("```")[1]
    shown = {word.strip() for line in house.splitlines() for word in line[:38].split("|")}
    assert checked <= shown


@pytest.mark.parametrize("path", FILES, ids=[module_name(path) for path in FILES])
def test_no_module_and_no_function_is_too_long(path: Path) -> None:
    source = path.read_text("utf-8")
    assert source.count("\n") <= MODULE_LINES
    assert long_functions(source, FUNCTION_LINES) == []


def test_long_functions_are_seen() -> None:
    source = "class A:\n    async def f(self):\n" + "        x = 1\n" * FUNCTION_LINES
    assert long_functions(source, FUNCTION_LINES) == [f"f ({FUNCTION_LINES + 1} lines)"]


# --- errors -------------------------------------------------------------------------------------


def descendants(cls: type[NbprodError]) -> list[type[NbprodError]]:
    return [cls, *(found for child in cls.__subclasses__() for found in descendants(child))]


def all_errors() -> list[type[NbprodError]]:
    for name in MODULES:
        if name not in MAY_LOAD and not name.startswith("nbprod.flow"):
            import_module(name)
    found = dict.fromkeys(descendants(NbprodError))
    return sorted((cls for cls in found if cls.__module__.startswith("nbprod")), key=lambda cls: cls.__qualname__)


RUN = RunId("01890a5d-ac96-774b-bcce-b302099a8057")
SAMPLES: dict[Any, Any] = {
    bool: True,
    str: "text",
    str | None: "text",
    int: 3,
    int | None: 3,
    float: 1.5,
    Digest: Digest("0" * 64),
    Path: Path("a") / "b",
    RunId: RUN,
    Status: Status.FAILED,
    tuple[RunId, ...]: (RUN,),
    tuple[str, ...]: ("a", "b"),
    tuple[ParameterFault, ...]: (ParameterFault("alpha", "a float", "'x'", "mend it"),),
}
"""A value for each type that an error is made of."""


def sample(cls: type[NbprodError]) -> NbprodError:
    hints = get_type_hints(cls.__init__)
    positional, named = [], {}
    for name, parameter in inspect.signature(cls).parameters.items():
        value = SAMPLES[hints[name]]
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[name] = value
        else:
            positional.append(value)
    return cls(*positional, **named)


def survives(error: Exception) -> bool:
    try:
        again = pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever a pickle dies of
        return False
    return type(again) is type(error) and str(again) == str(error) and vars(again) == vars(error)


@pytest.mark.parametrize("cls", all_errors(), ids=lambda cls: cls.__qualname__)
def test_every_error_survives_pickle(cls: type[NbprodError]) -> None:
    assert survives(sample(cls))


def test_an_error_with_the_default_pickling_would_be_seen() -> None:
    class_with_keywords = type("Careless", (Exception,), {"__init__": lambda self, *, what: None})
    assert not survives(class_with_keywords(what="lost"))


def test_every_error_names_its_exit_code() -> None:
    assert {cls.__qualname__: cls.exit_code for cls in all_errors() if not 0 < cls.exit_code < 128} == {}


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="only where several workers share the tests")
def test_the_tests_of_a_file_stay_in_one_worker(request: pytest.FixtureRequest) -> None:
    """Else each worker starts servers, and makes what a file's tests share, of its own."""
    assert request.node.nodeid.endswith("@tests/test_house.py")
