//! A transaction that writes BEGIN and COMMIT itself.

use super::attempt::{BEGINS_WITHIN, Doubt};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};
use uuid::Uuid;

/// What holds for every transaction of a lane. Batches touch a few rows by their keys: planned on a
/// fresh database, joins would scan whole tables until the next ANALYZE; and planned anew, which
/// PostgreSQL thinks worth its while for short arrays, a small batch would cost a third more.
const SETTINGS: &str =
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
    SET plan_cache_mode = force_generic_plan";

/// Marks a transaction, limits its statements and tells the time.
const MARK: &str = "SELECT now(),
    set_config('doorbuster.batch', $1, true),
    set_config('statement_timeout', $2, true), set_config('lock_timeout', $3, true)";

/// Takes the mark off if it is later than this.
const UNMARK: &str =
    "SELECT set_config('doorbuster.batch', '', true) WHERE clock_timestamp() >= $1";

/// A lane's own connection, outside the pools.
pub struct Line {
    /// The connection.
    pub client: Client,
    mark: Statement,
    unmark: Statement,
}

impl Line {
    /// A connection that becomes that of a lane.
    pub async fn on(client: Client) -> Result<Self, Error> {
        client.batch_execute(SETTINGS).await?;
        let (mark, unmark) = tokio::try_join!(client.prepare(MARK), client.prepare(UNMARK))?;
        Ok(Self { client, mark, unmark })
    }
}

/// PostgreSQL's clock, and when it was heard, so that what is carried on from there is never ahead.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// The beginning of the transaction.
    pub now: OffsetDateTime,
    /// Somewhat later, by the clock of this process.
    pub heard_at: Instant,
}

/// How long PostgreSQL lets a transaction wait.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// A statement that takes longer is ended: nobody waits for it any more. It never ends a COMMIT
    /// that waits for the disk or for a standby, because PostgreSQL counts no longer then.
    pub statement: Duration,
    /// Nobody waits for locks for ever.
    pub lock: Duration,
}

/// A transaction of the journal; statements may be sent in one pipeline with BEGIN and COMMIT.
pub struct Transaction<'c> {
    /// The connection, for statements between BEGIN and COMMIT.
    pub client: &'c Client,
    line: &'c Line,
    /// This transaction's mark. A statement that is pipelined behind BEGIN would commit by
    /// itself if BEGIN failed; its `WHERE current_setting('doorbuster.batch', true) = mark`
    /// lets it do nothing then.
    pub mark: String,
    /// The lane that runs it. A lane settles what is in doubt before it takes another batch, so
    /// what it did before is known to the last entry.
    pub lane: Uuid,
    waits: Waits,
    /// What is not known of earlier runs of the same batch.
    pub doubt: Doubt,
    leaves: OnceLock<Doubt>,
    began: AtomicBool,
    ended: AtomicBool,
}

impl<'c> Transaction<'c> {
    /// One that is not begun yet.
    pub fn new(line: &'c Line, lane: Uuid, waits: Waits, doubt: Doubt) -> Self {
        let mark = Uuid::now_v7().simple().to_string();
        let (began, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        let (client, leaves) = (&line.client, OnceLock::new());
        Self { client, line, mark, lane, waits, doubt, leaves, began, ended }
    }

    /// BEGIN, with the mark and the time.
    pub async fn begin(&self) -> Result<Reading, Error> {
        let [statement, lock] =
            [self.waits.statement, self.waits.lock].map(|max| max.as_millis().to_string());
        let params: [&(dyn ToSql + Sync); 3] = [&self.mark, &statement, &lock];
        // The rules wait for locks and then look again, whatever the database's default is.
        let (begun, marked) = tokio::join!(
            biased;
            self.client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED"),
            self.client.query_one(&self.line.mark, &params),
        );
        begun?;
        let now = marked?.get(0);
        self.began.store(true, Ordering::Relaxed);
        Ok(Reading { now, heard_at: Instant::now() })
    }

    /// Stands behind the keys in a batch that is sent at once, at `now` of PostgreSQL's clock. If
    /// it takes the keys much later, those who waited for it may have been told something else
    /// meanwhile: then it goes on without its mark, and no guard lets it commit.
    pub async fn unless_late(&self, now: OffsetDateTime) -> Result<(), Error> {
        let late = now + BEGINS_WITHIN;
        let _ = self.leaves.set(Doubt::Until(late));
        self.client.execute(&self.line.unmark, &[&late]).await.map(drop)
    }

    /// What will not be known of this run, if its answers are lost.
    pub fn leaves(&self) -> Doubt {
        self.leaves.get().copied().unwrap_or(Doubt::Lost)
    }

    /// COMMIT. Ok says nothing unless every statement before it was Ok as well.
    pub async fn commit(&self) -> Result<(), Error> {
        self.client.batch_execute("COMMIT").await?;
        self.ended.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// ROLLBACK, when it turned out that nothing is to be written: what the locks showed was
    /// true, and no flush is spent on it.
    pub async fn roll_back(&self) -> Result<(), Error> {
        self.client.batch_execute("ROLLBACK").await?;
        self.ended.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether it began and ended as it should.
    pub(super) fn is_complete(&self) -> bool {
        self.began.load(Ordering::Relaxed) && self.ended.load(Ordering::Relaxed)
    }
}
