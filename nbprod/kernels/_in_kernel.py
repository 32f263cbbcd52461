"""Lets `sb.glue` take what stock scrapbook 0.5.0 refuses or spoils; runs inside the user's kernel.

nbprod never imports this file: its text is sent to the kernel, whose Python need not have nbprod
(`nbprod.kernels.bootstrap`). Hence the rules here: standard library only, syntax of Python 3.8, imports
neither scrapbook, numpy nor pandas by itself, and any failure leaves stock behaviour as it was.

What it does: once the kernel has imported `scrapbook.encoders`, the registered json encoder is replaced by a
subclass. Values that stock scrapbook writes truly pass through it untouched, so their bytes do not change; the
others become tagged JSON, `{"$nbprod": "<type>", "value": …}`, the form of nbprod's parameter codec. The encoder's
name on the wire stays `json`, so stock readers still read the file.
"""

from __future__ import annotations

import datetime as dt
import decimal
import importlib.abc
import json
import math
import pathlib
import sys
import uuid
from collections.abc import Callable
from typing import Any

TARGET = "scrapbook.encoders"
TAG = "$nbprod"


class Unsupported(TypeError):
    """A value that has no tagged form; stock scrapbook then decides what happens."""


def tagged(kind: str, value: Any) -> dict[str, Any]:
    return {TAG: kind, "value": value}


def plain(value: Any) -> bool:
    """Tell whether stock scrapbook and JSON hold the value as it is."""
    if value is None or isinstance(value, (bool, str, int)):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(map(plain, value))
    if isinstance(value, dict):
        # Numbers as keys are left to stock scrapbook, which writes them as text.
        keys_fit = all(isinstance(key, (str, int, float)) or key is None for key in value)
        return keys_fit and TAG not in value and all(map(plain, value.values()))
    return False


def from_package(value: Any, package: str) -> bool:
    """Tell whether the value's class, or one it derives from, is defined in the package."""
    return any(base.__module__.partition(".")[0] == package for base in type(value).__mro__)


def encode(value: Any) -> Any:
    """Return the value as JSON, tagged where plain JSON would lose its type.

    Raises:
        Unsupported: the value, or something in it, has no such form.
    """
    if plain(value):
        return value
    if from_package(value, "pandas"):
        return encode_pandas(value)
    if from_package(value, "numpy"):
        return encode_numpy(value)
    if isinstance(value, float):
        return tagged("float", repr(float(value)))
    for kind, write in WRITERS.items():
        if isinstance(value, kind):
            return write(value)
    raise Unsupported(type(value).__name__)


def encode_dict(value: Any) -> dict[str, Any]:
    if all(isinstance(key, str) for key in value) and TAG not in value:
        return {key: encode(item) for key, item in value.items()}
    return tagged("dict", [[encode(key), encode(item)] for key, item in value.items()])


