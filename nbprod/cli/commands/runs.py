"""`nbprod runs`."""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from nbprod.cli.moments import MOMENT
from nbprod.cli.row import row_json
from nbprod.record.status import Status

if TYPE_CHECKING:
    from nbprod.ledger import RunQuery, RunRow
    from nbprod.record.ids import RunId
    from nbprod.verify import Standing

__all__ = ["runs"]


@click.command()
@click.option("--step", "steps", multiple=True, help="Only this step's; may be repeated.")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice([str(s) for s in Status]), help="Only those that ended so."
)
@click.option("--since", type=MOMENT, help="Started then or later: 2026-11-22, 2026-11-22T14:00, 90m, 12h, 7d.")
@click.option("--until", type=MOMENT, help="Started before.")
@click.option("--tag", "tags", multiple=True, help="With this tag; may be repeated.")
@click.option(
    "--flagged", is_flag=True, help="Only those with a flag: a secret, or what may be one, in what they put out."
)
@click.option("--where", multiple=True, metavar="CONDITION", help="E.g. 'scraps.auc>=0.7' or params.carrier=UA.")
@click.option("--text", help="In step, notebook, name, note, reason or a tag.")
@click.option("--approved", is_flag=True, help="Only those that somebody has approved and nobody rejected.")
@click.option("--rejected", is_flag=True, help="Only those that somebody has rejected.")
@click.option("--running", is_flag=True, help="Only those that have not ended.")
@click.option("--sort", default="-started", help="started, seconds, step, params.NAME …; with - in front descending.")
@click.option("--limit", type=click.IntRange(min=0), help="At most so many.  [default: 20 in a table, else all]")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV.")
def runs(*, as_json: bool, as_csv: bool, limit: int | None, **asked: Any) -> int:
    """List runs, the latest first."""
    if as_json and as_csv:
        raise click.UsageError("Either --json or --csv.")
    from nbprod.cli.session import open_project  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.project.recovery import has_ledger  # noqa: PLC0415
    from nbprod.project.standings import standings_of_runs  # noqa: PLC0415

    project = open_project()
    word = _stands(asked)
    most = limit if limit is not None else None if as_json or as_csv else _SHOWN + 1
    query = _query(asked, limit=most if word is None else None)
    rows: Iterator[RunRow] = project.home.ledger.runs(query) if has_ledger(project) else iter(())
    if word is not None and has_ledger(project):
        from nbprod.project.reviews import runs_that_stand  # noqa: PLC0415

        rows = itertools.islice(runs_that_stand(project, rows, word), most)
    if as_json or as_csv:
        said = standings_of_runs(project, query) if has_ledger(project) else {}
        told = ({**row_json(row), **_said_json(said.get(row.run_id))} for row in rows)
        if as_json:
            from nbprod.cli.screen import print_json  # noqa: PLC0415

            print_json(list(told))
        else:
            _write_csv(told)
        return 0
    shown = list(rows if limit is not None else itertools.islice(rows, _SHOWN))
    _show(shown, standings_of_runs(project, query, shown) if shown else {})
    if next(rows, None) is not None:
        click.echo(f"The first {_SHOWN}; more with --limit.", err=True)
    return 0


_SHOWN = 20
_COLUMNS = ("run", "step", "status", "started", "seconds", "name", "tags", "reason", "stands")


def _stands(asked: dict[str, Any]) -> str | None:
    if asked["approved"] and asked["rejected"]:
        raise click.UsageError("Either --approved or --rejected.")
    return "approved" if asked["approved"] else "rejected" if asked["rejected"] else None


def _query(asked: dict[str, Any], *, limit: int | None) -> RunQuery:
    from nbprod.ledger import Order, RunQuery, parse_condition  # noqa: PLC0415

    return RunQuery(
        steps=asked["steps"],
        statuses=tuple(Status(text) for text in asked["statuses"]),
        running=True if asked["running"] else None,
        since=asked["since"],
        until=asked["until"],
        tags=asked["tags"],
        flagged=asked["flagged"],
        where=tuple(parse_condition(text) for text in asked["where"]),
        reviewed=asked["approved"] or asked["rejected"],
        text=asked["text"],
        order=Order.parse(asked["sort"]),
        limit=limit,
    )


def _said_json(stands: Standing | None) -> dict[str, Any]:
    if stands is None:
        return {"stands": None, "approvals": 0, "rejections": 0}
    return {"stands": stands.word or None, "approvals": len(stands.approvals), "rejections": len(stands.rejections)}


def _write_csv(rows: Iterable[dict[str, Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for data in rows:
        data["tags"] = " ".join(data["tags"])
        writer.writerow([data[name] for name in _COLUMNS])


def _show(rows: Sequence[RunRow], said: Mapping[RunId, Standing]) -> None:
    from nbprod.cli.screen import print_rows, text  # noqa: PLC0415
    from nbprod.cli.values import duration, plain_text, status_text, when  # noqa: PLC0415

    def safe(value: str | None) -> str:
        return text(" ".join(plain_text(value or "").split()))

    def stands(run_id: RunId) -> str:
        word = said[run_id].brief if run_id in said else ""
        return f"[bold red]{word}[/]" if word.startswith("rejected") else f"[green]{word}[/]" if word else ""

    now = datetime.now(UTC)
    lines = [
        (
            f"[cyan]{row.run_id.short}[/]",
            status_text(row.status),
            stands(row.run_id),
            safe(row.step),
            when(row.started),
            duration(row.seconds if row.seconds is not None else (now - row.started).total_seconds()),
            safe(row.name),
            safe(" ".join(row.tags)),
            "" if row.status is not None and row.status.good else f"[dim]{safe(row.reason)}[/]" if row.reason else "",
        )
        for row in rows
    ]
    if not lines:
        click.echo("No runs.", err=True)
        return
    columns = ("run", "status", "reviews", "step", "started", "took", "name", "tags", "reason")
    print_rows(columns, lines, yielding=("reason", "tags", "name"))
