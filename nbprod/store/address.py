"""A store's address: where `[tool.nbprod]` says that the bytes are."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from nbprod.errors import SettingsError
from nbprod.store.filesystem import FsspecDriver, require_driver
from nbprod.store.link import Patience
from nbprod.store.local import LocalStore
from nbprod.store.memory import MemoryStore
from nbprod.store.remote import RemoteStore
from nbprod.store.s3 import S3Driver
from nbprod.store.spool import Spool, SpoolingStore
from nbprod.store.store import Store

__all__ = ["open_store"]

_S3_OPTIONS = ("endpoint_url", "profile", "region")
_CANNOT_KEEP = frozenset({"data", "http", "https", "local"})
"""Addresses that fsspec reads and that keep nothing, or that have a better name here."""


def open_store(url: str, *, base: Path, spool: Path | None = None, patience: Patience | None = None) -> Store:
    """Return the store at an address; nothing is read or written yet.

    Args:
        url: a path (relative to `base`, or absolute), `file:///…` (percent-encoded, RFC 8089), `memory://`,
            `s3://bucket/prefix`, or another address of fsspec's whose driver is installed.
        base: the folder that relative paths start from.
        spool: the folder where bytes wait while a remote store cannot be reached; None to raise instead.
        patience: with the link to a remote store.

    Raises:
        SettingsError: an address that nbprod can't open, or whose driver is missing.
    """
    if "://" not in url:
        if not url or "\0" in url:
            raise SettingsError("the store has no address", expected="a folder or a URL", found=repr(url))
        return LocalStore(base / Path(url).expanduser())
    parts = _split(url)
    if parts.scheme == "memory":
        return MemoryStore()
    if parts.scheme == "file":
        return _local(parts, url)
    remote = _remote(parts, patience or Patience())
    return remote if spool is None else SpoolingStore(remote, Spool(spool))


def _split(url: str) -> SplitResult:
    """Take an address apart; no message of this module holds one whole, as it may hold a password."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError as error:
        raise SettingsError("the store's address is no URL", expected="scheme://place", found="a torn one") from error
    if password is not None or (parts.scheme.startswith("s3") and "@" in parts.netloc):
        raise SettingsError(
            "the store's address holds credentials",
            expected=f"{parts.scheme}://place, without a name and password",
            found="a part before @",
            hint="Take them out and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what the driver reads instead",
        )
    return parts


def _local(parts: SplitResult, url: str) -> LocalStore:
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise SettingsError(
            "the store's address names another machine",
            expected="file:///absolute/folder",
            found=repr(url),
            hint="For a relative folder, write the path alone",
        )
    return LocalStore(Path(unquote(parts.path)))


def _remote(parts: SplitResult, patience: Patience) -> RemoteStore:
    if parts.scheme in _CANNOT_KEEP:
        raise SettingsError(
            f"nothing can be kept at {parts.scheme}://",
            expected="a folder, file:///folder, s3://bucket/prefix, or another address that fsspec writes to",
            found=f"{parts.scheme}://",
        )
    require_driver(parts.scheme)
    if parts.scheme in ("s3", "s3a"):
        return RemoteStore(_s3(parts, patience))
    if parts.query or not parts.netloc:
        raise SettingsError(
            "the store's address is wrong",
            expected=f"{parts.scheme}://place/folder",
            found="options after ?" if parts.query else "no place after ://",
            hint=f"Options of a driver stand in fsspec's own settings: FSSPEC_{parts.scheme.upper()}_NAME=value",
        )
    return RemoteStore(_over_fsspec(parts, patience))


def _over_fsspec(parts: SplitResult, patience: Patience) -> FsspecDriver:
    import fsspec  # noqa: PLC0415 - only for stores that are not local

    url = parts.geturl().rstrip("/")
    system = fsspec.get_filesystem_class(parts.scheme)
    # Two names with an underscore that every fsspec driver must have: fsspec's own `url_to_fs` would connect here.
    options, root = system._get_kwargs_from_urls(url), system._strip_protocol(url)  # noqa: SLF001
    return FsspecDriver(parts.scheme, root, url, patience=patience, options=options)


def _s3(parts: SplitResult, patience: Patience) -> S3Driver:
    options = dict(parse_qsl(parts.query))
    wrong = [name for name in options if name not in _S3_OPTIONS]
    endpoint = options.get("endpoint_url")
    if wrong or not parts.netloc or (endpoint is not None and not _is_server(endpoint)):
        found = f"the option {wrong[0]!r}" if wrong else "no bucket" if not parts.netloc else "another endpoint_url"
        raise SettingsError(
            "the store's address is wrong",
            expected=f"s3://bucket/prefix, after ? only {', '.join(_S3_OPTIONS)}, and http(s)://server as endpoint_url",
            found=found,
            hint="Keys stand in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, never in an address",
        )
    prefix = unquote(parts.path).strip("/")
    query = f"?{urlencode(options, safe=':/')}" if options else ""
    return S3Driver(
        parts.netloc,
        prefix,
        f"s3://{parts.netloc}{parts.path.rstrip('/')}{query}",
        patience=patience,
        endpoint=endpoint,
        region=options.get("region"),
        profile=options.get("profile"),
    )


def _is_server(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
