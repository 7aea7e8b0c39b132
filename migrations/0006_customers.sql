-- Customers, and what is theirs.

CREATE TABLE customers (
    id                uuid PRIMARY KEY,
    -- As it was typed, and as it is found: in lower case.
    email             text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    email_key         text NOT NULL UNIQUE,
    email_verified_at timestamptz,
    -- argon2id, as a PHC string.
    password_hash     text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    name              text CHECK (length(name) BETWEEN 1 AND 200),
    phone             text CHECK (length(phone) BETWEEN 1 AND 200),
    version           bigint NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE customer_addresses (
    customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
    id          uuid NOT NULL,
    address     jsonb NOT NULL,
    is_default  boolean NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_id, id)
);
CREATE UNIQUE INDEX customer_addresses_default ON customer_addresses (customer_id)
    WHERE is_default;

-- Whoever logs in gets a new session; the guest's is over then.
ALTER TABLE sessions ADD COLUMN customer_id uuid REFERENCES customers ON DELETE CASCADE;
CREATE INDEX sessions_customer ON sessions (customer_id, created_at)
    WHERE customer_id IS NOT NULL;

-- Whose a cart and an order are: the customer, or the session of a guest. The column of the
-- orders gets no foreign key for that reason, nor does that of the carts.
ALTER TABLE carts RENAME COLUMN session_id TO shopper_id;
ALTER TABLE orders RENAME COLUMN session_id TO shopper_id;
ALTER INDEX orders_session RENAME TO orders_shopper;

-- The customer to whose cart the lines of this one went when the guest logged in. It stays for a
-- minute, so that a change that comes too late is refused and not lost.
ALTER TABLE carts ADD COLUMN merged_into uuid;
