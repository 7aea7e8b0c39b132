//! PostgreSQL: pools for reads, writes and replicas, raw connections for the journal, errors by
//! class.
//!
//! A connection's task lives on the runtime that opened it. Opened from an HTTP worker it would
//! sit on that worker's busy thread, so all connections live on one runtime of their own.

mod connect;
mod pulse;

use crate::error::{Code, Problem};
use connect::{OnRuntime, Turn};
use deadpool_postgres::{ClientWrapper, Connect, Hook, HookError, Manager, ManagerConfig};
use deadpool_postgres::{Object, Pool, PoolError, RecyclingMethod, Status, Transaction};
use futures_util::FutureExt;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, IsolationLevel, SimpleQueryMessage};

/// How to reach PostgreSQL and how long to wait for it.
#[derive(Debug, Clone)]
pub struct Options {
    /// `postgres://user:password@host:port/database`, or a key-value string. Of several hosts
    /// (`host1:port,host2:port`) the one is used that takes writes.
    pub url: String,
    /// That of read-only servers which follow it, or empty.
    pub replica_url: String,
    /// Connections for reads.
    pub read_connections: usize,
    /// Connections for transactions outside the journal.
    pub write_connections: usize,
    /// Longest wait for a free connection of a pool.
    pub wait: Duration,
    /// Longest time to open a connection.
    pub connect: Duration,
    /// Longest time of a read: PostgreSQL ends it then.
    pub read_max: Duration,
    /// The same of a statement outside the journal that writes; zero for as long as it takes.
    pub write_max: Duration,
}

/// The way to the database. Cheap to clone.
#[derive(Clone)]
pub struct Postgres {
    config: Config,
    connect: OnRuntime,
    /// For queries that change nothing.
    pub readers: Pool,
    /// For what writes outside the journal.
    pub writers: Pool,
    /// For reads that say how new the server must be: it follows the others, now or later.
    pub replicas: Option<Pool>,
}

impl Postgres {
    /// Opens nothing yet; the connections' tasks will run on `runtime`.
    pub fn new(options: &Options, runtime: Handle) -> Result<Self, String> {
        if options.url.is_empty() {
            return Err("postgres.url is not set: where is the database?".to_owned());
        }
        let mut config = config(&options.url, "postgres.url")?;
        if config.get_hosts().len() > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let connect = OnRuntime::new(runtime.clone(), Turn::LastFirst, options.connect);
        let readers = pool(&config, options, &connect, Role::Reads)?;
        let writers = pool(&config, options, &connect, Role::Writes)?;
        let replicas = match options.replica_url.as_str() {
            "" => None,
            url => {
                let mut config = self::config(url, "postgres.replica_url")?;
                config.target_session_attrs(TargetSessionAttrs::ReadOnly);
                // They answer also while the primary does not.
                let connect = OnRuntime::new(runtime, Turn::InTurn, options.connect);
                Some(pool(&config, options, &connect, Role::Replica)?)
            }
        };
        Ok(Self { config, connect, readers, writers, replicas })
    }

    /// From now on a server that says nothing is left ([`pulse`]). It takes a connection.
    pub fn feel_pulse(&self) {
        let pulse = self.connect.pulse.clone();
        self.runtime().spawn(pulse.feel(self.clone()));
    }

    /// A connection outside the pools; errors are sentences.
    pub async fn connect(&self) -> Result<Client, String> {
        match self.connect.connect(&self.config).await {
            Ok((client, _)) => Ok(client),
            Err(error) => Err(format!("the database cannot be reached: {}", describe(&error))),
        }
    }

    /// The runtime that the connections live on.
    pub fn runtime(&self) -> &Handle {
        &self.connect.runtime
    }

    /// Works on the runtime of the connections, without anybody waiting for it. If it fails,
    /// `failure` is said in the log.
    pub fn in_background(
        &self,
        failure: &'static str,
        work: impl Future<Output = Result<(), Problem>> + Send + 'static,
    ) {
        self.runtime().spawn(async move {
            if let Err(problem) = work.await {
                tracing::warn!(%problem, "{failure}");
            }
        });
    }

