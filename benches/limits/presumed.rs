//! `http_limit`: the server with a journal that answers every order as if it were committed.
//!
//! Parsing, the key's claim, pricing, both actors and the 201 itself are the real ones. The
//! answers are made where the journal makes them, on the runtime of the database connections.

use actix_web::rt::System;
use doorbuster::app::App;
use doorbuster::config::{Config, Sources};
use doorbuster::journal::{Journal, Lanes, Limits, Work};
use doorbuster::order::store::{Entry, OrderCommits};
use doorbuster::order::{Command, World, decide};
use doorbuster::postgres::Postgres;
use doorbuster::{metrics, telemetry};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;
use time::OffsetDateTime;
use tokio::sync::mpsc;

/// With this argument the bench is such a server.
pub const ARGUMENT: &str = "--presume-commits";

/// A number as long as those of a shop that has been open for a while.
const FIRST_NUMBER: i64 = 1_001_000;

/// Serves until it is killed.
pub fn serve() -> anyhow::Result<()> {
    let environment = std::env::vars().collect();
    let config = Config::load(&Sources { environment, ..Sources::default() })?;
    telemetry::install(&config.log).map_err(anyhow::Error::msg)?;
    System::new().block_on(async {
        let listener = TcpListener::bind(config.server.bind)?;
        let address = listener.local_addr()?;
        let metrics = metrics::install()?;
        let app = App::start_with(start_journal, config, Some(metrics)).await;
        let app = app.map_err(anyhow::Error::msg)?;
        let server = app.serve(listener)?;
        println!("doorbuster: serving http://{address}");
        Ok(server.await?)
    })
}

fn start_journal(
    commits: Arc<OrderCommits>,
    limits: Limits,
    postgres: &Postgres,
) -> (Journal<Entry>, Lanes) {
    let (journal, lanes, entries) = Journal::detached(limits.queue_max);
    postgres.runtime().spawn(answer(commits, limits, entries));
    (journal, lanes)
}

async fn answer(commits: Arc<OrderCommits>, limits: Limits, mut entries: mpsc::Receiver<Entry>) {
    let mut batch: Vec<Entry> = Vec::new();
    while entries.recv_many(&mut batch, limits.batch_max).await > 0 {
        let at = Instant::now();
        let commands: Vec<&Command> = batch.iter().map(|entry| &entry.command).collect();
        let world = World::presumed(&commands, now(), FIRST_NUMBER, commits.periods);
        let seen = world.stock.iter().map(|(key, row)| (*key, row.level.available)).collect();
        let decisions = decide(commands.iter().copied(), world);
        commits.inventory.observe(seen, at).await;
        for (entry, decision) in batch.drain(..).zip(decisions) {
            commits.answer(entry, Ok(decision.outcome));
        }
    }
}

/// To the microsecond, as PostgreSQL keeps it.
fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(now.nanosecond() / 1000 * 1000).unwrap_or(now)
}
