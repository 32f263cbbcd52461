"""Run ids are UUIDv7 as RFC 9562 lays them out, and their text is in the order of time."""

from __future__ import annotations

import pickle
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import CallerError
from nbprod.record.ids import RunId

from .strategies import moments

randoms = st.binary(min_size=10, max_size=10)


def test_the_example_of_rfc_9562() -> None:
    # Appendix A.6: 2022-02-22 14:22:22.00 GMT-05:00, rand_a 0xCC3, rand_b 0b01 and 0x8C4DC0C0C07398F.
    at = datetime(2022, 2, 22, 14, 22, 22, tzinfo=timezone(timedelta(hours=-5)))
    rand_b = (0b01 << 60) | 0x8C4DC0C0C07398F
    bits = (0xCC3 << 62) | rand_b
    assert str(RunId.new(at, bits.to_bytes(10, "big"))) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(moments, randoms)
def test_the_bits_are_where_the_rfc_has_them(at: datetime, random: bytes) -> None:
    run_id = RunId.new(at, random)
    other = uuid.UUID(str(run_id))
    assert (other.version, other.variant) == (7, uuid.RFC_4122)
    assert other.int >> 80 == int(at.timestamp() * 1000)
    kept = ((other.int >> 64) & 0xFFF) << 62 | (other.int & ((1 << 62) - 1))
    assert kept == int.from_bytes(random, "big") & ((1 << 74) - 1)


@given(moments, randoms)
def test_text_parses_back_and_tells_the_time(at: datetime, random: bytes) -> None:
    run_id = RunId.new(at, random)
    assert RunId(str(run_id)) == run_id
    assert pickle.loads(pickle.dumps(run_id)) == run_id
    assert run_id.started.tzinfo is UTC
    assert abs(run_id.started - at) <= timedelta(milliseconds=1)
    assert str(run_id).endswith(run_id.short)


@given(moments, randoms, randoms, st.timedeltas(timedelta(milliseconds=2), timedelta(days=9999)))
def test_order_is_time_order(at: datetime, first: bytes, second: bytes, later: timedelta) -> None:
    early, late = RunId.new(at, first), RunId.new(at + later, second)
    assert early < late
    assert str(early) < str(late)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-18c4-dc0c0c07398f",
        "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
        "017f22e279b07cc398c4dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n",
        "../017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    ],
    ids=["empty", "version 4", "variant", "upper case", "no dashes", "newline", "path"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(CallerError, match="UUIDv7"):
        RunId(text)
