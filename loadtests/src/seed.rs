//! `seed`: a catalog of any size, made by the database itself.
//!
//! Titles of three to six words, categories, collections, tags, sizes, three currencies, stock.
//! The same number always gives the same product. Everything is one transaction: triggers and
//! foreign keys are off therein, what they would have done is done in bulk, and a run that is
//! stopped leaves nothing behind.

use crate::stored::connect;
use crate::target::{progress, run_name};
use anyhow::{Context, ensure};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio_postgres::Transaction;

/// Products that are made by one statement.
const BATCH: i64 = 20_000;

/// What to make, and where.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Products to make
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=100_000_000))]
    pub products: i64,
    /// The database; its user must be a superuser, so that triggers can be off for a while
    #[arg(long, env = "DOORBUSTER__POSTGRES__URL", value_name = "URL", hide_env_values = true)]
    pub database: String,
}

/// Makes the products; says how long it took.
pub async fn seed(options: &Options) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut client = connect(&options.database).await?;
    let transaction = client.transaction().await?;
    let settings = "SET LOCAL session_replication_role = replica; SET LOCAL work_mem = '256MB';
        SET LOCAL maintenance_work_mem = '1GB'; SET LOCAL synchronous_commit = off";
    transaction.batch_execute(settings).await.context("this needs a superuser")?;
    transaction.batch_execute(include_str!("seed/words.sql")).await?;
    transaction.batch_execute(include_str!("seed/tables.sql")).await?;
    let run = run_name("seed");
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let began = i64::try_from(now)? - options.products;
    let places = include_str!("seed/places.sql");
    for statement in places.split(";\n") {
        transaction.execute(statement, &[&run, &began]).await?;
    }
    let indexes = drop_indexes(&transaction).await?;
    let bar = progress("products", usize::try_from(options.products)?);
    for first in (1..=options.products).step_by(usize::try_from(BATCH)?) {
        let last = (first + BATCH - 1).min(options.products);
        make(&transaction, &run, began, (first, last)).await?;
        bar.inc(u64::try_from(last - first + 1)?);
    }
    bar.finish_and_clear();
    for index in indexes {
        transaction.batch_execute(&index).await?;
    }
    transaction.batch_execute("UPDATE catalog_epoch SET value = value + 1").await?;
    transaction.commit().await?;
    client.batch_execute("VACUUM (ANALYZE)").await?;
    println!("{} products in {:.0?}: {run}", options.products, start.elapsed());
    Ok(())
}

/// Fills all tables with some products.
async fn make(
    transaction: &Transaction<'_>,
    run: &str,
    began: i64,
    (first, last): (i64, i64),
) -> anyhow::Result<()> {
    let draw = include_str!("seed/draw.sql");
    transaction.execute(draw, &[&run, &began, &first, &last]).await?;
    transaction.batch_execute(include_str!("seed/fill.sql")).await?;
    Ok(())
}

/// Drops the indexes of the search that are faster to build than to fill; returns their
/// definitions.
async fn drop_indexes(transaction: &Transaction<'_>) -> anyhow::Result<Vec<String>> {
    let sql = "SELECT indexname, indexdef FROM pg_indexes
               WHERE indexname IN ('product_search_matches', 'product_search_title',
                   'product_search_prices_amount', 'search_words_similar')";
    let rows = transaction.query(sql, &[]).await?;
    ensure!(rows.len() == 4, "the schema is another one: {} of 4 indexes", rows.len());
    let mut definitions = Vec::new();
    for row in rows {
        let (name, definition): (&str, String) = (row.get(0), row.get(1));
        transaction.batch_execute(&format!("DROP INDEX {name}")).await?;
        definitions.push(definition);
    }
    Ok(definitions)
}
