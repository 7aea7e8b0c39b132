//! Group commit, generic over what is committed.
//!
//! While one transaction is on its way, the next batch gathers; it leaves when the previous one
//! returns, or, from a lane that is alone, when that one has rested. Several lanes share one queue;
//! each owns a raw connection outside the pools and writes BEGIN and COMMIT itself.
//!
//! An entry is answered only after *every* statement of its transaction, BEGIN and COMMIT
//! included, came back Ok: after a failed statement PostgreSQL answers COMMIT with ROLLBACK,
//! which the driver does not show. If the answer is lost, the same batch runs again with the
//! same ids and keys: the unique index waits for the doubtful transaction and then tells.

mod attempt;
mod gate;
mod intake;
mod statements;
mod transaction;
mod work;

pub use attempt::{Attempt, BEGINS_WITHIN, Doubt, Next, refused};
use gate::End;
pub use gate::{Bounds, Gate, Pass};
pub(crate) use statements::statements;
pub use transaction::{Line, Reading, Transaction, Waits};
pub use work::{Form, Weight, Work};

use crate::error::{Code, Problem};
use crate::metrics;
use crate::postgres::{Postgres, class, describe, unavailable};
use intake::{Intake, Turn, Turns};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{timeout, timeout_at};
use tokio_postgres::Error;
use uuid::Uuid;

/// The limits of a journal.
#[derive(Debug, Clone)]
pub struct Limits {
    /// What is committed, as metrics call it.
    pub name: &'static str,
    /// Lanes, each with a connection of its own.
    pub connections: usize,
    /// Entries per transaction; beyond 100–250 only latency grows.
    pub batch_max: usize,
    /// Lines per transaction.
    pub lines_max: usize,
    /// Bytes per transaction.
    pub bytes_max: usize,
    /// While a batch is on its way, another one leaves only with so many entries.
    pub gather_min: usize,
    /// Entries that may wait.
    pub queue_max: usize,
    /// Runs of one batch that meets deadlocks.
    pub attempts_max: u32,
    /// How many may be in flight at a time.
    pub in_flight: Bounds,
}

/// The handle of a journal. Cheap to clone.
pub struct Journal<E> {
    /// Whoever brings an entry has entered here before, and leaves when its work is done.
    pub gate: Gate,
    queue: mpsc::Sender<E>,
    turns: Arc<Turns>,
    connected: Arc<AtomicUsize>,
    closing: watch::Receiver<bool>,
}

impl<E> Clone for Journal<E> {
    fn clone(&self) -> Self {
        Self {
            gate: self.gate.clone(),
            queue: self.queue.clone(),
            turns: self.turns.clone(),
            connected: self.connected.clone(),
            closing: self.closing.clone(),
        }
    }
}

/// The lanes of a journal.
pub struct Lanes {
    tasks: Vec<JoinHandle<()>>,
    closing: watch::Sender<bool>,
}

impl Lanes {
    /// Refuses new entries, and waits until everything queued is committed and answered.
    pub async fn close(self) {
        self.closing.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a lane of the journal ended badly");
            }
        }
    }
}

impl<E> Journal<E> {
    /// A journal that commits nothing, for benches and tests: entries arrive at the receiver.
    pub fn detached(queue_max: usize) -> (Self, Lanes, mpsc::Receiver<E>) {
        let (queue, entries) = mpsc::channel(queue_max);
        let (closing, closed) = watch::channel(false);
        let connected = Arc::new(AtomicUsize::new(1));
        let lanes = Lanes { tasks: Vec::new(), closing };
        let turns = Arc::default();
        let target = Duration::MAX;
        let gate = Gate::new("detached", Bounds { fewest: queue_max, most: queue_max, target });
        (Self { gate, queue, turns, connected, closing: closed }, lanes, entries)
    }

    /// Queues what `entry` makes of the sender of its answer, and waits for the outcome: a little
    /// longer than the deadline, because it may be on its way by then.
    pub async fn ask<O>(
        &self,
        deadline: Instant,
        entry: impl FnOnce(oneshot::Sender<Result<O, Problem>>) -> E,
    ) -> Result<O, Problem> {
        if deadline <= Instant::now() {
            return Err(late());
        }
        let (answer, answered) = oneshot::channel();
        let waiting = self.gate.wait();
        self.submit(entry(answer)).map_err(|(_, problem)| problem)?;
        let outcome = match timeout_at((deadline + GRACE).into(), answered).await {
            Ok(Ok(outcome)) => outcome,
            _ => Err(Problem::unknown_outcome()),
        };
        waiting.ends(if outcome.is_ok() { End::Committed } else { End::Failed });
        outcome
    }

