INSERT INTO drawn
SELECT n, pg_temp.id($2::bigint + n, 'product' || n), upper(right($1::text, 6)) || n,
    lower(replace(title, ' ', '-')) || '-' || right($1::text, 4) || '-' || n, title,
    (ARRAY(SELECT DISTINCT pg_temp.pick(n, 20 + k, tags)
           FROM generate_series(1, pg_temp.chance(n, 9, 4)) k)),
    CASE WHEN n % 5 = 0 THEN '{S,M,L}'::text[] ELSE '{}' END,
    99 + pg_temp.chance(n, 10, 200) * pg_temp.chance(n, 11, 100),
    CASE WHEN n % 10 = 3 THEN 0 ELSE 100000 END,
    pg_temp.id($2::bigint + 100 + pg_temp.chance(n, 12, 100), 'category'),
    pg_temp.id($2::bigint + 1 + pg_temp.chance(n, 13, 20), 'collection')
FROM seed_words, generate_series($3::bigint, $4::bigint) n, LATERAL (
    SELECT initcap(concat_ws(' ',
        CASE WHEN n % 3 = 0 THEN pg_temp.pick(n, 1, syllables) || pg_temp.pick(n, 2, syllables)
            || pg_temp.pick(n, 3, syllables) END,
        CASE WHEN n % 4 <> 1 THEN pg_temp.pick(n, 4, qualities) END,
        pg_temp.pick(n, 5, colours),
        CASE WHEN n % 4 <> 2 OR n % 3 <> 0 THEN pg_temp.pick(n, 6, materials) END,
        pg_temp.pick(n, 7, things),
        CASE WHEN n % 7 < 3 THEN pg_temp.pick(n, 8, motifs) END)) AS title) t
