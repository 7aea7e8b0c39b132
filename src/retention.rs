//! Retention: rows whose time is over go, a few pages at a time, so that nobody notices.
//!
//! Hot tables have no index on age, so each is walked as it lies on the disk: TID ranges of a few
//! pages, in turn, round and round. Rows that somebody has locked are left for the next round.
//! Of a table that is divided by time (`crate::partitions`) partitions are dropped as a whole, and
//! only what came before it was divided, and what has no partition, is walked.
//! Between its steps the walk rests, so that it takes no more of a connection's time than
//! `retention.busy_percent`. One instance of all walks, however many there are; when it is gone, or
//! fails, another does.

use crate::config;
use crate::metrics;
use crate::postgres::{Class, Postgres, class, describe, try_lock};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error, Transaction};

/// Pages of one step (8 KiB each).
const STEP_PAGES: i64 = 64;
/// The longest rest between steps, however long they took.
const REST_MAX: Duration = Duration::from_mins(5);
/// Rests between the end of a table and its next round, in intervals.
const ROUND_RESTS: u32 = 100;
/// The key of the advisory lock of the one who walks ("retentio" in ASCII).
const LOCK: i64 = 0x7265_7465_6e74_696f;
/// How often the others look whether it is free.
const TURN: Duration = Duration::from_secs(5);
/// How long whoever gives it away, or has no connection, looks at nothing: longer than the others.
const AWAY: Duration = Duration::from_secs(10);
/// How long whoever has failed at a table walks only the others, when it is its turn again.
const FAILED_RESTS: Duration = Duration::from_mins(5);
/// Whoever has it loses it by saying nothing for so much longer than between rounds: an instance
/// that is paused, say, or cut off.
const SILENCE_MAX: Duration = Duration::from_mins(10);

/// Which rows of a table go, and when.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// The table, and the label of its metrics.
    pub table: &'static str,
    /// The instant, in SQL, from which a row is kept for [`Sweep::keep`]: `created_at`.
    pub since: &'static str,
    /// What must hold besides, in SQL: `true` if nothing.
    pub only: &'static str,
    /// For how long.
    pub keep: fn(&config::Retention) -> Duration,
}

impl Sweep {
    /// Removes what is over in these pages; `ctid = ANY` keeps the plan to those rows. A `ctid`
    /// says nothing in other partitions.
    fn sql(&self, table: &str, first: i64, end: i64) -> String {
        let Self { since, only, .. } = self;
        format!(
            "DELETE FROM ONLY {table} WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM ONLY {table}
                 WHERE ctid >= '({first},0)'::tid AND ctid < '({end},0)'::tid
                   AND {since} < now() - make_interval(secs => $1) AND ({only})
                 FOR UPDATE SKIP LOCKED))"
        )
    }
}

/// The running walks.
pub struct Sweeper(JoinHandle<()>);

impl Sweeper {
    /// Starts them on the runtime of the database connections, on a connection of their own.
    pub fn start(
        postgres: &Postgres,
        sweeps: Vec<Sweep>,
        settings: config::Retention,
    ) -> Option<Self> {
        if !settings.enabled {
            return None;
        }
        let runtime = postgres.runtime().clone();
        Some(Self(runtime.spawn(run(postgres.clone(), sweeps, settings))))
    }

    /// Stops them in the middle of a step, which is rolled back.
    pub fn stop(self) {
        self.0.abort();
    }
}

async fn run(postgres: Postgres, sweeps: Vec<Sweep>, settings: config::Retention) {
    let mut walks: Vec<Walk> = sweeps.into_iter().map(Walk::new).collect();
    loop {
        let failed = match postgres.connect().await {
            Ok(mut client) => match lock(&client, &settings).await {
                Ok(()) => describe(&walk(&mut client, &mut walks, &settings).await),
                Err(error) => describe(&error),
            },
            Err(error) => error,
        };
        tracing::warn!(error = failed, "retention begins again on a new connection");
        tokio::time::sleep(AWAY).await;
    }
}

