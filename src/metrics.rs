//! Every metric: its name, unit and help. Labels are closed enums, so that no client can make
//! new series.

use crate::postgres::Class;
use metrics::{Counter, Histogram, Unit, counter, gauge, histogram};
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

const HTTP_SECONDS: &str = "doorbuster_http_request_seconds";
const HTTP_REQUESTS: &str = "doorbuster_http_requests_total";
const WORKER_LAG: &str = "doorbuster_worker_lag_seconds";
const GAVE_WAY: &str = "doorbuster_gave_way_total";
const JOURNAL_QUEUE: &str = "doorbuster_journal_queue_entries";
const JOURNAL_BATCH: &str = "doorbuster_journal_batch_entries";
const JOURNAL_COMMIT: &str = "doorbuster_journal_commit_seconds";
const JOURNAL_RETRIES: &str = "doorbuster_journal_retries_total";
const JOURNAL_CONNECTED: &str = "doorbuster_journal_connections";
const ORDERS_IN_FLIGHT: &str = "doorbuster_orders_in_flight";
const CARTS_IN_FLIGHT: &str = "doorbuster_carts_in_flight";
const IN_FLIGHT_LIMIT: &str = "doorbuster_in_flight_limit";
const SOLD_OUT: &str = "doorbuster_orders_refused_by_view_total";
const ACTOR_RESTARTS: &str = "doorbuster_actor_restarts_total";
const POOL_WAIT: &str = "doorbuster_pool_waiting";
const EXPIRED: &str = "doorbuster_orders_expired_total";
const CACHE_READS: &str = "doorbuster_cache_reads_total";
const CACHE_BYTES: &str = "doorbuster_cache_bytes";
const CACHE_INVALIDATIONS: &str = "doorbuster_cache_invalidations_total";
const REPLICA_READS: &str = "doorbuster_replica_reads_total";
const REDIS_BREAKER: &str = "doorbuster_redis_breaker_open";
const RETENTION_REMOVED: &str = "doorbuster_retention_removed_total";
const RETENTION_FAILED: &str = "doorbuster_retention_failures_total";
const RETENTION_STEP: &str = "doorbuster_retention_step_seconds";
const RATE_LIMITED: &str = "doorbuster_rate_limited_total";
const MAILS: &str = "doorbuster_mails_total";
const EXPORTED: &str = "doorbuster_exported_rows_total";

/// Every metric's name, unit and help, as the documents list them.
pub const ALL: &[(&str, Unit, &str)] = &[
    (HTTP_SECONDS, Unit::Seconds, "Time from the request's head to the response's, by route"),
    (HTTP_REQUESTS, Unit::Count, "Requests by route, method and status"),
    (WORKER_LAG, Unit::Seconds, "How late HTTP workers come to what is due"),
    (GAVE_WAY, Unit::Count, "Requests of who browses, refused because a worker was late"),
    (JOURNAL_QUEUE, Unit::Count, "Entries that wait for a batch"),
    (JOURNAL_BATCH, Unit::Count, "Entries per committed batch, by form"),
    (JOURNAL_COMMIT, Unit::Seconds, "Time from a batch's BEGIN to the answer of its COMMIT"),
    (JOURNAL_RETRIES, Unit::Count, "Batches run again, by the class of the error"),
    (JOURNAL_CONNECTED, Unit::Count, "Connections of the journal that are up"),
    (ORDERS_IN_FLIGHT, Unit::Count, "Orders being placed"),
    (CARTS_IN_FLIGHT, Unit::Count, "Carts being read or changed"),
    (IN_FLIGHT_LIMIT, Unit::Count, "How many may be in flight now, by journal"),
    (SOLD_OUT, Unit::Count, "Orders refused by the fresh view, without a write"),
    (ACTOR_RESTARTS, Unit::Count, "Actors started again after a panic"),
    (POOL_WAIT, Unit::Count, "Requests that wait for a pooled connection, by pool"),
    (EXPIRED, Unit::Count, "Unpaid orders expired by this instance"),
    (
        CACHE_READS,
        Unit::Count,
        "Values found, by cache and by where; who shares a read counts once",
    ),
    (CACHE_BYTES, Unit::Bytes, "Bytes that a cache holds in memory, about"),
    (CACHE_INVALIDATIONS, Unit::Count, "Invalidations, made here or heard of"),
    (REPLICA_READS, Unit::Count, "Reads of a replica, by what came of it"),
    (REDIS_BREAKER, Unit::Count, "1 while Redis is not asked because it did not answer"),
    (RETENTION_REMOVED, Unit::Count, "Rows removed because their time was over, by table"),
    (RETENTION_FAILED, Unit::Count, "Steps of removing that failed, by table"),
    (RETENTION_STEP, Unit::Seconds, "Time of one step of removing, by table"),
    (
        RATE_LIMITED,
        Unit::Count,
        "Requests refused because the client asked for too much, by limit",
    ),
    (MAILS, Unit::Count, "Tries to send a mail, by how they ended"),
    (EXPORTED, Unit::Count, "Rows given out by exports"),
];

