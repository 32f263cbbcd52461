-- Moments are text, RFC 3339 in UTC with six decimals and Z, so that text order is time order.
-- Comments inside the statements stay in the database: `.schema` shows them.

CREATE TABLE events (
    -- What happened, in order of arrival: the truth. Everything else in this database follows from it.
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice
    run_id TEXT NOT NULL CHECK (length(run_id) = 36),  -- UUIDv7
    kind   TEXT NOT NULL,  -- RunStarted, RunFinished …
    at     TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??.??????Z'),
    body   TEXT NOT NULL  -- the event's stored form: canonical JSON (RFC 8785)
);

CREATE INDEX events_by_run ON events (run_id, seq);

-- A run starts once, and gets one verdict, for ever.
CREATE UNIQUE INDEX events_one_start ON events (run_id) WHERE kind = 'RunStarted';
CREATE UNIQUE INDEX events_one_verdict ON events (run_id) WHERE kind = 'RunFinished';

CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: none is ever changed');
END;

CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: none is ever deleted');
END;

CREATE TRIGGER events_are_not_replaced BEFORE INSERT ON events
-- INSERT OR REPLACE deletes without asking the trigger above.
WHEN EXISTS (SELECT 1 FROM events WHERE seq = NEW.seq)
    OR (NEW.kind IN ('RunStarted', 'RunFinished')
        AND EXISTS (SELECT 1 FROM events WHERE run_id = NEW.run_id AND kind = NEW.kind))
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: a run starts once and finishes once');
END;

CREATE TRIGGER events_begin_with_a_start BEFORE INSERT ON events
WHEN NEW.kind <> 'RunStarted'
    AND NOT EXISTS (SELECT 1 FROM events WHERE run_id = NEW.run_id AND kind = 'RunStarted')
BEGIN
    SELECT RAISE(ABORT, 'nothing happens to a run before it started');
END;

CREATE TABLE runs (
    -- The index: a run as the sum of its events, and its lease, which is no event.
    run_id           TEXT PRIMARY KEY NOT NULL CHECK (length(run_id) = 36),
    reversed_id      TEXT NOT NULL,  -- the id backwards: people give its last digits
    step             TEXT NOT NULL,
    notebook         TEXT NOT NULL,  -- the source's path
    status           TEXT CHECK (status IN ('succeeded', 'failed', 'timed_out', 'kernel_died', 'exited_early',
                                            'cancelled', 'crashed', 'cached')),  -- NULL: running
    reason           TEXT,
    started          TEXT NOT NULL CHECK (started GLOB '????-??-??T??:??:??.??????Z'),
    finished         TEXT CHECK (finished GLOB '????-??-??T??:??:??.??????Z'),
    seconds          REAL CHECK (seconds >= 0),
    name             TEXT CHECK (name <> ''),
    note             TEXT CHECK (note <> ''),
    parameters       TEXT NOT NULL,  -- JSON, tagged values by name
    scraps           TEXT NOT NULL,  -- JSON, tagged values by name
    request_digest   TEXT NOT NULL CHECK (request_digest LIKE 'sha256:%'),
    record           TEXT CHECK (record LIKE 'sha256:%'),
    notebook_digest  TEXT CHECK (notebook_digest LIKE 'sha256:%'),  -- the executed notebook, if there is one
    user_name        TEXT NOT NULL,
    host             TEXT NOT NULL,
    runner_pid       INTEGER NOT NULL,
    lease_until      TEXT CHECK (lease_until GLOB '????-??-??T??:??:??.??????Z'),  -- by this database's clock
    cancel_requested TEXT CHECK (cancel_requested GLOB '????-??-??T??:??:??.??????Z'),  -- the first request
    folder           TEXT NOT NULL,
    search           TEXT NOT NULL,  -- step, notebook, name, note, reason and tags, case-folded
    -- A run is running, with a lease, or finished, with a verdict and a record: nothing in between.
    CONSTRAINT running_or_finished CHECK (
        (status IS NULL AND reason IS NULL AND finished IS NULL AND seconds IS NULL AND record IS NULL
            AND notebook_digest IS NULL AND lease_until IS NOT NULL)
        OR (status IS NOT NULL AND reason IS NOT NULL AND finished IS NOT NULL AND seconds IS NOT NULL
            AND record IS NOT NULL AND lease_until IS NULL)
    )
);

CREATE UNIQUE INDEX runs_by_reversed_id ON runs (reversed_id);
CREATE INDEX runs_by_time ON runs (started, run_id);
CREATE INDEX runs_by_step ON runs (step, started, run_id);
CREATE INDEX runs_by_status ON runs (status, started, run_id);
CREATE INDEX runs_by_end ON runs (finished, started, run_id);
CREATE INDEX runs_by_seconds ON runs (seconds, started, run_id);
CREATE INDEX runs_by_name ON runs (name) WHERE name IS NOT NULL;
CREATE INDEX runs_by_request ON runs (request_digest, started);
CREATE INDEX runs_by_lease ON runs (lease_until) WHERE lease_until IS NOT NULL;

CREATE TRIGGER runs_have_a_start BEFORE INSERT ON runs
WHEN NOT EXISTS (SELECT 1 FROM events WHERE run_id = NEW.run_id AND kind = 'RunStarted')
BEGIN
    SELECT RAISE(ABORT, 'no row without its RunStarted event');
END;

CREATE TRIGGER runs_have_a_verdict BEFORE UPDATE OF status ON runs
WHEN NEW.status IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM events WHERE run_id = NEW.run_id AND kind = 'RunFinished')
BEGIN
    SELECT RAISE(ABORT, 'no verdict without its RunFinished event');
END;

CREATE TRIGGER runs_keep_their_verdict
BEFORE UPDATE OF status, reason, finished, seconds, record, notebook_digest, scraps, lease_until ON runs
WHEN OLD.status IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'one verdict per run, for ever');
END;

CREATE TABLE run_tags (
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    tag    TEXT NOT NULL CHECK (tag <> ''),
    PRIMARY KEY (run_id, tag)
) WITHOUT ROWID;

CREATE INDEX run_tags_by_tag ON run_tags (tag, run_id);

CREATE TABLE run_values (
    -- Parameters and scraps, to filter and sort by.
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    kind   TEXT NOT NULL CHECK (kind IN ('parameter', 'scrap')),
    name   TEXT NOT NULL,
    num    REAL,  -- numbers, as the nearest double
    text   TEXT,  -- everything else; the first 512 characters
    PRIMARY KEY (run_id, kind, name),
    CONSTRAINT number_or_text CHECK ((num IS NULL) <> (text IS NULL))
) WITHOUT ROWID;

CREATE INDEX run_values_by_number ON run_values (kind, name, num, run_id) WHERE num IS NOT NULL;
CREATE INDEX run_values_by_text ON run_values (kind, name, text, run_id) WHERE text IS NOT NULL;
