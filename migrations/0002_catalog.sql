-- Categories, collections, archived variants, the history of prices, and the catalog's epoch.

-- A tree; a product may be in several categories.
CREATE TABLE categories (
    id          uuid PRIMARY KEY,
    parent_id   uuid REFERENCES categories,
    slug        text NOT NULL UNIQUE,
    title       text NOT NULL,
    description text NOT NULL DEFAULT '',
    position    integer NOT NULL DEFAULT 0,
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT no_category_is_its_own_parent CHECK (parent_id <> id)
);
CREATE INDEX categories_children ON categories (parent_id, position, id);

CREATE TABLE product_categories (
    product_id  uuid NOT NULL REFERENCES products,
    category_id uuid NOT NULL REFERENCES categories ON DELETE CASCADE,
    PRIMARY KEY (product_id, category_id)
);
CREATE INDEX product_categories_category ON product_categories (category_id, product_id);

-- Products that are shown together, in an order of the shop's choice.
CREATE TABLE collections (
    id          uuid PRIMARY KEY,
    slug        text NOT NULL UNIQUE,
    title       text NOT NULL,
    description text NOT NULL DEFAULT '',
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE collection_products (
    collection_id uuid NOT NULL REFERENCES collections ON DELETE CASCADE,
    product_id    uuid NOT NULL REFERENCES products,
    position      integer NOT NULL,
    PRIMARY KEY (collection_id, product_id)
);
CREATE INDEX collection_products_product ON collection_products (product_id);

-- An archived variant is no longer sold; carts and orders may still name it, and its SKU stays
-- taken.
ALTER TABLE variants ADD COLUMN archived_at timestamptz;

-- Every price with the time from which it held; no amount: no longer sold in this currency.
-- Prices change while the variant's stock is locked, as orders do.  So `after_entry`, the newest
-- entry of the variant's stock ledger at that time, tells exactly which orders came before the
-- change, without comparing clocks.
CREATE TABLE price_history (
    variant_id  uuid NOT NULL,
    currency    text NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    amount      bigint,
    after_entry bigint NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (variant_id, currency, id)
);
CREATE TRIGGER price_history_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON price_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

INSERT INTO price_history (variant_id, currency, amount, after_entry)
SELECT p.variant_id, p.currency, p.amount, coalesce(
    (SELECT max(id) FROM stock_ledger l WHERE l.variant_id = p.variant_id), 0)
FROM prices p;

CREATE FUNCTION record_price() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    price prices := coalesce(NEW, OLD);
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.amount = OLD.amount THEN
        RETURN NULL;
    END IF;
    INSERT INTO price_history (variant_id, currency, amount, after_entry)
    VALUES (price.variant_id, price.currency,
            CASE TG_OP WHEN 'DELETE' THEN NULL ELSE price.amount END,
            coalesce((SELECT max(l.id) FROM stock_ledger l, locations o
                      WHERE l.variant_id = price.variant_id AND l.location_id = o.id), 0));
    RETURN NULL;
END $$;
CREATE TRIGGER prices_are_recorded
    AFTER INSERT OR UPDATE OR DELETE ON prices
    FOR EACH ROW EXECUTE FUNCTION record_price();

-- One number that grows with every change of the catalog, in the same transaction and as its last
-- statement.  Lists and searches are cached under it.
CREATE TABLE catalog_epoch (
    is_the_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_the_only_row),
    value           bigint NOT NULL
);
INSERT INTO catalog_epoch (value) VALUES (1);
