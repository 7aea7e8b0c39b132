//! Whose cart it was is gone.

use crate::error::Problem;
use crate::id::ShopperId;
use deadpool_postgres::Transaction;

/// Empties the cart and closes it, like one that was merged: whoever is still believed to be its
/// shopper learns that the session is over, and it is cleared away after a minute.
pub async fn erase(transaction: &Transaction<'_>, shopper: ShopperId) -> Result<(), Problem> {
    let sql = "INSERT INTO carts (shopper_id, merged_into) VALUES ($1, $1)
               ON CONFLICT (shopper_id) DO UPDATE SET items = '[]', currency = NULL,
                   email = NULL, shipping_address = NULL, shipping_option = NULL,
                   version = carts.version + 1, merged_into = $1, updated_at = now()";
    transaction.execute(sql, &[&shopper.uuid()]).await?;
    Ok(())
}
