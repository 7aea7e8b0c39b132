//! What an instance knows of the stock: what its batches and its reads have found, which its view
//! hears of later, and in any order.

use crate::database::Database;
use crate::instance::Entry;
use crate::plant::Plant;
use crate::shop::Shop;
use doorbuster::error::{Code, Problem};
use doorbuster::inventory::{Passed, StockKey, Verdict, View, Want};
use doorbuster::order::{Command, Line};
use rand::Rng;
use rand::seq::SliceRandom;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// How long a count is conclusive.
pub const FRESH: Duration = Duration::from_millis(500);

/// Fewer rows than there are, so that some are forgotten.
const ROWS_MAX: usize = 2;

/// The count of a row, which was true at that time or later.
type Found = (StockKey, i64, OffsetDateTime);

/// What an instance knows of the stock.
pub struct Shelf {
    view: View,
    /// What the view has not heard of yet.
    found: Vec<Found>,
    /// Orders that look short on old counts.
    pub looking: Vec<Looking>,
    /// The rows that they need.
    wanted: BTreeSet<StockKey>,
    /// The read that is on its way.
    reading: Option<Read>,
}

/// An order that waits for newer counts, and since when.
pub struct Looking {
    entry: Entry,
    asked: OffsetDateTime,
}

struct Read {
    rows: BTreeSet<StockKey>,
    sent: OffsetDateTime,
    /// What the database has said, if it has looked already.
    found: Option<Vec<Found>>,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            view: View::new(FRESH, ROWS_MAX),
            found: Vec::new(),
            looking: Vec::new(),
            wanted: BTreeSet::new(),
            reading: None,
        }
    }
}

/// How many there were of each row, and since when, as far back as anybody may believe it.
#[derive(Debug, Default)]
pub struct Past(HashMap<StockKey, Vec<(OffsetDateTime, i64)>>);

impl Past {
    /// What is there now is there from now on. To be told before time passes, and of what is read.
    pub fn note(&mut self, database: &Database) {
        let is_over = |(since, _): &(OffsetDateTime, i64)| *since < database.now - FRESH;
        for (key, row) in &database.stock {
            let counts = self.0.entry(*key).or_default();
            if counts.last().is_none_or(|(_, last)| *last != row.level.available) {
                // The last of those is what it was when that time began.
                let first = counts.iter().rposition(is_over).unwrap_or(0);
                counts.drain(..first);
                counts.push((database.now, row.level.available));
            }
        }
    }

    /// Whoever is refused unasked is told counts that were true a moment ago, and not enough.
    fn judge_sold_out(
        &self,
        wants: &[Want],
        available: &[i64],
        database: &Database,
    ) -> Result<(), String> {
        let was_true = |(want, told): (&Want, &i64)| {
            let counts = &self.0[&want.key];
            let ends = counts.iter().skip(1).map(|(since, _)| *since).chain([database.now]);
            let mut counts = counts.iter().zip(ends);
            counts.any(|((_, count), end)| count == told && end >= database.now - FRESH)
        };
        let told = || wants.iter().zip(available);
        let is_short = told().any(|(want, available)| *available < want.quantity);
        match available.len() == wants.len() && is_short && told().all(was_true) {
            true => Ok(()),
            false => {
                Err(format!("{wants:?} are refused on {available:?}, and were {:?}", self.0))
            }
        }
    }
}

/// The answer to who wants more than there is.
pub fn not_enough() -> Problem {
    Problem::new(Code::OutOfStock, "There is not enough.")
}

/// What an order takes; nothing of anything else.
fn wants(command: &Command) -> Vec<Want> {
    let Command::Place { placement, .. } = command else { return Vec::new() };
    let want = |line: &Line| Want { key: line.stock, quantity: line.quantity };
    placement.lines.iter().map(want).collect()
}

impl Shop {
    /// An order that was priced goes to the journal, unless there is not enough for it.
    pub fn check(&mut self, at: usize, entry: Entry) {
        let asked = self.database.now;
        self.judge_by_view(at, Looking { entry, asked }, None);
    }

    /// Whoever has waited for the read that was sent then is not kept waiting for a second one.
    fn judge_by_view(&mut self, at: usize, looking: Looking, sent: Option<OffsetDateTime>) {
        let wants = wants(&looking.entry.command);
        let now = self.instant(self.database.now);
        let instance = &mut self.instances[at];
        match instance.shelf.view.judge(&wants, now) {
            Verdict::Passed(Passed::Go(_)) => instance.queue.push_back(looking.entry),
            Verdict::Passed(Passed::SoldOut(available)) => {
                self.count("refused by the view");
                if let Err(wrong) = self.past.judge_sold_out(&wants, &available, &self.database) {
                    self.database.find(wrong);
                }
                self.wait(at, looking.entry, Some(not_enough()));
            }
            Verdict::Look(_) if sent.is_some_and(|sent| looking.asked <= sent) => {
                instance.queue.push_back(looking.entry);
            }
            Verdict::Look(rows) => {
                instance.shelf.wanted.extend(rows);
                instance.shelf.looking.push(looking);
            }
        }
    }

    /// The instance has found out how many there are of these, by what it began a while ago.
    pub fn find_counts(&mut self, at: usize, keys: impl IntoIterator<Item = StockKey>) {
        let took = Duration::from_millis(self.dice.random_range(0..300));
        let began = (self.database.now - took).max(OffsetDateTime::UNIX_EPOCH);
        let found = self.read(keys, began);
        self.instances[at].shelf.found.extend(found);
    }

    /// The view hears of what was found; those who look short send a read, or have its answer.
    pub fn look_at_shelf(&mut self, at: usize) {
        let mut found = std::mem::take(&mut self.instances[at].shelf.found);
        found.shuffle(&mut self.dice);
        self.hear_counts(at, found);
        let now = self.database.now;
        let shelf = &mut self.instances[at].shelf;
        if let Some(Read { rows, sent, found }) = shelf.reading.take() {
            let looking = std::mem::take(&mut shelf.looking);
            self.count("counts read again");
            let found = found.unwrap_or_else(|| self.read(rows, sent));
            self.hear_counts(at, found);
            looking.into_iter().for_each(|it| self.judge_by_view(at, it, Some(sent)));
        } else if !shelf.wanted.is_empty() {
            let rows = std::mem::take(&mut shelf.wanted);
            let looks = self.dice.random_bool(0.5);
            let found = looks.then(|| self.read(rows.iter().copied(), now));
            self.instances[at].shelf.reading = Some(Read { rows, sent: now, found });
        }
    }

    /// What the database says of these rows.
    fn read(
        &mut self,
        keys: impl IntoIterator<Item = StockKey>,
        began: OffsetDateTime,
    ) -> Vec<Found> {
        self.past.note(&self.database);
        let stock = &self.database.stock;
        keys.into_iter().map(|key| (key, stock[&key].level.available, began)).collect()
    }

    fn hear_counts(&mut self, at: usize, found: Vec<Found>) {
        for (key, count, since) in found {
            let since = match self.plant {
                Some(Plant::BelieveOldCounts) => self.database.now,
                _ => since,
            };
            let since = self.instant(since);
            self.instances[at].shelf.view.observe(key, count, since);
        }
    }

    fn instant(&self, time: OffsetDateTime) -> Instant {
        self.opened + (time - OffsetDateTime::UNIX_EPOCH).unsigned_abs()
    }
}
