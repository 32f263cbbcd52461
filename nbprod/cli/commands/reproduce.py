"""`nbprod reproduce`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbprod.cli.trusted import trust_options

if TYPE_CHECKING:
    from nbprod.project import Project
    from nbprod.project.origin import Origin, Origins
    from nbprod.project.reproduce import How, Reproduction
    from nbprod.verify import Asked

__all__ = ["reproduce"]


@click.command()
@click.argument("what", metavar="RUN|BUNDLE")
@click.option(
    "--level",
    type=click.IntRange(0, 3),
    default=3,
    show_default=True,
    help="What is asked for: 0 it runs, 1 equal scraps, 2 equal outputs, 3 equal artifacts.",
)
@click.option(
    "--input", "inputs", multiple=True, metavar="NAME=PATH", help="A file or folder that was not kept; may be repeated."
)
@click.option("--allow-missing", is_flag=True, help="Go on without what is not to be had.")
@click.option("--anyway", is_flag=True, help="Go on although the run was altered.")
@trust_options
@click.option("--strict-env", is_flag=True, help="Refuse where the environment is not the recorded one.")
@click.option("--rebuild-env", is_flag=True, help="Install the recorded packages into an environment of their own.")
@click.option(
    "--build", "builds", multiple=True, metavar="PACKAGE", help="With --rebuild-env: build it from its sources."
)
@click.option(
    "--tolerance", "tolerances", multiple=True, metavar="[SCRAP=]MARGIN", help="How far scraps may be apart: 1e-6, 1%."
)
@click.option("--upstream", is_flag=True, help="Before it, also the runs whose artifacts it was handed, and theirs.")
@click.option("--keep", is_flag=True, help="Leave the folder in which it was executed, and say where it is.")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Of a BUNDLE: the project that takes the new run.  [default: that of the current folder, else a new one]",
)
@click.option("--json", "as_json", is_flag=True, help="Write what is stated of it as JSON.")
def reproduce(
    what: str,
    *,
    level: int,
    inputs: tuple[str, ...],
    allow_missing: bool,
    anyway: bool,
    root: str | None,
    keys: bytes | None,
    strict_env: bool,
    rebuild_env: bool,
    builds: tuple[str, ...],
    tolerances: tuple[str, ...],
    upstream: bool,
    keep: bool,
    home: Path | None,
    as_json: bool,
) -> int:
    """Execute a run again, and say how much comes out the same.

    The run is verified; its source, inputs and modules are laid out in a fresh folder by their digests, from what is
    kept; a fresh kernel executes it. The new run is recorded like any other, and what came of comparing the
    two is kept with both. The exit code is 0 if the level that was asked for is reached, 23 if it is not, and that of
    `verify` if the run cannot be trusted.
    """
    from nbprod.cli import exit_codes  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.reproduced import show_reproduction, show_together  # noqa: PLC0415
    from nbprod.cli.screen import output, print_json  # noqa: PLC0415
    from nbprod.diff import Tolerance  # noqa: PLC0415
    from nbprod.project.prepared import How, prepare  # noqa: PLC0415
    from nbprod.verify import Asked  # noqa: PLC0415

    if builds and not rebuild_env:
        raise click.UsageError("--build is for --rebuild-env.")
    how = How(
        given=_given(inputs),
        allow_missing=allow_missing,
        anyway=anyway,
        strict_environment=strict_env,
        rebuild_environment=rebuild_env,
        builds=builds,
        tolerance=Tolerance.parse(tolerances),
        keep=keep,
    )
    asked = Asked(root=root, keys=keys)
    made: list[Reproduction] = []
    with _opened(what, home, asked, upstream=upstream) as found:
        for origin, own in prepare(found.project, found.origins.runs, how):
            done = _execute(found, origin, own, quiet=as_json)
            made.append(done)
            if as_json:
                print_json(done.to_json())
            else:
                show_reproduction(output(), done, asked=level)
        found.origins.remember()
    reached = [-1 if done.level is None else done.level for done in made]
    if len(made) > 1 and not as_json:
        show_together(output(), made, asked=level)
    return 0 if min(reached) >= level else exit_codes.NOT_REPRODUCED


@dataclass(frozen=True, slots=True)
class _Opened:
    """What is to be executed again: the project that takes the new runs, the runs, and whom to tell that one begins."""

    project: Project
    origins: Origins
    begins: Callable[[], None]


def _given(inputs: tuple[str, ...]) -> dict[str, Path]:
    given: dict[str, Path] = {}
    for text in inputs:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise click.BadParameter(f"{text!r} is not NAME=PATH.", param_hint="--input")
        given[name] = Path(path)
    return given


@contextmanager
def _opened(what: str, home: Path | None, asked: Asked, *, upstream: bool) -> Iterator[_Opened]:
    """Give what is to be executed again; if it is refused, nothing of a project made for it is left."""
    from nbprod.cli.session import finished_run, open_project  # noqa: PLC0415
    from nbprod.project import Project  # noqa: PLC0415
    from nbprod.project.origin import origins_in, origins_of  # noqa: PLC0415

    if not (what.endswith(".zip") or Path(what).is_file()):
        if home is not None:
            raise click.UsageError("--home is for bundles: a run of a project is executed again in that project.")
        project = open_project()
        run = finished_run(project, what)
        yield _Opened(project, origins_of(project, run, asked, upstream=upstream), lambda: None)
        return
    from nbprod.bundle import open_bundle  # noqa: PLC0415
    from nbprod.project.taker import Taker  # noqa: PLC0415

    with open_bundle(Path(what)) as bundle:
        if home is None and (here := Project.find()).exists():
            yield _Opened(here, origins_in(bundle, os.environ, asked, upstream=upstream), lambda: None)
            return
        taker = Taker(home, os.environ)

        def begins() -> None:
            if taker.temporary and not taker.takes:
                click.echo(f"There is no project here: the new runs are kept in {taker.project.root}", err=True)
            taker.take()

        try:
            yield _Opened(taker.project, origins_in(bundle, os.environ, asked, upstream=upstream), begins)
        finally:
            taker.let_go()


def _execute(found: _Opened, origin: Origin, how: How, *, quiet: bool) -> Reproduction:
    from nbprod.cli.interrupts import Interrupts  # noqa: PLC0415
    from nbprod.cli.live import LiveRun  # noqa: PLC0415
    from nbprod.cli.screen import errors  # noqa: PLC0415
    from nbprod.execution.cancel import CancelToken  # noqa: PLC0415
    from nbprod.project.reproduce import reproduce as again  # noqa: PLC0415

    console = errors()
    shown = console.is_terminal and not quiet
    live = LiveRun(console, lines=shown, bar=shown, stdout=None, stderr=None)
    interrupts = Interrupts(CancelToken(), live.say)
    with interrupts.caught(), live.shown(origin.record.request.step):
        return again(
            found.project,
            origin,
            how,
            cancel=interrupts.token,
            listener=live,
            on_ready=lambda _: found.begins(),
        )
