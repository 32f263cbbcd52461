"""The bootstrap in a real kernel: what it adds, and that stock notebooks do not notice it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import nbformat
import pytest
from jupyter_client import KernelManager
from jupyter_core.utils import run_sync
from nbclient import NotebookClient

from nbprod.kernels.bootstrap import bootstrap_source
from nbprod.scraps import Scrap, read_scraps

COMMON = """
import scrapbook as sb
sb.glue("int", 3)
sb.glue("float", 0.25)
sb.glue("whole", 1.0)
sb.glue("text", "hällo")
sb.glue("yes", True)
sb.glue("list", [1, 2.5, "a", None, [True]])
sb.glue("dict", {"a": 1, "b": {"c": [1, 2]}, "d": None})
sb.glue("keys", {1: 2})
sb.glue("jsontext", '{"a": 1}', encoder="json")
sb.glue("shown", 7, display=True)
"""

SPOILED = """
import datetime, decimal, pathlib, uuid, zoneinfo
import numpy as np, pandas as pd, scrapbook as sb
sb.glue("none", None)
sb.glue("nan", float("nan"))
sb.glue("inf", [1.0, float("-inf")])
sb.glue("npint", np.int64(5))
sb.glue("npfloat", np.float32(0.5))
sb.glue("npnan", np.float64("nan"))
sb.glue("npbool", np.bool_(True))
sb.glue("nptime", np.datetime64("2013-01-01T00:00:00", "ns"))
sb.glue("array", np.array([[1.0, np.nan], [3.0, 4.0]]))
sb.glue("empty", np.zeros((0, 3), dtype="int32"))
sb.glue("complex", np.array([1 + 2j]))
sb.glue("objects", np.array([[1, "a"], [None, (2, 3)]], dtype=object))
sb.glue("datetime", datetime.datetime(2013, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc))
sb.glue("zoned", datetime.datetime(2013, 11, 3, 1, 30, tzinfo=zoneinfo.ZoneInfo("America/New_York"), fold=1))
sb.glue("date", datetime.date(2013, 1, 2))
sb.glue("timedelta", datetime.timedelta(days=-1, microseconds=5))
sb.glue("tuple", (1, (2.5, "x")))
sb.glue("set", {3, 1, 2})
sb.glue("decimal", decimal.Decimal("1.10"))
sb.glue("uuid", uuid.UUID(int=5))
sb.glue("path", pathlib.Path("a") / "b")
sb.glue("series", pd.Series([1.0, np.nan], index=["a", "b"], name="delay"))
sb.glue("stamps", pd.Series(pd.to_datetime(["2013-01-01", None]), name="t"))
sb.glue("levels", pd.Series([1, 2], index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", "y"])))
sb.glue("timestamp", pd.Timestamp("2013-01-02T03:04:05.123456789"))
sb.glue("frame", pd.DataFrame({"a": [1, 2]}))
sb.glue("nested", {"auc": np.float64(0.5), "n": np.int64(3), "by": {("a", 1): [float("nan")]}})
sb.glue("marked", {"$nbprod": "float", "value": "nan"})
"""


LOOK = """
import sys
print(sorted(set(globals()) - {'sys'}), len(In), Out)
print([name for name in sys.modules if 'nbprod_' in name or 'scrapbook' in name or name == 'pandas'])
"""

REFUSED = """
import scrapbook as sb, pandas as pd
from IPython.display import HTML
sb.glue('page', HTML('<b>b</b>'))
for value in (object(), b'x', (1, object), {object}, pd.Period('2013-01'), [b'x']):
    try:
        sb.glue('x', value)
        print('taken', value)
    except Exception as error:
        print(repr(value)[:8], type(error).__name__, str(error)[:30])
"""

CONTROL = """
for value in (None, (1, 2), pd.Series([1])):
    try:
        sb.glue('x', value)
        print('taken')
    except NotImplementedError:
        print('refused')
"""

AFTER = """
import inspect, sys
print([str(finder).partition(' object at ')[0] for finder in sys.meta_path])
print(inspect.getsource(sb.encoders.JsonEncoder)[:20], type(sb.encoders.__spec__.loader).__name__)
"""


PRINTED = """
import contextlib, io, os, sys, threading
from IPython.display import display, HTML
from IPython.utils.capture import capture_output
print("a", 1, sep="-", end="")
print("", end="")
print("b")
print("err", file=sys.stderr)
sys.stdout.writelines(["x\\n", "", "y\\n"])
class Loud(str):
    def __str__(self):
        return "loud"
print(sys.stdout.write("four"), sys.stdout.write(""), sys.stdout.write(Loud("sub")))
for wrong in (1, b"x", None):
    try:
        sys.stdout.write(wrong)
    except TypeError as error:
        print(error)
try:
    sys.stdout.write("one", "too many")
except TypeError as error:
    print("TypeError")
display(HTML("<b>shown</b>"))
print("after")
def work():
    print("thread")
thread = threading.Thread(target=work)
thread.start()
thread.join()
with contextlib.redirect_stdout(io.StringIO()) as held:
    print("redirected")
print(repr(held.getvalue()))
with capture_output() as captured:
    print("captured")
    display(HTML("hidden"))
print(repr(captured.stdout), len(captured.outputs))
print("before the fork", flush=True)
pid = os.fork()
if pid == 0:
    print("child")
    sys.stdout.flush()
    os._exit(0)
os.waitpid(pid, 0)
print("after the fork", flush=True)
get_ipython().run_cell("print('inner')", store_history=False)
print("\U0001f600 \\x1b[31mred\\x1b[0m \\r\\n")
"""

HISTORY = """
manager = get_ipython().history_manager
print([(entry.output_type, entry.bundle.get("stream")) for entry in manager.outputs[1]])
print(sys.stdout.isatty(), sys.stdout.closed, sys.stdout.parent_header["msg_type"])
"""

MAGIC = "%%capture kept\nprint('magic')"
TOLD = "print(kept.stdout, 'QuickTee' in repr(sys.stdout.write))"


async def prepare(client: NotebookClient) -> dict[str, Any]:
    """Send the bootstrap as the driver does."""
    request = {"silent": True, "store_history": False, "reply": True, "timeout": 60}
    return await client.kc.execute(bootstrap_source(), **request)


def execute(*sources: str, bootstrap: bool, allow_errors: bool = False) -> list[nbformat.NotebookNode]:
    """Run the cells in a real kernel; return them."""
    cells = [nbformat.v4.new_code_cell(source, id=f"c{index}") for index, source in enumerate(sources)]
    client = NotebookClient(
        nbformat.v4.new_notebook(cells=cells), timeout=120, record_timing=False, allow_errors=allow_errors
    )
    with client.setup_kernel():
        if bootstrap:
            assert run_sync(prepare)(client)["content"]["status"] == "ok"
        for index, cell in enumerate(cells):
            client.execute_cell(cell, index)
    return cells


def scraps_of(cells: list[nbformat.NotebookNode]) -> dict[str, Scrap]:
    return {scrap.name: scrap for scrap in read_scraps((n, cell.outputs) for n, cell in enumerate(cells))}


@pytest.fixture(scope="module")
def stock() -> list[nbformat.NotebookNode]:
    return execute(LOOK, COMMON, REFUSED, AFTER, CONTROL, bootstrap=False)


@pytest.fixture(scope="module")
def prepared() -> list[nbformat.NotebookNode]:
    return execute(LOOK, COMMON, REFUSED, AFTER, SPOILED, bootstrap=True)


@pytest.mark.kernel
def test_it_leaves_no_trace(stock: list[nbformat.NotebookNode], prepared: list[nbformat.NotebookNode]) -> None:
    assert [cell.execution_count for cell in prepared] == [1, 2, 3, 4, 5]
    assert prepared[0].outputs == stock[0].outputs
    assert prepared[3].outputs == stock[3].outputs


@pytest.mark.kernel
def test_common_values_are_byte_for_byte_stock(
    stock: list[nbformat.NotebookNode], prepared: list[nbformat.NotebookNode]
) -> None:
    ours, theirs = (nbformat.writes(nbformat.v4.new_notebook(cells=[cells[1]])) for cells in (prepared, stock))
    assert ours == theirs
    assert '"scrapbook.scrap.json+json"' not in theirs
    assert theirs.count("scrapbook.scrap.json+json") == 9


@pytest.mark.kernel
def test_what_nobody_can_write_is_refused_as_stock_does(
    stock: list[nbformat.NotebookNode], prepared: list[nbformat.NotebookNode]
) -> None:
    assert prepared[2].outputs == stock[2].outputs
    assert "NotImplementedError" in str(stock[2].outputs)
    page = read_scraps([(2, prepared[2].outputs)])[0]
    assert (page.name, page.encoder, page.value()["text/html"]) == ("page", "display", "<b>b</b>")


@pytest.mark.kernel
def test_what_stock_refuses_comes_back_with_its_type(
    stock: list[nbformat.NotebookNode], prepared: list[nbformat.NotebookNode]
) -> None:
    import numpy as np
    import pandas as pd

    assert stock[4].outputs[0]["text"] == "refused\n" * 3  # the control: without the bootstrap
    values = {name: scrap.value() for name, scrap in scraps_of(prepared).items()}
    expected = {
        "none": None,
        "inf": [1.0, float("-inf")],
        "npint": 5,
        "npfloat": 0.5,
        "npbool": True,
        "datetime": datetime(2013, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        "zoned": datetime(2013, 11, 3, 1, 30, tzinfo=ZoneInfo("America/New_York"), fold=1),
        "date": date(2013, 1, 2),
        "timedelta": timedelta(days=-1, microseconds=5),
        "tuple": (1, (2.5, "x")),
        "set": {1, 2, 3},
        "decimal": Decimal("1.10"),
        "uuid": UUID(int=5),
        "path": Path("a/b"),
        "timestamp": pd.Timestamp("2013-01-02T03:04:05.123456789"),
        "marked": {"$nbprod": "float", "value": "nan"},
    }
    assert {name: values[name] for name in expected} == expected
    assert {name: type(values[name]) for name in expected} == {name: type(value) for name, value in expected.items()}
    assert values["zoned"].fold == 1
    assert values["zoned"].utcoffset() == timedelta(hours=-5)
    assert np.isnan(values["nan"])
    assert np.isnan(values["npnan"])
    assert values["nptime"] == np.datetime64("2013-01-01T00:00:00", "ns")
    np.testing.assert_array_equal(values["array"], np.array([[1.0, np.nan], [3.0, 4.0]]))
    assert values["empty"].shape == (0, 3)
    assert values["empty"].dtype == np.int32
    assert values["complex"].tolist() == [1 + 2j]
    assert values["objects"].tolist() == [[1, "a"], [None, (2, 3)]]
    pd.testing.assert_series_equal(values["series"], pd.Series([1.0, np.nan], index=["a", "b"], name="delay"))
    pd.testing.assert_series_equal(values["stamps"], pd.Series(pd.to_datetime(["2013-01-01", None]), name="t"))
    assert values["levels"].to_dict() == {("a", 1): 1, ("b", 2): 2}
    pd.testing.assert_frame_equal(values["frame"], pd.DataFrame({"a": [1, 2]}))
    assert values["nested"]["auc"] == 0.5
    assert np.isnan(values["nested"]["by"]["a", 1][0])


@pytest.mark.kernel
def test_stock_scrapbook_reads_the_file(prepared: list[nbformat.NotebookNode], tmp_path: Path) -> None:
    nbformat.write(nbformat.v4.new_notebook(cells=prepared), tmp_path / "out.ipynb")
    script = (
        "import sys, scrapbook as sb\n"
        "s = sb.read_notebook(sys.argv[1]).scraps\n"
        "assert s['npint'].data == 5 and s['npfloat'].data == 0.5 and s['frame'].data.shape == (2, 1)\n"
        "assert {x.encoder for x in s.values()} == {'json', 'pandas', 'text', 'display'}\n"
        "print(len(s), flush=True)\n"
        "import os; os._exit(0)\n"  # pyarrow's threads now and then abort an interpreter that ends as usual
    )
    command = [sys.executable, "-c", script, str(tmp_path / "out.ipynb")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(scraps_of(prepared))


def streams_of(cell: nbformat.NotebookNode) -> tuple[str, str, list[str]]:
    """Return what a cell wrote to each stream , however cut, and its other outputs."""
    texts = {name: "".join(o.text for o in cell.outputs if o.get("name") == name) for name in ("stdout", "stderr")}
    return texts["stdout"], texts["stderr"], [str(o) for o in cell.outputs if o.output_type != "stream"]


@pytest.mark.kernel
def test_quick_printing_has_all_the_effects_of_the_stock_one() -> None:
    sources = (PRINTED, HISTORY, MAGIC, TOLD, "print('x' * 10)\n1 / 0")
    ours, stock = (execute(*sources, bootstrap=bootstrap, allow_errors=True) for bootstrap in (True, False))
    assert ours[3].outputs[0].text == "magic\n True\n"
    assert stock[3].outputs[0].text == "magic\n False\n"  # the control
    assert "'four'" in stock[1].outputs[0].text
    assert "child" in streams_of(stock[0])[0]
    for number in (0, 1, 2, 4):
        assert streams_of(ours[number]) == streams_of(stock[number]), sources[number]


@pytest.mark.kernel
def test_threads_that_print_lose_nothing() -> None:
    source = (
        "import threading\n"
        "def work(n):\n    for i in range(2000):\n        print(f'{n}:{i}')\n"
        "threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]\n"
        "[t.start() for t in threads]\n[t.join() for t in threads]\nprint('end')"
    )
    (cell,) = execute(source, bootstrap=True)
    # `print` writes text and line end apart, so threads mix them; each part is there once.
    pieces = sorted("".join(output.text for output in cell.outputs).replace("\n", ""))
    wanted = sorted("".join(f"{n}:{i}" for n in range(4) for i in range(2000)) + "end")
    assert pieces == wanted


LATE = """
import collections, threading, time
class Late(collections.deque):
    def append(self, item, *, current=threading.current_thread, sleep=time.sleep):
        if current().name == "Control":
            sleep(0.1)
        super().append(item)
thread = get_ipython().kernel.iopub_thread
thread._events = Late(thread._events)
"""
"""Holds up the thread of the control channel where it has found the publishing thread alive, and has yet to use it.

What it needs lies in its defaults: the notebook's own names may be gone by then.
"""


@pytest.mark.kernel
@pytest.mark.parametrize("bootstrap", [True, False], ids=["bootstrap", "stock"])
def test_a_kernel_ends_without_waiting_for_a_thread_that_is_gone(*, bootstrap: bool, tmp_path: Path) -> None:
    log = tmp_path / "stderr.txt"
    # Sockets in a folder of its own: the port that a kernel is to take may be another's before it takes it.
    with log.open("wb") as stderr, tempfile.TemporaryDirectory() as sockets:
        manager = KernelManager(transport="ipc", ip=f"{sockets}/kernel")
        manager.start_kernel(stderr=stderr)
        client = manager.blocking_client()
        client.start_channels()
        client.wait_for_ready(60)
        for source in [bootstrap_source()] * bootstrap + [LATE]:
            client.execute(source, reply=True, timeout=60)
        client.shutdown()
        run_sync(manager.provisioner.wait)()
        client.stop_channels()
        manager.cleanup_resources()
    said = log.read_text()
    assert ("flush timed out" in said or "ZMQError" in said) is not bootstrap


def run_with(package: dict[str, str], script: str, folder: Path) -> str:
    """Run the bootstrap, then the script, in a Python that finds the given modules as `scrapbook`."""
    (folder / "scrapbook").mkdir()
    for name, source in package.items():
        (folder / "scrapbook" / name).write_text(source)
    program = f"{bootstrap_source()}\nimport sys\nsys.path.insert(0, {str(folder)!r})\n{script}"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "encoders",
    ["registry = None", "", "registry = {}\nclass JsonEncoder: pass", "class JsonEncoder: pass\nregistry = object()"],
)
def test_an_unknown_scrapbook_imports_as_it_is(encoders: str, tmp_path: Path) -> None:
    script = "import scrapbook.encoders as e\nprint(sorted(n for n in vars(e) if n[0] != '_'), len(sys.meta_path))"
    out = run_with({"__init__.py": "", "encoders.py": encoders}, script, tmp_path)
    names = sorted({"JsonEncoder", "registry"} & set(encoders.replace(":", " ").split()))
    assert out.split("] ")[0] + "]" == str(names)


ENCODERS = (
    "import os\nif os.environ.pop('NOT_YET', None): raise ImportError('not yet')\n"
    "class JsonEncoder:\n    name = lambda self: 'json'\n    encodable = lambda self, data: False\n"
    "class Registry(dict):\n    register = lambda self, e: self.__setitem__(e.name(), e)\n"
    "registry = Registry(json=JsonEncoder())\n"
)


def test_an_import_that_failed_once_is_still_wrapped_the_second_time(tmp_path: Path) -> None:
    script = (
        "import os, decimal\nos.environ['NOT_YET'] = '1'\n"
        "try:\n    import scrapbook.encoders\nexcept ImportError as error:\n    print(error)\n"
        "from scrapbook.encoders import registry\n"
        "print(registry['json'].encodable(decimal.Decimal(1)), [type(f).__name__ for f in sys.meta_path])\n"
    )
    lines = run_with({"__init__.py": "", "encoders.py": ENCODERS}, script, tmp_path).splitlines()
    assert lines[0] == "not yet"
    assert lines[1].startswith("True")
    assert "'Finder'" not in lines[1]


def test_a_scrapbook_that_was_there_before_is_wrapped_in_place_and_once(tmp_path: Path) -> None:
    script = (
        "import decimal, scrapbook.encoders as e\n"
        "e.registry['json'] = e.JsonEncoder()\nstock = e.registry['json'].encodable(decimal.Decimal(1))\n"
        f"for _ in range(2):\n    exec({bootstrap_source()!r})\n"
        "print(stock, e.registry['json'].encodable(decimal.Decimal(1)), len(type(e.registry['json']).__mro__))\n"
    )
    out = run_with({"__init__.py": "", "encoders.py": ENCODERS}, script, tmp_path)
    assert out.split() == ["False", "True", "3"]
