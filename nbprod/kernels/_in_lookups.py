"""Has lookups tell what was not there, and installs the observation; runs in the user's kernel after `_in_trace.py`.

nbprod never imports this file, see there. Standard library only, syntax of Python 3.8. All three files run in one
namespace.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any


def wrap(tracer: Any, name: str) -> None:
    """Have a lookup tell of what was not there, and do all that it did.

    No audit event is raised for these functions.
    """
    stock = getattr(os, name)

    @functools.wraps(stock)
    def lookup(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            found = stock(*args, **kwargs)
        except (FileNotFoundError, NotADirectoryError):
            missing(tracer, args, kwargs)
            raise
        if found is False:
            missing(tracer, args, kwargs)
        return found

    lookup.__module__ = "os"  # so that pickle finds it
    for supported in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        if stock in supported:
            supported.add(lookup)
    setattr(os, name, lookup)


def missing(tracer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        path = args[0] if args else kwargs.get("path")
        if tracer.full or type(path) is int or path is None or kwargs.get("dir_fd") is not None:
            return
        told = tracer.absolute(path)
        if ("missing", told) not in tracer.facts and tracer.places.wanted(told) and tracer.look(told) is None:
            tracer.missed(told)
    except Exception as error:  # noqa: BLE001 - as in the hook
        tracer.lose(error)


def wrap_fork_exec(tracer: Any) -> None:
    """Have multiprocessing tell of the processes that it spawns: no audit event is raised for them."""
    import _posixsubprocess  # noqa: PLC0415

    stock: Callable[..., Any] = _posixsubprocess.fork_exec

    @functools.wraps(stock)
    def fork_exec(*args: Any) -> Any:
        try:
            tracer.spawned(None, args[0])
        except Exception as error:  # noqa: BLE001 - as in the hook
            tracer.lose(error)
        return stock(*args)

    _posixsubprocess.fork_exec = fork_exec


def install(places: Any, tracer_of: Any, file: bytes, own: bytes, *always: bytes) -> None:
    tracer = tracer_of(os.fsdecode(file), places(os.fsdecode(own), [os.fsdecode(folder) for folder in always]))
    for name in ("stat", "lstat", "access"):
        wrap(tracer, name)
    accessor = getattr(sys.modules.get("pathlib"), "_normal_accessor", None)
    if accessor is not None:  # up to Python 3.10 it keeps the functions as they were
        accessor.stat, accessor.lstat = os.stat, os.lstat
    wrap_fork_exec(tracer)
    os.register_at_fork(after_in_child=tracer.child)
    for name in list(sys.modules):
        tracer.imported(name, None)
    sys.addaudithook(tracer.hook)
    tracer.fact(("on",), '"on","form":1')  # last: a trace without it was none


if __name__ == "nbprod_in_kernel":  # the name that the bootstrap runs it under
    # What the two files before this one have defined, and what the bootstrap hands over.
    install(Places, Tracer, *ARGUMENTS)  # type: ignore[name-defined]  # noqa: F821
