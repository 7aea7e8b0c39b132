//! Orders of somebody who is gone: the books stay, the person does not.

use crate::error::Problem;
use crate::id::{OrderId, ShopperId};
use crate::postgres::{begin, commit};
use deadpool_postgres::{Pool, Transaction};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// What stands where an e-mail address stood.
const EMAIL: &str = "erased@example.invalid";

/// What stands where names and lines of an address stood. The country stays: taxes need it.
const TEXT: &str = "(erased)";

/// The shopper's next orders behind `after`, in the order of their ids.
pub async fn page_of_shopper(
    transaction: &Transaction<'_>,
    shopper: ShopperId,
    after: Option<OrderId>,
    limit: i64,
) -> Result<Vec<OrderId>, Problem> {
    let sql = "SELECT id FROM orders WHERE shopper_id = $1 AND ($2::uuid IS NULL OR id > $2)
               ORDER BY id LIMIT $3";
    let after = after.map(OrderId::uuid);
    let rows = transaction.query(sql, &[&shopper.uuid(), &after, &limit]).await?;
    Ok(rows.iter().map(|row| row.get::<_, Uuid>(0).into()).collect())
}

/// Whose turn it is to look at all keys, a page of them: one at a time, in the whole shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Now or not at all: what is left is left to the eraser.
    IfFree,
    /// After whoever is at it.
    Waits,
}

impl Turn {
    /// Tells whether it is ours until the transaction ends.
    async fn take(self, transaction: &Transaction<'_>) -> Result<bool, Problem> {
        if self == Self::Waits {
            transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
            return Ok(true);
        }
        let row = transaction.query_one("SELECT pg_try_advisory_xact_lock($1)", &[&LOCK]).await?;
        Ok(row.get(0))
    }
}

/// The advisory lock of those who look at all keys.
const LOCK: i64 = 0x6b65_7973;

/// Keys that are looked at in one transaction: about twenty milliseconds.
const KEYS: i64 = 20_000;

/// Takes the person out of the saved replies that show these orders, whoever holds the key. All
/// keys are looked at: this is rare, and no reason for an index on what every order writes.
/// Transactions are short, because an order whose key is locked holds its batch up.
pub async fn redact(writers: &Pool, orders: &[OrderId], turn: Turn) -> Result<(), Problem> {
    if orders.is_empty() {
        return Ok(());
    }
    let beginnings: Vec<String> =
        orders.iter().map(|order| format!("{{\"id\":\"{order}\"")).collect();
    let beginnings: Vec<&[u8]> = beginnings.iter().map(String::as_bytes).collect();
    let mut after = Some((String::new(), String::new()));
    while let Some((scope, key)) = after {
        let mut client = writers.get().await?;
        let transaction = begin(&mut client).await?;
        if !turn.take(&transaction).await? {
            return Ok(());
        }
        after = redact_page(&transaction, &beginnings, &scope, &key).await?;
        commit(transaction).await?;
    }
    Ok(())
}

/// The same for the keys behind this one, by how the orders' replies begin, all as far; the last of
/// these keys, if there are more.
async fn redact_page(
    transaction: &Transaction<'_>,
    beginnings: &[&[u8]],
    scope: &str,
    key: &str,
) -> Result<Option<(String, String)>, Problem> {
    let length = beginnings.first().map_or(0, |beginning| beginning.len());
    let length = i32::try_from(length).map_err(Problem::internal)?;
    let sql = "WITH page AS MATERIALIZED (
                   SELECT scope, key, substring(body FROM 1 FOR $2) = ANY($1) AS is_about
                   FROM idempotency_keys WHERE (scope, key) > ($5, $6)
                   ORDER BY scope, key LIMIT $7),
               about AS MATERIALIZED (
                   SELECT i.scope, i.key, convert_from(i.body, 'UTF8')::jsonb AS said
                   FROM page p JOIN idempotency_keys i ON i.scope = p.scope AND i.key = p.key
                   WHERE p.is_about ORDER BY i.scope, i.key FOR UPDATE OF i),
               redacted AS (
                   UPDATE idempotency_keys i
                   SET body = convert_to((said || jsonb_build_object('email', $3::text,
                           'shipping_address', jsonb_build_object('name', $4::text,
                               'line1', $4::text, 'city', $4::text,
                               'country', said->'shipping_address'->'country')
                       ))::text, 'UTF8')
                   FROM about a WHERE i.scope = a.scope AND i.key = a.key)
               SELECT scope, key FROM page ORDER BY scope, key OFFSET $7 - 1";
    let params: [&(dyn ToSql + Sync); 7] =
        [&beginnings, &length, &EMAIL, &TEXT, &scope, &key, &KEYS];
    let last = transaction.query_opt(sql, &params).await?;
    Ok(last.map(|row| (row.get(0), row.get(1))))
}

/// Whether a provider has still to answer about a payment of the shopper's orders.
pub async fn is_waiting(readers: &Pool, shopper: ShopperId) -> Result<bool, Problem> {
    let sql = "SELECT EXISTS (SELECT FROM orders o JOIN payments p ON p.order_id = o.id
                   WHERE o.shopper_id = $1 AND p.status = 'processing')";
    let client = readers.get().await?;
    Ok(client.query_one(sql, &[&shopper.uuid()]).await?.get(0))
}

/// Cuts the tie between the orders of a shopper, so many of them in each transaction.
pub async fn untie(writers: &Pool, shopper: ShopperId, limit: i64) -> Result<(), Problem> {
    let sql = "UPDATE orders SET shopper_id = NULL WHERE id IN (
                   SELECT id FROM orders WHERE shopper_id = $1 ORDER BY id LIMIT $2 FOR UPDATE)";
    let client = writers.get().await?;
    while client.execute(sql, &[&shopper.uuid(), &limit]).await? > 0 {}
    Ok(())
}

/// Takes the person out of these orders. What a provider needs for a payment that it has not
/// answered stays until it has.
pub async fn erase(transaction: &Transaction<'_>, orders: &[OrderId]) -> Result<(), Problem> {
    let ids: Vec<Uuid> = orders.iter().map(|order| order.uuid()).collect();
    let lock = "SELECT FROM orders WHERE id = ANY($1) ORDER BY id FOR UPDATE";
    transaction.query(lock, &[&ids]).await?;
    let sql = "UPDATE payments SET token = NULL, key_scope = NULL, key = NULL
               WHERE order_id = ANY($1) AND status <> 'processing'";
    transaction.execute(sql, &[&ids]).await?;
    let sql = "UPDATE orders SET email = $2, cancel_reason = NULL,
                   shipping_address = jsonb_build_object('name', $3::text, 'line1', $3::text,
                       'city', $3::text, 'country', shipping_address->'country')
               WHERE id = ANY($1)";
    transaction.execute(sql, &[&ids, &EMAIL, &TEXT]).await?;
    Ok(())
}
