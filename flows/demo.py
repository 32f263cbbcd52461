"""The flight-delay pipeline on a Prefect server of its own: train a model, score a day, show what came out.

Everything stays in the project: Prefect's data in `.prefect/`, records and bytes in `.nbprod/`.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from live import Live
from rich.console import Console

from nbprod.errors import NbprodError
from nbprod.flow.server import LocalServer
from nbprod.project import Project, Run

ROOT = Path(__file__).resolve().parent.parent
START, END, DAY = date(2013, 2, 1), date(2013, 3, 31), date(2013, 4, 1)
TAG = "demo"
INTERRUPTED = 130  # as a shell has it


def main() -> int:
    """Run the demo; return the exit code."""
    console, begun = Console(highlight=False), time.monotonic()
    try:
        # First of all, because it takes longest: it comes up while Prefect is imported here.
        with LocalServer(ROOT / ".prefect", os.environ) as server, Live(console) as live:
            live.wait("starting Prefect's server")
            os.environ.update(server.client_environ)  # Prefect reads it when it is imported
            os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"  # what fails is told once, below
            failure = _run(server, live)
    except NbprodError as error:
        console.print(f"The demo cannot run: {error}", style="red", markup=False, soft_wrap=True)
        return error.exit_code
    except KeyboardInterrupt:
        console.print("Stopped before anything ran.")
        return INTERRUPTED
    _show(console, live.runs, failure, time.monotonic() - begun)
    if failure is None:
        return 0
    return INTERRUPTED if isinstance(failure, KeyboardInterrupt) else 1


def _run(server: LocalServer, live: Live) -> BaseException | None:
    """Run the flows; return what stopped them."""
    from prefect import tags  # noqa: PLC0415 - it takes seconds, in which the server starts
    from score import score_flow  # noqa: PLC0415
    from train import train_flow  # noqa: PLC0415

    from nbprod.flow import watch  # noqa: PLC0415
    from nbprod.flow.flush import flush  # noqa: PLC0415
    from nbprod.flow.leftovers import close_flow_runs  # noqa: PLC0415

    server.wait(waiting=live.beat)
    live.waited()
    for run_id in Project.find(ROOT).recover():
        live.note(f"closed run {run_id.short} of a demo that was killed; what it had is recorded")
    for name in close_flow_runs(TAG, "its process was killed"):
        live.note(f"closed flow run {name} of a demo that was killed")
    try:
        with watch(live.hear), tags(TAG):
            live.heading(f"train on the flights from {START} to {END}")
            trained = train_flow(start=START, end=END)
            live.heading(f"score the flights of {DAY}")
            score_flow(day=DAY, model=f"nbprod:{trained['train'].id}/model.skops")
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - told below the table
        return error
    finally:
        flush()
    return None


def _show(console: Console, runs: list[Run], failure: BaseException | None, seconds: float) -> None:
    console.print(f"\n[bold]{'step':<10} {'status':<12} {'seconds':>7}  scraps, executed notebook[/]")
    for run in runs:
        style = "green" if run else "red"
        console.print(f"{run.step:<10} [{style}]{run.status:<12}[/] {run.seconds:7.1f}  {_scraps(run)}", soft_wrap=True)
        console.print(f"{'':32}[dim]{_shown(run.notebook)}[/]", soft_wrap=True)  # one piece, to be copied
    console.print()
    if failure is None:
        nbprod = _shown(Path(sys.executable).with_name("nbprod"))
        console.print(f"Done in {seconds:.0f} s. Next: read the report with `{nbprod} open report@latest`.")
    else:
        why = str(failure) or "interrupted"
        console.print(f"Stopped after {seconds:.0f} s: {why}", style="red", markup=False, soft_wrap=True)


def _scraps(run: Run) -> str:
    """Return some numbers that the run glued, those that its contract asks for first."""
    asked = list(run.record.request.contract.get("scraps", {}))
    found = [run.scraps.scrap(name) for name in sorted(run.scraps, key=lambda name: name not in asked)]
    numbers = [f"{scrap.name} {_number(scrap.value())}" for scrap in found if scrap.type in ("int", "float")][:3]
    more = len(found) - len(numbers)
    return ", ".join(numbers) + (f" … {more} more" if more else "")


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _shown(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
