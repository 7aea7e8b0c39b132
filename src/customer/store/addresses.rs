//! The SQL of saved addresses. A customer with addresses has one that is the default.

use crate::contact::Address;
use crate::error::{Code, Problem};
use crate::id::{AddressId, CustomerId};
use crate::postgres::{begin, commit, reader};
use crate::session;
use deadpool_postgres::{Pool, Transaction};
use tokio_postgres::Row;
use uuid::Uuid;

/// Addresses of a customer, at most.
const ADDRESSES_MAX: i64 = 50;

/// An address that a customer has saved.
pub struct SavedAddress {
    /// The id.
    pub id: AddressId,
    /// Where it is.
    pub address: Address,
    /// Whether it is the one that is offered first.
    pub is_default: bool,
}

fn read(row: &Row) -> Result<SavedAddress, Problem> {
    Ok(SavedAddress {
        id: row.get::<_, Uuid>(0).into(),
        address: serde_json::from_value(row.get(1)).map_err(Problem::internal)?,
        is_default: row.get(2),
    })
}

fn unknown() -> Problem {
    Problem::not_found("address")
}

/// The customer's addresses, in the order of adding.
pub async fn list(readers: &Pool, of: CustomerId) -> Result<Vec<SavedAddress>, Problem> {
    let sql = "SELECT id, address, is_default FROM customer_addresses
               WHERE customer_id = $1 ORDER BY id";
    let client = reader(readers).await?;
    let statement = client.prepare_cached(sql).await?;
    client.query(&statement, &[&of.uuid()]).await?.iter().map(read).collect()
}

/// One of the customer's addresses.
pub async fn find(
    readers: &Pool,
    of: CustomerId,
    id: AddressId,
) -> Result<SavedAddress, Problem> {
    let sql = "SELECT id, address, is_default FROM customer_addresses
               WHERE customer_id = $1 AND id = $2";
    let client = reader(readers).await?;
    let statement = client.prepare_cached(sql).await?;
    let row = client.query_opt(&statement, &[&of.uuid(), &id.uuid()]).await?;
    read(&row.ok_or_else(unknown)?)
}

/// Saves an address. The first one is the default by itself.
pub async fn add(
    transaction: &Transaction<'_>,
    of: CustomerId,
    address: &Address,
    is_default: bool,
) -> Result<SavedAddress, Problem> {
    lock(transaction, of).await?;
    let sql = "SELECT count(*) FROM customer_addresses WHERE customer_id = $1";
    let known: i64 = transaction.query_one(sql, &[&of.uuid()]).await?.get(0);
    if known >= ADDRESSES_MAX {
        let detail = format!("There are {ADDRESSES_MAX} already: remove one first.");
        return Err(Problem::new(Code::Conflict, detail));
    }
    let is_default = is_default || known == 0;
    if is_default {
        clear_default(transaction, of).await?;
    }
    let sql = "INSERT INTO customer_addresses (customer_id, id, address, is_default)
               VALUES ($1, $2, $3, $4) RETURNING id, address, is_default";
    let (id, value) = (AddressId::new().uuid(), json(address)?);
    read(&transaction.query_one(sql, &[&of.uuid(), &id, &value, &is_default]).await?)
}

/// Changes what is given. Another one takes being the default from this one, nothing else does.
pub async fn change(
    writers: &Pool,
    of: CustomerId,
    id: AddressId,
    address: Option<&Address>,
    is_default: bool,
) -> Result<SavedAddress, Problem> {
    let mut client = writers.get().await?;
    let transaction = begin(&mut client).await?;
    lock(&transaction, of).await?;
    if is_default {
        clear_default(&transaction, of).await?;
    }
    let sql = "UPDATE customer_addresses
               SET address = coalesce($3, address), is_default = is_default OR $4
               WHERE customer_id = $1 AND id = $2 RETURNING id, address, is_default";
    let value = address.map(json).transpose()?;
    let row = transaction.query_opt(sql, &[&of.uuid(), &id.uuid(), &value, &is_default]).await?;
    let changed = read(&row.ok_or_else(unknown)?)?;
    commit(transaction).await?;
    Ok(changed)
}

/// Removes an address. If it was the default one, the oldest of the others is it from now on.
pub async fn remove(writers: &Pool, of: CustomerId, id: AddressId) -> Result<(), Problem> {
    let mut client = writers.get().await?;
    let transaction = begin(&mut client).await?;
    lock(&transaction, of).await?;
    let sql = "DELETE FROM customer_addresses WHERE customer_id = $1 AND id = $2
               RETURNING is_default";
    let row = transaction.query_opt(sql, &[&of.uuid(), &id.uuid()]).await?;
    if row.ok_or_else(unknown)?.get(0) {
        let sql = "UPDATE customer_addresses SET is_default = true
                   WHERE customer_id = $1 AND id = (
                       SELECT id FROM customer_addresses WHERE customer_id = $1
                       ORDER BY id LIMIT 1)";
        transaction.execute(sql, &[&of.uuid()]).await?;
    }
    commit(transaction).await?;
    Ok(())
}

/// One change at a time, so that there is one default.
async fn lock(transaction: &Transaction<'_>, of: CustomerId) -> Result<(), Problem> {
    let sql = "SELECT FROM customers WHERE id = $1 FOR NO KEY UPDATE";
    let row = transaction.query_opt(sql, &[&of.uuid()]).await?;
    row.map(drop).ok_or_else(session::unauthorized)
}

async fn clear_default(transaction: &Transaction<'_>, of: CustomerId) -> Result<(), Problem> {
    let sql = "UPDATE customer_addresses SET is_default = false
               WHERE customer_id = $1 AND is_default";
    transaction.execute(sql, &[&of.uuid()]).await?;
    Ok(())
}

fn json(address: &Address) -> Result<serde_json::Value, Problem> {
    serde_json::to_value(address).map_err(Problem::internal)
}
