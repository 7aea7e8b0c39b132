//! What is over, for retention to remove.

use super::Database;

/// Steps follow each other at once, and rounds after a second.
pub const QUICK: (&str, &str) = ("RETENTION__INTERVAL_MS", "10");

/// What [`fill`] has put there and nobody has removed yet.
pub const OLD_KEYS: &str = "SELECT count(*) FROM idempotency_keys WHERE scope = 'old'";
pub const OLD_EVENTS: &str = "SELECT count(*) FROM outbox WHERE type = 'old'";

/// Keys and events of 100 and 200 hours ago, on many pages.
pub async fn fill(database: &Database, rows: u32) {
    let sql = format!(
        "INSERT INTO idempotency_keys (scope, key, request_hash, status, body, created_at)
         SELECT 'old', n, repeat('h', 32)::bytea, 201, repeat(md5(n::text), 20)::bytea,
             now() - interval '100 hours'
         FROM generate_series(1, {rows}) n;
         INSERT INTO outbox (aggregate_id, type, payload, created_at)
         SELECT gen_random_uuid(), 'old', jsonb_build_object('a', repeat(md5(n::text), 10)),
             now() - interval '200 hours'
         FROM generate_series(1, {rows}) n"
    );
    database.execute(&sql).await;
}
