-- pg_trgm comes with PostgreSQL, and whoever may create in a database may add it there; where it is not installed, or not
-- allowed, there is no index, until an administrator makes it with these two statements.

DO $$
DECLARE
    place TEXT;
BEGIN
    BEGIN
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
    EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR unique_violation
        OR duplicate_object THEN
        NULL;
    END;
    SELECT quote_ident(nspname) INTO place
    FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
    WHERE extname = 'pg_trgm';
    IF place IS NOT NULL THEN
        EXECUTE 'CREATE INDEX runs_by_text ON runs USING gin (search ' || place || '.gin_trgm_ops)';
    END IF;
END
$$;
