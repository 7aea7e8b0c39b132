-- Large shops cut the tables that grow with orders by time, and take the oldest parts away
-- (`doorbuster partitions`).  What those summed to stays here, so that everything still adds up.

CREATE TABLE archived_stock (
    variant_id  uuid NOT NULL,
    location_id uuid NOT NULL,
    -- The sums of the ledger's entries that were taken away.
    supplied    bigint NOT NULL DEFAULT 0,
    available   bigint NOT NULL DEFAULT 0,
    held        bigint NOT NULL DEFAULT 0,
    sold        bigint NOT NULL DEFAULT 0,
    -- The units of the paid and confirmed orders that were taken away.
    ordered     bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (variant_id, location_id)
);

-- Orders up to this one have been taken away.
CREATE TABLE archived_orders (
    is_the_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_the_only_row),
    until           uuid NOT NULL
);
INSERT INTO archived_orders (until) VALUES ('00000000-0000-0000-0000-000000000000');

-- While partitions are taken away: in which of them something has changed that their sums are made
-- of.  Then they are summed up again.
CREATE TABLE archive_changes (
    part text NOT NULL
);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO archive_changes (part) VALUES (TG_TABLE_NAME);
    RETURN NULL;
END $$;

-- Rows of a table that is divided leave with their partition.  Whoever deletes by where rows lie
-- would hit those of other partitions as well.
CREATE FUNCTION refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % leave with their partition', TG_TABLE_NAME;
END $$;
