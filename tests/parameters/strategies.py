"""Hypothesis strategies for every plain value, and the equality that tells NaN and types apart."""

from __future__ import annotations

import math
import zoneinfo
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path

from hypothesis import strategies as st

surrogates = st.text(st.characters(), max_size=8)  # lone surrogates included
names = st.from_regex(r"[a-zA-Zé_][a-zA-Z0-9_é]{0,10}", fullmatch=True)
zones = st.one_of(
    st.none(),
    st.just(UTC),
    st.timedeltas(min_value=timedelta(hours=-23), max_value=timedelta(hours=23)).map(timezone),
    st.builds(
        timezone, st.timedeltas(min_value=timedelta(hours=-2), max_value=timedelta(hours=2)), st.text(max_size=5)
    ),
    st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]).map(zoneinfo.ZoneInfo),
)
hashables = st.deferred(
    lambda: st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        surrogates,
        st.binary(max_size=8),
        st.complex_numbers(),
        st.dates(),
        st.builds(lambda d, z, f: d.replace(tzinfo=z, fold=f), st.datetimes(), zones, st.integers(0, 1)),
        st.builds(lambda t, z, f: t.replace(tzinfo=z, fold=f), st.times(), zones, st.integers(0, 1)),
        st.timedeltas(),
        st.decimals(allow_nan=False),
        st.just(Decimal("NaN")),
        st.uuids(),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8).map(Path),
        st.tuples(surrogates, st.integers()),
        st.frozensets(st.integers() | surrogates, max_size=3),
    )
)
values = st.recursive(
    hashables
    | st.just(50).map(lambda n: 1 << n * 400)
    | st.sampled_from([2**53, -(2**53), 1.0, -0.0, math.nan, math.inf, {"$nbprod": 1}, ()]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(surrogates, inner, max_size=4),
        st.dictionaries(hashables, inner, max_size=3),
        st.sets(hashables, max_size=3),
    ),
    max_leaves=12,
)


def same(left: object, right: object) -> bool:  # noqa: PLR0911
    """Equal with equal types all the way down; NaN equals NaN, -0.0 doesn't equal 0.0, zones and folds count."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return _same_bag(list(left.items()), list(right.items()))
    if isinstance(left, set | frozenset):
        return _same_bag(list(left), list(right))
    if isinstance(left, float):
        return repr(left) == repr(right)
    if isinstance(left, complex):
        return same((left.real, left.imag), (right.real, right.imag))
    if isinstance(left, datetime | time):
        zone = (type(left.tzinfo), str(left.tzinfo), left.fold)
        naive = left.replace(tzinfo=None) == right.replace(tzinfo=None)
        return naive and zone == (type(right.tzinfo), str(right.tzinfo), right.fold)
    if isinstance(left, Decimal):
        return left.as_tuple() == right.as_tuple()
    return left == right


def _same_bag(left: list[object], right: list[object]) -> bool:
    rest = list(right)
    for item in left:
        match = next((i for i, other in enumerate(rest) if same(item, other)), None)
        if match is None:
            return False
        rest.pop(match)
    return not rest
