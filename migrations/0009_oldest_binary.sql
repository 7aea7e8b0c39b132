-- The oldest binary that may run on this schema, by the newest migration that it knows. A migration
-- that takes away what older binaries use raises it, in the same file; until then they run beside
-- newer ones while a release is rolled out.
CREATE TABLE oldest_binary (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    migration integer NOT NULL
);

INSERT INTO oldest_binary (migration) VALUES (9);
