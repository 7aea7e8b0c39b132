//! How fast orders are beside what the machine allows, all measured in one run.
//!
//! `commit_limit` is the journal's own transactions on prepared batches, without HTTP, actors or
//! offers. `http_limit` is the whole path of an order with a journal that commits nothing. Both
//! share the cores in a real server, so its yardstick is the *composed limit*
//! 1 / (1 / commit_limit + 1 / http_limit). `express` is the real server on the real database.
//!
//! The load generator is this process, the server always another one, so both have the same
//! share of the machine in every row. Every row has a database of its own, equal for all; the
//! rounds go through all rows, so that a busy minute of the machine does not hit one row alone.
//!
//! Words after `--` choose the rows whose names contain one of them; then there is no table.

#[path = "../rules/address.rs"]
mod address;
mod commits;
mod cpu;
mod database;
mod presumed;
mod server;
mod table;
mod traffic;

use actix::{Arbiter, ArbiterHandle};
use commits::Shape;
use database::Databases;
use doorbuster::app::DatabaseRuntime;
use server::Journal;
use std::fmt;
use std::time::Duration;
use traffic::Goods;

// The allocator of the `doorbuster` binary, because one of the servers is this executable.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Each row is measured so often; its median counts.
const ROUNDS: usize = 3;

/// One line, or one cell, of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    /// Batches straight to the journal's SQL.
    Commit(Shape),
    /// Requests to a server whose journal commits as it says.
    Requests { journal: Journal, goods: Goods, connections: usize },
}

/// What one measurement of a row found.
#[derive(Debug, Clone, Default)]
struct Sample {
    per_second: f64,
    p50: Duration,
    p99: Duration,
    batches: server::Batches,
    commits_per_order: f64,
    orders: f64,
    used: cpu::Used,
}

fn main() -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == presumed::ARGUMENT) {
        return presumed::serve();
    }
    // Only for the actor that the journal's work tells about stock; it runs on its own thread.
    let _system = actix::System::new();
    let arbiter = Arbiter::new();
    let database_runtime = DatabaseRuntime::start().map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(bench(&database_runtime, &arbiter.handle()));
    arbiter.stop();
    measured
}

async fn bench(runtime: &DatabaseRuntime, arbiter: &ArbiterHandle) -> anyhow::Result<()> {
    let databases = Databases::start(runtime.handle()).await?;
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let measured = rounds(&wanted, &databases, runtime, arbiter).await;
    // Also after an error: a database that is only dropped is not waited for.
    databases.stop().await?;
    let medians = measured?;
    if wanted.is_empty() {
        println!("{}", table::Table::of(&medians));
    }
    Ok(())
}

/// The medians of the wanted rows, or of all.
async fn rounds(
    wanted: &[String],
    databases: &Databases,
    runtime: &DatabaseRuntime,
    arbiter: &ArbiterHandle,
) -> anyhow::Result<Vec<(Row, Sample)>> {
    println!("{}", databases.describe().await?);
    let is_wanted =
        |row: &Row| wanted.is_empty() || wanted.iter().any(|w| row.to_string().contains(w));
    let rows = rows().into_iter().filter(is_wanted);
    let mut samples: Vec<(Row, Vec<Sample>)> = rows.map(|row| (row, Vec::new())).collect();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}, load {}", table::load());
        for (row, samples) in &mut samples {
            let sample = measure(row, databases, runtime, arbiter).await?;
            eprintln!("  {row:<44}{}", table::Speed(&sample));
            samples.push(sample);
        }
    }
    Ok(samples.into_iter().map(|(row, samples)| (row, median(samples))).collect())
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Row::Commit(shape) => format!("commit, {shape}"),
            Row::Requests { journal, goods, connections } => {
                format!("{journal:?}, {goods:?}, {connections} connections").to_lowercase()
            }
        };
        f.pad(&name)
    }
}

fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = commits::shapes().into_iter().map(Row::Commit).collect();
    let mut requests = |journal, goods, counts: &[usize]| {
        rows.extend(counts.iter().map(|&connections| Row::Requests {
            journal,
            goods,
            connections,
        }));
    };
    requests(Journal::Presumed, Goods::Spread, &[64, 256, 1024]);
    requests(Journal::Real, Goods::Spread, &[64, 256, 1024]);
    requests(Journal::Real, Goods::Hot, &[64, 256, 1024]);
    requests(Journal::Real, Goods::SoldOut, &[64, 256]);
    rows
}

async fn measure(
    row: &Row,
    databases: &Databases,
    runtime: &DatabaseRuntime,
    arbiter: &ArbiterHandle,
) -> anyhow::Result<Sample> {
    let database = databases.fresh().await?;
    let sample = match *row {
        Row::Commit(shape) => {
            commits::measure(shape, &database, runtime.handle(), arbiter.clone()).await?
        }
        Row::Requests { journal, goods, connections } => {
            traffic::measure(journal, goods, connections, &database).await?
        }
    };
    databases.drop(database).await?;
    Ok(sample)
}

fn median(mut samples: Vec<Sample>) -> Sample {
    samples.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    samples.swap_remove(samples.len() / 2)
}
