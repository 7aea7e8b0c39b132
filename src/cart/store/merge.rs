//! A guest's cart becomes a part of the customer's.

use super::statements::LOCK;
use super::{Stored, items, json};
use crate::cart::Cart;
use crate::error::Problem;
use crate::id::ShopperId;
use deadpool_postgres::Transaction;
use uuid::Uuid;

/// Adds the guest's lines to the customer's cart, in the transaction of their logging in, and
/// closes the guest's: whoever still changes it learns that the session is over.
pub async fn merge(
    transaction: &Transaction<'_>,
    guest: ShopperId,
    customer: ShopperId,
) -> Result<(), Problem> {
    let both = [guest.uuid(), customer.uuid()];
    // Also where there is none yet, so that none can be made meanwhile.
    let make = "INSERT INTO carts (shopper_id) SELECT s.id FROM unnest($1::uuid[]) AS s (id)
                ORDER BY s.id ON CONFLICT DO NOTHING";
    let make = transaction.prepare_cached(make).await?;
    transaction.execute(&make, &[&&both[..]]).await?;
    let (mut theirs, mut own) = (Cart::default(), Cart::default());
    let lock = transaction.prepare_cached(LOCK).await?;
    for row in transaction.query(&lock, &[&&both[..]]).await? {
        let stored = Stored::read(&row)?;
        *if stored.shopper == guest { &mut theirs } else { &mut own } = stored.cart;
    }
    let merged = own.merged(&theirs);
    if merged != own {
        save(transaction, customer.uuid(), &merged).await?;
    }
    let close = "UPDATE carts SET items = '[]', version = version + 1, merged_into = $2,
                     currency = NULL, email = NULL, shipping_address = NULL,
                     shipping_option = NULL, updated_at = now()
                 WHERE shopper_id = $1";
    let close = transaction.prepare_cached(close).await?;
    transaction.execute(&close, &[&guest.uuid(), &customer.uuid()]).await?;
    Ok(())
}

async fn save(transaction: &Transaction<'_>, id: Uuid, cart: &Cart) -> Result<(), Problem> {
    let sql = "UPDATE carts SET version = version + 1, items = $2::text::jsonb, currency = $3,
                   email = $4, shipping_address = $5::text::jsonb, shipping_option = $6,
                   updated_at = now()
               WHERE shopper_id = $1";
    let statement = transaction.prepare_cached(sql).await?;
    let items = items(cart);
    let currency = cart.currency.as_ref().map(|currency| currency.as_str());
    let address = cart.shipping_address.as_ref().map(json);
    let (email, option) = (&cart.email, &cart.shipping_option);
    transaction.execute(&statement, &[&id, &items, &currency, email, &address, option]).await?;
    Ok(())
}