/// Installs the recorder of the process; once only.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    const SECONDS: &[f64] =
        &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    const ENTRIES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 150.0, 200.0, 250.0];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Full(JOURNAL_BATCH.to_owned()), ENTRIES)?
        .install_recorder()?;
    for &(name, unit, help) in ALL {
        match name {
            _ if name.ends_with("_total") => describe_counter!(name, unit, help),
            HTTP_SECONDS | WORKER_LAG | JOURNAL_BATCH | JOURNAL_COMMIT | RETENTION_STEP => {
                describe_histogram!(name, unit, help)
            }
            _ => describe_gauge!(name, unit, help),
        }
    }
    Ok(handle)
}

/// The series of one route, method and status.
struct HttpSeries {
    seconds: Histogram,
    requests: Counter,
}

thread_local! {
    /// The series that this thread has met: finding one by its labels costs more than a cached
    /// answer.
    static HTTP_SERIES: RefCell<HashMap<(&'static str, &'static str, u16), HttpSeries>> =
        RefCell::default();
}

/// A request was answered. `route` is a pattern of the route table, never the client's path.
pub fn http_request(route: &'static str, method: &'static str, status: u16, took: Duration) {
    let register = || {
        let status = status.to_string();
        HttpSeries {
            seconds: histogram!(HTTP_SECONDS, "route" => route),
            requests: counter!(
                HTTP_REQUESTS, "route" => route, "method" => method, "status" => status
            ),
        }
    };
    HTTP_SERIES.with_borrow_mut(|known| {
        let series = known.entry((route, method, status)).or_insert_with(register);
        series.seconds.record(took.as_secs_f64());
        series.requests.increment(1);
    });
}

/// A worker came so late to what was due.
pub fn worker_lag(lag: Duration) {
    histogram!(WORKER_LAG).record(lag.as_secs_f64());
}

/// Somebody who browses was refused because a worker was late.
pub fn gave_way() {
    counter!(GAVE_WAY).increment(1);
}

/// So many entries wait in the journal.
pub fn journal_queue(journal: &'static str, entries: usize) {
    gauge!(JOURNAL_QUEUE, "journal" => journal).set(entries as f64);
}

/// A batch was committed.
pub fn journal_commit(journal: &'static str, form: &'static str, entries: usize, took: Duration) {
    histogram!(JOURNAL_BATCH, "journal" => journal, "form" => form).record(entries as f64);
    histogram!(JOURNAL_COMMIT, "journal" => journal, "form" => form).record(took.as_secs_f64());
}

/// A batch is run again.
pub fn journal_retry(journal: &'static str, class: Class) {
    let class = match class {
        Class::Guard => "guard",
        Class::Retry => "retry",
        Class::Culprit => "culprit",
        Class::Held => "held",
        Class::Lost => "lost",
    };
    counter!(JOURNAL_RETRIES, "journal" => journal, "class" => class).increment(1);
}

