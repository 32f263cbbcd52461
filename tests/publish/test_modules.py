"""Local modules are found by reading, and only those below the project's root."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbprod.notebook import Notebook
from nbprod.publish.modules import local_modules
from tests.notebooks import notebook_of

FILES = {
    "notebooks/beside.py": "import deeper\n",
    "notebooks/deeper.py": "import os, json\n",
    "lib/__init__.py": "",
    "lib/core.py": "from . import util\nfrom .sub import thing as t\n",
    "lib/util.py": "",
    "lib/sub/__init__.py": "from ..other import x\n",
    "lib/sub/thing.py": "",
    "lib/other.py": "x = 1\n",
    "lib/unused.py": "",
    "spaces/inner.py": "",
    "json.py": "raise SystemExit('shadows the standard library: the kernel would import it, too')\n",
    "broken.py": "def (",
    "circle_a.py": "import circle_b\n",
    "circle_b.py": "import circle_a\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import beside", ["json.py", "notebooks/beside.py", "notebooks/deeper.py"]),
        (
            "from lib.core import anything",
            [
                "lib/__init__.py",
                "lib/core.py",
                "lib/other.py",
                "lib/sub/__init__.py",
                "lib/sub/thing.py",
                "lib/util.py",
            ],
        ),
        ("import lib", ["lib/__init__.py"]),
        ("from lib import util", ["lib/__init__.py", "lib/util.py"]),
        ("import lib.other as o", ["lib/__init__.py", "lib/other.py"]),
        ("import spaces.inner", ["spaces/inner.py"]),
        ("import broken", ["broken.py"]),
        ("import circle_a", ["circle_a.py", "circle_b.py"]),
        ("import numpy, os.path, nothing_of_the_kind", []),
        ("%matplotlib inline\n!ls\nimport beside", ["json.py", "notebooks/beside.py", "notebooks/deeper.py"]),
        ("%%bash\nimport beside", []),
        ("if True:\n    def f():\n        import circle_b", ["circle_a.py", "circle_b.py"]),
        ("import (", []),
    ],
    ids=str,
)
def test_what_imports_lead_to(root: Path, source: str, found: list[str]) -> None:
    notebook = Notebook.from_node(notebook_of(source))
    paths = local_modules(notebook, root / "notebooks", root)
    assert [path.relative_to(root).as_posix() for path in paths] == found


def test_what_lies_outside_the_project_is_not_taken(root: Path) -> None:
    notebook = Notebook.from_node(notebook_of("import beside, circle_a"))
    assert local_modules(notebook, root / "notebooks", root / "lib") == ()
