"""A sweep before it starts: one step, many settings, and which of them were run before."""

from __future__ import annotations

import re
import reprlib
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbprod.digest import Json, digest_json
from nbprod.errors import CallerError, NotFound, ParameterError, ParameterFault
from nbprod.ledger import RunQuery, RunRow
from nbprod.parameters import Text, tag
from nbprod.project.order import order
from nbprod.project.project import Project, RunOptions
from nbprod.runner import Job
from nbprod.step.step import Step

__all__ = ["MOST", "Plan", "Setting", "plan_sweep", "sweep_tag", "varying"]

MOST = 10_000
"""Settings that a sweep may have unless more are asked for: a slip of the hand gives millions."""

_TAG = "sweep="
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)
_SHOWN = 20
"""Faults that are told at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One run of a sweep as it is ordered.

    Args:
        number: from 1, in the order of the settings.
        key: equal for equal values of equal parameters, whenever and wherever.
        values: the given values by name, tagged, as the record will have them.
        job: what to run.
    """

    number: int
    key: str
    values: Mapping[str, Json]
    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A sweep that may start: all that can be known to be wrong has been refused.

    Args:
        id: of the sweep: eight hex digits, or its name.
        step: what is run.
        settings: each of them once.
        repeated: how many settings were left out because they are the same as another one.
        earlier: by key, the run that counts of those that this sweep had before: a good one if there is any, else the
            latest; none for a new sweep.
    """

    id: str
    step: Step
    settings: tuple[Setting, ...]
    repeated: int
    earlier: Mapping[str, RunRow]

    @property
    def tag(self) -> str:
        """The tag of all its runs."""
        return sweep_tag(self.id)

    def kept(self, setting: Setting) -> RunRow | None:
        """Return the good run that a setting had before; None if it is to be run."""
        row = self.earlier.get(setting.key)
        return row if row is not None and row.status is not None and row.status.good else None


def sweep_tag(sweep_id: str) -> str:
    """Return the tag by which the runs of a sweep are found."""
    return f"{_TAG}{sweep_id}"


def varying(settings: Sequence[Mapping[str, Json]]) -> tuple[str, ...]:
    """Return the names of the parameters that are not the same in all settings, in the order in which they come."""
    names = dict.fromkeys(name for values in settings for name in values)
    first = settings[0] if settings else {}
    return tuple(n for n in names if any(n not in s or n not in first or s[n] != first[n] for s in settings))


def plan_sweep(
    project: Project,
    step: Step,
    settings: Sequence[Mapping[str, Any]],
    options: RunOptions,
    *,
    output: str | None = None,
    name: str | None = None,
    resume: bool | str = False,
) -> Plan:
    """Bind every setting; refuse here what is wrong with any of them, and find what was run before.

    Args:
        project: where they will run.
        step: what to run.
        settings: values by parameter, for one run each (see `Project.job`).
        options: how the runs differ from the step's settings; the tag of the sweep is added.
        output: template for where the executed notebooks are written as well (see `output_path`).
        name: the sweep's name, in place of random digits.
        resume: go on with a sweep: the one of this id, or with True the latest that has run any of the settings.

    Raises:
        ParameterError: unknown, missing or ill-typed parameters in any setting, with the setting.
        NotFound: there is no sweep to go on with.
        CallerError: a name that is taken, no settings, or executed notebooks that would overwrite each other.
    """
    if not settings:
        raise CallerError("there is nothing to run", found="no settings")
    bound = _bound(project, step, settings, options, output)
    first: dict[str, Setting] = {}
    for setting in bound:
        first.setdefault(setting.key, setting)
    once = list(first.values())
    _refuse_secrets(project, step, once)
    _refuse_outputs(once)
    sweep_id, earlier = _identity(project, step, frozenset(setting.key for setting in once), name=name, resume=resume)
    tags = (*options.tags, sweep_tag(sweep_id))
    return Plan(
        id=sweep_id,
        step=step,
        settings=tuple(
            replace(
                setting,
                number=number,
                job=replace(setting.job, tags=tags, occasion=f"sweep {sweep_id} {setting.key}"),
            )
            for number, setting in enumerate(once, 1)
        ),
        repeated=len(bound) - len(once),
        earlier=earlier,
    )


# --- binding --------------------------------------------------------------------------------------


def _bound(
    project: Project, step: Step, settings: Sequence[Mapping[str, Any]], options: RunOptions, output: str | None
) -> list[Setting]:
    bound: list[Setting] = []
    faults: dict[ParameterFault, list[int]] = {}
    hint = None
    for number, values in enumerate(settings, 1):
        try:
            job = order(project, step, values, options, output=output)
        except ParameterError as error:
            hint = error.hint
            for fault in error.faults:
                faults.setdefault(fault, []).append(number)
        else:
            shown = _given(job, values)
            bound.append(Setting(number=number, key=_key(job, shown), values=shown, job=job))
    if faults:
        if len(faults) > _SHOWN:
            hint = " ".join(filter(None, (f"And {len(faults) - _SHOWN} more like these.", hint)))
        told = tuple(_located(fault, numbers, settings) for fault, numbers in list(faults.items())[:_SHOWN])
        raise ParameterError(f"the parameters do not fit {step.name}", told, hint=hint)
    return bound


def _given(job: Job, order: Iterable[str]) -> dict[str, Json]:
    """Return the given values as the record will have them, in the order in which they were given."""
    values: dict[str, Json] = {name: tag(value) for name, value in job.parameters.overrides.items()}
    for name, upstream in job.upstream.items():
        inner = {"run": str(upstream.run), "name": upstream.name, "digest": str(upstream.digest)}
        values[name] = {"$nbprod": "artifact", "value": inner}
    return {name: values[name] for name in order if name in values}


def _key(job: Job, shown: Mapping[str, Json]) -> str:
    """Return a key of the values; of an artifact its bytes count, whichever run left them."""
    digests = {name: {"artifact": str(upstream.digest)} for name, upstream in job.upstream.items()}
    return digest_json({**shown, **digests}).hex[:16]


def _located(fault: ParameterFault, numbers: Sequence[int], settings: Sequence[Mapping[str, Any]]) -> ParameterFault:
    """Say in which settings a fault is, unless it is in all of them."""
    if len(numbers) == len(settings):
        return fault
    first = settings[numbers[0] - 1]
    others = [setting for setting in settings if setting is not first]
    told = ", ".join(
        f"{name}={_word(value)}" for name, value in first.items() if any(_differs(o.get(name), value) for o in others)
    )
    count = "setting" if len(numbers) == 1 else f"{len(numbers):,} of {len(settings):,} settings, the first is number"
    where = f"in {count} {numbers[0]}: {told}"
    return ParameterFault(
        fault.parameter, fault.expected, fault.found, where if fault.hint is None else f"{fault.hint}; {where}"
    )


def _differs(one: object, other: object) -> bool:
    return one is not other and (type(one) is not type(other) or (one == other) is not True)


def _word(value: object) -> str:
    return value.text if isinstance(value, Text) else reprlib.repr(value)


def _refuse_secrets(project: Project, step: Step, settings: Sequence[Setting]) -> None:
    """Refuse a secret among the values, as each run would: before any of them, and before any value is shown."""
    if not step.settings.secrets:
        return
    masker = project.masker_of(step)
    names = ", ".join(each.name for each in step.settings.secrets)
    for setting in settings:
        for name, value in setting.values.items():
            if masker.mask_json(value) != value:
                raise CallerError(
                    "a parameter holds the value of a secret",
                    expected=f"secrets only in the environment ({names})",
                    found=f"one in {name}, setting {setting.number}",
                    hint="Let the notebook read the variable with os.environ, and leave the parameter away.",
                )


def _refuse_outputs(settings: Sequence[Setting]) -> None:
    """Refuse executed notebooks that would overwrite each other, or cannot be written."""
    seen: dict[str, int] = {}
    for setting in settings:
        output = setting.job.output
        if output is None:
            continue
        if isinstance(output, Path) and not output.parent.is_dir():
            raise CallerError(
                f"the executed notebook of setting {setting.number} cannot be written to {output}",
                found="its folder is not there",
                hint=f"Create it: mkdir -p {output.parent}",
            )
        if str(output) in seen:
            raise CallerError(
                "two runs would write their executed notebooks to the same place",
                expected="an OUTPUT with the names of what varies in it, e.g. out/{alpha}-{seed}.ipynb",
                found=f"{output} for settings {seen[str(output)]} and {setting.number}",
            )
        seen[str(output)] = setting.number


# --- sweeps that were begun before ----------------------------------------------------------------


def _identity(
    project: Project, step: Step, keys: frozenset[str], *, name: str | None, resume: bool | str
) -> tuple[str, dict[str, RunRow]]:
    """Return the sweep's id, and the runs that it had before."""
    if resume is False:
        return _new(project, name), {}
    asked = name if resume is True else str(resume).removeprefix(_TAG)
    sweep_id = _latest(project, step, keys) if asked is None else asked
    earlier: dict[str, RunRow] = {}
    for row in _rows(project, sweep_id):
        if row.step != step.name:
            raise CallerError(
                f"sweep {sweep_id} is one of another step",
                expected=step.name,
                found=row.step,
                hint="Give its notebook.",
            )
        key = _key_of(row, sweep_id)
        counted = earlier.get(key)
        # The latest comes first.
        if counted is None or (_good(row) and not _good(counted) and counted.status is not None):
            earlier[key] = row
    if not earlier:
        raise NotFound(f"there is no sweep {sweep_id}", hint="`nbprod runs --text sweep=` lists the runs of sweeps.")
    return sweep_id, earlier


