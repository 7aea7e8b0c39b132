-- What a role may do beyond serving, in words; NULL if nothing.

SELECT string_agg(excess, '; ') FROM (
    SELECT 'it is a superuser' FROM pg_roles WHERE rolname = $1::text AND rolsuper
    UNION ALL
    SELECT 'it makes roles or databases' FROM pg_roles
    WHERE rolname = $1::text AND (rolcreaterole OR rolcreatedb)
    UNION ALL
    SELECT format('it acts for %I, who owns tables', pg_get_userbyid(relowner)) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
        AND pg_has_role($1::text, relowner, 'MEMBER')
    GROUP BY relowner
    UNION ALL
    SELECT 'it makes tables: REVOKE CREATE ON SCHEMA public FROM PUBLIC'
    WHERE has_schema_privilege($1::text, 'public', 'CREATE')
    UNION ALL
    SELECT 'it empties tables: REVOKE TRUNCATE' FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
        AND has_table_privilege($1::text, oid, 'TRUNCATE')
    GROUP BY 1
) excesses (excess)
