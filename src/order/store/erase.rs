//! Orders of somebody who is gone: the books stay, the person does not.

use crate::error::Problem;
use crate::id::{OrderId, ShopperId};
use deadpool_postgres::{Pool, Transaction};
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

/// Whose turn it is to look at all keys: one at a time, in the whole shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Now or not at all.
    IfFree,
    /// After whoever is at it.
    Waits,
}

impl Turn {
    /// Tells whether it is ours until the transaction ends.
    pub async fn take(self, transaction: &Transaction<'_>) -> Result<bool, Problem> {
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

/// Takes the person out of the saved replies that show these orders, whoever holds the key. All
/// keys are looked at: this is rare, and no reason for an index on what every order writes.
pub async fn redact(transaction: &Transaction<'_>, orders: &[OrderId]) -> Result<(), Problem> {
    let beginnings: Vec<String> =
        orders.iter().map(|order| format!("{{\"id\":\"{order}\"")).collect();
    let length = beginnings.first().map_or(0, String::len);
    let length = i32::try_from(length).map_err(Problem::internal)?;
    let beginnings: Vec<&[u8]> = beginnings.iter().map(String::as_bytes).collect();
    let sql = "WITH about AS MATERIALIZED (
                   SELECT scope, key, convert_from(body, 'UTF8')::jsonb AS said
                   FROM idempotency_keys WHERE substring(body FROM 1 FOR $2) = ANY($1)
                   ORDER BY scope, key FOR UPDATE)
               UPDATE idempotency_keys i
               SET body = convert_to((said || jsonb_build_object('email', $3::text,
                       'shipping_address', jsonb_build_object('name', $4::text, 'line1', $4::text,
                           'city', $4::text, 'country', said->'shipping_address'->'country')
                   ))::text, 'UTF8')
               FROM about a WHERE i.scope = a.scope AND i.key = a.key";
    transaction.execute(sql, &[&beginnings, &length, &EMAIL, &TEXT]).await?;
    Ok(())
}

/// Whether a provider has still to answer about a payment of the shopper's orders.
pub async fn is_waiting(readers: &Pool, shopper: ShopperId) -> Result<bool, Problem> {
    let sql = "SELECT EXISTS (SELECT FROM orders o JOIN payments p ON p.order_id = o.id
                   WHERE o.shopper_id = $1 AND p.status = 'processing')";
    let client = readers.get().await?;
    Ok(client.query_one(sql, &[&shopper.uuid()]).await?.get(0))
}

/// Takes the person out of these orders. What a provider needs for a payment that it has not
/// answered stays until it has; `is_last` cuts the tie between the orders.
pub async fn erase(
    transaction: &Transaction<'_>,
    orders: &[OrderId],
    is_last: bool,
) -> Result<(), Problem> {
    let ids: Vec<Uuid> = orders.iter().map(|order| order.uuid()).collect();
    let lock = "SELECT FROM orders WHERE id = ANY($1) ORDER BY id FOR UPDATE";
    transaction.query(lock, &[&ids]).await?;
    let sql = "UPDATE payments SET token = NULL, key_scope = NULL, key = NULL
               WHERE order_id = ANY($1) AND status <> 'processing'";
    transaction.execute(sql, &[&ids]).await?;
    let sql = "UPDATE orders SET email = $2, cancel_reason = NULL,
                   shipping_address = jsonb_build_object('name', $3::text, 'line1', $3::text,
                       'city', $3::text, 'country', shipping_address->'country'),
                   shopper_id = CASE WHEN $4 THEN NULL ELSE shopper_id END
               WHERE id = ANY($1)";
    transaction.execute(sql, &[&ids, &EMAIL, &TEXT, &is_last]).await?;
    Ok(())
}
