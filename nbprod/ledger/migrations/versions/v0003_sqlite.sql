-- Texts by groups of three characters (sqlite.org/fts5.html). A text is known by the number of its run's start: unlike a
-- row's own number, it stays when the file is rewritten. The groups' places are not kept, nor are the texts.

-- No function of SQLite's sees what follows a NUL.
UPDATE runs SET search = replace(search, char(0), char(65533)) WHERE hex(search) LIKE '%00%';

CREATE VIEW run_texts AS
SELECT events.seq AS seq, runs.search AS search
FROM runs JOIN events ON events.run_id = runs.run_id AND events.kind = 'RunStarted';

CREATE VIRTUAL TABLE run_search USING fts5 (
    search, content = 'run_texts', content_rowid = 'seq', tokenize = 'trigram case_sensitive 1', detail = none
);

INSERT INTO run_search (run_search) VALUES ('rebuild');

CREATE TRIGGER run_search_follows_a_start AFTER INSERT ON runs
BEGIN
    INSERT INTO run_search (rowid, search)
    SELECT seq, NEW.search FROM events WHERE run_id = NEW.run_id AND kind = 'RunStarted';
END;

CREATE TRIGGER run_search_follows_a_change AFTER UPDATE OF search ON runs
WHEN OLD.search <> NEW.search
BEGIN
    INSERT INTO run_search (run_search, rowid, search)
    SELECT 'delete', seq, OLD.search FROM events WHERE run_id = NEW.run_id AND kind = 'RunStarted';
    INSERT INTO run_search (rowid, search)
    SELECT seq, NEW.search FROM events WHERE run_id = NEW.run_id AND kind = 'RunStarted';
END;
