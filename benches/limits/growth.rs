//! Orders a second while the database fills, and in the end beside an empty one.

use super::database::{Database, Databases};
use super::server::{Journal, Server};
use super::table::thousands;
use super::traffic::{self, Goods, Load, Requests};
use super::{ROUNDS, Sample, median};
use loadtests::hammer::{Until, hammer};
use std::sync::Arc;

/// As many buyers as the server is fastest with.
const CONNECTIONS: usize = 1024;

/// Lines that tell of the way.
const STEPS: u64 = 10;

/// Places so many orders, and compares that database with an empty one, in turn.
pub async fn measure(orders: u64, databases: &Databases) -> anyhow::Result<()> {
    println!(
        "\ngrowth: a database that fills, {CONNECTIONS} connections, {} SKUs",
        thousands(super::database::SKUS as f64)
    );
    println!("  {:>12}{:>12}{:>10}{:>12}", "orders", "a second", "p99 ms", "database MB");
    let full = databases.fresh("filled").await?;
    fill(orders, &full).await?;
    let (mut of_empty, mut of_full) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let empty = databases.fresh("row").await?;
        of_empty.push(orders_on(&empty).await?);
        databases.drop(empty).await?;
        of_full.push(orders_on(&full).await?);
    }
    databases.drop(full).await?;
    let rate = |samples| median(samples, |one: &Sample| one.per_second).per_second;
    let (of_empty, of_full) = (rate(of_empty), rate(of_full));
    println!(
        "  an empty one {}, the full one {}: {:.2} of it; medians of {ROUNDS}, in turn",
        thousands(of_empty),
        thousands(of_full),
        of_full / of_empty
    );
    Ok(())
}

async fn orders_on(database: &Database) -> anyhow::Result<Sample> {
    let load = Load::Connections(CONNECTIONS);
    traffic::measure(Journal::Real, Goods::Spread, load, database).await
}

async fn fill(orders: u64, database: &Database) -> anyhow::Result<()> {
    let server = Server::start(Journal::Real, database)?;
    let requests = Arc::new(Requests::of(Goods::Spread, &server).await?);
    for step in 1..=STEPS {
        let requests = requests.clone();
        let until = Until::Requests(orders / STEPS);
        let measured = hammer(&server.url, move |n| requests.get(n), CONNECTIONS, until).await?;
        traffic::check(&measured, Goods::Spread)?;
        println!(
            "  {:>12}{:>12}{:>10.1}{:>12}",
            thousands((orders / STEPS * step) as f64),
            thousands(measured.per_second),
            measured.p99.as_secs_f64() * 1e3,
            thousands(database.bytes().await? as f64 / 1e6),
        );
    }
    server.stop()
}
