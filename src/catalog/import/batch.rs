//! One batch of an import: a transaction that can be run again.

use super::plan::{Change, Plan, Row, plan};
use crate::catalog::product::NewProduct;
use crate::catalog::store::import as store;
use crate::catalog::store::shown::move_epoch;
use crate::catalog::store::write::{self, Insertion};
use crate::error::Problem;
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
    if !work.changed.is_empty() {
        store::change(tx, &work.changed).await?;
    }
    let stocked = write_stock(tx, &variants, &work.changed, manner).await?;
    if !work.created.is_empty() || !work.changed.is_empty() {
        move_epoch(tx).await?;
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

/// Offers and first supplies, last, so that orders wait only for the commit. Returns how many
/// variants were supplied.
async fn write_stock(
    tx: &Transaction<'_>,
    variants: &[Uuid],
    changes: &[Change],
    manner: Manner,
) -> Result<u64, Error> {
    let quantity = manner.stock.filter(|quantity| *quantity != 0);
    let empty = match quantity {
        Some(_) => write::never_stocked(tx, variants).await?,
        None => Vec::new(),
    };
    if manner.dry_run {
        return Ok(empty.len() as u64);
    }
    let offered = changes.iter().filter(|change| change.concerns_offer());
    let products: Vec<Uuid> = offered.map(|change| change.product.uuid()).collect();
    let offered = match products.is_empty() {
        true => Vec::new(),
        false => store::variants_of(tx, &products).await?,
    };
    let touched: Vec<Uuid> = empty.iter().chain(&offered).copied().collect();
    if touched.is_empty() {
        return Ok(0);
    }
    write::lock_stock(tx, &touched).await?;
    if !offered.is_empty() {
        store::bump_offers(tx, &offered).await?;
    }
    let Some(quantity) = quantity.filter(|_| !empty.is_empty()) else { return Ok(0) };
    // Only what the locked rows say counts.
    let empty = write::never_stocked(tx, &empty).await?;
    write::supply(tx, &empty, quantity, "import").await?;
    Ok(empty.len() as u64)
}
