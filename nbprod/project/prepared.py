"""Runs made ready to be executed again: what can be refused of any is refused before the first is executed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nbprod.diff import Tolerance
from nbprod.errors import CallerError, IntegrityError, NotReproducible, SignatureInvalid
from nbprod.project.origin import Origin
from nbprod.reproduce.job import recorded_settings
from nbprod.reproduce.needs import Need, needs_of
from nbprod.reproduce.tree import Absent, find, refuse_unread
from nbprod.runner.values import block_value, missing_secrets
from nbprod.step.step import StepSettings
from nbprod.verify import Conclusion

if TYPE_CHECKING:
    from nbprod.project.project import Project

__all__ = ["How", "missing_of", "not_as_it_was", "prepare", "settings_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How a run is to be executed again.

    Args:
        given: files and folders by the parameter, or the path, that names them: for what was not kept.
        allow_missing: go on without what is not to be had.
        anyway: go on although the run was altered.
        strict_environment: refuse where the environment is another.
        rebuild_environment: make the recorded environment anew, from the names and versions in the record.
        builds: the packages that may be built from their sources for it, which runs code of theirs.
        tolerance: how far apart two scraps may be.
        keep: leave the folder in which it was executed.
    """

    given: Mapping[str, Path] = field(default_factory=dict)
    allow_missing: bool = False
    anyway: bool = False
    strict_environment: bool = False
    rebuild_environment: bool = False
    builds: tuple[str, ...] = ()
    tolerance: Tolerance = field(default_factory=Tolerance)
    keep: bool = False


def prepare(project: Project, origins: Sequence[Origin], how: How) -> tuple[tuple[Origin, How], ...]:
    """Refuse what can be refused of all runs together; return each with what of the wishes is about it.

    Args:
        project: takes the new runs.
        origins: the runs, in the order in which they are to be executed.
        how: what is to be done where something is not as it was, of all of them.

    Raises:
        IntegrityError: one was altered.
        SignatureInvalid: nothing that was named beforehand vouches for one.
        CallerError: a tolerance is of no scrap, or nothing that was read has the name of what is given.
        NotReproducible: of several runs, files or secrets that one needs are not to be had.
    """
    if not how.anyway:
        for origin in origins:
            _refuse_untrusted(origin)
    scraps = [[entry.name for entry in origin.record.scraps] for origin in origins]
    _refuse_unglued(how.tolerance, [name for names in scraps for name in names])
    needs = [needs_of(origin.record, origin.trace) for origin in origins]
    refuse_unread(how.given, [need for each in needs for need in each])
    ready = tuple(
        (origin, replace(how, given=_about(how.given, read), tolerance=_of(how.tolerance, names)))
        for origin, read, names in zip(origins, needs, scraps, strict=True)
    )
    if len(ready) > 1:
        for (origin, own), read in zip(ready, needs, strict=True):
            _, absent = find(read, origin.store, lies=origin.lies, given=own.given)
            missing = missing_of(settings_of(project, origin), project, absent, own)
            if missing:
                raise not_as_it_was(origin, missing)
    return ready


def settings_of(project: Project, origin: Origin) -> StepSettings:
    """Return the settings by which a run is executed again."""
    settings = recorded_settings(origin.record.request, origin.lies or project.root, foreign=origin.lies is None)
    return replace(settings, trace=True, keep_inputs=project.settings.keep_inputs)


def missing_of(settings: StepSettings, project: Project, absent: Sequence[Absent], how: How) -> tuple[str, ...]:
    """Return, in words, the files and secrets that are not to be had."""
    unset = missing_secrets(settings.secrets, environ=project.environ, root=project.root, block=block_value)
    return (*(() if how.allow_missing else map(str, absent)), *(f"secret {each}" for each in unset))


def not_as_it_was(origin: Origin, missing: tuple[str, ...]) -> NotReproducible:
    """Return the error that names all that is missing at once."""
    return NotReproducible(
        f"run {origin.record.run_id} cannot be executed again as it was, and nothing was started",
        missing,
        hint="Give what is missing as each line says; to go on without files: --allow-missing",
    )


def _refuse_untrusted(origin: Origin) -> None:
    found, run = origin.verification, origin.record.run_id
    if found.conclusion is Conclusion.ALTERED:
        raise IntegrityError(
            f"run {run} was altered, and is not executed again",
            found=_reasons(origin, Conclusion.ALTERED),
            hint="See `nbprod verify`. To execute what is there all the same: --anyway",
        )
    if origin.vouched and found.conclusion in (Conclusion.UNSIGNED, Conclusion.CANNOT_TELL):
        raise SignatureInvalid(
            f"nothing that was named vouches for run {run}, and it is not executed again",
            expected="a signature that the named root key leads to",
            found=_reasons(origin, found.conclusion),
            hint="See `nbprod verify`. To execute what is there all the same: --anyway",
        )


def _reasons(origin: Origin, means: Conclusion) -> str:
    return "; ".join(dict.fromkeys(check.told for check in origin.verification.checks if check.means is means))


def _refuse_unglued(tolerance: Tolerance, glued: Sequence[str]) -> None:
    for name in tolerance.named:
        if name not in glued:
            near = difflib.get_close_matches(name, glued, 1)
            raise CallerError(
                f"a tolerance is given for {name!r}, and no scrap of that name was glued",
                expected=f"one of: {', '.join(dict.fromkeys(glued))}" if glued else "none: no scraps were glued",
                hint=f"Did you mean {near[0]!r}?" if near else None,
            )


def _of(tolerance: Tolerance, glued: Sequence[str]) -> Tolerance:
    return replace(tolerance, named={name: margin for name, margin in tolerance.named.items() if name in glued})


def _about(given: Mapping[str, Path], needs: Sequence[Need]) -> dict[str, Path]:
    names = {need.name for need in needs} | {need.path for need in needs}
    return {name: path for name, path in given.items() if name in names}
