//! What an instance knows of the stock: what its batches and its reads have found, which its view
//! hears of later, and in any order.

use crate::instance::Entry;
use crate::plant::Plant;
use crate::shop::Shop;
use doorbuster::error::{Code, Problem};
use doorbuster::inventory::{Passed, StockKey, Verdict, View, Want};
use doorbuster::order::{Command, Line};
use rand::Rng;
use rand::seq::SliceRandom;
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
    /// Orders that look short on old counts, and since when they wait for newer ones.
    pub looking: Vec<(Entry, OffsetDateTime)>,
    /// When the read was sent that is on its way.
    reading: Option<OffsetDateTime>,
}

impl Default for Shelf {
    fn default() -> Self {
        let view = View::new(FRESH, ROWS_MAX);
        Self { view, found: Vec::new(), looking: Vec::new(), reading: None }
    }
}

/// What an order takes; nothing of anything else.
fn wants(command: &Command) -> Vec<Want> {
    let Command::Place { placement, .. } = command else { return Vec::new() };
    let want = |line: &Line| Want { key: line.stock, quantity: line.quantity };
    placement.lines.iter().map(want).collect()
}

impl Shop {
    /// An order that was priced goes to the journal, unless there is not enough for it.
    pub fn check(&mut self, at: usize, entry: Entry, asked: OffsetDateTime) {
        let wants = wants(&entry.command);
        let now = self.instant(self.database.now);
        match self.instances[at].shelf.view.judge(&wants, now) {
            Verdict::Passed(Passed::Go(_)) => self.instances[at].queue.push_back(entry),
            Verdict::Passed(Passed::SoldOut(available)) => {
                self.count("refused by the view");
                self.database.judge_sold_out(&wants, &available);
                let problem = Problem::new(Code::OutOfStock, "There is not enough.");
                self.wait(at, entry, Some(problem));
            }
            Verdict::Look(_) => self.instances[at].shelf.looking.push((entry, asked)),
        }
    }

    /// The instance has found out how many there are of these, by what it began a while ago.
    pub fn find_counts(&mut self, at: usize, keys: impl IntoIterator<Item = StockKey>) {
        let took = Duration::from_millis(self.dice.random_range(0..300));
        let began = (self.database.now - took).max(OffsetDateTime::UNIX_EPOCH);
        let stock = &self.database.stock;
        let found = keys.into_iter().map(|key| (key, stock[&key].level.available, began));
        self.instances[at].shelf.found.extend(found);
    }

    /// The view hears of what was found; those who look short send a read, or have its answer.
    pub fn look_at_shelf(&mut self, at: usize) {
        let mut found = std::mem::take(&mut self.instances[at].shelf.found);
        found.shuffle(&mut self.dice);
        found.into_iter().for_each(|found| self.hear_count(at, found));
        let now = self.database.now;
        let shelf = &mut self.instances[at].shelf;
        if shelf.looking.is_empty() {
            return;
        }
        let Some(sent) = shelf.reading.take() else {
            shelf.reading = Some(now);
            return;
        };
        self.count("counts read again");
        for key in self.rows.clone() {
            self.hear_count(at, (key, self.database.stock[&key].level.available, sent));
        }
        for (entry, asked) in std::mem::take(&mut self.instances[at].shelf.looking) {
            let judged =
                self.instances[at].shelf.view.judge(&wants(&entry.command), self.instant(now));
            match judged {
                // It is not kept waiting for a second read.
                Verdict::Look(_) if asked <= sent => self.instances[at].queue.push_back(entry),
                _ => self.check(at, entry, asked),
            }
        }
    }

    fn hear_count(&mut self, at: usize, (key, count, since): Found) {
        let since = match self.plant {
            Some(Plant::BelieveOldCounts) => self.database.now,
            _ => since,
        };
        let since = self.instant(since);
        self.instances[at].shelf.view.observe(key, count, since);
    }

    fn instant(&self, time: OffsetDateTime) -> Instant {
        self.opened + (time - OffsetDateTime::UNIX_EPOCH).unsigned_abs()
    }
}
