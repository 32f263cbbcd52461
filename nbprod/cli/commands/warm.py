"""`nbprod warm`."""

from __future__ import annotations

import click

__all__ = ["warm"]

_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON.")


@click.group()
def warm() -> None:
    """Keep kernels warm between commands.

    A fork server has libraries in memory and forks a fresh kernel for each run. Every process that runs notebooks has
    one of its own; this one outlives the command, so that the next command's kernel is there at once.
    """


@warm.command()
@click.argument("notebooks", nargs=-1, metavar="[NOTEBOOK|STEP]…")
@click.option("-k", "--kernel", metavar="NAME", help="The kernel spec, if no notebook is named.")
@_JSON
def start(*, notebooks: tuple[str, ...], kernel: str | None, as_json: bool) -> int:
    """Start the fork server of this environment, and have it import what notebooks import."""
    from nbprod.cli.screen import output, print_json, text  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.session import open_project  # noqa: PLC0415
    from nbprod.project.warmth import start_standing  # noqa: PLC0415

    console = output()
    project = open_project(recover=False)
    found = list(start_standing(project, notebooks, kernel))
    if as_json:
        print_json([{"kernel": w.kernel, "started": w.started, "preloaded": dict(w.loaded)} for w in found])
        return 0
    for warmed in found:
        known = "is up" if warmed.started else "was up already"
        console.print(f"[green]✔[/] A fork server for the kernel {text(warmed.kernel)} {known}.")
        for name, modules in warmed.loaded.items():
            told = ", ".join(modules) or "imports nothing that may be in memory before it runs"
            console.print(f"  [bold]{text(name)}[/]: {text(told)}")
    console.print("It ends after 10 minutes without use, or with `nbprod warm stop`.")
    return 0


@warm.command()
@_JSON
def stop(*, as_json: bool) -> int:
    """End the fork servers once their last runs have ended."""
    import os  # noqa: PLC0415

    from nbprod.cli.screen import output, print_json  # noqa: PLC0415
    from nbprod.execution import standing  # noqa: PLC0415

    stopped = standing.stop(os.environ)
    if as_json:
        print_json([{"pid": server.pid} for server in stopped])
        return 0
    output().print(f"stopped: {len(stopped)}" if stopped else "no fork server was up")
    return 0


@warm.command()
@_JSON
def status(*, as_json: bool) -> int:
    """Show the fork servers that are up."""
    import os  # noqa: PLC0415
    from datetime import UTC, datetime  # noqa: PLC0415

    from nbprod.cli.screen import print_json, print_rows, text  # noqa: PLC0415
    from nbprod.execution import standing  # noqa: PLC0415

    found = list(standing.standing(os.environ))
    if as_json:
        since = [datetime.fromtimestamp(server.since, UTC).isoformat() for server in found]
        print_json(
            [
                {"pid": each.pid, "since": when, "served": each.served, "preloaded": [list(b) for b in each.branches]}
                for each, when in zip(found, since, strict=True)
            ]
        )
    elif not found:
        click.echo("No fork server is up. `nbprod warm start NOTEBOOK` starts one.")
    else:
        rows = [
            [
                str(each.pid),
                _local(each.since),
                str(each.served),
                text(_memory(each.branches)),
            ]
            for each in found
        ]
        print_rows(["pid", "up since", "runs", "in memory"], rows, yielding=["in memory"])
    return 0


@warm.command()
@click.option("--name", default="python3-warm", metavar="NAME", help="The kernel spec's name.  [default: python3-warm]")
@click.option("--display-name", default="Python 3 (warm)", metavar="TEXT", help="Its name for people.")
@click.option("--preload", multiple=True, metavar="MODULE", help="A module that its kernels have in memory.")
@click.option("--user/--sys-prefix", default=False, help="For the user, or for this environment.  [default: this]")
@_JSON
def install(*, name: str, display_name: str, preload: tuple[str, ...], user: bool, as_json: bool) -> int:
    """Write a kernel spec whose kernels papermill, nbclient and JupyterLab have forked."""
    from nbprod.cli.screen import output, print_json, text  # noqa: PLC0415
    from nbprod.kernels import warm_spec  # noqa: PLC0415

    path = warm_spec.install(name, display_name=display_name, preload=preload, user=user)
    if as_json:
        print_json({"kernel": name, "path": str(path)})
        return 0
    output().print(f"[green]✔[/] The kernel spec {text(name)} is in {text(str(path))}.")
    return 0


@warm.command()
@click.option("--name", default="python3-warm", metavar="NAME", help="The kernel spec's name.  [default: python3-warm]")
@click.option("--user/--sys-prefix", default=False, help="The user's, or this environment's.  [default: this]")
@_JSON
def uninstall(*, name: str, user: bool, as_json: bool) -> int:
    """Remove such a kernel spec."""
    from nbprod.cli.screen import output, print_json, text  # noqa: PLC0415
    from nbprod.kernels import warm_spec  # noqa: PLC0415

    path = warm_spec.uninstall(name, user=user)
    if as_json:
        print_json({"kernel": name, "path": str(path)})
        return 0
    output().print(f"The kernel spec {text(name)} is removed from {text(str(path))}.")
    return 0


def _local(since: float) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415

    return f"{datetime.fromtimestamp(since, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def _memory(branches: tuple[tuple[str, ...], ...]) -> str:
    return "; ".join(", ".join(names) for names in branches) or "IPython"
