//! A guest's orders become the customer's.

use crate::error::Problem;
use crate::id::ShopperId;
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
