-- A Merkle log over the events (RFC 9162): docs/decisions/0021. Events know nothing of it, and are kept as before; whoever
-- asks for a root first gives places to those that have none.

CREATE TABLE log_leaves (
    -- An event's place in the log, for ever. Places have no gaps, unlike the events' numbers; whoever gives them is alone.
    idx  BIGINT PRIMARY KEY CHECK (idx >= 0),
    seq  BIGINT NOT NULL UNIQUE REFERENCES events (seq),
    hash TEXT COLLATE "C" NOT NULL CHECK (length(hash) = 64)
);

COMMENT ON COLUMN log_leaves.hash IS 'of the event''s body as it was then: SHA-256 of 0x00 and the body, hex';

CREATE TABLE log_nodes (
    -- Hashes above 256, 65,536 … leaves, hex; those between follow from them.
    level INTEGER NOT NULL CHECK (level > 0 AND level % 8 = 0),
    idx   BIGINT NOT NULL CHECK (idx >= 0),
    hash  TEXT COLLATE "C" NOT NULL CHECK (length(hash) = 64),
    PRIMARY KEY (level, idx)
);

CREATE TABLE log_notes (
    -- Signed checkpoints, and signed lists of keys.
    number BIGINT PRIMARY KEY CHECK (number >= 1),
    kind   TEXT COLLATE "C" NOT NULL CHECK (kind IN ('checkpoint', 'keys')),
    body   TEXT COLLATE "C" NOT NULL
);

CREATE INDEX log_notes_by_kind ON log_notes (kind, number);

CREATE FUNCTION log_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: nothing of it is ever changed or deleted' USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER log_leaves_are_not_changed BEFORE UPDATE OR DELETE ON log_leaves
FOR EACH ROW EXECUTE FUNCTION log_is_kept();
CREATE TRIGGER log_leaves_are_not_emptied BEFORE TRUNCATE ON log_leaves
FOR EACH STATEMENT EXECUTE FUNCTION log_is_kept();
CREATE TRIGGER log_nodes_are_not_changed BEFORE UPDATE OR DELETE ON log_nodes
FOR EACH ROW EXECUTE FUNCTION log_is_kept();
CREATE TRIGGER log_nodes_are_not_emptied BEFORE TRUNCATE ON log_nodes
FOR EACH STATEMENT EXECUTE FUNCTION log_is_kept();
CREATE TRIGGER log_notes_are_not_changed BEFORE UPDATE OR DELETE ON log_notes
FOR EACH ROW EXECUTE FUNCTION log_is_kept();
CREATE TRIGGER log_notes_are_not_emptied BEFORE TRUNCATE ON log_notes
FOR EACH STATEMENT EXECUTE FUNCTION log_is_kept();

CREATE FUNCTION log_leaves_follow() RETURNS trigger LANGUAGE plpgsql AS $$
-- After the statement: a batch of places is one statement.
BEGIN
    IF (SELECT count(*) FROM added) <> (SELECT max(idx) - min(idx) + 1 FROM added)
        OR (SELECT min(idx) FROM added) <> (
            SELECT coalesce(max(idx), -1) + 1 FROM log_leaves WHERE idx < (SELECT min(idx) FROM added)
        ) THEN
        RAISE EXCEPTION 'places in the log have no gaps' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER log_leaves_follow_each_other AFTER INSERT ON log_leaves
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION log_leaves_follow();
