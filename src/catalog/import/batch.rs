//! One batch of an import: a transaction that can be run again.

use super::plan::{Change, Plan, Row, plan};
use crate::catalog::product::NewProduct;
use crate::catalog::store::import as store;
use crate::catalog::store::write::{self, Insertion};
use crate::error::Problem;
use crate::id::ProductId;
use crate::postgres::{Class, class};
use deadpool_postgres::{GenericClient, Transaction};
use std::collections::HashSet;
use tokio_postgres::Error;
use uuid::Uuid;

/// A batch is run so often if others get in its way.
const ATTEMPTS_MAX: u32 = 5;

/// How a batch is to be written.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// The first supply of variants whose stock has never moved.
    pub stock: Option<i64>,
    /// Nothing will be committed: leave alone the stock rows that orders wait for.
    pub dry_run: bool,
}

/// What became of the rows of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub created: u64,
    pub changed: u64,
    pub unchanged: u64,
    pub stocked: u64,
    /// Indexes of rows, and why they were refused.
    pub refused: Vec<(usize, &'static str)>,
}

enum Attempt {
    Done(Outcome),
    /// Somebody took a slug or a SKU in between.
    Raced,
}

/// Runs a batch in a transaction of its own, or in a savepoint of a dry run's.
pub async fn run<C: GenericClient>(
    client: &mut C,
    rows: &[Row],
    manner: Manner,
) -> Result<Outcome, Problem> {
    for _ in 1..ATTEMPTS_MAX {
        match attempt(client, rows, manner).await {
            Ok(Attempt::Done(outcome)) => return Ok(outcome),
            Ok(Attempt::Raced) => {}
            Err(error) if matches!(class(&error), Class::Retry | Class::Guard) => {
                tracing::debug!(%error, "an import's batch is run again");
            }
            Err(error) => return Err(error.into()),
        }
    }
    match attempt(client, rows, manner).await? {
        Attempt::Done(outcome) => Ok(outcome),
        Attempt::Raced => {
            Err(Problem::internal("others keep taking the slugs or SKUs of a batch"))
        }
    }
}

async fn attempt<C: GenericClient>(
    client: &mut C,
    rows: &[Row],
    manner: Manner,
) -> Result<Attempt, Error> {
    let transaction = client.transaction().await?;
    let attempt = write(&transaction, rows, manner).await?;
    match attempt {
        Attempt::Done(_) => transaction.commit().await?,
        Attempt::Raced => transaction.rollback().await?,
    }
    Ok(attempt)
}

async fn write(tx: &Transaction<'_>, rows: &[Row], manner: Manner) -> Result<Attempt, Error> {
    let work = sort(tx, rows).await?;
    let mut variants = work.known;
    if !work.created.is_empty() {
        match write::insert(tx, &work.created).await? {
            Insertion::Taken(_) => return Ok(Attempt::Raced),
            Insertion::Done(made) => {
                variants.extend(made.iter().flat_map(|made| &made.variants).map(|id| id.uuid()));
            }
        }
    }
    let changed = &work.changed;
    store::lock(tx, changed).await?;
    // What takes its time comes before the stock, which orders wait for.
    store::change(tx, changed).await?;
    let stock = lock_stock(tx, &variants, changed, manner).await?;
    store::price(tx, changed).await?;
    let stocked = write_stock(tx, &stock, manner).await?;
    let is_written = stocked > 0 || !changed.is_empty() || !work.created.is_empty();
    if is_written && !manner.dry_run {
        write::bump_epoch(tx).await?;
    }
    Ok(Attempt::Done(Outcome {
        created: work.created.len() as u64,
        changed: work.changed.len() as u64,
        stocked,
        ..work.outcome
    }))
}

/// The rows of a batch by what they do.
#[derive(Default)]
struct Work {
    created: Vec<NewProduct>,
    changed: Vec<Change>,
    /// The variants that were there before.
    known: Vec<Uuid>,
    outcome: Outcome,
}

async fn sort(tx: &Transaction<'_>, rows: &[Row]) -> Result<Work, Error> {
    let skus: Vec<&str> = rows.iter().map(|row| row.sku.as_str()).collect();
    let currencies: Vec<&str> = rows.iter().map(|row| row.price.currency.as_str()).collect();
    let known = store::known(tx, &skus, &currencies).await?;
    let slugs: Vec<&str> = rows.iter().filter_map(|row| row.slug.as_deref()).collect();
    let mut taken = match slugs.is_empty() {
        true => HashSet::new(),
        false => store::taken_slugs(tx, &slugs).await?,
    };
    let mut is_free = |slug: &Option<String>| match slug {
        Some(slug) => taken.insert(slug.clone()),
        None => true,
    };
    let mut work = Work::default();
    for (index, row) in rows.iter().enumerate() {
        let known = known.get(&row.sku);
        match plan(row, known) {
            Plan::Create(product) if is_free(&product.slug) => work.created.push(product),
            Plan::Change(change) if is_free(&change.slug) => work.changed.push(change),
            Plan::Create(_) | Plan::Change(_) => {
                work.outcome.refused.push((index, "slug is another product's"));
                continue;
            }
            Plan::Nothing => work.outcome.unchanged += 1,
            Plan::Refuse(detail) => {
                work.outcome.refused.push((index, detail));
                continue;
            }
        }
        work.known.extend(known.map(|known| known.variant.uuid()));
    }
    Ok(work)
}

/// The variants whose stock rows are written, and locked before any price is.
struct Stock {
    /// Never supplied.
    empty: Vec<Uuid>,
    /// Offered differently.
    offered: Vec<Uuid>,
}

async fn lock_stock(
    tx: &Transaction<'_>,
    variants: &[Uuid],
    changes: &[Change],
    manner: Manner,
) -> Result<Stock, Error> {
    let mut empty = match manner.stock {
        None | Some(0) => Vec::new(),
        Some(_) => write::never_stocked(tx, variants).await?,
    };
    let offered = changes.iter().filter(|change| change.concerns_offer());
    let products: Vec<ProductId> = offered.map(|change| change.product).collect();
    let offered = match products.is_empty() {
        true => Vec::new(),
        false => write::variants_of(tx, &products).await?,
    };
    let offered: Vec<Uuid> = offered.into_iter().map(|id| id.uuid()).collect();
    let touched: Vec<Uuid> = empty.iter().chain(&offered).copied().collect();
    if !manner.dry_run && !touched.is_empty() {
        write::lock_stock(tx, &touched).await?;
        // Only what the locked rows say counts.
        empty = write::never_stocked(tx, &empty).await?;
    }
    Ok(Stock { empty, offered })
}

/// Offers and first supplies. Returns how many variants were supplied.
async fn write_stock(tx: &Transaction<'_>, stock: &Stock, manner: Manner) -> Result<u64, Error> {
    let Stock { empty, offered } = stock;
    if !manner.dry_run && !offered.is_empty() {
        write::bump_offers(tx, offered).await?;
    }
    if let Some(quantity) = manner.stock.filter(|_| !manner.dry_run && !empty.is_empty()) {
        write::supply(tx, empty, quantity, "import").await?;
    }
    Ok(empty.len() as u64)
}
