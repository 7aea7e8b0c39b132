-- Mails that are to be sent, the proofs that come with them, and who was erased.

-- Written in the transaction of what they are about, sent afterwards. A mail that is due has a
-- next_try_at; when it is sent, or given up, it has none. Links are derived from the id when it is
-- sent: nothing in here opens anything.
CREATE TABLE mails (
    id          uuid PRIMARY KEY,
    -- Whose mail it is: it goes when they go.
    person_id   uuid NOT NULL,
    kind        text NOT NULL,
    recipient   text NOT NULL,
    -- What is put into the text.
    payload     jsonb NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    next_try_at timestamptz DEFAULT now(),
    sent_at     timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CHECK (sent_at IS NULL OR next_try_at IS NULL)
);
CREATE INDEX mails_due ON mails (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX mails_person ON mails (person_id);

-- What proves that somebody reads the mail of an address, until it is used or over. The one of a
-- request for an address without an account belongs to nobody, and is over at once: it is written
-- so that both take as long.
CREATE TABLE customer_tokens (
    token_hash  bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    customer_id uuid REFERENCES customers ON DELETE CASCADE,
    purpose     text NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
    email       text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL
);
CREATE INDEX customer_tokens_customer ON customer_tokens (customer_id);

-- Customers who are gone, while something of theirs may still be on its way.
CREATE TABLE erasures (
    customer_id uuid PRIMARY KEY,
    erased_at   timestamptz NOT NULL DEFAULT now(),
    -- When to look for it.
    due_at      timestamptz NOT NULL DEFAULT now() + interval '1 minute'
);
