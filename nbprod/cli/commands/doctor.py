"""`nbprod doctor`."""

from __future__ import annotations

import click

from nbprod.cli import exit_codes

__all__ = ["doctor"]

_SIGNS = {"ok": "[green]✔ ok  [/]", "warn": "[yellow]! warn[/]", "fail": "[red]✘ fail[/]"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def doctor(*, as_json: bool) -> int:
    """Find out what works on this machine.

    Each thing that a run needs is tried; what does not work is told with what to do about it.
    """
    from nbprod.cli.screen import output, print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.screen import text as escaped  # noqa: PLC0415
    from nbprod.cli.session import open_project  # noqa: PLC0415
    from nbprod.flow.check import check_untold  # noqa: PLC0415
    from nbprod.project.doctor import Finding, Health, examine  # noqa: PLC0415

    console = output()
    findings: list[Finding] = []
    for found in examine(open_project(recover=False), check_untold):
        findings.append(found)
        if not as_json:
            console.print(f"{_SIGNS[found.health]}  [bold]{escaped(found.what)}[/]: {escaped(found.found)}")
            if found.health is not Health.OK and found.advice:
                console.print(f"        {escaped(found.advice)}")
    if as_json:
        print_json(
            [
                {
                    "what": f.what,
                    "health": str(f.health),
                    "found": f.found,
                    "advice": "" if f.health == "ok" else f.advice,
                }
                for f in findings
            ]
        )
    return exit_codes.BROKEN if any(found.health is Health.FAIL for found in findings) else 0
