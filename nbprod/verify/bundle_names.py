"""Whether the files of a bundle are what their names say: people open them by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nbprod.bundle import Bundle
from nbprod.bundle.form import CHECKPOINT, CONSISTENCY, EVENTS, INDEX, KEYS, README
from nbprod.bundle.named import PAGE, Named, member_name, named_in_events, named_in_record, named_inputs, same_name
from nbprod.digest import Digest
from nbprod.errors import IntegrityError, NotFound, UnsupportedVersion
from nbprod.record.ids import RunId

__all__ = ["misnamed"]

_KEY_LIST = re.compile(rf"{KEYS}/\d+\.json")


def misnamed(bundle: Bundle) -> Iterator[str]:
    """Yield, in words, the members that no run of the bundle knows under their names.

    Where a record is not there, only what the run's events name can be told, and nothing of inputs where the list of
    what a run touched is not: the runs' own checks tell of that.
    """
    made = {INDEX, README, EVENTS, CONSISTENCY, CHECKPOINT}
    wanted: dict[Digest, list[str]] = {}
    unknown: list[str] = []
    sure: list[str] = []
    for run_id in bundle.run_ids:
        made.add(member_name(run_id, PAGE))
        events = [stored.event for stored in bundle.ledger.events(run_id)]
        named = list(named_in_events(events))
        sure += [member_name(run_id, each.name) for each in named]
        try:
            named += _in_record(bundle, run_id)
            unknown += [] if bundle.knows_inputs(run_id) else [member_name(run_id, "inputs/")]
        except (NotFound, IntegrityError, UnsupportedVersion):
            unknown.append(member_name(run_id, ""))
        for each in named:
            wanted.setdefault(each.digest, []).append(member_name(run_id, each.name))
    for member in bundle.index.members:
        if member.name in made or _KEY_LIST.fullmatch(member.name):
            continue
        if any(same_name(member.name, name) for name in wanted.get(member.digest, ())):
            continue
        if not member.name.startswith(tuple(unknown)) or any(same_name(member.name, name) for name in sure):
            yield f"{member.name} is not what any of its runs knows under that name"


def _in_record(bundle: Bundle, run_id: RunId) -> list[Named]:
    record = bundle.record(run_id)
    kept = bundle.inputs(run_id) if bundle.knows_inputs(run_id) else ()
    return [*named_in_record(record, bundle.read), *named_inputs(record, kept)]
