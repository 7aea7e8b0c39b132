//! Erasing a customer: what is theirs goes, their orders stay without them.
//!
//! Instances believe a session for a moment, and payments are asked for outside of transactions. So
//! what was on its way when the customer went may come after them; an entry in `erasures` keeps the
//! id, and nothing but the id, until it has been looked for.

use crate::auth::TokenHash;
use crate::error::Problem;
use crate::id::{CustomerId, OrderId, ShopperId};
use crate::order::store::erase::{self as orders, Turn};
use crate::postgres::{begin, commit};
use crate::session::{self, customer_scope};
use crate::{cart, idempotency, mail};
use deadpool_postgres::{Pool, Transaction};
use uuid::Uuid;

/// Orders that are changed in one transaction.
const PAGE: i64 = 500;

/// An erasure that something may have come after.
pub struct Erasure {
    /// Who is gone.
    pub customer: CustomerId,
    /// Whether nothing can come any more, but answers of payment providers.
    pub is_last: bool,
}

/// Erases the customer, with as many orders as are changed at once. Tells the tokens of their
/// sessions, and those orders.
pub async fn erase(
    writers: &Pool,
    customer: CustomerId,
) -> Result<(Vec<TokenHash>, Vec<OrderId>), Problem> {
    let mut client = writers.get().await?;
    let transaction = begin(&mut client).await?;
    let found = page(&transaction, customer, None).await?;
    // Keys come first in the order of locks. Of very many the eraser takes the rest.
    idempotency::erase(&transaction, &customer_scope(customer)).await?;
    let sql = "SELECT FROM customers WHERE id = $1 FOR UPDATE";
    let locked = transaction.query_opt(sql, &[&customer.uuid()]).await?;
    locked.ok_or_else(session::unauthorized)?;
    let ended = session::erase(&transaction, customer).await?;
    cart::store::erase(&transaction, shopper(customer)).await?;
    orders::erase(&transaction, &found).await?;
    mail::store::erase(&transaction, customer.uuid()).await?;
    // Addresses and tokens go with it.
    transaction.execute("DELETE FROM customers WHERE id = $1", &[&customer.uuid()]).await?;
    let sql = "INSERT INTO erasures (customer_id) VALUES ($1)";
    transaction.execute(sql, &[&customer.uuid()]).await?;
    commit(transaction).await?;
    Ok((ended, found))
}

/// Erases the orders behind these, and what others' keys show. What fails is left to the eraser.
pub async fn erase_the_rest(writers: &Pool, customer: CustomerId, found: &[OrderId]) {
    let rest = async {
        orders::redact(writers, found, Turn::IfFree).await?;
        match found.last().filter(|_| is_full(found)) {
            Some(last) => scrub(writers, customer, Some(*last), Turn::IfFree).await,
            None => Ok(()),
        }
    };
    if let Err(problem) = rest.await {
        tracing::warn!(%problem, "the rest of an erasure is left to the eraser");
    }
}

/// Takes the erasures that are due; nobody else looks after them for ten minutes.
pub async fn take_due(writers: &Pool, limit: i64) -> Result<Vec<Erasure>, Problem> {
    let sql = "WITH due AS MATERIALIZED (
                   SELECT customer_id FROM erasures WHERE due_at <= now()
                   ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
               UPDATE erasures e SET due_at = now() + interval '10 minutes'
               FROM due WHERE e.customer_id = due.customer_id
               RETURNING e.customer_id, e.erased_at < now() - interval '5 minutes'";
    let client = writers.get().await?;
    let rows = client.query(sql, &[&limit]).await?;
    let due = rows
        .iter()
        .map(|row| Erasure { customer: row.get::<_, Uuid>(0).into(), is_last: row.get(1) });
    Ok(due.collect())
}

/// Erases what came after the customer. The last time the tie between the orders goes too, and then
/// the entry, unless a payment provider had still to answer before: its answer may have brought a
/// reply along.
pub async fn finish(writers: &Pool, erasure: &Erasure) -> Result<(), Problem> {
    let Erasure { customer, is_last } = *erasure;
    let is_last = is_last && !orders::is_waiting(writers, shopper(customer)).await?;
    scrub(writers, customer, None, Turn::Waits).await?;
    if is_last {
        orders::untie(writers, shopper(customer), PAGE).await?;
        let sql = "DELETE FROM erasures WHERE customer_id = $1";
        writers.get().await?.execute(sql, &[&customer.uuid()]).await?;
    }
    Ok(())
}

/// Erases keys and orders, page by page behind `after`.
async fn scrub(
    writers: &Pool,
    customer: CustomerId,
    mut after: Option<OrderId>,
    turn: Turn,
) -> Result<(), Problem> {
    loop {
        let mut client = writers.get().await?;
        let transaction = begin(&mut client).await?;
        let found = page(&transaction, customer, after).await?;
        let has_more_keys = idempotency::erase(&transaction, &customer_scope(customer)).await?;
        orders::erase(&transaction, &found).await?;
        commit(transaction).await?;
        drop(client);
        orders::redact(writers, &found, turn).await?;
        if !is_full(&found) && !has_more_keys {
            return Ok(());
        }
        after = found.last().copied().or(after);
    }
}

fn shopper(customer: CustomerId) -> ShopperId {
    customer.uuid().into()
}

fn is_full(page: &[OrderId]) -> bool {
    i64::try_from(page.len()) == Ok(PAGE)
}

async fn page(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    after: Option<OrderId>,
) -> Result<Vec<OrderId>, Problem> {
    orders::page_of_shopper(transaction, shopper(customer), after, PAGE).await
}
