//! How many may be in flight at a time: as many as are committed while one may wait.
//!
//! Whoever is let in beyond that only waits longer, and so does everybody behind. So the limit
//! follows what is measured: by Little's law, what is committed in the time that one may take is
//! what fits in.

use crate::metrics;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long commits are watched before the limit is set anew.
const WINDOW: Duration = Duration::from_millis(100);

/// What the limit keeps to.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Always let in: with fewer, batches are smaller and nobody waits less.
    pub fewest: usize,
    /// Never more.
    pub most: usize,
    /// How long a change may take from its arrival to its commit.
    pub target: Duration,
}

/// The limit, and what was seen since it was set.
#[derive(Debug)]
struct Limit {
    bounds: Bounds,
    now: usize,
    since: Instant,
    committed: u32,
    /// … and those that came to nothing, after a while.
    failed: u32,
    /// How long both took together.
    took: Duration,
    /// How many waited for their commit at the most.
    peak: usize,
    /// How many were in flight for another reason meanwhile: a provider, say.
    elsewhere: usize,
}

impl Limit {
    /// As many as may be.
    fn new(bounds: Bounds, since: Instant) -> Self {
        let (now, took) = (bounds.most, Duration::ZERO);
        Self { bounds, now, since, committed: 0, failed: 0, took, peak: 0, elsewhere: 0 }
    }

    /// A change ended in this way, after so long; so many waited for their commit, and so many for
    /// something else. Whether the limit was set anew: is it time, and has somebody been refused
    /// meanwhile?
    fn learn(
        &mut self,
        (end, took): (End, Duration),
        (waiting, elsewhere): (usize, usize),
        at: Instant,
        was_refused: impl FnOnce() -> bool,
    ) -> bool {
        match end {
            End::Committed => self.committed += 1,
            // What is refused at once says nothing of how long a commit takes.
            End::Failed if took <= self.bounds.target => return false,
            End::Failed => self.failed += 1,
        }
        self.took += took;
        self.peak = self.peak.max(waiting);
        self.elsewhere = self.elsewhere.max(elsewhere);
        let watched = at.saturating_duration_since(self.since);
        if watched < WINDOW {
            return false;
        }
        let Bounds { fewest, most, target } = self.bounds;
        let is_slow = self.took / (self.committed + self.failed) > target;
        let next = if is_slow && self.peak > fewest {
            // Nobody fits in who is not committed.
            let fit = f64::from(self.committed) * target.div_duration_f64(watched);
            // One window may have seen a disk that hiccups.
            (fit as usize + self.elsewhere).max(self.now / 2).min(self.now)
        } else if !is_slow && (self.peak <= fewest || was_refused()) {
            self.now + self.now / 8 + 1
        } else {
            self.now
        };
        *self = Self { now: next.clamp(fewest.min(most), most), ..Self::new(self.bounds, at) };
        true
    }
}

/// What came of waiting for a commit.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Committed,
    Failed,
}

/// Counts what is in flight, and lets in what is committed in time. Cheap to clone.
#[derive(Clone)]
pub struct Gate(Arc<Shared>);

struct Shared {
    name: &'static str,
    in_flight: AtomicUsize,
    /// … of them those that wait for their commit.
    waiting: AtomicUsize,
    was_refused: AtomicBool,
    /// None are let in any more once it is 0.
    limit: AtomicUsize,
    rule: Mutex<Limit>,
    emptied: Notify,
}

/// One that is in flight, until it is dropped.
pub struct Pass(Gate);

impl Gate {
    /// An empty one; `name` is what metrics call it.
    pub fn new(name: &'static str, bounds: Bounds) -> Self {
        metrics::in_flight_limit(name, bounds.most);
        Self(Arc::new(Shared {
            name,
            in_flight: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            was_refused: AtomicBool::new(false),
            limit: AtomicUsize::new(bounds.most),
            rule: Mutex::new(Limit::new(bounds, Instant::now())),
            emptied: Notify::new(),
        }))
    }

