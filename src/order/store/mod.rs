//! The orders' side of the journal: one transaction for a whole batch.
//!
//! *Exact form*: trip 1 takes the keys and locks the rows, the rules decide on what the locks
//! returned, trip 2 writes. *Optimistic form*: the rules decide on presumed plenty and everything
//! leaves in one trip; guards in SQL send the batch to the exact form if the presumption was
//! wrong. Locks are taken in one order everywhere: keys, carts, stock, orders; each sorted.

mod checks;
pub mod erase;
pub mod export;
mod growth;
mod hand_over;
mod read;
mod rows;
mod search;
mod statements;
mod trips;

pub use checks::CHECKS;
pub use growth::GROWTHS;
pub use hand_over::{claim, hand_over};
pub use read::{
    candidates_for_expiry, find, find_of_shopper, known, list_of_shopper, take_unsettled,
};
pub use search::{Filter, search};

use super::command::{Command, Outcome, Periods, World};
use super::decide::{Decision, decide, is_idle};
use crate::error::Problem;
use crate::inventory::{Inventory, StockKey};
use crate::journal::{Form, Reading, Transaction, Weight, Work};
use crate::retention::Sweep;
use rows::Rows;
use statements::Statements;
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tokio_postgres::{Client, Error};

/// What is not kept for ever.
pub const SWEEPS: &[Sweep] = &[Sweep {
    table: "outbox",
    since: "created_at",
    only: "true",
    keep: |settings| settings.outbox,
}];

/// One command on its way through the journal, with the sender of its answer: a panicking actor
/// loses none.
pub struct Entry {
    /// What to do.
    pub command: Command,
    /// For each line of an order to place: what the view last saw to be available.
    pub seen: Vec<Option<i64>>,
    /// When the client stops waiting.
    pub deadline: Instant,
    /// Where the outcome goes.
    pub answer: oneshot::Sender<Result<Outcome, Problem>>,
}

/// Commits order commands.
pub struct OrderCommits {
    /// How long orders wait.
    pub periods: Periods,
    /// The batch may take at most one part in this many of what the view saw.
    pub plenty_factor: i64,
    /// Learns what was committed before anybody is answered.
    pub inventory: Inventory,
    /// The block of order numbers in use.
    pub numbers: Numbers,
    /// PostgreSQL's clock, for the optimistic form.
    pub clock: Clock,
}

impl Work for OrderCommits {
    type Entry = Entry;
    type Outcome = Outcome;
    type Statements = Statements;

    fn weight(&self, entry: &Entry) -> Weight {
        let lines = entry.command.placement().lines.len();
        Weight { lines, bytes: 1024 + 512 * lines }
    }

    fn deadline(&self, entry: &Entry) -> Instant {
        entry.deadline
    }

    /// Optimistic when every entry places an order and the view saw plenty for all together.
    fn form(&self, batch: &[Entry]) -> Form {
        let mut wanted: HashMap<StockKey, (i64, i64)> = HashMap::new();
        for Entry { command, seen, .. } in batch {
            let Command::Place { placement, .. } = command else { return Form::Exact };
            for (index, line) in placement.lines.iter().enumerate() {
                let Some(Some(available)) = seen.get(index) else { return Form::Exact };
                let (sum, version) = wanted.entry(line.stock).or_insert((0, line.offer_version));
                *sum += line.quantity;
                let is_plenty = sum.saturating_mul(self.plenty_factor) <= *available;
                if !is_plenty || *version != line.offer_version {
                    return Form::Exact;
                }
            }
        }
        if self.clock.now().is_some() { Form::Optimistic } else { Form::Exact }
    }

    async fn prepare(&self, client: &Client) -> Result<Statements, Error> {
        Statements::prepare(client).await
    }

    async fn run(
        &self,
        transaction: &Transaction<'_>,
        statements: &Statements,
        batch: &[Entry],
        form: Form,
    ) -> Result<Vec<Outcome>, Error> {
        let commands: Vec<&Command> = batch.iter().map(|entry| &entry.command).collect();
        let first = self.decide(transaction, statements, &commands, form).await?;
        let refuses = first.decisions.iter().any(|decision| decision.outcome.is_refusal());
        let decided = match transaction.doubt.wait(first.now, refuses) {
            Some(left) => {
                transaction.roll_back().await?;
                tokio::time::sleep(left).await;
                self.decide(transaction, statements, &commands, Form::Exact).await?
            }
            None => first,
        };
        let Decided { form, now, at, mut seen, decisions } = decided;
        if is_idle(commands.iter().copied(), &decisions) {
            transaction.roll_back().await?;
        } else {
            let rows = Rows::of(&commands, &decisions);
            seen.extend(trips::write(transaction, statements, &rows, form, now).await?);
        }
        self.inventory.observe(seen.into_iter().collect(), at).await;
        Ok(decisions.into_iter().map(|decision| decision.outcome).collect())
    }

