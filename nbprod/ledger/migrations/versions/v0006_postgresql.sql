CREATE TABLE run_uses (
    -- The index: what bytes a run used and left, from its verdict's event; lineage goes along these.
    run_id TEXT COLLATE "C" NOT NULL REFERENCES runs (run_id),
    role   TEXT COLLATE "C" NOT NULL CHECK (role <> ''),  -- made, left, given, source, step, read, module
    digest TEXT COLLATE "C" NOT NULL CHECK (digest LIKE 'sha256:%'),
    name   TEXT COLLATE "C" NOT NULL,  -- of an artifact, notebook or step; for files a digest of their path: paths can be erased
    of_run TEXT COLLATE "C" CHECK (length(of_run) = 36),  -- whose artifact it was given
    PRIMARY KEY (run_id, role, digest, name)
);

CREATE INDEX run_uses_by_digest ON run_uses (digest, role, run_id);
CREATE INDEX run_uses_by_name ON run_uses (name, run_id);
CREATE INDEX run_uses_by_giver ON run_uses (of_run, run_id) WHERE of_run IS NOT NULL;
CREATE INDEX runs_by_answer ON runs (of_run, started) WHERE of_run IS NOT NULL;
CREATE INDEX runs_by_retried ON runs (retry_of, started) WHERE retry_of IS NOT NULL;

-- The fencing token: grows by one whenever somebody takes over a run to close it. Whoever has a smaller one neither renews
-- the lease nor ends the run.
ALTER TABLE runs ADD COLUMN fence INTEGER NOT NULL DEFAULT 0 CHECK (fence >= 0);
