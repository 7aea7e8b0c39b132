//! A guest's orders become the customer's: those of the session at a login, others one by one.

use crate::error::Problem;
use crate::id::{OrderId, ShopperId};
use deadpool_postgres::Transaction;

/// In the transaction of a customer's logging in: what was ordered as a guest is the customer's.
pub async fn hand_over(
    transaction: &Transaction<'_>,
    guest: ShopperId,
    customer: ShopperId,
) -> Result<(), Problem> {
    let sql = "WITH own AS MATERIALIZED (
                   SELECT id FROM orders WHERE shopper_id = $1 ORDER BY id FOR UPDATE)
               UPDATE orders o SET shopper_id = $2 FROM own WHERE o.id = own.id";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&guest.uuid(), &customer.uuid()]).await?;
    Ok(())
}

/// A guest's order becomes the customer's, if `is_theirs` says so of its e-mail address; tells
/// whether it has.
pub async fn claim(
    transaction: &Transaction<'_>,
    order: OrderId,
    customer: ShopperId,
    is_theirs: impl FnOnce(&str) -> bool,
) -> Result<bool, Problem> {
    let sql = "SELECT email FROM orders o WHERE id = $1 AND (shopper_id = $2 OR NOT EXISTS (
                   SELECT FROM customers c WHERE c.id = o.shopper_id)) FOR UPDATE OF o";
    let (order, customer) = (order.uuid(), customer.uuid());
    let row = transaction.query_opt(sql, &[&order, &customer]).await?;
    if !row.is_some_and(|row| is_theirs(row.get(0))) {
        return Ok(false);
    }
    let sql = "UPDATE orders SET shopper_id = $2 WHERE id = $1";
    Ok(transaction.execute(sql, &[&order, &customer]).await? == 1)
}
