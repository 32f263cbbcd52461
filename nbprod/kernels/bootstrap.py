"""The piece of Python that runs in a Python kernel before the user's code.

The driver sends it as an `execute_request` with `silent=True, store_history=False`: it leaves no names in the
user's namespace, no outputs, and uses no execution count. For kernels of other languages there is none.
"""

from __future__ import annotations

from importlib.resources import files

__all__ = ["bootstrap_source"]

_FILES = ("_in_ipykernel.py", "_in_kernel.py")


def bootstrap_source() -> str:
    """Return one expression statement of standard-library Python that prepares the kernel.

    It has ipykernel keep every output until it is read, print quickly and not wait for the dead (`_in_ipykernel.py`),
    and makes `sb.glue` take None, NaN, numpy values, datetimes, Series and more (`_in_kernel.py`). It never raises:
    where it can't do its work, stock behaviour stays as it is.
    """
    folder = files(__package__)
    sources = [folder.joinpath(name).read_text("utf-8") for name in _FILES]
    # A namespace of its own for each: nothing of ours may be found in, or overwritten from, the user's.
    guarded = "".join(
        f"try:\n    exec(compile({source!r}, '<nbprod>', 'exec'), {{'__name__': 'nbprod_in_kernel'}})\n"
        "except Exception:\n    pass\n"
        for source in sources
    )
    return f"exec({guarded!r}, {{}})\n"
