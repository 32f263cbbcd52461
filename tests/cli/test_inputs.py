"""Parameters from the command line: precedence, types, and what is refused."""

import base64
import io

import pytest

from nbprod.cli.inputs import GivenParameters
from nbprod.errors import CallerError
from nbprod.parameters import Text


def given(**changes):
    empty = {"injected": {}, "encoded": (), "files": (), "yaml": (), "texts": (), "raw": ()}
    return GivenParameters(**{**empty, **changes}).values()


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def test_later_kinds_go_before_earlier_ones(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("a: file\nb: file\nc: file\nd: file")
    sources = {
        "injected": {"z": "injected", "a": "injected"},
        "encoded": [encoded("{a: b64, y: b64}")],
        "files": [str(file)],
        "yaml": ["{b: yaml, c: yaml, d: yaml}"],
        "texts": [("c", "text"), ("d", "text")],
        "raw": [("d", "raw")],
    }
    expected = {"z": "injected", "y": "b64", "a": "file", "b": "yaml", "c": Text("text"), "d": "raw"}
    assert given(**sources) == expected


def test_the_last_of_one_kind_wins():
    assert given(texts=[("a", "1"), ("a", "2")]) == {"a": Text("2")}
    assert given(yaml=["a: 1", "a: 2"]) == {"a": 2}


def test_yaml_gives_python_values_but_dates_stay_text():
    text = "{i: 1, f: 0.5, b: true, n: null, l: [1, a], d: {k: v}, day: 2024-01-02}"
    values = {"i": 1, "f": 0.5, "b": True, "n": None, "l": [1, "a"], "d": {"k": "v"}, "day": "2024-01-02"}
    assert given(yaml=[text]) == values


def test_an_empty_file_gives_nothing_and_a_dash_is_standard_input(tmp_path, monkeypatch):
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert given(files=[str(tmp_path / "empty.yaml")]) == {}
    monkeypatch.setattr("sys.stdin", io.StringIO("a: 1"))
    assert given(files=["-"]) == {"a": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"yaml": ["[1, 2]"]},
        {"yaml": ["{"]},
        {"yaml": ["{a: 1, b: {c: 1, 'c': 2}}"]},
        {"encoded": [base64.b64encode(b"a: 1\na: 2").decode()]},
        {"yaml": ["!!python/object/apply:os.system [true]"]},
        {"encoded": ["not base64!"]},
        {"encoded": [base64.b64encode(b"\xff\xfe").decode()]},
        {"files": ["/nowhere/p.yaml"]},
    ],
    ids=["list", "syntax", "key-twice", "key-twice-in-base64", "python-object", "base64", "utf-8", "no-file"],
)
def test_what_is_no_yaml_mapping_is_refused(wrong):
    with pytest.raises(CallerError) as caught:
        given(**wrong)
    assert next(iter(wrong))[0] in "yef"
    assert caught.value.exit_code == 2


def test_a_key_that_stands_twice_is_named_but_a_merged_one_may_be_overridden():
    with pytest.raises(CallerError, match="'alpha' twice"):
        given(yaml=["alpha: 1\nbeta: 2\nalpha: 3"])
    merged = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\n<<: *b"
    assert given(yaml=[merged]) == {"a": {"x": 1, "y": 1}, "b": {"x": 2, "y": 1}, "x": 2, "y": 1}
