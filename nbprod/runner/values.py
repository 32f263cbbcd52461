"""The values of a step's secrets, from where the settings say that they are."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nbprod.errors import CallerError, EnvironmentFault, NbprodError
from nbprod.step.secret import ENV, FILE, SecretReference

__all__ = ["block_value", "missing_secrets", "of_one_value", "places_of", "readable_by_others", "secret_values"]

_LARGEST = 64 * 1024
"""Bytes of a file that may be a secret; an environment takes hardly more (execve(2): 128 KiB for a variable)."""
_GROUP = "nbprod.secrets"


def secret_values(
    references: Sequence[SecretReference],
    step: str,
    *,
    environ: Mapping[str, str],
    root: Path,
    block: Callable[[str], str],
) -> dict[str, str]:
    """Return the values, by the names of the kernel's variables.

    Args:
        references: where they are.
        step: the step's name, for messages.
        environ: the environment of the process that runs it.
        root: the folder that paths are relative to.
        block: returns the value of Prefect's Secret block of a name.

    Raises:
        CallerError: one or more cannot be had; all of them are named, with their references and without any value.
    """
    values, missing = _looked_up(references, environ, root, block)
    if missing:
        raise CallerError(
            f"step {step} needs secrets that cannot be had",
            expected=f"a value for each of {', '.join(reference.name for reference in references)}",
            found="; ".join(missing),
            hint="Set the variable, or say in `secrets` of the step where else the value is.",
        )
    return values


def missing_secrets(
    references: Sequence[SecretReference],
    *,
    environ: Mapping[str, str],
    root: Path,
    block: Callable[[str], str],
) -> tuple[str, ...]:
    """Return for each value that cannot be had its reference and why, in words (arguments as for `secret_values`)."""
    return tuple(_looked_up(references, environ, root, block)[1])


def _looked_up(
    references: Sequence[SecretReference], environ: Mapping[str, str], root: Path, block: Callable[[str], str]
) -> tuple[dict[str, str], list[str]]:
    values: dict[str, str] = {}
    missing: list[str] = []
    for reference in references:
        try:
            values[reference.name] = _value(reference, environ, root, block)
        except NbprodError as error:
            missing.append(f"{reference.name} ({reference}): {error.found or error.what}")
    return values, missing


def _value(reference: SecretReference, environ: Mapping[str, str], root: Path, block: Callable[[str], str]) -> str:
    if reference.source == ENV:
        if reference.place not in environ:
            raise CallerError("the variable is not set")
        value = environ[reference.place]
    elif reference.source == FILE:
        value = _content(root / Path(reference.place).expanduser())
    else:
        value = block(reference.block)
    if "\0" in value:
        raise CallerError("it holds a NUL, which no environment variable can")
    return value


def _content(path: Path) -> str:
    """Return a whole file's text, without the newline that editors and `echo` leave at its end.

    Links are followed: Kubernetes mounts a secret as one.
    """
    try:
        if not path.is_file():
            raise CallerError("there is no such file" if not path.exists() else "it is not a regular file")
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except (OSError, RuntimeError) as error:  # the latter: a home folder that is not known
        raise CallerError(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > _LARGEST:
        raise CallerError(f"it has more than {_LARGEST:,} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise CallerError("it is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")


def readable_by_others(references: Sequence[SecretReference], root: Path) -> tuple[str, ...]:
    """Return a note for each file of a secret that everybody on this machine may read."""
    notes, mode = [], 0
    for reference in references:
        if reference.source == FILE:
            with contextlib.suppress(OSError, RuntimeError):
                mode = (root / Path(reference.place).expanduser()).stat().st_mode
            if mode & stat.S_IROTH:
                notes.append(f"the file of the secret {reference.name} can be read by everybody on this machine")
    return tuple(notes)


def places_of(references: Sequence[SecretReference]) -> dict[str, str]:
    """Return the references as they stand in the settings, by the names of the kernel's variables."""
    return {reference.name: str(reference) for reference in references}


def of_one_value(values: Mapping[str, str]) -> tuple[str, ...]:
    """Return a note for each value that several secrets have: it is masked by the name of the last of them."""
    names: dict[str, list[str]] = {}
    for name, value in values.items():
        names.setdefault(value, []).append(name)
    return tuple(
        f"the secrets {', '.join(others)} and {last} have one value, which is masked as {last}"
        for *others, last in names.values()
        if others
    )


def block_value(name: str) -> str:
    """Return the value of Prefect's Secret block of a name, by the entry point that knows Prefect.

    Raises:
        CallerError: there is no such block, or it holds no text.
        EnvironmentFault: Prefect is not installed, or its API cannot be reached.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import

    found = next(iter(entry_points(group=_GROUP, name="prefect")), None)
    if found is None:
        raise EnvironmentFault("this installation of nbprod names nobody who reads Prefect's blocks")
    try:
        read: Callable[[str], str] = found.load()
    except ImportError as error:
        raise EnvironmentFault(f"Prefect is not installed ({error}): pip install 'nbprod[flow]'") from error
    return read(name)
