"""The canonical form, against the library that defines it for us."""

from __future__ import annotations

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from nbprod.digest import canonical, read_canonical
from nbprod.errors import CallerError

numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none()
    | st.booleans()
    | numbers
    | st.text()
    | st.sampled_from(["\x7f\u2028\u0000\x1f", '/\\"\b\f\n\r\t', "é😀"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["\ue000", "😀", "a"]), inner),
    max_leaves=12,
)


@given(values)
@example({"\ue000": 1, "😀": 2, "b": [1e-5, 0.0001, 1.5, 30.0, -0.0, 1e16, 123456789.125, 2**53 - 1.0, 5e-324]})
@example([True, 1, 1.0, "1"])
@example(4503599627370497.5)
def test_the_form_is_that_of_rfc_8785(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)
    assert canonical(read_canonical(canonical(value))) == canonical(value)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        -float("inf"),
        2**53,
        -(2**53),
        "\ud800",
        {1: 2},
        {"a": {"\ud800": 1}},
        b"",
        {1, 2},
        object(),
    ],
    ids=lambda value: ascii(value) if type(value) is not object else "object",
)
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [1, value], lambda value: {"a": 1, "b": value}])
def test_what_has_no_form_is_refused(value: object, wrap: object) -> None:
    with pytest.raises(CallerError, match="no canonical JSON form"):
        canonical(wrap(value))  # type: ignore[operator]
