"""The piece of Python that runs in a Python kernel before the user's code.

The driver sends it as an `execute_request` with `silent=True, store_history=False`: it leaves no names in the
user's namespace, no outputs, and uses no execution count. For kernels of other languages there is none.
"""

from __future__ import annotations

from importlib.resources import files

__all__ = ["bootstrap_source"]

_KEEP_ALL = """try:
    import sys
    thread = sys.modules["IPython"].get_ipython().kernel.iopub_thread
    thread.schedule(lambda: setattr(thread.socket, "sndhwm", 0))
except Exception:
    pass
"""
"""ZeroMQ drops what a publisher sends beyond 1,000 waiting messages: outputs, scraps and `idle` of a chatty cell,
without a word, when the runner does not get to read for a second. Its own thread must set the socket's option."""

_NO_GHOSTS = """try:
    kernel = sys.modules["IPython"].get_ipython().kernel
    children = kernel._process_children
    kernel._process_children = lambda: [child for child in children() if child.status() != "zombie"]
except Exception:
    pass
"""
"""At its shutdown ipykernel waits up to 14 s for its children to be gone, and counts those that have ended but that
the notebook never waited for."""


def bootstrap_source() -> str:
    """Return one expression statement of standard-library Python that prepares the kernel.

    It has ipykernel keep every output until it is read and not wait for the dead, and makes `sb.glue` take None, NaN,
    numpy values, datetimes, Series and more (`_in_kernel.py`). It never raises: where it can't do its work, stock
    behaviour stays as it is.
    """
    source = files(__package__).joinpath("_in_kernel.py").read_text("utf-8")
    guarded = (
        f"{_KEEP_ALL}{_NO_GHOSTS}try:\n    exec(compile({source!r}, '<nbprod>', 'exec'))\nexcept Exception:\n    pass\n"
    )
    # A namespace of its own: nothing of ours may be found in, or overwritten from, the user's.
    return f"exec({guarded!r}, {{'__name__': 'nbprod_in_kernel'}})\n"
