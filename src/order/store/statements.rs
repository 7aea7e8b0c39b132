//! The statements of the orders' transactions.
//!
//! Those that may travel behind an unconfirmed BEGIN carry the transaction's mark: if BEGIN
//! failed they would commit by themselves, and so they do nothing. Those whose row count must be
//! right check it in SQL (`expect_rows`), because COMMIT may already be on its way.

use crate::cart;
use crate::idempotency::{Claims, Saved};
use crate::journal::statements;

statements! {
    take_keys: Claims::TAKE;
    known_keys: Saved::LOOK_UP;
    lock_carts: cart::store::LOCK;
    empty_carts: cart::store::EMPTY;
    lock_stock: "
        SELECT s.variant_id, s.location_id, s.available, s.held, s.sold, s.offer_version
        FROM unnest($1::uuid[], $2::uuid[]) AS k (variant_id, location_id)
        JOIN stock s USING (variant_id, location_id)
        ORDER BY s.variant_id, s.location_id FOR UPDATE OF s";
    lock_orders: "
        SELECT id, status, payment_status, fulfillment_status FROM orders
        WHERE id = ANY($1) AND id BETWEEN $2 AND $3 ORDER BY id FOR UPDATE";
    lock_expiring: "
        SELECT id, status, payment_status, fulfillment_status FROM orders
        WHERE id = ANY($1) AND id BETWEEN $2 AND $3 ORDER BY id FOR UPDATE SKIP LOCKED";
    payments: "
        SELECT order_id, id, provider, status, amount, created_at FROM payments
        WHERE order_id = ANY($1) AND order_id BETWEEN $2 AND $3 ORDER BY order_id, id";
    insert_keys: "
        INSERT INTO idempotency_keys
            (scope, key, request_hash, resource_id, status, location, body)
        SELECT k.scope, k.key, k.hash, k.resource_id, k.status, k.location, k.body
        FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[], $5::smallint[],
                    $6::text[], $7::bytea[])
             AS k (scope, key, hash, resource_id, status, location, body)
        WHERE current_setting('doorbuster.batch', true) = $8
        ORDER BY k.scope, k.key";
    insert_rows: "
        WITH placed AS (
            INSERT INTO orders (id, number, status, payment_status, fulfillment_status, currency,
                subtotal, discount, shipping, tax, total, email, shipping_address, pay_by,
                created_at, shopper_id)
            SELECT o.id, o.number, o.status, o.payment_status, 'unfulfilled', o.currency,
                o.subtotal, o.discount, o.shipping, o.tax, o.total, o.email, o.address::jsonb,
                o.pay_by, o.created_at, o.shopper_id
            FROM unnest($3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::text[],
                        $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
                        $13::text[], $14::text[], $15::timestamptz[], $16::timestamptz[],
                        $17::uuid[])
                 AS o (id, number, status, payment_status, currency, subtotal, discount, shipping,
                       tax, total, email, address, pay_by, created_at, shopper_id)
            WHERE current_setting('doorbuster.batch', true) = $1),
        lines AS (
            INSERT INTO order_lines (order_id, id, variant_id, location_id, sku, title, quantity,
                unit_price, total, tax_rate)
            SELECT l.* FROM unnest($18::uuid[], $19::uuid[], $20::uuid[], $21::uuid[],
                        $22::text[], $23::text[], $24::bigint[], $25::bigint[], $26::bigint[],
                        $27::integer[])
                 AS l (order_id, id, variant_id, location_id, sku, title, quantity, unit_price,
                       total, tax_rate)
            WHERE current_setting('doorbuster.batch', true) = $1),
        paid AS (
            INSERT INTO payments (order_id, id, provider, token, status, amount, currency,
                key_scope, key, created_at, updated_at)
            SELECT p.order_id, p.id, p.provider, p.token, p.status, p.amount, p.currency,
                p.key_scope, p.key, $2, $2
            FROM unnest($28::uuid[], $29::uuid[], $30::text[], $31::text[], $32::text[],
                        $33::bigint[], $34::text[], $35::text[], $36::text[])
                 AS p (order_id, id, provider, token, status, amount, currency, key_scope, key)
            WHERE current_setting('doorbuster.batch', true) = $1),
        moved AS (
            INSERT INTO stock_ledger (variant_id, location_id, cause, reference, supplied,
                available, held, sold, created_at)
            SELECT m.variant_id, m.location_id, m.cause, m.reference, 0, m.available, m.held,
                m.sold, $2
            FROM unnest($37::uuid[], $38::uuid[], $39::text[], $40::uuid[], $41::bigint[],
                        $42::bigint[], $43::bigint[])
                 AS m (variant_id, location_id, cause, reference, available, held, sold)
            WHERE current_setting('doorbuster.batch', true) = $1)
        INSERT INTO outbox (aggregate_id, type, payload, created_at)
        SELECT e.aggregate_id, e.type, e.payload::jsonb, $2
        FROM unnest($44::uuid[], $45::text[], $46::text[]) AS e (aggregate_id, type, payload)
        WHERE current_setting('doorbuster.batch', true) = $1";
    update_orders: "
        WITH changed AS (
            UPDATE orders o SET status = c.status, payment_status = c.payment_status,
                cancel_reason = coalesce(c.reason, o.cancel_reason)
            FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
                 AS c (id, status, payment_status, reason)
            WHERE o.id = c.id AND o.id BETWEEN $6 AND $7 RETURNING 1)
        SELECT expect_rows(count(*), $5) FROM changed";
    update_payments: "
        WITH changed AS (
            UPDATE payments p SET status = c.status, updated_at = now()
            FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS c (order_id, id, status)
            WHERE p.order_id = c.order_id AND p.id = c.id AND p.order_id BETWEEN $5 AND $6
            RETURNING 1)
        SELECT expect_rows(count(*), $4) FROM changed";
    save_replies: "
        WITH changed AS (
            UPDATE idempotency_keys i SET status = k.status, location = k.location, body = k.body
            FROM unnest($1::text[], $2::text[], $3::uuid[], $4::boolean[], $5::smallint[],
                        $6::text[], $7::bytea[])
                 AS k (scope, key, resource_id, is_new, status, location, body)
            WHERE i.scope = k.scope AND i.key = k.key AND i.resource_id = k.resource_id
                AND i.status IS NULL
            RETURNING k.is_new)
        SELECT expect_rows(count(*) FILTER (WHERE is_new), $8) FROM changed";
    drop_keys: "
        DELETE FROM idempotency_keys i
        USING unnest($1::text[], $2::text[], $3::uuid[]) AS k (scope, key, resource_id)
        WHERE i.scope = k.scope AND i.key = k.key AND i.resource_id = k.resource_id";
    move_stock: "
        WITH moved AS (
            UPDATE stock s SET available = s.available + d.available, held = s.held + d.held,
                sold = s.sold + d.sold
            FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[],
                        $6::bigint[])
                 AS d (variant_id, location_id, available, held, sold, offer_version)
            WHERE s.variant_id = d.variant_id AND s.location_id = d.location_id
                AND (d.offer_version = 0 OR s.offer_version = d.offer_version)
                AND current_setting('doorbuster.batch', true) = $8
            RETURNING s.variant_id, s.location_id, s.available)
        SELECT array_agg(variant_id), array_agg(location_id), array_agg(available),
            expect_rows(count(*), $7) FROM moved";
}
