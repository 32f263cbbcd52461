"""Whether the files of a bundle are what their names say: people open them by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nbprod.bundle import Bundle
from nbprod.bundle.form import CHECKPOINT, CONSISTENCY, EVENTS, INDEX, KEYS, README
from nbprod.bundle.named import PAGE, Named, member_name, named_inputs, named_objects, same_name
from nbprod.digest import Digest
from nbprod.errors import IntegrityError, NotFound
from nbprod.record.ids import RunId

__all__ = ["misnamed"]

_KEY_LIST = re.compile(rf"{KEYS}/\d+\.json")


def misnamed(bundle: Bundle) -> Iterator[str]:
    """Yield, in words, the members that no run of the bundle knows under their names.

    Nothing is said where a record is not there, nor of inputs where the list of what a run touched is not: the runs'
    own checks tell of that.
    """
    made = {INDEX, README, EVENTS, CONSISTENCY, CHECKPOINT}
    wanted: dict[Digest, list[str]] = {}
    unknown: list[str] = []
    try:
        for run_id in bundle.run_ids:
            made.add(member_name(run_id, PAGE))
            for each in _named(bundle, run_id):
                wanted.setdefault(each.digest, []).append(member_name(run_id, each.name))
            unknown += [] if bundle.knows_inputs(run_id) else [member_name(run_id, "inputs/")]
    except (NotFound, IntegrityError):
        return
    for member in bundle.index.members:
        if member.name in made or _KEY_LIST.fullmatch(member.name) or member.name.startswith(tuple(unknown)):
            continue
        if not any(same_name(member.name, name) for name in wanted.get(member.digest, ())):
            yield f"{member.name} is not what any of its runs knows under that name"


def _named(bundle: Bundle, run_id: RunId) -> Iterator[Named]:
    record = bundle.record(run_id)
    yield from named_objects([stored.event for stored in bundle.ledger.events(run_id)], record, bundle.read)
    yield from named_inputs(record, bundle.inputs(run_id) if bundle.knows_inputs(run_id) else ())
