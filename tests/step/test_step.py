"""A step's settings: every key, wrong values, and keys that don't exist."""

from __future__ import annotations

import pickle
from datetime import timedelta
from typing import Any

import pytest

from nbprod.errors import SettingsError
from nbprod.step.contract import Contract, ScrapRule
from nbprod.step.keep import Keep
from nbprod.step.reuse import Reuse
from nbprod.step.step import StepSettings

WHERE = "[tool.nbprod.steps.train]"
EVERYTHING: dict[str, Any] = {
    "notebook": "notebooks/train.ipynb",
    "kernel": "python3",
    "cwd": "notebooks",
    "timeout": 1800,
    "cell_timeout": 900.5,
    "start_timeout": 30,
    "grace": 2,
    "cell_output_limit": 1000,
    "run_output_limit": 5000,
    "exit_ok": True,
    "secrets": ["TOKEN"],
    "reuse": "10d",
    "trace": False,
    "roots": ["data"],
    "keep": "90d",
    "keep_inputs": "1 GiB",
    "expect": {"scraps": {"auc": {"min": 0.6}}, "artifacts": ["m.skops"]},
}


def test_every_key_is_read() -> None:
    assert set(EVERYTHING) == set(StepSettings.__dataclass_fields__)
    settings = StepSettings.parse(EVERYTHING, WHERE)
    expected = {
        **EVERYTHING,
        "secrets": ("TOKEN",),
        "reuse": Reuse(longest=timedelta(days=10)),
        "roots": ("data",),
        "keep": Keep(longest=timedelta(days=90)),
        "keep_inputs": 1 << 30,
        "expect": Contract(scraps=(ScrapRule(name="auc", min=0.6),), artifacts=("m.skops",)),
    }
    assert {key: getattr(settings, key) for key in EVERYTHING} == expected
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert StepSettings.parse(settings.to_json(), WHERE) == settings


def test_defaults_are_those_of_the_documentation() -> None:
    settings = StepSettings.parse({}, WHERE)
    assert settings == StepSettings()
    assert (settings.cell_output_limit, settings.run_output_limit) == (10 * 2**20, 100 * 2**20)
    assert (settings.timeout, settings.cell_timeout, settings.exit_ok) == (None, None, False)


WRONG = {
    "notebook": ["", 3],
    "kernel": ["", None],
    "cwd": ["", 3],
    "timeout": [0, -1, "60", True],
    "cell_timeout": [0, None],
    "start_timeout": [0, []],
    "grace": [0, False],
    "cell_output_limit": [0, 1.5, True],
    "run_output_limit": [-1, "1 MB"],
    "exit_ok": [1, "yes"],
    "secrets": ["TOKEN", [""], [3]],
    "trace": [1, "yes"],
    "roots": ["data", [""], [3]],
    "keep": ["soon", "23h", "-1d", "", 90, True],
    "keep_inputs": ["much", "64", "-1 MiB", "64 mib", "", -1, True, 1.5, None],
    "expect": [[], "auc"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_wrong_values_are_refused(key: str, value: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        StepSettings.parse({key: value}, WHERE)
    assert f"{WHERE}: {key} is wrong" in str(caught.value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("key", "near"), [("time_out", "timeout"), ("secret", "secrets"), ("notebok", "notebook"), ("Kernel", "kernel")]
)
def test_unknown_keys_are_refused_with_the_nearest(key: str, near: str) -> None:
    with pytest.raises(SettingsError, match=f"Did you mean '{near}'"):
        StepSettings.parse({key: 1}, WHERE)


def test_keys_like_no_other_are_refused_with_the_list() -> None:
    with pytest.raises(SettingsError, match="Known keys: notebook, kernel"):
        StepSettings.parse({"zzz": 1}, WHERE)


def test_changes_of_none_change_nothing() -> None:
    settings = StepSettings(timeout=5.0, kernel="ir")
    assert settings.with_changes(timeout=None, kernel=None) == settings
    assert settings.with_changes(timeout=1.0) == StepSettings(timeout=1.0, kernel="ir")


def test_the_record_holds_every_limit() -> None:
    assert set(StepSettings().limits_json()) == {
        "timeout",
        "cell_timeout",
        "start_timeout",
        "grace",
        "cell_output_limit",
        "run_output_limit",
        "exit_ok",
    }
