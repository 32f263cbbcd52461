"""A process that puts large objects until it is killed: `python killed_writer.py honest|naive FOLDER`.

Each object's digest stands on stdout once it is kept; the naive one tells it before.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from nbprod.digest import Digest, digest_bytes
from nbprod.store import LocalStore


class NaiveStore(LocalStore):
    """The positive control: writes an object in place, under its final name, as neighbours do."""

    def put(self, data: bytes) -> Digest:
        digest = digest_bytes(data)
        path = self._path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            for start in range(0, len(data), 4096):
                stream.write(data[start : start + 4096])
        return digest


def main(kind: str, folder: str) -> None:
    store = (NaiveStore if kind == "naive" else LocalStore)(Path(folder))
    for number in itertools.count():
        data = b"%08d" % number * (1 << 19)
        if kind == "naive":
            tell(digest_bytes(data))
        tell(store.put(data))


def tell(digest: Digest) -> None:
    sys.stdout.write(f"{digest}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
