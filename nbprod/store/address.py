"""A store's address: where `[tool.nbprod]` says that the bytes are."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from nbprod.errors import SettingsError
from nbprod.store.local import LocalStore
from nbprod.store.memory import MemoryStore
from nbprod.store.store import Store

__all__ = ["open_store"]


def open_store(url: str, *, base: Path) -> Store:
    """Return the store at an address; nothing is read or written yet.

    Args:
        url: a path (relative to `base`, or absolute), `file:///…` (percent-encoded, RFC 8089), or `memory://`.
        base: the folder that relative paths start from.

    Raises:
        SettingsError: an address that nbprod can't open.
    """
    if "://" not in url:
        if not url or "\0" in url:
            raise SettingsError("the store has no address", expected="a folder or a URL", found=repr(url))
        return LocalStore(base / Path(url).expanduser())
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return MemoryStore()
    if parts.scheme != "file":
        raise SettingsError(
            f"this version keeps no store at {parts.scheme}://",
            expected="a folder, file:///folder or memory://",
            found=parts.scheme + "://",  # never the whole address: it may hold a password
        )
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise SettingsError(
            "the store's address names another machine",
            expected="file:///absolute/folder",
            found=repr(url),
            hint="For a relative folder, write the path alone",
        )
    return LocalStore(Path(unquote(parts.path)))
