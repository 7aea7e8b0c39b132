-- Staff, their roles and sessions, API keys, and the log of what they changed.

-- Roles of a shop's own; owner, manager, support and read-only are known to the program.
CREATE TABLE staff_roles (
    name       text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9-]{1,39}$'),
    scopes     text[] NOT NULL,
    version    bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE staff (
    id              uuid PRIMARY KEY,
    -- As it was typed, and as it is found: in lower case.
    email           text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    email_key       text NOT NULL UNIQUE,
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    role            text NOT NULL,
    -- argon2id, as a PHC string; none until the invitation is accepted.
    password_hash   text CHECK (password_hash LIKE '$argon2id$%'),
    -- SHA-256 of the invitation's token.
    invitation_hash bytea UNIQUE CHECK (length(invitation_hash) = 32),
    invited_until   timestamptz,
    -- The secret shared with the authenticator; it counts once its first code was shown.
    totp_secret     bytea CHECK (length(totp_secret) = 20),
    is_totp_on      boolean NOT NULL DEFAULT false,
    -- The step of the last code that was used: each is good for once.
    totp_step       bigint NOT NULL DEFAULT 0,
    version         bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CHECK ((invitation_hash IS NULL) = (invited_until IS NULL)),
    CHECK (totp_secret IS NOT NULL OR NOT is_totp_on)
);

-- SHA-256 of the codes that stand in for the authenticator, each for once.
CREATE TABLE staff_recovery_codes (
    staff_id  uuid NOT NULL REFERENCES staff ON DELETE CASCADE,
    code_hash bytea NOT NULL CHECK (length(code_hash) = 32),
    PRIMARY KEY (staff_id, code_hash)
);

CREATE TABLE staff_sessions (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    staff_id   uuid NOT NULL REFERENCES staff ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Moved on by use, up to `ends_at`.
    expires_at timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL CHECK (expires_at <= ends_at)
);
CREATE INDEX staff_sessions_staff ON staff_sessions (staff_id);

CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('secret', 'publishable')),
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    -- The first characters, by which people tell keys apart.
    prefix       text NOT NULL CHECK (length(prefix) <= 12),
    key_hash     bytea NOT NULL UNIQUE CHECK (length(key_hash) = 32),
    -- Of a secret key: what it may do.
    scopes       text[] NOT NULL,
    -- Of a publishable key: the sales channel that it names, and the pages that may send it.
    channel      text CHECK (channel ~ '^[a-z][a-z0-9-]{1,39}$'),
    origins      text[] NOT NULL,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    -- To the minute.
    last_used_at timestamptz,
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'publishable') = (channel IS NOT NULL))
);

CREATE TABLE audit_log (
    id         uuid PRIMARY KEY,
    -- By the clock of the transaction, which is also its place in the list.
    at         timestamptz NOT NULL DEFAULT now(),
    -- A member of staff, an API key, or the configured key. No foreign key: they go, this stays.
    actor      text NOT NULL,
    -- The id of the operation: `update_product`.
    action     text NOT NULL,
    -- What was changed.
    target     text NOT NULL,
    before     jsonb,
    after      jsonb,
    address    text,
    request_id text NOT NULL
);
CREATE INDEX audit_log_at ON audit_log (at, id);
CREATE INDEX audit_log_target ON audit_log (target, at);
CREATE INDEX audit_log_actor ON audit_log (actor, at);

-- Nobody rewrites it, the owner of the table by mistake neither.
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
