-- What `doorbuster partitions` does to tables; functions of its connection alone.

-- The new table gets what LIKE does not copy: how full pages are filled, triggers, and who may what.
CREATE FUNCTION pg_temp.dress(new text, old text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    options text;
    def text;
    who text;
    what text;
BEGIN
    SELECT array_to_string(reloptions, ', ') INTO options FROM pg_class WHERE oid = old::regclass;
    IF options IS NOT NULL AND (SELECT relkind = 'r' FROM pg_class WHERE oid = new::regclass) THEN
        EXECUTE format('ALTER TABLE %I SET (%s)', new, options);
    END IF;
    FOR def IN SELECT pg_get_triggerdef(oid) FROM pg_trigger
        WHERE tgrelid = old::regclass AND NOT tgisinternal
    LOOP
        EXECUTE replace(def, format(' ON public.%I ', old), format(' ON public.%I ', new));
    END LOOP;
    FOR who IN SELECT DISTINCT grantee::regrole::text FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = new::regclass AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('REVOKE ALL ON %I FROM %s', new, who);
    END LOOP;
    FOR who, what IN SELECT grantee::regrole::text, privilege_type
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = old::regclass AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT %s ON %I TO %s', what, new, who);
    END LOOP;
END $$;

-- Makes the table a partition of a new one of its name: of all that comes before the bound, which a
-- valid constraint `partition_bound` already says. What fits nowhere else goes to NAME_rest.
CREATE FUNCTION pg_temp.divide(name text, key text, bound text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    old text := name || '_before';
    rest text := name || '_rest';
    index record;
    identity text;
BEGIN
    EXECUTE format('ALTER TABLE %I RENAME TO %I', name, old);
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING INDEXES)
        PARTITION BY RANGE (%I)', name, old, key);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT partition_bound', name);
    PERFORM pg_temp.dress(name, old);
    FOR index IN SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS def,
            pg_get_constraintdef(c.oid) AS primary_key, a.attname = key AS has_key
        FROM pg_index i
        LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype = 'p'
        LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = key
            AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = old::regclass
    LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', index.name, index.name || '_before');
        IF index.primary_key IS NULL THEN
            EXECUTE replace(index.def, format(' ON public.%I ', old),
                format(' ON public.%I ', name));
        ELSIF index.has_key THEN
            EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I %s', name, index.name,
                index.primary_key);
        END IF;
        -- A unique key without the column that divides the table is kept in each part by itself.
    END LOOP;
    FOR identity IN SELECT attname FROM pg_attribute
        WHERE attrelid = old::regclass AND attidentity <> ''
    LOOP
        PERFORM setval(pg_get_serial_sequence(name, identity),
            nextval(pg_get_serial_sequence(old, identity)));
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I DROP IDENTITY', old, identity);
    END LOOP;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING IDENTITY)', rest, old);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT partition_bound', rest);
    PERFORM pg_temp.dress(rest, old);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)',
        name, old, bound);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I DEFAULT', name, rest);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT partition_bound', old);
    EXECUTE format('CREATE TRIGGER %I BEFORE DELETE ON %I
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete()', name || '_by_partition', name);
    -- Retention of older binaries takes it for one table.
    UPDATE oldest_binary SET migration = greatest(migration, 10);
END $$;

-- One more partition. A valid constraint `partition_bound` says that no row of it lies elsewhere.
CREATE FUNCTION pg_temp.add_partition(name text, part text, first text, bound text)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING IDENTITY)',
        part, name || '_rest');
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT partition_bound', part);
    PERFORM pg_temp.dress(part, name || '_rest');
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        name, part, first, bound);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT partition_bound', name || '_rest');
END $$;