    /// Whether a query is answered; whoever asks decides how long to wait.
    pub async fn is_up(&self) -> bool {
        let Ok(client) = self.readers.get().await else { return false };
        client.simple_query("SELECT 1").await.is_ok()
    }
}

/// The hosts of a URL, and who asks.
fn config(url: &str, setting: &str) -> Result<Config, String> {
    let config: Config =
        url.parse().map_err(|error| format!("{setting} cannot be read: {error}"))?;
    let hosts = config.get_hosts().len();
    let (ports, addresses) = (config.get_ports().len(), config.get_hostaddrs().len());
    if hosts > 0 && !(ports <= 1 || ports == hosts)
        || hosts > 1 && ![0, hosts].contains(&addresses)
    {
        return Err(format!("{setting} has {hosts} hosts, {ports} ports, {addresses} addresses"));
    }
    Ok(config)
}

/// What the connections of a pool are for.
enum Role {
    Reads,
    Writes,
    /// Reads of one of several servers, which may hang alone: a connection is asked before its next
    /// use, because somebody may have waited for it in vain.
    Replica,
}

fn pool(
    config: &Config,
    options: &Options,
    open: &OnRuntime,
    role: Role,
) -> Result<Pool, String> {
    let connect = options.connect;
    let (size, statement_max) = match role {
        Role::Reads | Role::Replica => (options.read_connections, options.read_max),
        Role::Writes => (options.write_connections, options.write_max),
    };
    let settings = format!("SET statement_timeout = {}", statement_max.as_millis());
    let (recycling_method, recycle) = match role {
        Role::Replica => (RecyclingMethod::Verified, RECYCLE_MAX),
        Role::Reads | Role::Writes => (RecyclingMethod::Fast, connect),
    };
    let manager =
        Manager::from_connect(config.clone(), open.clone(), ManagerConfig { recycling_method });
    let set_up = Hook::async_fn(move |client: &mut ClientWrapper, _| {
        let settings = settings.clone();
        async move {
            let set = timeout(connect, client.batch_execute(&settings));
            let silent = |_| HookError::message("the database does not answer");
            set.await.map_err(silent)?.map_err(HookError::Backend)
        }
        .boxed()
    });
    Pool::builder(manager)
        .post_create(set_up)
        .max_size(size)
        .runtime(deadpool_postgres::Runtime::Tokio1)
        .timeouts(deadpool_postgres::Timeouts {
            wait: Some(options.wait),
            create: Some(options.connect),
            recycle: Some(recycle),
        })
        .build()
        .map_err(|error| error.to_string())
}

/// A replica that needs longer than this to say that it is there is asked for nothing.
const RECYCLE_MAX: Duration = Duration::from_millis(500);

/// When a server was started, in seconds with six digits behind: no two are alike in this.
type Server = String;

/// Begins a connection, and tells whose it is. PostgreSQL ends a transaction whose client says
/// nothing: an instance that is paused or cut off must keep neither locks, for which orders may
/// wait, nor a snapshot, behind which no vacuum cleans.
async fn set_up(client: &Client) -> Result<Server, Error> {
    let sql = "SET idle_in_transaction_session_timeout = '3s';
               SELECT extract(epoch FROM pg_postmaster_start_time())";
    let told = client.simple_query(sql).await?;
    let started = told.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(started.unwrap_or_default().to_owned())
}

/// For each connection of a pool so many may wait who ask for themselves. A turn takes about a
/// millisecond.
const TURNS_MAX: usize = 50;

/// A connection for whoever asks for themselves: refused at once if too many wait. Those on the way
/// of an order gather, so they are few, and wait for a connection behind these.
pub async fn reader(readers: &Pool) -> Result<Object, Problem> {
    let Status { max_size, waiting, .. } = readers.status();
    if waiting >= TURNS_MAX * max_size {
        return Err(too_many_reads());
    }
    Ok(readers.get().await?)
}

/// A transaction that reads everything in one snapshot.
pub async fn snapshot(client: &mut Object) -> Result<Transaction<'_>, Error> {
    let builder = client.build_transaction();
    builder.isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await
}

