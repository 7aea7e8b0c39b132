//! When a fault struck, and how many orders were under way then.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// From when until when.
pub type Period = (Instant, Instant);

/// When a fault struck, and for how long it lasted. Cheap to clone.
#[derive(Clone, Default)]
pub struct Strikes(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    periods: Vec<Period>,
    /// How many orders were under way, for each strike at which they were counted.
    counted: Vec<usize>,
}

impl Strikes {
    /// It strikes, and is over at once.
    pub fn now(&self) {
        drop(self.begins());
    }

    /// It strikes, and lasts until what is returned is dropped.
    pub fn begins(&self) -> Lasting {
        Lasting { strikes: self.clone(), since: Instant::now() }
    }

    /// It struck while so many orders were under way.
    pub fn counted(&self, under_way: usize) {
        self.0.lock().unwrap().counted.push(under_way);
    }

    /// How often it has struck.
    pub fn count(&self) -> usize {
        let seen = self.0.lock().unwrap();
        seen.periods.len() + seen.counted.len()
    }

    /// Whether somebody was acknowledged behind each strike behind which somebody began to buy.
    pub fn are_over_for(&self, orders: &[Period], acknowledged: &[Period]) -> bool {
        let seen = self.0.lock().unwrap();
        seen.periods.iter().all(|(_, until)| {
            orders.iter().all(|(begun, _)| begun < until)
                || acknowledged.iter().any(|(_, over)| over > until)
        })
    }

    /// Whether this order was under way at a strike; of those that were counted it is not known.
    pub fn meet(&self, order: &Period) -> bool {
        let seen = self.0.lock().unwrap();
        !seen.counted.is_empty() || seen.periods.iter().any(|strike| meets(order, strike))
    }

    /// The longest from the end of a strike to the end of the next of these, with the pauses of
    /// the test; `None` if it struck orders that were counted, or a strike has none behind it.
    pub fn back_after(&self, acknowledged: &[Period]) -> Option<Duration> {
        let next = |(_, until): &Period| {
            let since = |(_, over): &Period| over.checked_duration_since(*until);
            acknowledged.iter().filter_map(since).min()
        };
        let seen = self.0.lock().unwrap();
        let waits: Option<Vec<Duration>> = seen.periods.iter().map(next).collect();
        waits?.into_iter().max()
    }

    /// How many of these orders were under way, at each strike.
    pub fn under_way(&self, orders: &[Period]) -> Vec<usize> {
        let seen = self.0.lock().unwrap();
        let at = |strike: &Period| orders.iter().filter(|order| meets(order, strike)).count();
        seen.counted.iter().copied().chain(seen.periods.iter().map(at)).collect()
    }
}

fn meets((begun, over): &Period, (from, until): &Period) -> bool {
    begun <= until && over >= from
}

/// A fault that is not over yet.
#[must_use]
pub struct Lasting {
    strikes: Strikes,
    since: Instant,
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.strikes.0.lock().unwrap().periods.push((self.since, Instant::now()));
    }
}
