"""Looking after a project's ledger together with the store that it points at."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

from nbprod.digest import Digest
from nbprod.errors import DigestMismatch, IntegrityError, NotFound, UnsupportedVersion
from nbprod.ledger.audit import Audit, audit
from nbprod.ledger.erasures import erasure_of
from nbprod.project.home import Home
from nbprod.publish import Manifest
from nbprod.record.ids import RunId
from nbprod.record.kept import kept_inputs
from nbprod.record.run_record import RunRecord
from nbprod.record.trace import Trace
from nbprod.store import Store

__all__ = ["check"]

_Look = Callable[[int], None]

_RUN = "run "
"""How runs are called among those who name objects (`nbprod.ledger.audit`)."""


def check(
    home: Home,
    *,
    store: bool = True,
    content: bool = False,
    compared: _Look = lambda _: None,
    looked: _Look = lambda _: None,
) -> Audit:
    """Compare the ledger's index with its events, and what they name with the store; in flat memory.

    Args:
        home: whose ledger and store.
        store: look whether the store has what events name.
        content: read and hash it, and all that the records and manifests among it name.
        compared: hears how many runs were compared.
        looked: hears how many objects were looked at.

    Raises:
        LedgerUnavailable, StoreUnavailable: they cannot be read.
    """
    with closing(_Named()) as named:
        found = audit(home.ledger, named.add, compared)
        if store or content:
            look = _read if content else _present
            for digest, by in named:
                found.objects += 1
                faults = list(look(home.store, digest, by, named))
                if faults == [_lost(digest, by)]:
                    faults = [_lost(digest, each) for each in named.who(digest) if not _erased(home, digest, each)]
                    found.erased += not faults
                found.faults += faults
                looked(found.objects)
    return found


def _lost(digest: Digest, by: str) -> str:
    return f"{digest}, which {by} names, is not in the store"


def _erased(home: Home, digest: Digest, by: str) -> bool:
    """Return whether a tombstone stands for an object, of the run that names it."""
    run = by.removeprefix(_RUN)
    return run != by and erasure_of(home.ledger, RunId(run), digest) is not None


class _Named:
    """The objects that were named and who named them first, on disk: there may be millions."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")  # of SQLite's own temporary files, gone when it is closed
        self._database.execute(
            "CREATE TABLE named (place INTEGER PRIMARY KEY, digest TEXT UNIQUE, who TEXT, told INTEGER)"
        )
        # An object may be erased of one run and lost to another: whoever names it next is remembered, too.
        self._database.execute("CREATE TABLE also (digest TEXT, who TEXT, PRIMARY KEY (digest, who)) WITHOUT ROWID")

    def close(self) -> None:
        """Forget all."""
        self._database.close()

    def add(self, digest: Digest, by: str, *, told: bool = True) -> None:
        """Keep an object's name, once; `told`: an event names it, and not only a record or manifest."""
        values = (digest.hex, by, told)
        query = "INSERT OR IGNORE INTO named (digest, who, told) VALUES (?, ?, ?)"
        if not self._database.execute(query, values).rowcount:
            self._database.execute("INSERT OR IGNORE INTO also VALUES (?, ?)", values[:2])

    def who(self, digest: Digest) -> tuple[str, ...]:
        """Return all who name an object, as far as they are known by now; the first of them first."""
        first = self._database.execute("SELECT who FROM named WHERE digest = ?", (digest.hex,)).fetchall()
        also = self._database.execute("SELECT who FROM also WHERE digest = ? ORDER BY who", (digest.hex,)).fetchall()
        return tuple(dict.fromkeys(who for (who,) in (*first, *also)))

    def told(self, digest: Digest) -> bool:
        """Say whether an event names it: what is an artifact only may look like a record, and is none."""
        row = self._database.execute("SELECT told FROM named WHERE digest = ?", (digest.hex,)).fetchone()
        return bool(row and row[0])

    def __iter__(self) -> Iterator[tuple[Digest, str]]:
        """Yield them in the order of their coming, those also that come meanwhile."""
        place = 0
        while row := self._database.execute(
            "SELECT place, digest, who FROM named WHERE place > ? ORDER BY place LIMIT 1", (place,)
        ).fetchone():
            place = row[0]
            yield Digest(row[1]), row[2]


def _present(store: Store, digest: Digest, by: str, _named: _Named) -> Iterator[str]:
    if not store.has(digest):
        yield _lost(digest, by)


def _read(store: Store, digest: Digest, by: str, named: _Named) -> Iterator[str]:
    """Hash an object; of a record or manifest, go on with what it names."""
    try:
        store.check(digest)
        about = _about(store, digest, by) if named.told(digest) else ()
    except NotFound:
        yield _lost(digest, by)
    except (DigestMismatch, IntegrityError, UnsupportedVersion) as error:
        yield f"{digest}, which {by} names: {error}"
    else:
        for each in about:
            named.add(each, by, told=False)


def _about(store: Store, digest: Digest, by: str) -> tuple[Digest, ...]:
    """Return what an object names, if it is a record or a manifest."""
    beginning = store.beginning(digest, len(_STATEMENT))
    if beginning.startswith(_STATEMENT) and by.startswith(_RUN):
        return _in_record(RunRecord.from_bytes(store.get(digest)), store)
    if not by.startswith(_RUN) and beginning.startswith(_MANIFEST):
        manifest = Manifest.from_bytes(store.get(digest))
        return (*(each.digest for each in manifest.files), manifest.environment)
    return ()


_STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1",'
_MANIFEST = b'{"environment":"sha256:'
"""How records and manifests begin: RFC 8785 sorts keys."""


def _in_record(record: RunRecord, store: Store) -> tuple[Digest, ...]:
    kept = (record.notebook, record.source_file, record.journal, *record.artifacts, record.trace)
    digests = [each.digest for each in kept if each is not None]
    request = record.request
    more = (record.environment_facts, request.environment, request.published, *(each.ref for each in record.scraps))
    return tuple(each for each in (*digests, *more, *_inputs(record, store)) if each is not None)


def _inputs(record: RunRecord, store: Store) -> Iterator[Digest]:
    """Yield the inputs that are kept with a run; what is wrong with its trace is told of the trace itself."""

    def read(digest: Digest) -> bytes | None:
        try:
            return store.get(digest)
        except (NotFound, DigestMismatch):
            return None

    data = None if record.trace is None else read(record.trace.digest)
    if data is not None:
        yield from (each.digest for each in kept_inputs(Trace.from_bytes(data), read))