    /// Queues an entry, or gives it back with the reason: the queue is full (`overloaded`) or
    /// the database is away (`storage_unavailable`). Nothing has begun then.
    pub fn submit(&self, entry: E) -> Result<(), (E, Problem)> {
        if *self.closing.borrow() {
            return Err((entry, Problem::new(Code::Overloaded, "This instance is stopping.")));
        }
        if self.connected.load(Ordering::Relaxed) == 0 {
            return Err((entry, unavailable()));
        }
        self.queue.try_send(entry).map_err(|error| {
            let full = Problem::new(Code::Overloaded, "Too many changes are waiting.");
            (error.into_inner(), full)
        })?;
        // Whoever gathers has taken the first one out.
        self.turns.look(self.queue.max_capacity() - self.queue.capacity() + 1);
        Ok(())
    }
}

/// The answer to who comes, or is taken up, when their time is over.
fn late() -> Problem {
    Problem::new(Code::Overloaded, "It waited too long for its turn.")
}

/// Starts the lanes on the runtime of the database connections.
pub fn start<W: Work>(
    work: Arc<W>,
    limits: Limits,
    postgres: &Postgres,
) -> (Journal<W::Entry>, Lanes) {
    let (queue, entries) = mpsc::channel(limits.queue_max);
    let (closing, closed) = watch::channel(false);
    let connected = Arc::new(AtomicUsize::new(0));
    let turns = Arc::<Turns>::default();
    let intake = Arc::new(Mutex::new(Intake::new(entries)));
    let lanes = (0..limits.connections).map(|_| {
        let lane = Lane {
            work: work.clone(),
            limits: limits.clone(),
            postgres: postgres.clone(),
            intake: intake.clone(),
            turns: turns.clone(),
            connected: connected.clone(),
            closing: closed.clone(),
        };
        postgres.runtime().spawn(lane.supervise())
    });
    let lanes = Lanes { tasks: lanes.collect(), closing };
    let gate = Gate::new(limits.name, limits.in_flight);
    (Journal { gate, queue, turns, connected, closing: closed }, lanes)
}

struct Connection<S> {
    line: Line,
    statements: S,
    _up: Up,
}

/// Counts a connection that is up, until it is dropped.
struct Up {
    connected: Arc<AtomicUsize>,
    journal: &'static str,
}

impl Up {
    fn new(connected: &Arc<AtomicUsize>, journal: &'static str) -> Self {
        metrics::journal_connections(journal, connected.fetch_add(1, Ordering::Relaxed) + 1);
        Self { connected: connected.clone(), journal }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let before = self.connected.fetch_sub(1, Ordering::Relaxed);
        metrics::journal_connections(self.journal, before - 1);
    }
}

/// What the lanes of a journal have in common.
struct Lane<W: Work> {
    work: Arc<W>,
    limits: Limits,
    postgres: Postgres,
    intake: Arc<Mutex<Intake<W::Entry>>>,
    turns: Arc<Turns>,
    connected: Arc<AtomicUsize>,
    closing: watch::Receiver<bool>,
}

impl<W: Work> Lane<W> {
    /// Runs the lane, and a fresh one after a panic; the batch that panicked is not answered,
    /// so its clients learn that the outcome is unknown.
    async fn supervise(self) {
        let shared = Arc::new(self);
        while let Err(error) = tokio::spawn(Runner::new(shared.clone()).run()).await {
            if !error.is_panic() {
                break;
            }
            tracing::error!(%error, "a lane of the journal panicked; it starts again");
            metrics::actor_restart("journal");
        }
    }
}

/// A lane at work: what it shares, and its connection.
struct Runner<W: Work> {
    id: Uuid,
    lane: Arc<Lane<W>>,
    connection: Option<Connection<W::Statements>>,
    /// Those who wait for somebody else's lock; whoever has waited longest is first.
    held: VecDeque<Attempt<W::Entry>>,
}

