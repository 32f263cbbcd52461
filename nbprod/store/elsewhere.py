"""Files that lie somewhere else, read and written whole by whatever fsspec has for their address."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from nbprod.errors import NotFound, SettingsError, StoreUnavailable

__all__ = ["read_url", "refuse_unwritable", "shown_url", "write_url"]

LARGEST = 200 << 20
"""Bytes above which a file is not taken for a notebook."""

_READ_ONLY = ("http", "https", "github", "data")


def shown_url(url: str) -> str:
    """Return an address as it may be kept and shown: without user, password, query and fragment."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{scheme}://…"
    # In github://org:repo@branch/path what stands before the @ is no credential.
    if parts.scheme == "github":
        return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    place, path = parts.netloc.rpartition("@")[2], parts.path
    if "@" in rest and "@" not in parts.netloc and re.search(r":(?!\d+\Z)[^\]]*\Z", place):
        # A password with a sign that ends the host's part: whatever may be of it is left out.
        place, path = "", f"…{rest.rpartition('@')[2]}"
    return f"{scheme}://{place}{path}"


def read_url(url: str) -> bytes:
    """Return a file's bytes.

    Args:
        url: `https://…`, `s3://bucket/key`, `github://org:repo@branch/path`, or any other that fsspec has a driver for.

    Raises:
        SettingsError: no driver for such addresses is installed.
        NotFound: there is no such file.
        StoreUnavailable: it cannot be read.
    """
    filesystem, path = _filesystem(url, "read")
    try:
        size = filesystem.info(path).get("size") or 0
        data = bytes(filesystem.cat_file(path)) if size <= LARGEST else b""
    except Exception as error:  # each driver has errors of its own
        cause = _cause(error)
        if isinstance(cause, FileNotFoundError) or (isinstance(error, FileNotFoundError) and not _is_link(cause)):
            raise NotFound(f"there is no file {shown_url(url)}") from error
        raise _unavailable(url, "read", cause) from error
    if size > LARGEST:
        raise StoreUnavailable(
            f"{shown_url(url)} is too large", expected=f"at most {LARGEST:,} bytes", found=f"{size:,} bytes"
        )
    return data


def refuse_unwritable(url: str) -> None:
    """Refuse an address at which nothing can be written, whatever the rights.

    Raises:
        SettingsError: it is of a kind that is only read, or no driver for such addresses is installed.
    """
    scheme = urlsplit(url).scheme
    if scheme in _READ_ONLY:
        raise SettingsError(
            f"{shown_url(url)} cannot be written",
            expected="a path, or the address of storage that takes files, such as s3://bucket/key",
            found=f"{scheme}://, which is only read",
        )
    _filesystem(url, "written")


def write_url(url: str, data: bytes) -> None:
    """Write a file, in the place of the one that is there.

    Args:
        url: `s3://bucket/key`, or any other that fsspec has a driver for which takes files.
        data: all of it.

    Raises:
        SettingsError: no driver for such addresses is installed.
        StoreUnavailable: it cannot be written.
    """
    filesystem, path = _filesystem(url, "written")
    try:
        filesystem.pipe_file(path, data)
    except Exception as error:  # each driver has errors of its own
        raise _unavailable(url, "written", _cause(error)) from error


def _filesystem(url: str, done: str) -> tuple[Any, str]:
    try:
        import fsspec  # noqa: PLC0415 - optional, and slow

        filesystem, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise SettingsError(
            f"{shown_url(url)} cannot be {done}",
            expected="an address that fsspec has a driver for",
            found=str(error).partition("\n")[0],
            hint="Install the driver; for s3:// and https:// it is `pip install 'nbprod[s3]'`.",
        ) from error
    return filesystem, path


def _unavailable(url: str, done: str, cause: BaseException) -> StoreUnavailable:
    credentials = urlsplit(url).netloc.rpartition("@")[0]
    telling = url in str(cause) or (credentials != "" and credentials in str(cause))
    return StoreUnavailable(
        f"{shown_url(url)} cannot be {done}",
        found=type(cause).__name__ if telling else f"{type(cause).__name__}: {cause}"[:200],
        hint="Look at the address, the rights, and whether the network is there.",
    )


def _cause(error: BaseException) -> BaseException:
    """Return what is at the bottom: of a host that is not there, fsspec says that the file is not."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _is_link(error: BaseException) -> bool:
    return isinstance(error, OSError | TimeoutError)
