"""Tagged values in scraps: `{"$nbprod": "<type>", "value": …}`, the parameter codec's form and a few types more.

`none`, `ndarray`, `series` and `timestamp` exist in scraps only; the kernel writes them (`nbprod.kernels._in_kernel`).
The last three come back as numpy and pandas objects where those packages are installed, else as lists and text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from nbprod.digest import Json
from nbprod.errors import CallerError, ScrapError, UnsupportedVersion
from nbprod.parameters.codec import SAFE_INT, TAG, is_text, tag, untag

__all__ = ["restore", "storable", "tag_of"]


_LEVELS = 100
"""Beyond these, the programs that are to read a record or a notebook differ in what they bear."""


def tag_of(value: Json) -> str | None:
    """Return the type that a tagged value names, or None for a plain one."""
    kind = value.get(TAG) if isinstance(value, Mapping) else None
    return kind if isinstance(kind, str) else None


def storable(value: Any, *, exact: bool = True, levels: int = _LEVELS) -> Json:
    """Return what a notebook file holds as JSON that canonical bytes can keep.

    Args:
        value: as the JSON parser gave it, so NaN, infinities and integers of any size may be in it.
        exact: also tag whole floats, which canonical JSON would write as integers.
        levels: how deep lists and objects may be nested.

    Raises:
        ValueError: a type that JSON doesn't have, a key that is no Unicode text, or too many levels.
    """
    if not levels:
        raise ValueError(f"it is nested more than {_LEVELS} levels deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if value.isascii() or is_text(value) else tag(value)
    if isinstance(value, int):
        return value if -SAFE_INT <= value <= SAFE_INT else tag(value)
    if isinstance(value, float):
        return tag(value) if exact or not math.isfinite(value) else value
    if isinstance(value, Mapping):
        exact = exact and not _typed_floats(value)
        return {_key(key): storable(item, exact=exact, levels=levels - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item, exact=exact, levels=levels - 1) for item in value]
    raise ValueError(f"JSON has no {type(value).__name__}")


def _typed_floats(value: Mapping[str, Any]) -> bool:
    """Tell whether these are an array's fields whose dtype says that its numbers are floats: no need of tags."""
    return str(value.get("dtype")).startswith(("float", "complex")) and "shape" in value


def _key(key: Any) -> str:
    if not isinstance(key, str) or not is_text(key):
        raise ValueError(f"the key {key!r} is no text")
    return key


def restore(value: Json) -> Any:
    """Return the Python value that the JSON stands for, with every tag in it undone.

    Raises:
        UnsupportedVersion: a tag that this nbprod does not know.
        ScrapError: a known tag around something that doesn't fit it.
    """
    if isinstance(value, list):
        return [restore(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if TAG not in value:
        return {key: restore(item) for key, item in value.items()}
    kind = tag_of(value)
    try:
        return _READERS[kind](value["value"]) if kind in _READERS else untag(dict(value))
    except UnsupportedVersion:
        raise
    except (ArithmeticError, CallerError, LookupError, TypeError, ValueError) as error:
        raise ScrapError(f"a scrap's value does not fit its type {kind!r}", found=str(error)) from error


def _ndarray(value: Json) -> Any:
    items = restore(value["values"])
    if find_spec("numpy") is None:
        return items
    import numpy as np  # noqa: PLC0415 - optional, and slow to import

    dtype, shape = np.dtype(value["dtype"]), tuple(value["shape"])
    if dtype.kind == "c":
        # Real and imaginary parts stand in one more, last dimension.
        return np.array(items, dtype="float64").reshape(-1).view("complex128").reshape(shape).astype(dtype)
    if dtype.kind == "m":
        return np.array(items, dtype="int64").astype(dtype).reshape(shape)
    if dtype.kind != "O":
        return np.array(items, dtype=dtype).reshape(shape)
    array = np.empty(math.prod(shape), dtype=dtype)
    for _ in range(len(shape) - 1):
        items = [item for row in items for item in row]
    for place, item in enumerate(items if shape else [items]):
        array[place] = item  # all at once, numpy would take elements that are lists for one more dimension
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
    import pandas as pd  # noqa: PLC0415 - optional, and slow to import

    return pd.Timestamp(value)


_READERS: dict[str | None, Callable[[Json], Any]] = {
    "none": lambda _: None,
    # The codec's containers are read here, because they may hold the types that only scraps know.
    "tuple": lambda value: tuple(restore(value)),
    "set": lambda value: set(restore(value)),
    "frozenset": lambda value: frozenset(restore(value)),
    "dict": lambda value: {restore(key): restore(item) for key, item in value},
    "ndarray": _ndarray,
    "series": _series,
    "timestamp": _timestamp,
}
