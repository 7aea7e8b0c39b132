-- Listing and search: one narrow row per product, kept by triggers in the writer's transaction.

CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS unaccent;

-- What lists and searches read of a product.  Everything is empty while it is not shown.
CREATE TABLE product_search (
    product_id  uuid PRIMARY KEY REFERENCES products ON DELETE CASCADE,
    is_shown    boolean NOT NULL DEFAULT false,
    -- The words of the title: lower case, no accents, single spaces.
    title       text COLLATE "C" NOT NULL DEFAULT '',
    -- Its words and their stems.  Short, so that ranking reads no long texts.
    title_words tsvector NOT NULL DEFAULT '',
    -- All words and their stems: A title, B SKUs and tags, C categories and options,
    -- D description.
    document    tsvector NOT NULL DEFAULT '',
    -- With all categories above.
    categories  uuid[] NOT NULL DEFAULT '{}',
    collections uuid[] NOT NULL DEFAULT '{}',
    tags        text[] NOT NULL DEFAULT '{}',
    -- Name, unit separator (U+001F), value.  Neither name nor value holds control characters.
    options     text[] NOT NULL DEFAULT '{}'
);
CREATE INDEX product_search_shown ON product_search (product_id) WHERE is_shown;
CREATE INDEX product_search_title ON product_search (title, product_id) WHERE is_shown;
-- One index for any mix of words and filters.  No pending list: every search would read it.
CREATE INDEX product_search_matches ON product_search
    USING gin (title_words, document, categories, collections, tags, options)
    WITH (fastupdate = off) WHERE is_shown;
-- Who filters by a rare tag must not be planned as if it were a common one.
ALTER TABLE product_search ALTER COLUMN document SET STATISTICS 500;
ALTER TABLE product_search ALTER COLUMN title_words SET STATISTICS 500;

-- The lowest price of each product in each currency.
CREATE TABLE product_search_prices (
    product_id uuid NOT NULL REFERENCES product_search ON DELETE CASCADE,
    currency   text NOT NULL,
    amount     bigint NOT NULL,
    PRIMARY KEY (product_id, currency) INCLUDE (amount)
);
CREATE INDEX product_search_prices_amount ON product_search_prices (currency, amount, product_id);

-- Every word of the shop, to finish and to correct what people type.  Not unique on purpose:
-- two writers of the same new word would have to wait for each other, and might deadlock.
-- Words that are no longer used stay; a search that they mislead looks further.
CREATE TABLE search_words (
    word text COLLATE "C" NOT NULL
);
CREATE INDEX search_words_word ON search_words (word);
CREATE INDEX search_words_similar ON search_words USING gin (word gin_trgm_ops)
    WHERE word ~ '^[^0-9]{4,}$';