impl<W: Work> Runner<W> {
    fn new(lane: Arc<Lane<W>>) -> Self {
        Self { id: Uuid::now_v7(), lane, connection: None, held: VecDeque::new() }
    }

    async fn run(mut self) {
        let lane = self.lane.clone();
        let mut rested = Instant::now();
        loop {
            if !self.connect().await {
                if self.refuse_waiting().await {
                    break;
                }
                tokio::time::sleep(RECONNECT_PAUSE).await;
                continue;
            }
            let Some((batch, _turn)) = self.next(rested).await else { break };
            let batch = self.in_time(batch, &late());
            if batch.is_empty() {
                continue;
            }
            if self.connect().await {
                let (left, entries) = (Instant::now(), batch.len());
                let form = lane.work.form(&batch);
                let is_held = !self.held.is_empty();
                self.settle(Attempt { is_held, ..Attempt::new(batch, form) }).await;
                rested = Instant::now() + lane.limits.rest(entries, left.elapsed());
            } else {
                batch.into_iter().for_each(|entry| lane.work.answer(entry, Err(unavailable())));
            }
        }
    }

    /// The next batch, which is on its way then; an empty one after another run of somebody who
    /// waits for a lock, if nobody else waits. `None` once the journal is closed and empty.
    async fn next(&mut self, rested: Instant) -> Option<(Vec<W::Entry>, Turn)> {
        let lane = self.lane.clone();
        let Some(attempt) = self.held.pop_front() else {
            let mut intake = lane.intake.lock().await;
            let batch = intake.next(&lane, rested.into()).await?;
            return Some((batch, lane.turns.leave()));
        };
        self.settle(attempt).await;
        // If another lane has the intake, it takes what comes.
        let ready = lane.intake.try_lock().ok().and_then(|mut intake| intake.ready(&lane));
        Some((ready.unwrap_or_default(), lane.turns.leave()))
    }

    /// Runs the batch until each of its entries is answered, or waits for a lock alone.
    async fn settle(&mut self, attempt: Attempt<W::Entry>) {
        let mut open = vec![attempt];
        while let Some(mut attempt) = open.pop() {
            if attempt.runs > 0 || attempt.is_held {
                attempt.batch = self.in_time(attempt.batch, &Problem::unknown_outcome());
            }
            if attempt.batch.is_empty() {
                continue;
            }
            let Some(connection) = &self.connection else {
                open.extend(self.reconnect_for(attempt).await);
                continue;
            };
            attempt.runs += 1;
            let error = match self.attempt(connection, &mut attempt).await {
                Ok(outcomes) => {
                    for (entry, outcome) in attempt.batch.into_iter().zip(outcomes) {
                        self.lane.work.answer(entry, Ok(outcome));
                    }
                    continue;
                }
                Err(error) => error,
            };
            // After an error the server's COMMIT is a ROLLBACK; between two trips there was none.
            if connection.line.client.batch_execute("ROLLBACK").await.is_err() {
                self.connection = None;
            }
            let class = class(&error);
            metrics::journal_retry(self.lane.limits.name, class);
            tracing::debug!(error = %describe(&error), ?class, form = ?attempt.form, "again");
            for next in attempt.after(class, self.lane.limits.attempts_max) {
                match next {
                    Next::Again(attempt) => open.push(attempt),
                    Next::Later(attempt) => self.held.push_back(attempt),
                    Next::Reconnect(attempt) => {
                        self.connection = None;
                        open.extend(self.reconnect_for(attempt).await);
                    }
                    Next::Refuse(entry) => {
                        self.lane.work.answer(entry, Err(refused(class, describe(&error))));
                    }
                    Next::Unknown(entry) => {
                        self.lane.work.answer(entry, Err(Problem::unknown_outcome()));
                    }
                }
            }
        }
    }

