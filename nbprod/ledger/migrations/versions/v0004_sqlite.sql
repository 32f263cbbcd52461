-- A Merkle log over the events (RFC 9162): docs/decisions/0021. Events know nothing of it, and are kept as before; whoever
-- asks for a root first gives places to those that have none.

CREATE TABLE log_leaves (
    -- An event's place in the log, for ever. Places have no gaps; whoever gives them is alone.
    idx  INTEGER PRIMARY KEY CHECK (idx >= 0),
    seq  INTEGER NOT NULL UNIQUE REFERENCES events (seq),
    hash TEXT NOT NULL CHECK (length(hash) = 64)  -- of the event's body as it was then: SHA-256 of 0x00 and the body, hex
);

CREATE TABLE log_nodes (
    -- Hashes above 256, 65,536 … leaves, hex; those between follow from them.
    level INTEGER NOT NULL CHECK (level > 0 AND level % 8 = 0),
    idx   INTEGER NOT NULL CHECK (idx >= 0),
    hash  TEXT NOT NULL CHECK (length(hash) = 64),
    PRIMARY KEY (level, idx)
) WITHOUT ROWID;

CREATE TABLE log_notes (
    -- Signed checkpoints, and signed lists of keys.
    number INTEGER PRIMARY KEY CHECK (number >= 1),
    kind   TEXT NOT NULL CHECK (kind IN ('checkpoint', 'keys')),
    body   TEXT NOT NULL
);

CREATE INDEX log_notes_by_kind ON log_notes (kind, number);

CREATE TRIGGER log_leaves_follow_each_other BEFORE INSERT ON log_leaves
WHEN NEW.idx <> (SELECT coalesce(max(idx), -1) + 1 FROM log_leaves)
BEGIN
    SELECT RAISE(ABORT, 'places in the log have no gaps, and none is given twice');
END;

CREATE TRIGGER log_leaves_are_not_changed BEFORE UPDATE ON log_leaves
BEGIN
    SELECT RAISE(ABORT, 'no place in the log ever changes');
END;

CREATE TRIGGER log_leaves_are_not_deleted BEFORE DELETE ON log_leaves
BEGIN
    SELECT RAISE(ABORT, 'no place in the log is ever taken back');
END;

CREATE TRIGGER log_nodes_are_not_changed BEFORE UPDATE ON log_nodes
BEGIN
    SELECT RAISE(ABORT, 'no hash in the log ever changes');
END;

CREATE TRIGGER log_nodes_are_not_deleted BEFORE DELETE ON log_nodes
BEGIN
    SELECT RAISE(ABORT, 'no hash in the log is ever taken back');
END;

CREATE TRIGGER log_notes_follow_each_other BEFORE INSERT ON log_notes
WHEN NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM log_notes)
BEGIN
    SELECT RAISE(ABORT, 'notes are numbered without gaps');
END;

CREATE TRIGGER log_notes_are_not_changed BEFORE UPDATE ON log_notes
BEGIN
    SELECT RAISE(ABORT, 'what was signed is never changed');
END;

CREATE TRIGGER log_notes_are_not_deleted BEFORE DELETE ON log_notes
BEGIN
    SELECT RAISE(ABORT, 'what was signed is never deleted');
END;
