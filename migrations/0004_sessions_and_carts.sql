-- Sessions and their carts.

-- A session is known by its token, of which only the SHA-256 is kept. It is over at expires_at,
-- which use moves on, but never beyond ends_at; logging out moves both to that moment. The row
-- stays until it is cleared away together with its cart.
CREATE TABLE sessions (
    id         uuid PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    CHECK (expires_at <= ends_at)
);

-- One row per session, made by its first change; a session without a row has an empty cart of
-- version 0. No foreign keys and no further index: a change stays on its page.
CREATE TABLE carts (
    session_id       uuid PRIMARY KEY,
    version          bigint NOT NULL DEFAULT 0,
    -- [{"id", "variant_id", "quantity"}] in the order of first adding.
    items            jsonb NOT NULL DEFAULT '[]',
    currency         text CHECK (currency ~ '^[A-Z]{3}$'),
    email            text,
    shipping_address jsonb,
    shipping_option  text,
    -- [{"lane", "at", "changes": [id]}]: what each lane of a journal changed here last, so that a
    -- batch whose commit was not answered does not change it twice.
    applied          jsonb NOT NULL DEFAULT '[]',
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 60);