    /// One run of the batch in one transaction.
    async fn attempt(
        &self,
        connection: &Connection<W::Statements>,
        attempt: &mut Attempt<W::Entry>,
    ) -> Result<Vec<W::Outcome>, Error> {
        let (batch, form) = (&attempt.batch, attempt.form);
        let started = Instant::now();
        let last = batch.iter().map(|entry| self.lane.work.deadline(entry)).max();
        let waited_for =
            last.map_or(Duration::ZERO, |last| last.saturating_duration_since(started));
        let (line, max) = (&connection.line, waited_for + GRACE);
        let waits = Waits { statement: max, lock: attempt.lock_max() };
        let transaction = Transaction::new(line, self.id, waits, attempt.doubt);
        let run = self.lane.work.run(&transaction, &connection.statements, batch, form).await;
        attempt.leaves = transaction.leaves();
        let outcomes = run?;
        assert!(transaction.is_complete(), "an outcome without BEGIN and COMMIT");
        assert_eq!(outcomes.len(), batch.len(), "an outcome for each entry");
        let journal = self.lane.limits.name;
        metrics::journal_commit(journal, form.as_str(), batch.len(), started.elapsed());
        Ok(outcomes)
    }

    /// After the outcome became unknown: entries in time go again on a new connection.
    async fn reconnect_for(&mut self, attempt: Attempt<W::Entry>) -> Option<Attempt<W::Entry>> {
        let mut attempt = attempt.exact();
        loop {
            tokio::time::sleep(RECONNECT_PAUSE).await;
            attempt.batch = self.in_time(attempt.batch, &Problem::unknown_outcome());
            if attempt.batch.is_empty() {
                return None;
            }
            if self.connect().await {
                return Some(attempt);
            }
            self.refuse_waiting().await;
        }
    }

    /// Answers the entries whose deadline has passed, and keeps the others.
    fn in_time(&self, batch: Vec<W::Entry>, late_answer: &Problem) -> Vec<W::Entry> {
        let now = Instant::now();
        let (late, in_time): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|entry| self.lane.work.deadline(entry) <= now);
        for entry in late {
            self.lane.work.answer(entry, Err(late_answer.clone()));
        }
        in_time
    }

    /// Whether there is a working connection, opened if need be.
    async fn connect(&mut self) -> bool {
        if self.connection.as_ref().is_some_and(|connection| !connection.line.client.is_closed())
        {
            return true;
        }
        self.connection = None;
        let opened = async {
            let client = self.lane.postgres.connect().await?;
            let prepared = async {
                let line = Line::on(client).await?;
                let statements = self.lane.work.prepare(&line.client).await?;
                Ok((line, statements))
            };
            prepared.await.map_err(|error| describe(&error))
        };
        match timeout(CONNECT_MAX, opened).await {
            Ok(Ok((line, statements))) => {
                let _up = Up::new(&self.lane.connected, self.lane.limits.name);
                self.connection = Some(Connection { line, statements, _up });
            }
            Ok(Err(error)) => tracing::warn!(error, "the journal cannot connect"),
            Err(_) => tracing::warn!("the journal cannot connect: the database does not answer"),
        }
        self.connection.is_some()
    }

    /// While the database is away nothing waits in the queue; true when the journal is closed.
    async fn refuse_waiting(&mut self) -> bool {
        // None of them is in doubt.
        for entry in self.held.drain(..).flat_map(|attempt| attempt.batch) {
            self.lane.work.answer(entry, Err(unavailable()));
        }
        // Another lane may sit in `next` with the lock: then it is connected and takes them.
        let Ok(mut intake) = self.lane.intake.try_lock() else { return false };
        if self.lane.connected.load(Ordering::Relaxed) > 0 {
            return false;
        }
        let held_back = intake.held_back.take();
        held_back.into_iter().for_each(|entry| self.lane.work.answer(entry, Err(unavailable())));
        while let Ok(entry) = intake.entries.try_recv() {
            self.lane.work.answer(entry, Err(unavailable()));
        }
        *self.lane.closing.borrow()
    }
}

/// Beyond its deadline an entry is waited for this long.
const GRACE: Duration = Duration::from_secs(1);
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
const CONNECT_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_comes_when_their_time_is_over_hears_that_nothing_was_begun() {
        let (journal, _lanes, mut entries) =
            Journal::<oneshot::Sender<Result<(), Problem>>>::detached(1);
        let told = journal.ask(Instant::now(), |answer| answer).await;
        assert_eq!(told, Err(late()));
        assert!(entries.try_recv().is_err());
        // With some time left it goes in, and is not known when nobody says what became of it.
        let told = journal.ask(Instant::now() + Duration::from_millis(20), |answer| answer).await;
        assert_eq!(told, Err(Problem::unknown_outcome()));
        assert!(entries.try_recv().is_ok());
    }
}
