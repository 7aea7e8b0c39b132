-- Ten categories with ten below each, and twenty collections.
INSERT INTO categories (id, parent_id, slug, title, position)
SELECT pg_temp.id($2::bigint + n, 'category'), NULL, $1::text || '-' || things[n * 17], initcap(things[n * 17]), n
FROM seed_words, generate_series(1, 10) n
UNION ALL
SELECT pg_temp.id($2::bigint + 100 + n, 'category'), pg_temp.id($2::bigint + 1 + n / 10, 'category'),
    $1::text || '-' || motifs[1 + n % 80] || '-' || n, initcap(motifs[1 + n % 80]), n
FROM seed_words, generate_series(0, 99) n
;
INSERT INTO collections (id, slug, title)
SELECT pg_temp.id($2::bigint + n, 'collection'), $1::text || '-' || motifs[n * 4], initcap(motifs[n * 4])
FROM seed_words, generate_series(1, 20) n
