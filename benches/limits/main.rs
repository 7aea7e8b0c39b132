//! How fast changes are beside what the machine allows, all measured in one run.
//!
//! `commit_limit` is the journal's own transactions on prepared batches, without HTTP, actors or
//! offers. `http_limit` is the whole path of a change with a journal that commits nothing. Both
//! share the cores in a real server, so its yardstick is the *composed limit*
//! 1 / (1 / commit_limit + 1 / http_limit), beside which stands the real server on the real
//! database.
//!
//! The load generator is this process, the server always another one, so both have the same
//! share of the machine in every row. Every row has a database of its own, equal for all; the
//! rounds go through all rows, so that a busy minute of the machine does not hit one row alone.
//!
//! Words after `--` choose the topics: `orders` and `carts` unless told otherwise, `lines`,
//! `connections`, `costs`, `rates`, and `growth` with a number of orders. `orders=hot` measures
//! only the rows of a topic whose names hold that word, and makes no table.

#[path = "../rules/address.rs"]
mod address;
mod commits;
mod cpu;
mod database;
mod growth;
mod presumed;
mod server;
mod table;
mod topic;
mod traffic;

use actix::{Arbiter, ArbiterHandle};
use commits::Shape;
use database::Databases;
use doorbuster::app::DatabaseRuntime;
use server::Journal;
use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;
use topic::{Measurement, Topic};
use traffic::{Goods, Load};

// The allocator of the `doorbuster` binary, because one of the servers is this executable.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Each row is measured so often; its median counts.
const ROUNDS: usize = 3;

/// One line, or one cell, of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    /// Batches straight to the journal's SQL.
    Commit(Shape),
    /// Requests to a server whose journal commits as it says.
    Requests { journal: Journal, goods: Goods, connections: usize },
    /// Requests to a server with Redis beside it, and what all of them cost.
    Costs(Goods, Load),
}

/// What one measurement of a row found.
#[derive(Debug, Clone, Default)]
struct Sample {
    per_second: f64,
    p50: Duration,
    p99: Duration,
    batches: server::Batches,
    answers: f64,
    used: cpu::Used,
    written: database::Written,
    asked: database::Asked,
}

/// Where rows are measured.
struct Bench<'b> {
    databases: &'b Databases,
    runtime: &'b DatabaseRuntime,
    arbiter: ArbiterHandle,
}

fn main() -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == presumed::ARGUMENT) {
        return presumed::serve();
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = topic::wanted(&wanted)?;
    // Only for the actor that the journal's work tells about stock; it runs on its own thread.
    let _system = actix::System::new();
    let arbiter = Arbiter::new();
    let database_runtime = DatabaseRuntime::start(2).map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(async {
        let databases = Databases::start(database_runtime.handle()).await?;
        println!("{}", databases.describe().await?);
        let arbiter = arbiter.handle();
        let bench = Bench { databases: &databases, runtime: &database_runtime, arbiter };
        let measured = bench.all(&wanted).await;
        // Also after an error: a database that is only dropped is not waited for.
        databases.stop().await?;
        measured
    });
    arbiter.stop();
    measured
}

impl Bench<'_> {
    async fn all(&self, wanted: &[Topic]) -> anyhow::Result<()> {
        for topic in wanted {
            match topic.measurement() {
                Measurement::Rows(rows) => {
                    let medians = self.rounds(rows).await?;
                    topic.print(&medians);
                }
                Measurement::Growth(orders) => growth::measure(orders, self.databases).await?,
            }
        }
        Ok(())
    }

    /// The medians of the rows.
    async fn rounds(&self, rows: Vec<Row>) -> anyhow::Result<Vec<(Row, Sample)>> {
        let mut samples: Vec<(Row, Vec<Sample>)> =
            rows.into_iter().map(|row| (row, Vec::new())).collect();
        for round in 1..=ROUNDS {
            eprintln!("round {round} of {ROUNDS}, load {}", table::load());
            for (row, samples) in &mut samples {
                let sample = self.measure(row).await?;
                eprintln!("  {row:<44}{}", table::Speed(&sample));
                samples.push(sample);
            }
        }
        let medians = samples.into_iter().map(|(row, samples)| match row {
            // All come at that rate.
            Row::Costs(_, Load::Rate(_)) => (row, median(samples, |one| one.used.postgres)),
            _ => (row, median(samples, |one| one.per_second)),
        });
        Ok(medians.collect())
    }

    async fn measure(&self, row: &Row) -> anyhow::Result<Sample> {
        let database = match row {
            Row::Costs(..) => self.databases.fresh_with_redis("row").await?,
            _ => self.databases.fresh("row").await?,
        };
        let sample = match *row {
            Row::Costs(goods, load) => {
                traffic::measure(Journal::Real, goods, load, &database).await?
            }
            Row::Commit(shape) => {
                let (runtime, arbiter) = (self.runtime.handle(), self.arbiter.clone());
                commits::measure(shape, &database, runtime, arbiter).await?
            }
            Row::Requests { journal, goods, connections } => {
                let load = Load::Connections(connections);
                traffic::measure(journal, goods, load, &database).await?
            }
        };
        self.databases.drop(database).await?;
        Ok(sample)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Row::Commit(shape) => format!("commit, {shape}"),
            Row::Costs(goods, load) => format!("costs, {goods:?}, {load:?}").to_lowercase(),
            Row::Requests { journal, goods, connections } => {
                format!("{journal:?}, {goods:?}, {connections} connections").to_lowercase()
            }
        };
        f.pad(&name)
    }
}

fn median<K: PartialOrd>(mut samples: Vec<Sample>, key: impl Fn(&Sample) -> K) -> Sample {
    samples.sort_by(|a, b| key(a).partial_cmp(&key(b)).unwrap_or(Ordering::Equal));
    samples.swap_remove(samples.len() / 2)
}
