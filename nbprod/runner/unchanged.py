"""STUB"""

from __future__ import annotations
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbprod.record.run_record import RunRecord
from nbprod.store import Store


class _T:
    def blockers(self) -> tuple[str, ...]:
        return ()


def trace_of(record: RunRecord, store: Store) -> Any:
    return _T()


def changes_since(trace: Any, root: Path) -> Iterator[str]:
    return iter(())
