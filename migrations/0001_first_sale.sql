-- Products, stock, orders, payments, idempotency keys and the outbox.
--
-- Hot tables (stock, stock_ledger, orders, order_lines, payments, idempotency_keys, outbox)
-- carry no foreign keys: they cost 40 % of the order rate; `doorbuster verify` checks the
-- references instead.  Keys are UUIDv7.  Money is integer minor units beside its currency.

-- Catalog -----------------------------------------------------------------------------------

CREATE TABLE products (
    id          uuid PRIMARY KEY,
    slug        text NOT NULL UNIQUE,
    title       text NOT NULL,
    description text NOT NULL DEFAULT '',
    status      text NOT NULL CHECK (status IN ('draft', 'active', 'archived')),
    tags        text[] NOT NULL DEFAULT '{}',
    options     text[] NOT NULL DEFAULT '{}',
    media       jsonb NOT NULL DEFAULT '[]',
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE variants (
    id         uuid PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES products,
    sku        text NOT NULL UNIQUE,
    position   integer NOT NULL,
    options    jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX variants_product ON variants (product_id, position);

CREATE TABLE prices (
    variant_id uuid NOT NULL REFERENCES variants,
    currency   text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount     bigint NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (variant_id, currency)
);

-- Inventory ---------------------------------------------------------------------------------

CREATE TABLE locations (
    id   uuid PRIMARY KEY,
    code text NOT NULL UNIQUE
);
INSERT INTO locations (id, code) VALUES ('01900000-0000-7000-8000-000000000001', 'default');

-- One row per variant and location, made together with the variant.  The fill factor leaves
-- room for hot updates on the same page.  offer_version grows with every change of the
-- variant's offer (price, title, status), so that an order can tell that its price is current.
CREATE TABLE stock (
    variant_id    uuid NOT NULL,
    location_id   uuid NOT NULL,
    supplied      bigint NOT NULL DEFAULT 0,
    available     bigint NOT NULL DEFAULT 0,
    held          bigint NOT NULL DEFAULT 0,
    sold          bigint NOT NULL DEFAULT 0,
    offer_version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (variant_id, location_id),
    CONSTRAINT stock_adds_up CHECK (supplied = available + held + sold),
    CONSTRAINT stock_never_negative
        CHECK (supplied >= 0 AND available >= 0 AND held >= 0 AND sold >= 0)
) WITH (fillfactor = 40);

-- Every movement of stock with its cause; the deltas of a row's entries sum to its levels.
CREATE TABLE stock_ledger (
    variant_id  uuid NOT NULL,
    location_id uuid NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    cause       text NOT NULL,
    reference   uuid NOT NULL,
    supplied    bigint NOT NULL,
    available   bigint NOT NULL,
    held        bigint NOT NULL,
    sold        bigint NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (variant_id, location_id, id),
    CHECK (supplied = available + held + sold)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;

CREATE TRIGGER stock_ledger_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_ledger
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What staff did by hand; the ledger refers to it by id.
CREATE TABLE stock_adjustments (
    id          uuid PRIMARY KEY,
    variant_id  uuid NOT NULL,
    location_id uuid NOT NULL,
    quantity    bigint NOT NULL CHECK (quantity <> 0),
    reason      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Orders ------------------------------------------------------------------------------------

-- Instances take order numbers in blocks of 1,000, so that no row and no round trip per order
-- is needed; a crash leaves a gap.
CREATE SEQUENCE order_numbers START 1001000 INCREMENT 1000;

CREATE TABLE orders (
    id                 uuid PRIMARY KEY,
    number             bigint NOT NULL,
    status             text NOT NULL CHECK (status IN ('pending_payment', 'confirmed', 'paid',
                           'fulfilled', 'completed', 'cancelled', 'expired')),
    payment_status     text NOT NULL CHECK (payment_status IN ('pending', 'processing',
                           'captured', 'declined', 'refund_due')),
    fulfillment_status text NOT NULL DEFAULT 'unfulfilled',
    currency           text NOT NULL,
    subtotal           bigint NOT NULL,
    discount           bigint NOT NULL,
    shipping           bigint NOT NULL,
    tax                bigint NOT NULL,
    total              bigint NOT NULL,
    email              text NOT NULL,
    shipping_address   jsonb NOT NULL,
    pay_by             timestamptz,
    cancel_reason      text,
    created_at         timestamptz NOT NULL,
    CONSTRAINT order_adds_up CHECK (total = subtotal - discount + shipping + tax),
    CONSTRAINT unpaid_orders_expire CHECK (status <> 'pending_payment' OR pay_by IS NOT NULL)
) WITH (fillfactor = 85);
CREATE INDEX orders_unpaid ON orders (pay_by) WHERE status = 'pending_payment';

CREATE TABLE order_lines (
    order_id    uuid NOT NULL,
    id          uuid NOT NULL,
    variant_id  uuid NOT NULL,
    location_id uuid NOT NULL,
    sku         text NOT NULL,
    title       text NOT NULL,
    quantity    bigint NOT NULL CHECK (quantity > 0),
    unit_price  bigint NOT NULL CHECK (unit_price >= 0),
    total       bigint NOT NULL,
    tax_rate    integer NOT NULL,
    PRIMARY KEY (order_id, id),
    CONSTRAINT line_adds_up CHECK (total = quantity * unit_price)
);
COMMENT ON COLUMN order_lines.tax_rate IS 'parts per million, frozen at placement';

CREATE TABLE payments (
    order_id   uuid NOT NULL,
    id         uuid NOT NULL,
    provider   text NOT NULL,
    token      text,
    status     text NOT NULL CHECK (status IN ('pending', 'processing', 'captured', 'declined',
                   'refund_due')),
    amount     bigint NOT NULL,
    currency   text NOT NULL,
    -- The idempotency key that waits for the provider's answer, if any.
    key_scope  text,
    key        text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (order_id, id)
) WITH (fillfactor = 85);
CREATE INDEX payments_processing ON payments (updated_at) WHERE status = 'processing';

-- Platform ----------------------------------------------------------------------------------

-- Key, effect and reply commit together.  status and body stay empty only while an external
-- payment is asked for; `resource_id` is what the key made.
CREATE TABLE idempotency_keys (
    scope        text NOT NULL,
    key          text NOT NULL,
    request_hash bytea NOT NULL,
    resource_id  uuid,
    status       smallint,
    location     text,
    body         bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key),
    CHECK ((status IS NULL) = (body IS NULL))
) WITH (fillfactor = 70);
ALTER TABLE idempotency_keys ALTER COLUMN body SET COMPRESSION lz4;

-- Events of committed changes, for subscribers; consumed by row state, never by "id > last",
-- because commit order is not id order.
CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    aggregate_id uuid NOT NULL,
    type         text NOT NULL,
    payload      jsonb NOT NULL,
    created_at   timestamptz NOT NULL
);

-- Secrets that all instances share and nobody has configured, made at the first start.
CREATE TABLE server_secrets (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);

-- The counterpart in SQL of an assertion: a statement whose row count must be right fails the
-- whole transaction, also when COMMIT is already on its way in the same pipeline.
CREATE FUNCTION expect_rows(actual bigint, expected bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF actual IS DISTINCT FROM expected THEN
        RAISE EXCEPTION 'expected % rows, found %', expected, actual USING ERRCODE = 'DB001';
    END IF;
END $$;
