-- What the role that serves may do, and no more; run again after each migration.

GRANT USAGE ON SCHEMA public TO :role;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :role;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO :role;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO :role;

-- Tables, sequences and functions of later migrations, if the same owner makes them.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO :role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO :role;

-- Which migrations have run, and what was archived, is the business of the owner.
REVOKE INSERT, UPDATE, DELETE
    ON refinery_schema_history, oldest_binary, archived_stock, archived_orders, archive_changes
    FROM :role;

-- What only grows is guarded by a trigger, and here once more.
DO $$
DECLARE
    grown regclass;
BEGIN
    FOR grown IN
        SELECT DISTINCT t.tgrelid::regclass FROM pg_trigger t
        JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.proname = 'refuse_change' AND n.nspname = 'public'
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE ON %s FROM %s', grown, $role$:role$role$);
    END LOOP;
END
$$;
