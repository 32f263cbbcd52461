"""What became of a sweep: its settings, each with its run, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nbprod.digest import Json
from nbprod.errors import Erased, NbprodError, RunNotSuccessful
from nbprod.parameters import untag
from nbprod.project.run import Run
from nbprod.project.sweep import sweep_tag
from nbprod.record.ids import RunId

__all__ = ["Point", "Sweep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One setting of a sweep, and what became of it.

    Args:
        number: from 1, in the order of the settings.
        values: the given values by name, tagged.
        run: the finished run; None where there is none (yet).
        run_id: the run that is under way, or was.
        kept: the run is one of before: it had succeeded, or somebody else ran it.
        older: it is one of another version of the notebook.
        error: why there is no run, or why it could not go on, where nbprod itself refused.
    """

    number: int
    values: Mapping[str, Json]
    run: Run | None = None
    run_id: RunId | None = None
    kept: bool = False
    older: bool = False
    error: NbprodError | None = None

    @property
    def state(self) -> str:
        """How the run ended (`Status`), or `running`, `not_started`, `refused` (by nbprod, before it began)."""
        if self.run is not None:
            return str(self.run.status)
        if self.run_id is not None:
            return "running"  # with an error: as far as is known here
        return "not_started" if self.error is None else "refused"

    @property
    def reason(self) -> str:
        """Why it ended so; empty where there is nothing to say."""
        if self.run is not None:
            return self.run.reason
        return "" if self.error is None else str(self.error)

    @property
    def parameters(self) -> dict[str, Any]:
        """The given values as Python values; an artifact of another run as text `nbprod:RUN/NAME`."""
        return {name: _untagged(value) for name, value in self.values.items()}

    def __bool__(self) -> bool:
        """Return whether there is a run whose results may be used."""
        return bool(self.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A sweep that has ended. It pickles.

    Args:
        id: its id or name; `nbprod runs --tag sweep=ID` lists its runs.
        step: the step's name.
        points: its settings, in order, each with its run.
    """

    id: str
    step: str
    points: tuple[Point, ...]

    @property
    def tag(self) -> str:
        """The tag of all its runs."""
        return sweep_tag(self.id)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs that have ended, good or bad, in the order of their settings."""
        return tuple(point.run for point in self.points if point.run is not None)

    @property
    def missing(self) -> tuple[Point, ...]:
        """The settings without a good run: what `resume` would run."""
        return tuple(point for point in self.points if not point)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the table as a dict per setting, all with the same keys: `pandas.DataFrame(sweep.to_dicts())`.

        `run`, `status`, `reason`, `started`, `seconds`, then `parameter.NAME` and `scrap.NAME`; None where there is
        nothing. Scraps that were erased, and those that are only shown (tables, figures), are left out.
        """
        rows = [_row(point) for point in self.points]
        names = sorted(dict.fromkeys(name for row in rows for name in row), key=_rank)
        return [{name: row.get(name) for name in names} for row in rows]

    def raise_for_status(self) -> Sweep:
        """Return the sweep itself if every setting has a good run.

        Raises:
            RunNotSuccessful: one has not; the first such.
        """
        for point in self.points:
            if point.run is not None:
                point.run.raise_for_status()
            if not point:
                raise RunNotSuccessful(
                    f"setting {point.number} of sweep {self.id} has no good run",
                    run_id="",
                    status=point.state,
                    reason=point.reason,
                    hint="Go on with `resume`.",
                )
        return self

    def __len__(self) -> int:
        """Return the number of settings."""
        return len(self.points)

    def __bool__(self) -> bool:
        """Return whether every setting has a good run."""
        return all(self.points)

    def __repr__(self) -> str:
        """Return the sweep in one line."""
        good = sum(map(bool, self.points))
        return f"<Sweep {self.id} of {self.step}: {good} of {len(self.points)} succeeded>"


def _untagged(value: Json) -> Any:
    if isinstance(value, dict) and value.get("$nbprod") == "artifact":
        return f"nbprod:{value['value']['run']}/{value['value']['name']}"
    return untag(value)


_KINDS = ("parameter.", "scrap.")


def _rank(name: str) -> int:
    """Sort what every row has before the parameters, and these before the scraps; stable within."""
    return next((place for place, kind in enumerate(_KINDS, 1) if name.startswith(kind)), 0)


def _row(point: Point) -> dict[str, Any]:
    run = point.run
    row: dict[str, Any] = {
        "run": None if run is None else str(run.id),
        "status": point.state,
        "reason": point.reason,
        "started": None if run is None else run.started,
        "seconds": None if run is None else run.seconds,
        **{f"parameter.{name}": value for name, value in point.parameters.items()},
    }
    if run is None:
        return row
    for name in run.scraps:
        with suppress(Erased):
            scrap = run.scraps.scrap(name)
            if scrap.encoder in ("json", "text"):
                row[f"scrap.{name}"] = scrap.value()
    return row