def _new(project: Project, name: str | None) -> str:
    if name is None:
        return secrets.token_hex(4)
    if not _NAME.fullmatch(name):
        raise CallerError(
            "a sweep cannot be called so",
            expected="at most 64 letters, digits, dots, dashes and underlines, a letter or digit first",
            found=ascii(name),
        )
    if next(_rows(project, name), None) is not None:
        raise CallerError(
            f"there is a sweep {name} already", hint="Go on with it by --resume, or give the new one another name."
        )
    return name


def _rows(project: Project, sweep_id: str) -> Iterator[RunRow]:
    if not project.home.has_ledger():
        return iter(())
    return project.home.ledger.runs(RunQuery(tags=(sweep_tag(sweep_id),)))


def _latest(project: Project, step: Step, keys: frozenset[str]) -> str:
    """Return the sweep of a step that was the last to begin any of the settings."""
    if project.home.has_ledger():
        for row in project.home.ledger.runs(RunQuery(steps=(step.name,), text=_TAG)):
            for sweep_id in (word.removeprefix(_TAG) for word in row.tags if word.startswith(_TAG)):
                if _key_of(row, sweep_id) in keys:
                    return sweep_id
    raise NotFound(
        f"no sweep of {step.name} has begun any of these settings",
        hint="Begin one without --resume, or name the one to go on with: `nbprod runs --text sweep=` lists their runs.",
    )


def _key_of(row: RunRow, sweep_id: str) -> str:
    """Return the key of the setting that a run was for; empty if it was for none of this sweep."""
    prefix = f"sweep {sweep_id} "
    return row.occasion.removeprefix(prefix) if row.occasion is not None and row.occasion.startswith(prefix) else ""


def _good(row: RunRow) -> bool:
    return row.status is not None and row.status.good
