"""Conditions that leave few runs, and such that leave many: the same runs, by either way."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from conftest import Told

from nbprod.errors import CallerError
from nbprod.ledger import Ledger, Order, RunQuery, open_ledger, parse_condition, shortlist
from nbprod.ledger.audit import audit
from nbprod.ledger.events import RunNoted, RunReviewed, RunStarted, RunUntagged
from nbprod.record.ids import RunId
from nbprod.record.review import Decision
from nbprod.record.status import Status
from tests.postgres import PostgresServer
from tests.telling import DIGEST, START

NOTES = (
    "",
    "Größe: 100 %",
    'a "quoted" word',
    "under_score",
    "back\\slash",
    "straße 😀😀",
    "it's * NEAR (x) OR y",
    "nul \0 in",
)
SOUGHT = (
    "größe", "GRÖSSE", "100 %", '"quoted"', '"', "der_sc", "erXsc", "k\\s", "😀😀", "STRASSE", "* near", "or y", "it's",
    "near (", "gr", "%", "l \0 i", "\0", "_", "n", "zz", "nothing like it", "train", "n\ntr", "",
)  # fmt: skip
ASKED = (
    *(RunQuery(text=text) for text in SOUGHT),
    *(RunQuery(tags=tags) for tags in (("nightly",), ("third",), ("third", "nightly"), ("no",))),
    *(
        RunQuery(where=(parse_condition(text),))
        for text in (
            "params.n=4", "params.n<3", "params.n!=4", "params.n>=1e9", "params.word=UA", "params.word=7",
            "params.word>'B'", "params.word!=UA", "params.flag=true", "params.none=none", "params.no=1",
            "scraps.auc>0.5", "scraps.auc=nan",
        )
    ),
    RunQuery(where=(parse_condition("params.n<9"), parse_condition("scraps.auc>0.2")), tags=("nightly",), text="train"),
    RunQuery(tags=("nightly",), statuses=(Status.FAILED,), since=START + timedelta(seconds=3)),
    RunQuery(tags=("third",), limit=2),
    RunQuery(reviewed=True),
    RunQuery(reviewed=True, statuses=(Status.SUCCEEDED,), limit=1),
)  # fmt: skip
ORDERS = ("-started", "seconds", "-status", "step", "-scraps.auc", "params.word")


def filled(told: Told) -> None:
    for number in range(14):
        word: Any = ("UA", "7", "B6", 7)[number % 4]
        tags = ("nightly",) * (number % 2) + ("third",) * (number % 3 == 0)
        run_id = told.start(
            step="train" if number % 3 else "score",
            parameters={"n": number, "word": word, "flag": number == 5, "none": None} if number else {},
            note=NOTES[number % len(NOTES)],
            tags=tags,
        )
        if number % 5:
            scraps = {"auc": {"$nbprod": "float", "value": "nan"} if number == 7 else number / 13}
            told.finish(run_id, Status.FAILED if number % 4 == 1 else Status.SUCCEEDED, scraps=scraps)
            for decision in (Decision.APPROVED, Decision.REJECTED)[: number % 4]:
                said = {"by": "ada", "why": "w", "log": "l", "record": DIGEST, "attestation": DIGEST}
                told.ledger.append(RunReviewed(at=START, run_id=run_id, decision=decision, **said))


def asked(ledger: Ledger, query: RunQuery, known: dict[RunId, int]) -> list[int]:
    return [known[row.run_id] for row in ledger.runs(query)]


@pytest.mark.parametrize("few", [0, 3, 5000])
def test_few_and_many_are_found_alike(told: Told, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortlist, "FEW", few)
    model = Told(open_ledger("memory://"), told.sleep)
    filled(told)
    filled(model)
    here, there = ({row.run_id: row.started.second for row in each.ledger.runs(RunQuery())} for each in (told, model))
    for number, query in enumerate(ASKED):
        for order in (Order(), Order.parse(ORDERS[number % len(ORDERS)])):
            given = RunQuery(**{name: getattr(query, name) for name in query.__dataclass_fields__} | {"order": order})
            assert asked(told.ledger, given, here) == asked(model.ledger, given, there), given


@pytest.mark.parametrize("word", ["x" * 4097, "a\ud800"], ids=["long", "surrogate"])
def test_what_no_database_can_look_for_is_refused(word: str) -> None:
    for asked in ({"text": word}, {"tags": ("fine", word)}):
        with pytest.raises(CallerError, match="not a word that can be looked for"):
            RunQuery(**asked)
    RunQuery(text="x" * 4096, tags=("😀",))  # the control


def test_texts_follow_what_is_told_later(told: Told) -> None:
    first, second = told.start(note="zanzibar"), told.start(tags=("zanzibar",))
    told.finish(first, reason="no rows in kilimanjaro")
    assert [row.run_id for row in told.ledger.runs(RunQuery(text="zanzi"))] == [second, first]
    assert [row.run_id for row in told.ledger.runs(RunQuery(text="manjaro"))] == [first]
    told.ledger.append(RunNoted(at=START, run_id=first, note="madagascar"))
    told.ledger.append(RunUntagged(at=START, run_id=second, tag="zanzibar"))
    assert list(told.ledger.runs(RunQuery(text="zanzi"))) == []
    assert [row.run_id for row in told.ledger.runs(RunQuery(text="dagas"))] == [first]


def test_an_index_of_texts_that_differs_from_the_runs_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    told = Told(open_ledger(str(path)), lambda _: None)
    run_id = told.start(note="zanzibar")
    assert audit(told.ledger).faults == []
    with sqlite3.connect(path) as raw:
        raw.execute("INSERT INTO run_search (run_search, rowid, search) SELECT 'delete', seq, search FROM run_texts")
    assert list(told.ledger.runs(RunQuery(text="zanzibar"))) == []  # so the index is what answers
    (fault,) = audit(told.ledger).faults
    with sqlite3.connect(path) as raw:
        raw.execute(fault.partition("anew: ")[2])
    assert audit(told.ledger).faults == []
    assert [row.run_id for row in told.ledger.runs(RunQuery(text="zanzibar"))] == [run_id]
    told.ledger.close()


def test_sqlite_finds_texts_without_its_index(tmp_path: Path) -> None:
    """As in a Python whose SQLite has no full-text search."""
    path = tmp_path / "ledger.db"
    told = Told(open_ledger(str(path)), lambda _: None)
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TABLE run_search")
        raw.execute("DROP TRIGGER run_search_follows_a_start")
        raw.execute("DROP TRIGGER run_search_follows_a_change")
    run_id = told.start(note="zanzibar")
    assert [row.run_id for row in told.ledger.runs(RunQuery(text="zanzibar"))] == [run_id]
    assert audit(told.ledger).faults == []
    told.ledger.close()


def test_postgresql_answers_a_text_by_its_index(postgres: PostgresServer, url: str) -> None:
    with psycopg.connect(postgres.conninfo(urlsplit(url).path[1:])) as connection:
        connection.execute("SET enable_seqscan = off")
        words = "search LIKE '%' || %s || '%' ESCAPE '/'".replace("'%'", "'%%'")
        plan = connection.execute(f"EXPLAIN SELECT run_id FROM runs WHERE {words}", ("zanzi",)).fetchall()  # type: ignore[arg-type]
    assert "runs_by_text" in str(plan)


def test_postgresql_does_without_an_extension_that_it_may_not_make(postgres: PostgresServer) -> None:
    database = postgres.database()
    role = f"role_{database}"
    postgres.query(f"CREATE ROLE {role} LOGIN PASSWORD '{postgres.password}'")
    postgres.query(f"GRANT CREATE ON SCHEMA public TO {role}", database)
    ledger = open_ledger(postgres.url(database, user=role))
    told = Told(ledger, lambda _: None)
    run_id = told.start(note="zanzibar")
    assert [row.run_id for row in ledger.runs(RunQuery(text="zanzibar"))] == [run_id]
    ledger.close()
    assert postgres.query("SELECT count(*) FROM pg_indexes WHERE indexname = 'runs_by_text'", database) == [(0,)]
    assert isinstance(next(iter(ledger.events())).event, RunStarted)
    ledger.close()
    postgres.query(f"DROP DATABASE {database} WITH (FORCE)")
    postgres.query(f"DROP ROLE {role}")
