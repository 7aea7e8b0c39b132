-- What a role may do beyond serving, in words; NULL if nothing.

SELECT string_agg(excess, '; ') FROM (
    SELECT 'it is a superuser' FROM pg_roles WHERE rolname = $1::text AND rolsuper
    UNION ALL
    SELECT 'it makes roles or databases' FROM pg_roles
    WHERE rolname = $1::text AND (rolcreaterole OR rolcreatedb)
    UNION ALL
    SELECT 'it replicates or goes round row security' FROM pg_roles
    WHERE rolname = $1::text AND (rolreplication OR rolbypassrls)
    UNION ALL
    SELECT format('it is a member of %I', rolname) FROM pg_roles
    WHERE rolname IN ('pg_execute_server_program', 'pg_write_server_files',
            'pg_read_server_files', 'pg_write_all_data', 'pg_signal_backend')
        AND pg_has_role($1::text, oid, 'MEMBER')
    UNION ALL
    SELECT 'it makes schemas: REVOKE CREATE ON DATABASE'
    WHERE has_database_privilege($1::text, current_database(), 'CREATE')
    UNION ALL
    SELECT format('it acts for %I, who owns tables', pg_get_userbyid(relowner)) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
        AND pg_has_role($1::text, relowner, 'MEMBER')
    GROUP BY relowner
    UNION ALL
    SELECT 'it makes tables: REVOKE CREATE ON SCHEMA public FROM PUBLIC'
    WHERE has_schema_privilege($1::text, 'public', 'CREATE')
    UNION ALL
    SELECT format('it has %s on tables: REVOKE it', privilege)
    FROM pg_class, unnest(ARRAY['TRUNCATE', 'TRIGGER', 'REFERENCES']) AS privilege
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
        AND has_table_privilege($1::text, oid, privilege)
    GROUP BY privilege
) excesses (excess)
