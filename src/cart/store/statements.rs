//! The statements of the carts' transactions.
//!
//! Those that write behind an unconfirmed BEGIN carry the transaction's mark: if BEGIN failed they
//! would commit by themselves, and so they do nothing. Those whose row count must be right check
//! it in SQL (`expect_rows`), because COMMIT may already be on its way.

use crate::idempotency::{Claims, Saved};
use crate::journal::statements;

/// Reads carts.
pub const READ: &str = "
    SELECT shopper_id, version, items, currency, email, shipping_address, shipping_option,
        merged_into IS NOT NULL
    FROM carts WHERE shopper_id = ANY($1)";

/// Locks carts, sorted.
pub const LOCK: &str = "
    SELECT shopper_id, version, items, currency, email, shipping_address, shipping_option, applied,
        merged_into IS NOT NULL
    FROM carts WHERE shopper_id = ANY($1) ORDER BY shopper_id FOR UPDATE";

/// Empties locked carts ($1) of these versions ($2) for orders made of them. E-mail and address
/// stay for the next one. Fails unless there are as many as expected ($3).
pub const EMPTY: &str = "
    WITH emptied AS (
        UPDATE carts c SET items = '[]', version = c.version + 1, updated_at = now()
        FROM unnest($1::uuid[], $2::bigint[]) AS o (shopper_id, version)
        WHERE c.shopper_id = o.shopper_id AND c.version = o.version
            AND current_setting('doorbuster.batch', true) = $4
        RETURNING 1)
    SELECT expect_rows(count(*), $3) FROM emptied";

statements! {
    take_keys: Claims::TAKE;
    known_keys: Saved::LOOK_UP;
    make: "
        INSERT INTO carts (shopper_id) SELECT s.id FROM unnest($1::uuid[]) AS s (id)
        WHERE current_setting('doorbuster.batch', true) = $2
        ORDER BY s.id ON CONFLICT DO NOTHING";
    lock: LOCK;
    update: "
        WITH changed AS (
            UPDATE carts c SET version = n.version, items = n.items::jsonb,
                currency = n.currency, email = n.email, shipping_address = n.address::jsonb,
                shipping_option = n.option, applied = n.applied::jsonb, updated_at = now()
            FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[],
                        $6::text[], $7::text[], $8::text[])
                 AS n (shopper_id, version, items, currency, email, address, option, applied)
            WHERE c.shopper_id = n.shopper_id RETURNING 1)
        SELECT expect_rows(count(*), $9) FROM changed";
    save_replies: "
        WITH changed AS (
            UPDATE idempotency_keys i SET request_hash = k.hash, resource_id = k.resource_id,
                status = k.status, body = k.body
            FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[], $5::smallint[],
                        $6::bytea[]) AS k (scope, key, hash, resource_id, status, body)
            WHERE i.scope = k.scope AND i.key = k.key AND i.status IS NULL RETURNING 1)
        SELECT expect_rows(count(*), $7) FROM changed";
    drop_keys: "
        DELETE FROM idempotency_keys i
        USING unnest($1::text[], $2::text[]) AS k (scope, key)
        WHERE i.scope = k.scope AND i.key = k.key AND i.status IS NULL";
}
