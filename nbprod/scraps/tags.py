"""Tagged values in scraps: `{"$nbprod": "<type>", "value": …}`, as the parameter codec and the kernel write them.

`ndarray` and `series` (and pandas' own `timestamp`) exist in scraps only. They come back as numpy and pandas
objects where those packages are installed, else as plain lists and text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID

from nbprod.digest import Json
from nbprod.errors import ScrapError

__all__ = ["TAG", "is_tagged", "restore", "storable"]

TAG = "$nbprod"
_SAFE_INTEGER = (1 << 53) - 1  # RFC 8785 knows IEEE-754 doubles only


def is_tagged(value: Json) -> bool:
    """Tell whether the value is a tag and not a mapping that a notebook glued."""
    return isinstance(value, Mapping) and value.keys() == {TAG, "value"} and isinstance(value[TAG], str)


def storable(value: Any, *, exact: bool = True) -> Json:  # noqa: PLR0911 - one return per JSON type
    """Return what a notebook file holds as JSON that canonical bytes can keep.

    Args:
        value: as the JSON parser gave it, so NaN, infinities and integers of any size may be in it.
        exact: also tag whole floats, which canonical JSON would write as integers.

    Raises:
        ValueError: a type that JSON doesn't have, keys that aren't text, or text that is not valid Unicode.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not value.isascii():
            value.encode()  # UnicodeEncodeError is a ValueError
        return value
    if isinstance(value, int):
        return value if -_SAFE_INTEGER <= value <= _SAFE_INTEGER else {TAG: "int", "value": str(value)}
    if isinstance(value, float):
        if not math.isfinite(value) or (exact and value.is_integer()):
            return {TAG: "float", "value": repr(value)}
        return value
    if isinstance(value, Mapping):
        return {_text(key): storable(item, exact=exact) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item, exact=exact) for item in value]
    raise ValueError(f"JSON has no {type(value).__name__}")


def _text(key: Any) -> str:
    if not isinstance(key, str):
        raise ValueError(f"a key is {key!r}, not text")  # noqa: TRY004 - one kind of error for the whole value
    return key


def restore(value: Json) -> Any:
    """Return the Python value that the JSON stands for, with every tag in it undone.

    Raises:
        ScrapError: a tag that this nbprod does not know, or one whose value doesn't fit it.
    """
    if isinstance(value, list):
        return [restore(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if not is_tagged(value):
        return {key: restore(item) for key, item in value.items()}
    kind = value[TAG]
    if kind not in _READERS:
        raise ScrapError(
            f"a scrap holds a value of the unknown type {kind!r}",
            expected=f"one of {', '.join(sorted(_READERS))}",
            hint="It was written by a newer nbprod: read it with that version",
        )
    try:
        return _READERS[kind](value["value"])
    except (ArithmeticError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ScrapError(f"a scrap's value does not fit its type {kind!r}", found=str(error)) from error


def _ndarray(value: Json) -> Any:
    items = restore(value["values"])
    if find_spec("numpy") is None:
        return items
    import numpy as np  # noqa: PLC0415 - optional, and slow to import

    dtype, shape = np.dtype(value["dtype"]), tuple(value["shape"])
    if dtype.kind == "c":
        # Real and imaginary parts stand in one more, last dimension.
        parts = np.array(items, dtype="float64").reshape((*shape, 2))
        return (parts[..., 0] + 1j * parts[..., 1]).astype(dtype)
    if dtype.kind != "O":
        return np.array(items, dtype=dtype).reshape(shape)
    array = np.empty(math.prod(shape), dtype=dtype)
    for _ in range(len(shape) - 1):
        items = [item for row in items for item in row]
    array[:] = items if shape else [items]
    return array.reshape(shape)


def _series(value: Json) -> Any:
    values = restore(value["values"])
    if find_spec("pandas") is None:
        return values
    import pandas as pd  # type: ignore[import-untyped]  # noqa: PLC0415 - optional, and slow to import

    index, names = restore(value["index"]), restore(value["index_names"])
    levels = pd.MultiIndex.from_tuples(index, names=names) if len(names) > 1 else pd.Index(index, name=names[0])
    return pd.Series(values, index=levels, name=restore(value["name"]), dtype=value["dtype"])


def _timestamp(value: Json) -> Any:
    if find_spec("pandas") is None:
        return value
    import pandas as pd  # type: ignore[import-untyped]  # noqa: PLC0415 - optional, and slow to import

    return pd.Timestamp(value)


_READERS: dict[str, Callable[[Json], Any]] = {
    "None": lambda _: None,
    "int": int,
    "float": float,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda value: timedelta(days=value[0], seconds=value[1], microseconds=value[2]),
    "Decimal": Decimal,
    "UUID": UUID,
    "Path": Path,
    "tuple": lambda value: tuple(restore(value)),
    "set": lambda value: set(restore(value)),
    "dict": lambda value: {restore(key): restore(item) for key, item in value},
    "ndarray": _ndarray,
    "series": _series,
    "timestamp": _timestamp,
}
