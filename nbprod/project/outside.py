"""Places outside that a checkpoint is sent to: a file, an address that fsspec writes to, a branch in git."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from nbprod.errors import CallerError, NotFound
from nbprod.project.outside_git import PREFIX, Branch
from nbprod.store.elsewhere import read_url, refuse_unwritable, shown_url, write_url
from nbprod.store.files import whole_file, write

__all__ = ["Outside", "opened"]


class Outside(Protocol):
    """A place that holds one small file."""

    def read(self) -> bytes | None:
        """Return what is there; None if nothing is.

        Raises:
            CallerError, EnvironmentFault, SettingsError, StoreUnavailable: it cannot be read.
        """

    def write(self, data: bytes, told: str) -> None:
        """Put this there, in the place of what was read.

        Args:
            data: all of it.
            told: one line on it, for places that keep a history.

        Raises:
            EnvironmentFault, SettingsError, StoreUnavailable: it cannot be written.
        """


@contextmanager
def opened(place: str, environ: Mapping[str, str]) -> Iterator[Outside]:
    """Give a place by its name.

    Args:
        place: a path; an address that fsspec writes to, `s3://bucket/key`; or a git repository as pip names them,
            `git+https://host/repository.git@branch#path/in/it` (also `git+ssh://`, `git+file://`).
        environ: the variables that git is started with.

    Raises:
        CallerError, SettingsError, EnvironmentFault: there can be no such place.
    """
    if place.startswith(PREFIX):
        with tempfile.TemporaryDirectory(prefix="nbprod-git-") as folder:
            yield Branch(place, Path(folder), environ)
    elif "://" in place:
        _refuse_no_address(place)
        refuse_unwritable(place)
        yield _Address(place)
    else:
        yield _File(Path(place))


def _refuse_no_address(place: str) -> None:
    try:
        urlsplit(place)
    except ValueError as error:
        raise CallerError(
            f"{shown_url(place)} is no address", expected="a path, or an address such as s3://bucket/key"
        ) from error


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes | None:
        if self._path.exists() and not self._path.is_file():
            raise CallerError(f"{self._path} is no file", expected="a file, or nothing")
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CallerError(
                f"{self._path} cannot be read", expected="a checkpoint, or nothing", found=str(error)
            ) from error

    def write(self, data: bytes, told: str) -> None:  # noqa: ARG002 - a file has no history
        with whole_file(self._path, 0o644) as target:
            write(target, data)


class _Address:
    def __init__(self, url: str) -> None:
        self._url = url

    def read(self) -> bytes | None:
        try:
            return read_url(self._url)
        except NotFound:
            return None

    def write(self, data: bytes, told: str) -> None:  # noqa: ARG002 - it may have no history
        write_url(self._url, data)
