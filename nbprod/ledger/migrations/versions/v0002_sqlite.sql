-- Events may be about a step as well, so that run_id may be NULL: SQLite takes that only in a new table. The triggers
-- that name the old one go first, and come back below.

DROP TRIGGER runs_have_a_start;
DROP TRIGGER runs_have_a_verdict;
DROP TRIGGER events_are_not_changed;
DROP TRIGGER events_are_not_deleted;
DROP TRIGGER events_are_not_replaced;
DROP TRIGGER events_begin_with_a_start;
DROP INDEX events_by_run;
DROP INDEX events_one_start;
DROP INDEX events_one_verdict;

CREATE TABLE events_of_runs_and_steps (
    -- What happened, in order of arrival: the truth. Everything else in this database follows from it.
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice
    run_id TEXT CHECK (length(run_id) = 36),  -- UUIDv7
    step   TEXT,  -- of an event that is about no run
    kind   TEXT NOT NULL,  -- RunStarted, RunFinished …
    at     TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??.??????Z'),
    body   TEXT NOT NULL,  -- the event's stored form: canonical JSON (RFC 8785)
    CONSTRAINT about_a_run_or_a_step CHECK ((run_id IS NULL) <> (step IS NULL)),
    CONSTRAINT kinds_of_steps CHECK ((kind IN ('StepPublished', 'AliasMoved')) = (run_id IS NULL))
);

INSERT INTO events_of_runs_and_steps (seq, run_id, kind, at, body) SELECT seq, run_id, kind, at, body FROM events;
DROP TABLE events;
ALTER TABLE events_of_runs_and_steps RENAME TO events;

CREATE INDEX events_by_run ON events (run_id, seq) WHERE run_id IS NOT NULL;
CREATE INDEX events_by_step ON events (step, seq) WHERE step IS NOT NULL;

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
WHEN NEW.run_id IS NOT NULL AND NEW.kind <> 'RunStarted'
    AND NOT EXISTS (SELECT 1 FROM events WHERE run_id = NEW.run_id AND kind = 'RunStarted')
BEGIN
    SELECT RAISE(ABORT, 'nothing happens to a run before it started');
END;

-- occasion: what the run was for; retry_of: the run that it tries again; shared: whether others wait for it who ask for
-- the same; of_run: who answered, where it is cached.
ALTER TABLE runs ADD COLUMN occasion TEXT CHECK (occasion <> '');
ALTER TABLE runs ADD COLUMN retry_of TEXT CHECK (length(retry_of) = 36);
ALTER TABLE runs ADD COLUMN flow_run TEXT CHECK (flow_run <> '');
ALTER TABLE runs ADD COLUMN shared INTEGER NOT NULL DEFAULT 0 CHECK (shared IN (0, 1));
ALTER TABLE runs ADD COLUMN of_run TEXT CHECK (length(of_run) = 36);

CREATE INDEX runs_by_occasion ON runs (occasion, started) WHERE occasion IS NOT NULL;
CREATE INDEX runs_by_flow_run ON runs (flow_run, started) WHERE flow_run IS NOT NULL;
-- Of those who ask for the same at once, one runs and the others wait.
CREATE UNIQUE INDEX runs_one_shared ON runs (request_digest) WHERE shared = 1 AND status IS NULL;

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

CREATE TABLE step_versions (
    -- The index: what of a step was frozen in the store. Versions count up from 1 and never change.
    step         TEXT NOT NULL CHECK (step <> ''),
    version      INTEGER NOT NULL CHECK (version >= 1),
    manifest     TEXT NOT NULL CHECK (manifest LIKE 'sha256:%'),
    published    TEXT NOT NULL CHECK (published GLOB '????-??-??T??:??:??.??????Z'),
    published_by TEXT NOT NULL,
    note         TEXT NOT NULL,
    PRIMARY KEY (step, version)
) WITHOUT ROWID;

CREATE TRIGGER step_versions_are_not_changed BEFORE UPDATE ON step_versions
BEGIN
    SELECT RAISE(ABORT, 'a published version never changes');
END;

CREATE TRIGGER step_versions_are_not_deleted BEFORE DELETE ON step_versions
BEGIN
    SELECT RAISE(ABORT, 'a published version is never taken back');
END;

CREATE TABLE step_aliases (
    -- The index: names that move from version to version.
    step    TEXT NOT NULL,
    alias   TEXT NOT NULL CHECK (alias <> ''),
    version INTEGER NOT NULL,
    PRIMARY KEY (step, alias),
    FOREIGN KEY (step, version) REFERENCES step_versions (step, version)
) WITHOUT ROWID;
