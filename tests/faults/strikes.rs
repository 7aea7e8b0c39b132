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
    /// At strikes whose orders were counted when they happened.
    counted: usize,
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
        self.0.lock().unwrap().counted += under_way;
    }

    /// How often it has struck.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().periods.len()
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

    /// How many of these orders were under way, at all strikes together.
    pub fn under_way(&self, orders: &[Period]) -> usize {
        let seen = self.0.lock().unwrap();
        let at = |(from, until): &Period| {
            orders.iter().filter(|(begun, over)| begun <= until && over >= from).count()
        };
        seen.counted + seen.periods.iter().map(at).sum::<usize>()
    }
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
