INSERT INTO products (id, slug, title, description, status, tags, options)
SELECT id, slug, title, 'Made with care, for those who like ' || lower(title) || '.', 'active', tags,
    CASE WHEN sizes <> '{}' THEN '{size}'::text[] ELSE '{}' END
FROM drawn;

INSERT INTO drawn_variants
SELECT (substr(d.id::text, 1, 20) || right(md5(d.sku || coalesce(size, '')), 15))::uuid,
    d.id, concat_ws('-', d.sku, size), coalesce(position, 1)::integer - 1, size, price, units
FROM drawn d LEFT JOIN unnest(d.sizes) WITH ORDINALITY s (size, position) ON true;

INSERT INTO variants (id, product_id, sku, position, options)
SELECT id, product_id, sku, position,
    CASE WHEN size IS NULL THEN '{}' ELSE jsonb_build_object('size', size) END
FROM drawn_variants;

WITH priced AS (
    INSERT INTO prices (variant_id, currency, amount)
    SELECT id, currency, price * rate / 100
    FROM drawn_variants, (VALUES ('EUR', 115), ('GBP', 100), ('USD', 125)) c (currency, rate)
    RETURNING *
)
INSERT INTO price_history (variant_id, currency, amount, after_entry)
SELECT variant_id, currency, amount, 0 FROM priced;

INSERT INTO stock (variant_id, location_id, supplied, available)
SELECT v.id, l.id, units, units FROM drawn_variants v, locations l WHERE l.code = 'default';

INSERT INTO stock_ledger
    (variant_id, location_id, cause, reference, supplied, available, held, sold, created_at)
SELECT v.id, l.id, 'seed', v.id, units, units, 0, 0, now()
FROM drawn_variants v, locations l WHERE l.code = 'default' AND units > 0;

INSERT INTO product_categories (product_id, category_id) SELECT id, category FROM drawn;
INSERT INTO collection_products (collection_id, product_id, position)
SELECT collection, id, n FROM drawn WHERE n % 3 = 0;

INSERT INTO product_search (product_id) SELECT id FROM drawn;
SELECT refresh_search(ARRAY(SELECT id FROM drawn));
SELECT refresh_search_prices(ARRAY(SELECT id FROM drawn));
TRUNCATE drawn, drawn_variants;