/// So many connections of the journal are up.
pub fn journal_connections(journal: &'static str, up: usize) {
    gauge!(JOURNAL_CONNECTED, "journal" => journal).set(up as f64);
}

/// So many orders are being placed.
pub fn orders_in_flight(orders: usize) {
    gauge!(ORDERS_IN_FLIGHT).set(orders as f64);
}

/// So many carts are being read or changed.
pub fn carts_in_flight(carts: usize) {
    gauge!(CARTS_IN_FLIGHT).set(carts as f64);
}

/// So many entries of the journal may be in flight from now on.
pub fn in_flight_limit(journal: &'static str, limit: usize) {
    gauge!(IN_FLIGHT_LIMIT, "journal" => journal).set(limit as f64);
}

/// The view said sold out.
pub fn refused_by_view() {
    counter!(SOLD_OUT).increment(1);
}

/// An actor was started again.
pub fn actor_restart(actor: &'static str) {
    counter!(ACTOR_RESTARTS, "actor" => actor).increment(1);
}

/// So many requests wait for a connection of the pool.
pub fn pool_waiting(pool: &'static str, waiting: usize) {
    gauge!(POOL_WAIT, "pool" => pool).set(waiting as f64);
}

/// Unpaid orders were expired.
pub fn orders_expired(orders: usize) {
    counter!(EXPIRED).increment(orders as u64);
}

/// Where a value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheTier {
    /// In this instance's memory.
    Memory,
    /// In Redis.
    Redis,
    /// In the database.
    Database,
    /// Shown although it is old, because the database is away.
    Stale,
}

/// Counts where the values of one cache were found; made once, for it is asked all the time.
pub struct CacheHits([Counter; 4]);

impl CacheHits {
    /// Of a cache with that name.
    pub fn new(cache: &'static str) -> Self {
        let tiers = ["memory", "redis", "database", "stale"];
        Self(tiers.map(|tier| counter!(CACHE_READS, "cache" => cache, "tier" => tier)))
    }

    /// One more was found there.
    pub fn count(&self, tier: CacheTier) {
        self.0[tier as usize].increment(1);
    }
}

/// A cache holds so many bytes.
pub fn cache_bytes(cache: &'static str, bytes: u64) {
    gauge!(CACHE_BYTES, "cache" => cache).set(bytes as f64);
}

/// Something was invalidated.
pub fn cache_invalidation() {
    counter!(CACHE_INVALIDATIONS).increment(1);
}

/// A replica was read: `used`, or left because it was `behind`, `ahead` or `away`.
pub fn replica_read(outcome: &'static str) {
    counter!(REPLICA_READS, "outcome" => outcome).increment(1);
}

/// Whether Redis is left alone for a while.
pub fn redis_breaker(is_open: bool) {
    gauge!(REDIS_BREAKER).set(f64::from(u8::from(is_open)));
}

/// A step of retention removed so many rows of the table.
pub fn retention_step(table: &'static str, removed: u64, took: Duration) {
    counter!(RETENTION_REMOVED, "table" => table).increment(removed);
    histogram!(RETENTION_STEP, "table" => table).record(took.as_secs_f64());
}

/// A step of retention failed, though nobody held a lock on the table.
pub fn retention_failed(table: &'static str) {
    counter!(RETENTION_FAILED, "table" => table).increment(1);
}

/// A client was refused by this limit.
pub fn rate_limited(limit: &'static str) {
    counter!(RATE_LIMITED, "limit" => limit).increment(1);
}

/// How a try to send a mail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailOutcome {
    /// The server has taken it.
    Sent,
    /// It is tried again.
    Failed,
    /// It failed once too often.
    GivenUp,
}

/// A mail was tried.
pub fn mail(outcome: MailOutcome) {
    let outcome = match outcome {
        MailOutcome::Sent => "sent",
        MailOutcome::Failed => "failed",
        MailOutcome::GivenUp => "given_up",
    };
    counter!(MAILS, "outcome" => outcome).increment(1);
}

/// So many rows were given out.
pub fn exported(rows: usize) {
    counter!(EXPORTED).increment(rows as u64);
}