/// Where the transaction's snapshot stands among those of its server: what a greater one shows is
/// newer, and what an equal one shows is the same.
///
/// Transactions that end raise `xmax`, or leave the list of those that were still running below
/// it. Sixteen bits hold the length of that list; the number of connections is limited to fewer.
pub async fn snapshot_order(transaction: &Transaction<'_>) -> Result<u64, Error> {
    let sql = "SELECT (pg_snapshot_xmax(s)::text::bigint << 16)
                   + greatest(65535 - (SELECT count(*) FROM pg_snapshot_xip(s)), 0)
               FROM pg_current_snapshot() s";
    let statement = transaction.prepare_cached(sql).await?;
    let order: i64 = transaction.query_one(&statement, &[]).await?.get(0);
    Ok(order.unsigned_abs())
}

/// Takes the advisory lock, unless somebody else has it; it is the connection's until that ends.
pub async fn try_lock(client: &Client, key: i64) -> Result<bool, Error> {
    Ok(client.query_one("SELECT pg_try_advisory_lock($1)", &[&key]).await?.get(0))
}

/// Begins a transaction for a request: nobody waits for a lock until a proxy gives up on them.
pub async fn begin(client: &mut Object) -> Result<Transaction<'_>, Problem> {
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL lock_timeout = '5s'").await?;
    Ok(transaction)
}

/// Commits what [`begin`] began.
pub async fn commit(transaction: Transaction<'_>) -> Result<(), Problem> {
    transaction.commit().await.map_err(|error| match class(&error) {
        Class::Lost => Problem::unknown_outcome(),
        _ => error.into(),
    })
}

/// What an error of PostgreSQL asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A check, a taken key or a row count said no: decide again on locked rows.
    Guard,
    /// Deadlock or serialisation: the same again.
    Retry,
    /// Somebody else keeps a lock for too long.
    Held,
    /// Something in the statement's values.
    Culprit,
    /// The connection is gone or the server cannot work: the outcome may be unknown.
    Lost,
}

/// Sorts an error into its class, by SQLSTATE.
pub fn class(error: &tokio_postgres::Error) -> Class {
    error.code().map_or(Class::Lost, |state| class_of(state.code()))
}

fn class_of(state: &str) -> Class {
    match state {
        // 25P02 comes for what was sent behind a statement that failed, and may be seen before
        // that one's own error: what it was shows when the batch is decided again.
        "23514" | "23505" | "DB001" | "25P02" => Class::Guard,
        "40001" | "40P01" => Class::Retry,
        "55P03" => Class::Held,
        // We were idle for too long, or this server is read-only since a failover: again on another
        // connection, until the deadline.
        "25P03" | "25006" => Class::Lost,
        code => match &code[..2] {
            "08" | "53" | "57" | "58" => Class::Lost,
            _ => Class::Culprit,
        },
    }
}

/// The answer while PostgreSQL is away.
pub fn unavailable() -> Problem {
    Problem::new(Code::StorageUnavailable, "The storage is not available; try again.")
}

/// The answer to a read that would wait behind too many others.
pub fn too_many_reads() -> Problem {
    Problem::new(Code::Overloaded, "Too many reads are waiting.")
}

impl From<tokio_postgres::Error> for Problem {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&SqlState::QUERY_CANCELED) {
            // Its own time was over, so the storage is well.
            tracing::warn!("a query took longer than it may");
            return Problem::new(Code::Overloaded, "It took too long; ask for less.");
        }
        match class(&error) {
            Class::Lost | Class::Retry | Class::Held => {
                tracing::warn!(error = %describe(&error), "the storage did not answer");
                unavailable()
            }
            Class::Guard | Class::Culprit => Problem::internal(describe(&error)),
        }
    }
}

impl From<PoolError> for Problem {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            error => {
                tracing::warn!(%error, "no database connection");
                unavailable()
            }
        }
    }
}

/// The error with its cause; tokio-postgres leaves the server's words out of `Display`.
pub fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_only_because_something_before_it_did_is_no_culprit() {
        assert_eq!(class_of("25P02"), Class::Guard);
        assert_eq!(class_of("55P03"), Class::Held);
        assert_eq!(class_of("25006"), Class::Lost, "read-only since a failover");
        assert_eq!(class_of("22003"), Class::Culprit);
    }
}