/// Waits until no other instance walks.
async fn lock(client: &Client, settings: &config::Retention) -> Result<(), Error> {
    let silence = (SILENCE_MAX + ROUND_RESTS * settings.interval).as_millis();
    client.batch_execute(&format!("SET idle_session_timeout = {silence}")).await?;
    while !try_lock(client, LOCK).await? {
        tokio::time::sleep(TURN).await;
    }
    tracing::info!("this instance removes what is over");
    Ok(())
}

/// Walks until something fails that another instance may be able to do. The rest comes before it
/// gives the walk away: what fails takes time as well.
async fn walk(client: &mut Client, walks: &mut [Walk], settings: &config::Retention) -> Error {
    loop {
        let round = Instant::now();
        let stepped = step_each(client, walks, settings).await;
        let rest = round.elapsed() * (100 - settings.busy_percent) / settings.busy_percent;
        tokio::time::sleep(settings.interval.max(rest.min(REST_MAX))).await;
        if let Err(error) = stepped {
            return error;
        }
    }
}

/// A step in each table; the last error that another instance may not have.
async fn step_each(
    client: &mut Client,
    walks: &mut [Walk],
    settings: &config::Retention,
) -> Result<(), Error> {
    let mut stepped = Ok(());
    for walk in walks.iter_mut().filter(|walk| walk.rests_until <= Instant::now()) {
        let (table, started) = (walk.sweep.table, Instant::now());
        let error = match walk.step(client, settings).await {
            Ok(removed) => {
                metrics::retention_step(table, removed, started.elapsed());
                continue;
            }
            Err(error) if client.is_closed() => return Err(error),
            Err(error) => error,
        };
        tracing::warn!(table, error = describe(&error), "a step of retention failed");
        // If somebody has locked the table, the same pages come again after a rest.
        if class(&error) != Class::Held {
            metrics::retention_failed(table);
            walk.rests_until = Instant::now() + FAILED_RESTS;
            stepped = Err(error);
        }
    }
    stepped
}

/// Where a table's walk stands.
struct Walk {
    sweep: Sweep,
    /// Where the rows of this round still lie: the table, or parts of it. The last one comes first.
    places: Vec<String>,
    next_page: i64,
    rests_until: Instant,
}

impl Walk {
    fn new(sweep: Sweep) -> Self {
        Self { sweep, places: Vec::new(), next_page: 0, rests_until: Instant::now() }
    }

    /// Sweeps the next pages; returns how many rows went.
    async fn step(
        &mut self,
        client: &mut Client,
        settings: &config::Retention,
    ) -> Result<u64, Error> {
        let table = self.sweep.table;
        let transaction = client.transaction().await?;
        // Nobody waits for us for long, and we for nobody.
        let limits = "SET LOCAL lock_timeout = '100ms'; SET LOCAL statement_timeout = '5s'";
        transaction.batch_execute(limits).await?;
        if self.places.is_empty() {
            self.places = places(&transaction, table).await?;
        }
        let Some(place) = self.places.last() else { return Ok(0) };
        // Nothing, if it was divided or dropped since, or is at this moment.
        let sql = "SELECT pg_relation_size(oid) / current_setting('block_size')::bigint
                   FROM pg_class WHERE oid = to_regclass($1::text) AND relkind = 'r'";
        let pages = transaction.query_opt(sql, &[place]).await?;
        let pages: i64 = pages.and_then(|row| row.get::<_, Option<i64>>(0)).unwrap_or(0);
        let end = self.next_page + STEP_PAGES;
        let removed = match pages {
            0 => 0,
            _ => {
                let keep = (self.sweep.keep)(settings).as_secs_f64();
                let sql = self.sweep.sql(place, self.next_page, end);
                transaction.execute(&sql, &[&keep]).await?
            }
        };
        transaction.commit().await?;
        self.next_page = end;
        if end >= pages {
            self.next_page = 0;
            self.places.pop();
            if self.places.is_empty() {
                self.rests_until = Instant::now() + ROUND_RESTS * settings.interval;
            }
        }
        Ok(removed)
    }
}

/// Where rows of the table lie that are not dropped with a partition of their time.
async fn places(transaction: &Transaction<'_>, table: &str) -> Result<Vec<String>, Error> {
    let sql = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid IN (
                   to_regclass($1), to_regclass($1 || '_before'), to_regclass($1 || '_rest'))";
    let rows = transaction.query(sql, &[&table]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
