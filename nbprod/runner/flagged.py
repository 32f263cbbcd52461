"""Which secrets were masked in a run, told by their masks: so recovery, which knows no value, finds them as well."""

from __future__ import annotations

import json
from collections.abc import Sequence

from nbprod.execution.outputs import Collector
from nbprod.execution.plan import Plan
from nbprod.masking import Masker
from nbprod.record.masked import Masked

__all__ = ["masked_in"]


def masked_in(secrets: Sequence[str], plan: Plan, collector: Collector, told: Sequence[str]) -> tuple[Masked, ...]:
    """Return which of the secrets stood in what a run put out.

    Args:
        secrets: their names.
        plan: what was executed.
        collector: what the cells put out.
        told: other texts of the record that come from the run.
    """
    if not secrets:
        return ()
    texts = {cell.cell: _text(collector.outputs(cell.position)) for cell in plan.cells}
    rest = _text(list(told))
    found = []
    for name in secrets:
        mask = _text(Masker.mask(name))[1:-1]
        cells = tuple(cell for cell, text in texts.items() if mask in text)
        if cells or mask in rest:
            found.append(Masked(secret=name, cells=cells, elsewhere=mask in rest))
    return tuple(found)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