def encode_set(value: Any) -> dict[str, Any]:
    # Sets have no order of their own: a fixed one keeps equal sets equal on the wire.
    items = sorted((encode(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return tagged("frozenset" if isinstance(value, frozenset) else "set", items)


def encode_moment(value: Any) -> dict[str, Any]:
    """Write ISO 8601 text, and the key of its zone and the fold where they say more than the offset."""
    key = getattr(value.tzinfo, "key", None)
    text = value.replace(tzinfo=None).isoformat() if key else value.isoformat()
    written = tagged("datetime" if isinstance(value, dt.datetime) else "time", text)
    if key:
        written["zone"] = key
    if value.fold:
        written["fold"] = value.fold
    return written


def encode_timedelta(value: dt.timedelta) -> dict[str, Any]:
    """Write ISO 8601, to the microsecond; the sign stands before the P."""
    size = abs(value)
    fraction = f".{size.microseconds:06d}" if size.microseconds else ""
    return tagged("timedelta", f"{'-' if value.days < 0 else ''}P{size.days}DT{size.seconds}{fraction}S")


def encode_numpy(value: Any) -> Any:
    """Write scalars as the plain values they stand for, arrays with dtype and shape."""
    numpy = sys.modules["numpy"]
    if isinstance(value, numpy.generic):
        item = value.item()
        if isinstance(item, (bool, int, float, str)) and value.dtype.kind in "biufU":
            return encode(item)
        value = numpy.asarray(value)
    if not isinstance(value, numpy.ndarray) or value.dtype.names or isinstance(value, numpy.ma.MaskedArray):
        raise Unsupported(type(value).__name__)
    if str(value.dtype) in ("float128", "float96", "complex256", "complex192"):
        raise Unsupported(str(value.dtype))  # Python's float can't hold them
    if value.dtype.kind in "biufUO":
        items = encode(value.tolist())
    elif value.dtype.kind == "M":
        items = value.astype(str).tolist()
    elif value.dtype.kind == "m":
        items = value.astype("int64").tolist()  # counts of the dtype's unit; NaT is the least of them
    elif value.dtype.kind == "c":
        items = encode(numpy.stack([value.real, value.imag], axis=-1).tolist())
    else:
        raise Unsupported(str(value.dtype))
    return tagged("ndarray", {"dtype": str(value.dtype), "shape": list(value.shape), "values": items})


def encode_pandas(value: Any) -> Any:  # noqa: PLR0911 - one return per type
    """Write Series, Timestamp, Timedelta and the missing values; DataFrames have an encoder of their own."""
    pandas = sys.modules["pandas"]
    if value is pandas.NaT:
        return tagged("timestamp", "NaT")
    if value is pandas.NA:
        return None
    if isinstance(value, pandas.Timestamp):
        if value.nanosecond:
            return tagged("timestamp", value.isoformat())
        return encode(value.to_pydatetime())
    if isinstance(value, pandas.Timedelta):
        if value.nanoseconds:
            return encode(value.to_timedelta64())
        return encode(value.to_pytimedelta())
    if isinstance(value, pandas.Series):
        index = value.index
        return tagged(
            "series",
            {
                "name": encode(value.name),
                "dtype": str(value.dtype),
                "index": encode(index.tolist()),
                "index_names": [encode(name) for name in index.names],
                "values": encode(value.tolist()),
            },
        )
    raise Unsupported(type(value).__name__)


WRITERS: dict[type, Callable[[Any], Any]] = {
    list: lambda value: [encode(item) for item in value],
    dict: encode_dict,
    tuple: lambda value: tagged("tuple", [encode(item) for item in value]),
    set: encode_set,
    frozenset: encode_set,
    dt.datetime: encode_moment,
    dt.date: lambda value: tagged("date", value.isoformat()),
    dt.time: encode_moment,
    dt.timedelta: encode_timedelta,
    decimal.Decimal: lambda value: tagged("decimal", str(value)),
    uuid.UUID: lambda value: tagged("uuid", str(value)),
    pathlib.PurePath: lambda value: tagged("path", str(value)),
}


def wrapped_encoder(stock: type) -> type:
    """Return a subclass of scrapbook's JsonEncoder that also takes what `encode` can write."""

    class JsonEncoder(stock):  # type: ignore[misc]
        def encodable(self, data: Any) -> bool:
            if super().encodable(data):
                return True
            try:
                encode(data)
            except Exception:  # noqa: BLE001 - the encoders after this one, or scrapbook's refusal, decide
                return False
            return True

        def encode(self, scrap: Any, **kwargs: Any) -> Any:
            try:
                if scrap.data is None:
                    # The wire's schema knows no null at the top; inside of containers it is plain JSON.
                    return scrap._replace(data=tagged("none", None))
                if not plain(scrap.data):
                    return scrap._replace(data=encode(scrap.data))
            except Exception:  # noqa: BLE001, S110 - as above
                pass
            return super().encode(scrap, **kwargs)

    JsonEncoder.__qualname__ = "JsonEncoder"
    JsonEncoder.__module__ = stock.__module__
    return JsonEncoder


def wrap(module: Any) -> None:
    """Replace the registered json encoder, in its place in the order, if it is the stock one."""
    try:
        if type(module.registry.get("json")) is module.JsonEncoder:
            module.registry.register(wrapped_encoder(module.JsonEncoder)())
    except Exception:  # noqa: BLE001, S110 - another scrapbook than the one we know: leave it alone
        pass


class Loader(importlib.abc.Loader):
    """Runs the module as its own loader would, then wraps it and steps aside."""

    def __init__(self, loader: Any, finder: Finder) -> None:
        self.loader = loader
        self.finder = finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def create_module(self, spec: Any) -> Any:
        return self.loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__loader__ = self.loader
        module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        wrap(module)
        if self.finder in sys.meta_path:
            sys.meta_path.remove(self.finder)


class Finder(importlib.abc.MetaPathFinder):
    """Finds nothing by itself; hands on what the other finders say about one module, with our loader."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != TARGET:
            return None
        try:
            for finder in list(sys.meta_path):
                spec = None if finder is self else finder.find_spec(name, path, target)
                if spec is not None:
                    if hasattr(spec.loader, "exec_module"):
                        spec.loader = Loader(spec.loader, self)
                    return spec
        except Exception:  # noqa: BLE001, S110 - the import goes on without us
            pass
        return None


def install() -> None:
    if TARGET in sys.modules:
        wrap(sys.modules[TARGET])
    elif not any(type(finder).__name__ == "Finder" and hasattr(finder, "nbprod") for finder in sys.meta_path):
        finder = Finder()
        finder.nbprod = True  # type: ignore[attr-defined]
        sys.meta_path.insert(0, finder)


if __name__ == "nbprod_in_kernel":  # the name that the bootstrap runs it under
    install()
