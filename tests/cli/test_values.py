"""Values, durations, sizes and moments as people read them."""

import json
from datetime import UTC, datetime, timedelta

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.cli.moments import MOMENT
from nbprod.cli.values import brief, duration, plain_json, size, status_text
from nbprod.parameters import tag
from nbprod.record.status import Status


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (1.0, 1.0),
        (float("nan"), "nan"),
        (2**70, 2**70),
        ([1.0, None], [1.0, None]),
        ({"a": 1.5}, {"a": 1.5}),
        ("x", "x"),
    ],
)
def test_tagged_values_become_plain_json(value, plain):
    assert plain_json(tag(value)) == plain


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes() | st.decimals(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
        max_leaves=8,
    )
)
def test_any_parameter_is_plain_json_and_fits_a_line(value):
    try:
        tagged = tag(value)
    except Exception:  # noqa: BLE001 - what has no tagged form never gets here
        return
    json.dumps(plain_json(tagged), allow_nan=False)
    shown = brief(tagged, 20)
    assert len(shown) <= 20
    assert "\n" not in shown
    assert all(letter.isprintable() or letter in "\u200c\u200d" for letter in shown)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (59.94, "59.9 s"), (125, "2 min 05 s"), (3720, "1 h 02 min"), (None, "")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1234, "1.2 kB"), (5 * 10**9, "5.0 GB")])
def test_sizes(count, text):
    assert size(count) == text


def test_every_status_has_a_sign():
    assert len({status_text(status) for status in (*Status, None)}) == len(Status) + 1


def moment(text):
    return MOMENT.convert(text, None, None)


def test_moments_are_aware_whatever_people_write():
    assert moment("2026-11-22T14:00+02:00") == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert moment("2026-11-22").tzinfo is not None
    assert abs(moment("90m") - (datetime.now(UTC) - timedelta(minutes=90))) < timedelta(seconds=10)
    assert moment("yesterday") < moment("today") <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["soon", "", "7 parsecs", "2026-13-01"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(click.BadParameter, match="no moment"):
        moment(text)
