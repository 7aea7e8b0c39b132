//! `http_limit`: the server with journals that answer every change as if it were committed.
//!
//! Parsing, the key's claim, pricing, the actors and the answers themselves are the real ones. The
//! answers are made where the journals make them, on the runtime of the database connections.

use actix_web::rt::System;
use doorbuster::app::{App, StartJournals};
use doorbuster::cart::store::{self as cart_store, CartCommits};
use doorbuster::cart::{self, Cart, Locked};
use doorbuster::config::{Config, Sources};
use doorbuster::error::Problem;
use doorbuster::id::ShopperId;
use doorbuster::idempotency::Reply;
use doorbuster::journal::{Journal, Lanes, Limits, Work};
use doorbuster::order::store::{Entry, OrderCommits};
use doorbuster::order::{Command, World, decide};
use doorbuster::postgres::Postgres;
use doorbuster::{metrics, telemetry};
use std::collections::HashMap;
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
        let journals = StartJournals { orders: start_orders, carts: start_carts };
        let app = App::start_with(journals, config, Some(metrics)).await;
        let app = app.map_err(anyhow::Error::msg)?;
        let server = app.serve(listener)?;
        println!("doorbuster: serving http://{address}");
        Ok(server.await?)
    })
}

fn start_orders(
    commits: Arc<OrderCommits>,
    limits: Limits,
    postgres: &Postgres,
) -> (Journal<Entry>, Lanes) {
    let (journal, lanes, entries) = Journal::detached(limits.queue_max);
    postgres.runtime().spawn(answer_orders(commits, limits, entries));
    (journal, lanes)
}

async fn answer_orders(
    commits: Arc<OrderCommits>,
    limits: Limits,
    mut entries: mpsc::Receiver<Entry>,
) {
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

fn start_carts(
    commits: Arc<CartCommits>,
    limits: Limits,
    postgres: &Postgres,
) -> (Journal<cart_store::Entry>, Lanes) {
    let (journal, lanes, mut entries) = Journal::<cart_store::Entry>::detached(limits.queue_max);
    postgres.runtime().spawn(async move {
        let (mut carts, mut batch) = (HashMap::new(), Vec::new());
        while entries.recv_many(&mut batch, limits.batch_max).await > 0 {
            let batch = std::mem::take(&mut batch);
            let commands: Vec<&cart::Command> = batch.iter().map(|e| &e.command).collect();
            match change(&commits, &commands, &mut carts).await {
                Ok(answers) => {
                    let pairs = batch.into_iter().zip(answers);
                    pairs.for_each(|(entry, answer)| commits.answer(entry, Ok(answer)));
                }
                Err(problem) => {
                    let each = batch.into_iter();
                    each.for_each(|entry| commits.answer(entry, Err(problem.clone())));
                }
            }
        }
    });
    (journal, lanes)
}

/// Changes carts that are only in memory.
async fn change(
    commits: &CartCommits,
    commands: &[&cart::Command],
    carts: &mut HashMap<ShopperId, Cart>,
) -> Result<Vec<Result<Reply, Problem>>, Problem> {
    let found = |command: &&cart::Command| {
        let cart = carts.get(&command.shopper).cloned().unwrap_or_default();
        (command.shopper, Locked { cart, ..Locked::default() })
    };
    let locked: HashMap<ShopperId, Locked> = commands.iter().map(found).collect();
    let shop = commits.shop_for(commands, locked.values().map(|locked| &locked.cart)).await?;
    let world = cart::World { carts: locked, keys: HashMap::new(), shop };
    let decisions = cart::decide(commands, world);
    carts.extend(decisions.changed.into_iter().map(|(shopper, (cart, _))| (shopper, cart)));
    Ok(decisions.answers)
}