    fn answer(&self, entry: Entry, outcome: Result<Outcome, Problem>) {
        // The client may have left; its work is done all the same.
        let _ = entry.answer.send(outcome);
    }
}

/// A batch before it is written.
struct Decided {
    form: Form,
    /// PostgreSQL's clock.
    now: OffsetDateTime,
    /// When the counts were seen.
    at: Instant,
    seen: HashMap<StockKey, i64>,
    decisions: Vec<Decision>,
}

impl OrderCommits {
    /// Decides on what the locks return, or on what the optimistic form presumes.
    async fn decide(
        &self,
        transaction: &Transaction<'_>,
        statements: &Statements,
        commands: &[&Command],
        form: Form,
    ) -> Result<Decided, Error> {
        let next_number = self.numbers.take(transaction.client, commands.len()).await?;
        let mut at = Instant::now();
        let (form, world) = match (form, self.clock.now()) {
            (Form::Optimistic, Some(now)) => {
                (form, World::presumed(commands, now, next_number, self.periods))
            }
            _ => {
                let locked = trips::lock(transaction, statements, commands).await?;
                self.clock.set(locked.clock);
                // The counts are those under the locks, so the locks order their instants.
                at = Instant::now();
                let world = World {
                    now: locked.clock.now,
                    next_number,
                    keys: locked.keys,
                    stock: locked.stock,
                    taken: HashSet::new(),
                    carts: locked.carts,
                    orders: locked.orders,
                    periods: self.periods,
                };
                (Form::Exact, world)
            }
        };
        let seen = match form {
            Form::Exact => available(&world),
            Form::Optimistic => HashMap::new(),
        };
        let now = world.now;
        let decisions = decide(commands.iter().copied(), world);
        Ok(Decided { form, now, at, seen, decisions })
    }
}

fn available(world: &World) -> HashMap<StockKey, i64> {
    world.stock.iter().map(|(key, row)| (*key, row.level.available)).collect()
}

/// Order numbers from blocks of a sequence: no row and no round trip per order.
#[derive(Default)]
pub struct Numbers(Mutex<(i64, i64)>);

impl Numbers {
    /// The size of a block, as the sequence's `INCREMENT` says.
    const BLOCK: i64 = 1_000;

    /// The first of `count` successive numbers; a crash or a refusal leaves a gap.
    async fn take(&self, client: &Client, count: usize) -> Result<i64, Error> {
        // A batch has at most 1,000 entries: the configuration refuses more.
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        assert!(count <= Self::BLOCK, "a batch larger than a block of numbers");
        if let Some(first) = self.within_block(count) {
            return Ok(first);
        }
        let row = client.query_one("SELECT nextval('order_numbers')", &[]).await?;
        let first: i64 = row.get(0);
        let mut block = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *block = (first + count, first + Self::BLOCK);
        Ok(first)
    }

    fn within_block(&self, count: i64) -> Option<i64> {
        let mut block = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (next, end) = *block;
        (next + count <= end).then(|| {
            *block = (next + count, end);
            next
        })
    }
}

/// After this long the clock is read again, by a batch in the exact form.
const CLOCK_MAX: Duration = Duration::from_secs(60);

/// PostgreSQL's clock as last read, carried on by the monotonic one: all instances agree.
#[derive(Default)]
pub struct Clock(Mutex<Option<Reading>>);

impl Clock {
    fn set(&self, reading: Reading) {
        let mut read = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *read = Some(reading);
    }

    /// To the microsecond, as PostgreSQL stores it.
    fn now(&self) -> Option<OffsetDateTime> {
        let read = *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        read.filter(|read| read.heard_at.elapsed() < CLOCK_MAX).map(|read| {
            let elapsed = i64::try_from(read.heard_at.elapsed().as_micros()).unwrap_or(i64::MAX);
            read.now + time::Duration::microseconds(elapsed)
        })
    }
}