    /// Lets one more in, if there is room.
    pub fn enter(&self) -> Option<Pass> {
        let limit = self.0.limit.load(Ordering::Relaxed);
        let one_more = |count: usize| (count < limit).then_some(count + 1);
        let entered =
            self.0.in_flight.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more);
        if entered.is_err() {
            self.0.was_refused.store(true, Ordering::Relaxed);
        }
        entered.is_ok().then(|| Pass(self.clone()))
    }

    /// Somebody waits for a commit from now on, until it is dropped.
    pub(super) fn wait(&self) -> Waiting {
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting { gate: self.clone(), since: Instant::now() }
    }

    /// How many are in flight.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::Acquire)
    }

    fn learn(&self, end: End, took: Duration, waiting: usize) {
        let elsewhere = self.in_flight().saturating_sub(waiting);
        let was_refused = || self.0.was_refused.swap(false, Ordering::Relaxed);
        let mut rule = self.0.rule.lock().unwrap_or_else(PoisonError::into_inner);
        if rule.learn((end, took), (waiting, elsewhere), Instant::now(), was_refused) {
            metrics::in_flight_limit(self.0.name, rule.now);
            // Closed is closed.
            let open = |limit: usize| (limit > 0).then_some(rule.now);
            let _ = self.0.limit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, open);
        }
    }

    /// Lets nobody in any more, and waits until nothing is in flight.
    pub async fn drained(&self) {
        self.0.limit.store(0, Ordering::Relaxed);
        loop {
            let emptied = self.0.emptied.notified();
            if self.in_flight() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// Somebody who waits for a commit.
pub(super) struct Waiting {
    gate: Gate,
    since: Instant,
}

impl Waiting {
    /// It is over.
    pub(super) fn ends(self, end: End) {
        let waiting = self.gate.0.waiting.load(Ordering::Relaxed);
        self.gate.learn(end, self.since.elapsed(), waiting);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.gate.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.0.0.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.emptied.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const BOUNDS: Bounds =
        Bounds { fewest: 600, most: 10_000, target: Duration::from_millis(500) };

    /// Crowds of more than are let in, before a database that commits so many a second, for so
    /// many windows.
    fn after(windows: u32, per_second: usize, limit: &mut Limit) -> usize {
        for _ in 0..windows {
            let in_flight = limit.now;
            let took = Duration::from_secs_f64(in_flight as f64 / per_second as f64);
            let committed = (per_second as f64 * WINDOW.as_secs_f64()) as u32;
            let begun = limit.since;
            for n in 1..=committed {
                let at = begun + WINDOW * n / committed;
                limit.learn((End::Committed, took), (in_flight, 0), at, || true);
            }
        }
        limit.now
    }

    #[test]
    fn as_many_are_let_in_as_are_committed_in_time() {
        let mut limit = Limit::new(BOUNDS, Instant::now());
        assert_eq!(after(20, 30_000, &mut limit), 10_000, "a quick database is never held back");
        let fits = after(20, 3_000, &mut limit);
        assert!((1_300..=1_700).contains(&fits), "{fits}: half a second of work");
        assert_eq!(after(20, 100, &mut limit), 600, "not less than is worth a batch");
        let fits = after(40, 8_000, &mut limit);
        assert!((3_500..=4_500).contains(&fits), "{fits}: it comes back by itself");
    }

    #[test]
    fn while_nothing_is_committed_hardly_anybody_is_let_in_to_wait() {
        let mut limit = Limit::new(BOUNDS, Instant::now());
        let fails_after = |took: Duration, limit: &mut Limit| {
            for n in 1..50 {
                let at = limit.since + WINDOW * n;
                limit.learn((End::Failed, took), (limit.now, 0), at, || true);
            }
        };
        fails_after(Duration::from_millis(1), &mut limit);
        assert_eq!(limit.now, 10_000, "refused at once");
        fails_after(Duration::from_secs(6), &mut limit);
        assert_eq!(limit.now, 600);
        assert!(after(40, 8_000, &mut limit) > 3_500, "it comes back by itself");
    }

    #[test]
    fn a_slow_commit_without_a_crowd_is_no_reason_to_refuse_the_next_crowd() {
        let mut limit = Limit::new(BOUNDS, Instant::now());
        for n in 1..50 {
            let at = limit.since + WINDOW * n;
            // Many wait, but for a slow provider.
            limit.learn((End::Committed, Duration::from_secs(3)), (40, 5_000), at, || false);
        }
        assert_eq!(limit.now, 10_000);
    }

    #[test]
    fn after_a_slow_crowd_and_a_quiet_time_the_next_crowd_is_let_in() {
        let mut limit = Limit::new(BOUNDS, Instant::now());
        assert_eq!(after(20, 100, &mut limit), 600);
        for n in 1..50 {
            let at = limit.since + WINDOW * n;
            limit.learn((End::Committed, Duration::from_millis(5)), (3, 0), at, || false);
        }
        assert_eq!(limit.now, 10_000);
    }

    #[tokio::test]
    async fn who_is_in_keeps_the_others_out_and_a_drained_gate_stays_closed() {
        let one = Bounds { fewest: 1, most: 1, ..BOUNDS };
        let gate = Gate::new("tests", one);
        let pass = gate.enter().expect("there is room");
        assert!(gate.enter().is_none());
        let mut drained = std::pin::pin!(gate.drained());
        assert!(drained.as_mut().now_or_never().is_none());
        drop(pass);
        assert!(drained.now_or_never().is_some());
        std::thread::sleep(WINDOW);
        gate.wait().ends(End::Committed);
        assert!(gate.enter().is_none(), "what is learnt late opens nothing");
    }
}
