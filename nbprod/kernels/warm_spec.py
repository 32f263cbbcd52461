"""Kernel specs whose kernels any Jupyter client has forked: written, and removed again."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nbprod.errors import CallerError, NotFound

__all__ = ["PROVISIONER", "install", "uninstall"]

PROVISIONER = "nbprod-warm"
"""The name of the entry point in the group `jupyter_client.kernel_provisioners`."""

_NAME = re.compile(r"[a-z0-9._-]+\Z")  # jupyter_client's rule; it looks names up in lower case
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")


def install(
    name: str, *, display_name: str, preload: Sequence[str] = (), user: bool = False, prefix: Path | None = None
) -> Path:
    """Write a kernel spec for this interpreter; one of ours of the same name is replaced.

    Args:
        name: its name: lower-case letters, digits, `.`, `_` and `-`.
        display_name: its name for people.
        preload: modules that its kernels have in memory from the start.
        user: for this user, instead of this environment.
        prefix: the environment; this interpreter's by default.

    Returns:
        The spec's folder.

    Raises:
        CallerError: a name is none, there is a spec of that name that is not ours, or the folder cannot be written.
    """
    if not _NAME.match(name):
        expected = "lower-case letters, digits, '.', '_' and '-'"
        raise CallerError("that is no name for a kernel spec", expected=expected, found=repr(name))
    for module in preload:
        if not _MODULE.match(module):
            raise CallerError("that is no module to preload", expected="a name such as pandas", found=repr(module))
    folder = _folder(name, prefix=prefix, user=user)
    if folder.exists():
        _must_be_ours(folder)
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": display_name,
        "language": "python",
        "metadata": {
            "debugger": True,
            "supported_encryption": ["curve"],
            "kernel_provisioner": {"provisioner_name": PROVISIONER, "config": {"preload": list(preload)}},
        },
        "kernel_protocol_version": "5.5",
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.parent))
        made.chmod(0o755)
        (made / "kernel.json").write_text(json.dumps(spec, indent=1) + "\n", "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    except OSError as error:
        raise CallerError(
            f"the kernel spec cannot be written to {folder}",
            found=error.strerror or str(error),
            hint="Install it for yourself alone, with --user.",
        ) from error
    return folder


def uninstall(name: str, *, user: bool = False, prefix: Path | None = None) -> Path:
    """Remove a kernel spec that `install` wrote (see there); return the folder that it was in.

    Raises:
        NotFound: there is none.
        CallerError: it is not ours.
    """
    folder = _folder(name, prefix=prefix, user=user)
    if not _NAME.match(name) or not folder.is_dir():
        raise NotFound(f"there is no kernel spec {name!r} in {folder.parent}", hint="See `jupyter kernelspec list`.")
    _must_be_ours(folder)
    shutil.rmtree(folder)
    return folder


def _folder(name: str, *, prefix: Path | None, user: bool) -> Path:
    if user:
        from jupyter_core.paths import jupyter_data_dir  # noqa: PLC0415 - only here

        return Path(jupyter_data_dir()) / "kernels" / name
    return (prefix or Path(sys.prefix)).absolute() / "share" / "jupyter" / "kernels" / name


def _must_be_ours(folder: Path) -> None:
    try:
        spec = json.loads((folder / "kernel.json").read_text("utf-8"))
        ours = spec["metadata"]["kernel_provisioner"]["provisioner_name"] == PROVISIONER
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise CallerError(
            f"the kernel spec in {folder} is another's",
            expected=f"none, or one whose kernel provisioner is {PROVISIONER}",
            hint="Choose another name with --name.",
        )
