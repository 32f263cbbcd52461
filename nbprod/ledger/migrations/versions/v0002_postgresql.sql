-- Events may be about a step as well, so that run_id may be NULL.

ALTER TABLE events ALTER COLUMN run_id DROP NOT NULL;
ALTER TABLE events ADD COLUMN step TEXT COLLATE "C";
ALTER TABLE events ADD CONSTRAINT about_a_run_or_a_step CHECK ((run_id IS NULL) <> (step IS NULL));
ALTER TABLE events ADD CONSTRAINT kinds_of_steps CHECK ((kind IN ('StepPublished', 'AliasMoved')) = (run_id IS NULL));

DROP INDEX events_by_run;
CREATE INDEX events_by_run ON events (run_id, seq) WHERE run_id IS NOT NULL;
CREATE INDEX events_by_step ON events (step, seq) WHERE step IS NOT NULL;

CREATE OR REPLACE FUNCTION events_begin_with_a_start() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.run_id IS NOT NULL AND NEW.kind <> 'RunStarted'
        AND NOT EXISTS (SELECT 1 FROM events WHERE run_id = NEW.run_id AND kind = 'RunStarted') THEN
        RAISE EXCEPTION 'nothing happens to a run before it started' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;

-- occasion: what the run was for; retry_of: the run that it tries again; shared: whether others wait for it who ask for
-- the same; of_run: who answered, where it is cached.
ALTER TABLE runs ADD COLUMN occasion TEXT COLLATE "C" CHECK (occasion <> '');
ALTER TABLE runs ADD COLUMN retry_of TEXT COLLATE "C" CHECK (length(retry_of) = 36);
ALTER TABLE runs ADD COLUMN flow_run TEXT COLLATE "C" CHECK (flow_run <> '');
ALTER TABLE runs ADD COLUMN shared INTEGER NOT NULL DEFAULT 0 CHECK (shared IN (0, 1));
ALTER TABLE runs ADD COLUMN of_run TEXT COLLATE "C" CHECK (length(of_run) = 36);

CREATE INDEX runs_by_occasion ON runs (occasion, started) WHERE occasion IS NOT NULL;
CREATE INDEX runs_by_flow_run ON runs (flow_run, started) WHERE flow_run IS NOT NULL;
-- Of those who ask for the same at once, one runs and the others wait.
CREATE UNIQUE INDEX runs_one_shared ON runs (request_digest) WHERE shared = 1 AND status IS NULL;

CREATE TABLE step_versions (
    -- The index: what of a step was frozen in the store. Versions count up from 1 and never change.
    step         TEXT COLLATE "C" NOT NULL CHECK (step <> ''),
    version      INTEGER NOT NULL CHECK (version >= 1),
    manifest     TEXT COLLATE "C" NOT NULL CHECK (manifest LIKE 'sha256:%'),
    published    TEXT COLLATE "C" NOT NULL CHECK (published LIKE '____-__-__T__:__:__.______Z'),
    published_by TEXT COLLATE "C" NOT NULL,
    note         TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (step, version)
);

CREATE FUNCTION step_versions_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a published version never changes and is never taken back' USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER step_versions_are_not_changed BEFORE UPDATE OR DELETE ON step_versions
FOR EACH ROW EXECUTE FUNCTION step_versions_are_kept();

CREATE TABLE step_aliases (
    -- The index: names that move from version to version.
    step    TEXT COLLATE "C" NOT NULL,
    alias   TEXT COLLATE "C" NOT NULL CHECK (alias <> ''),
    version INTEGER NOT NULL,
    PRIMARY KEY (step, alias),
    FOREIGN KEY (step, version) REFERENCES step_versions (step, version)
);
