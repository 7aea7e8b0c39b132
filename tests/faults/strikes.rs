//! When a fault struck, how many orders were under way then, and when nobody was acknowledged.

use loadtests::record::{Outcome, Record};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// From when until when.
pub type Period = (Instant, Instant);

/// When a fault struck, and for how long it lasted. Cheap to clone.
#[derive(Clone, Default)]
pub struct Strikes(Arc<Mutex<Vec<Period>>>);

impl Strikes {
    /// It strikes, and is over at once.
    pub fn now(&self) {
        self.at(Instant::now());
    }

    /// It struck then, and was over at once.
    pub fn at(&self, moment: Instant) {
        self.lasted((moment, moment));
    }

    /// It struck, and is over.
    pub fn lasted(&self, period: Period) {
        self.0.lock().unwrap().push(period);
    }

    /// It strikes, and lasts until what is returned is dropped.
    pub fn begins(&self) -> Lasting {
        Lasting { strikes: self.clone(), since: Instant::now() }
    }

    /// How often it has struck.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Whether somebody was acknowledged behind each strike behind which somebody began to buy.
    pub fn are_over_for(&self, orders: &[Period], acknowledged: &[Period]) -> bool {
        self.0.lock().unwrap().iter().all(|(_, until)| {
            orders.iter().all(|(begun, _)| begun < until)
                || acknowledged.iter().any(|(_, over)| over > until)
        })
    }

    /// Whether this order was under way at a strike.
    pub fn meet(&self, order: &Period) -> bool {
        self.0.lock().unwrap().iter().any(|strike| meets(order, strike))
    }

    /// The longest from the end of a strike to the end of the next of these, with the pauses of
    /// the test; `None` if no strike has one behind it.
    pub fn back_after(&self, acknowledged: &[Period]) -> Option<Duration> {
        let next = |(_, until): &Period| {
            let since = |(_, over): &Period| over.checked_duration_since(*until);
            acknowledged.iter().filter_map(since).min()
        };
        self.0.lock().unwrap().iter().filter_map(next).max()
    }

    /// How many of these orders were under way, at each strike.
    pub fn under_way(&self, orders: &[Period]) -> Vec<usize> {
        let at = |strike: &Period| orders.iter().filter(|order| meets(order, strike)).count();
        self.0.lock().unwrap().iter().map(at).collect()
    }
}

fn meets((begun, over): &Period, (from, until): &Period) -> bool {
    begun <= until && over >= from
}

/// How long an order was under way, of a sale that began then: since it left for the first time.
pub fn period(record: &Record, begun: Instant) -> Period {
    let over = begun + Duration::from_micros(record.timing.answered_at_us);
    let left = record.timing.latency_us.saturating_sub(record.timing.lag_us);
    (over - Duration::from_micros(left), over)
}

/// The longest time between two acknowledgements, before the first one, or behind the last one
/// until nobody wants anything any more.
pub fn silence(records: &[Record]) -> Duration {
    let ended = |wanted: Outcome| {
        let of_these = records.iter().filter(move |one| one.outcome() == wanted);
        of_these.map(|one| one.timing.answered_at_us)
    };
    let mut times: Vec<u64> = ended(Outcome::Acknowledged).collect();
    times.extend([0, ended(Outcome::Unknown).max().unwrap_or(0)]);
    times.sort_unstable();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    Duration::from_micros(gaps.max().unwrap_or(0))
}

/// A fault that is not over yet.
#[must_use]
pub struct Lasting {
    strikes: Strikes,
    since: Instant,
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.strikes.lasted((self.since, Instant::now()));
    }
}
