"""What `nbprod doctor` finds out about a store that is no local folder, and about what waits for it."""

from __future__ import annotations

from collections.abc import Iterator

from nbprod.errors import NbprodError, SettingsError, StoreUnavailable
from nbprod.project.home import Home
from nbprod.project.machine import Finding, Health
from nbprod.store import LocalStore, RemoteStore, SpoolingStore

__all__ = ["check_remote", "quarantines"]


def check_remote(home: Home) -> Iterator[Finding]:
    """Try the store, and tell what waits for it.

    Args:
        home: where the project's bytes are.
    """
    try:
        store = home.store
    except NbprodError as error:
        yield Finding("store", Health.FAIL, str(error), "Correct `store` in [tool.nbprod], or NBPROD_STORE.")
        return
    if not isinstance(store, SpoolingStore):
        yield Finding("store", Health.OK, home.store_url.partition("://")[0] + "://")
        return
    try:
        # The empty object is one that any run may keep: trying to write it leaves nothing that has no place there.
        store.remote.get(store.remote.put(b""))
    except NbprodError as error:
        yield Finding("store", Health.FAIL, f"{error.what}: {error.found}", error.hint or "See the message of a run.")
    else:
        yield Finding("store", Health.OK, f"{store.url}, can be written and read")
    count = store.waiting()
    if count:
        told = "1 object waits" if count == 1 else f"{count} objects wait"
        advice = "The next run or `nbprod recover` delivers them; until then no other machine can read them."
        yield Finding("spool", Health.WARN, f"{told} in {home.folder / 'spool'} for {store.url}", advice)


def quarantines(home: Home) -> Iterator[tuple[str, int]]:
    """Yield where objects were set aside as corrupt, and how many; nothing of a store that cannot be asked."""
    try:
        store = home.store
        stores = (store, store.remote) if isinstance(store, SpoolingStore) else (store,)
        for each in stores:
            if isinstance(each, LocalStore | SpoolingStore) and (paths := each.quarantined()):
                yield str(paths[0].parent), len(paths)
            if isinstance(each, RemoteStore) and (keys := each.quarantined()):
                yield f"quarantine/ of {each.url}", len(keys)
    except (SettingsError, StoreUnavailable):
        return  # `check_remote` has told