-- The words of a text: lower case, without accents and apostrophes, by single spaces.
CREATE FUNCTION search_text(text text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT btrim(regexp_replace(
        translate(lower(unaccent(text)), '''’', ''),
        '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u2000-\u206f\u3000-\u303f]+',
        ' ', 'g'))
$$;

-- The words and their stems.
CREATE FUNCTION search_vector(words text, weight "char") RETURNS tsvector
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT setweight(to_tsvector('simple', words) || to_tsvector('english', words), weight)
$$;

-- Reads the products again.  The lock comes first, in a statement of its own: what others have
-- changed until then is seen by the statements behind it.
CREATE FUNCTION refresh_search(products uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM product_search WHERE product_id = ANY (products) ORDER BY product_id FOR UPDATE;
    UPDATE product_search s
    SET is_shown = false, title = '', title_words = '', document = '', categories = '{}',
        collections = '{}', tags = '{}', options = '{}'
    FROM products p
    WHERE s.product_id = ANY (products) AND s.is_shown
      AND p.id = s.product_id AND p.status <> 'active';

    WITH RECURSIVE placed (product_id, category_id) AS (
        SELECT product_id, category_id FROM product_categories
        WHERE product_id = ANY (products)
        UNION
        SELECT placed.product_id, c.parent_id
        FROM placed JOIN categories c ON c.id = placed.category_id
        WHERE c.parent_id IS NOT NULL
    ), categorised AS (
        SELECT product_id, array_agg(category_id) AS ids, string_agg(c.title, ' ') AS titles
        FROM placed JOIN categories c ON c.id = placed.category_id
        GROUP BY product_id
    ), sold AS (
        SELECT v.product_id, string_agg(DISTINCT v.sku, ' ') AS skus,
            array_agg(DISTINCT o.key || E'\x1f' || o.value) FILTER (WHERE o.key <> '')
                AS options,
            string_agg(DISTINCT o.value, ' ') AS values
        FROM variants v LEFT JOIN LATERAL jsonb_each_text(v.options) o ON true
        WHERE v.product_id = ANY (products) AND v.archived_at IS NULL
        GROUP BY v.product_id
    ), texts AS MATERIALIZED (
        SELECT p.id, left(search_text(p.title), 500) AS title, p.tags,
            search_text(concat_ws(' ', v.skus, array_to_string(p.tags, ' '))) AS codes,
            search_text(concat_ws(' ', c.titles, v.values)) AS places,
            search_text(p.description) AS description,
            coalesce(c.ids, '{}') AS categories, coalesce(v.options, '{}') AS options,
            ARRAY(SELECT collection_id FROM collection_products WHERE product_id = p.id)
                AS collections
        FROM products p
        LEFT JOIN categorised c ON c.product_id = p.id
        LEFT JOIN sold v ON v.product_id = p.id
        WHERE p.id = ANY (products) AND p.status = 'active'
    ), known AS (
        INSERT INTO search_words (word)
        SELECT DISTINCT new.word FROM texts t, regexp_split_to_table(
            concat_ws(' ', t.title, t.codes, t.places, t.description), ' ') AS new (word)
        WHERE length(new.word) BETWEEN 1 AND 50
          AND NOT EXISTS (SELECT FROM search_words old WHERE old.word = new.word)
    )
    UPDATE product_search s
    SET is_shown = true, title = d.title, categories = d.categories,
        collections = d.collections, options = d.options,
        tags = ARRAY(SELECT DISTINCT tag FROM unnest(d.tags) tag),
        title_words = strip(search_vector(d.title, 'A')),
        document = search_vector(d.title, 'A') || search_vector(d.codes, 'B')
            || search_vector(d.places, 'C') || search_vector(d.description, 'D')
    FROM texts d
    WHERE s.product_id = d.id;
END $$;

-- Reads the lowest prices of the products again.
CREATE FUNCTION refresh_search_prices(products uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM product_search WHERE product_id = ANY (products) ORDER BY product_id FOR UPDATE;
    WITH lowest AS MATERIALIZED (
        SELECT v.product_id, p.currency, min(p.amount) AS amount
        FROM variants v JOIN prices p ON p.variant_id = v.id
        WHERE v.product_id = ANY (products) AND v.archived_at IS NULL
        GROUP BY v.product_id, p.currency
    ), gone AS (
        DELETE FROM product_search_prices s
        WHERE s.product_id = ANY (products) AND NOT EXISTS (
            SELECT FROM lowest l WHERE l.product_id = s.product_id AND l.currency = s.currency)
    )
    INSERT INTO product_search_prices AS s (product_id, currency, amount)
    SELECT product_id, currency, amount FROM lowest ORDER BY product_id, currency
    ON CONFLICT (product_id, currency) DO UPDATE SET amount = excluded.amount
    WHERE s.amount <> excluded.amount;
END $$;

-- Triggers by statement: an import of thousands of rows refreshes them together.  Whoever did not
-- change anything that is shown costs nothing.

CREATE FUNCTION search_products() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO product_search (product_id) SELECT id FROM changed ORDER BY id;
        PERFORM refresh_search(ARRAY(SELECT id FROM changed));
    ELSE
        PERFORM refresh_search(ids) FROM (
            SELECT array_agg(n.id) AS ids FROM changed n JOIN replaced o USING (id)
            WHERE (n.title, n.description, n.status, n.tags)
                IS DISTINCT FROM (o.title, o.description, o.status, o.tags)) c
        WHERE ids IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER search_inserted_products AFTER INSERT ON products
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_products();
CREATE TRIGGER search_updated_products AFTER UPDATE ON products
    REFERENCING OLD TABLE AS replaced NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_products();

CREATE FUNCTION search_variants() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    products uuid[];
BEGIN
    IF TG_OP = 'UPDATE' THEN
        products := ARRAY(
            SELECT DISTINCT n.product_id FROM changed n JOIN replaced o USING (id)
            WHERE (n.sku, n.options, n.archived_at)
                IS DISTINCT FROM (o.sku, o.options, o.archived_at));
    ELSE
        products := ARRAY(SELECT DISTINCT product_id FROM changed);
    END IF;
    IF cardinality(products) > 0 THEN
        PERFORM refresh_search(products);
        -- A new variant gets its prices later.
        IF TG_OP <> 'INSERT' THEN
            PERFORM refresh_search_prices(products);
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER search_inserted_variants AFTER INSERT ON variants
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_variants();
CREATE TRIGGER search_updated_variants AFTER UPDATE ON variants
    REFERENCING OLD TABLE AS replaced NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_variants();
CREATE TRIGGER search_deleted_variants AFTER DELETE ON variants
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_variants();

CREATE FUNCTION search_prices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refresh_search_prices(ARRAY(
        SELECT DISTINCT v.product_id FROM changed c JOIN variants v ON v.id = c.variant_id));
    RETURN NULL;
END $$;
CREATE TRIGGER search_inserted_prices AFTER INSERT ON prices
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_prices();
CREATE TRIGGER search_updated_prices AFTER UPDATE ON prices
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_prices();
CREATE TRIGGER search_deleted_prices AFTER DELETE ON prices
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_prices();

-- Whoever puts a product into a category must see a move of that category that is under way, and
-- the move must see the product: moves exclude those who put.  The key is "tree" in ASCII.
CREATE FUNCTION search_product_categories() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1953654117);
    PERFORM refresh_search(ARRAY(SELECT DISTINCT product_id FROM changed));
    RETURN NULL;
END $$;
CREATE TRIGGER search_inserted_product_categories AFTER INSERT ON product_categories
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_product_categories();
CREATE TRIGGER search_updated_product_categories AFTER UPDATE ON product_categories
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_product_categories();
CREATE TRIGGER search_deleted_product_categories AFTER DELETE ON product_categories
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_product_categories();

CREATE FUNCTION search_categories() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moved uuid[] := ARRAY(SELECT n.id FROM changed n JOIN replaced o USING (id)
        WHERE (n.title, n.parent_id) IS DISTINCT FROM (o.title, o.parent_id));
BEGIN
    IF cardinality(moved) > 0 THEN
        PERFORM pg_advisory_xact_lock(1953654117);
        PERFORM refresh_search(ARRAY(
            WITH RECURSIVE below (id) AS (
                SELECT unnest(moved)
                UNION
                SELECT c.id FROM below JOIN categories c ON c.parent_id = below.id
            )
            SELECT DISTINCT product_id
            FROM below JOIN product_categories p ON p.category_id = below.id));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER search_updated_categories AFTER UPDATE ON categories
    REFERENCING OLD TABLE AS replaced NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_categories();

CREATE FUNCTION search_collection_products() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refresh_search(ARRAY(SELECT DISTINCT product_id FROM changed));
    RETURN NULL;
END $$;
CREATE TRIGGER search_inserted_collection_products AFTER INSERT ON collection_products
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_collection_products();
CREATE TRIGGER search_deleted_collection_products AFTER DELETE ON collection_products
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_collection_products();

-- What is there already.
INSERT INTO product_search (product_id) SELECT id FROM products;
SELECT refresh_search(ARRAY(SELECT id FROM products));
SELECT refresh_search_prices(ARRAY(SELECT id FROM products));
