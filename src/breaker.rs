//! The circuit breaker: a service that does not answer is not asked for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row after which nobody asks.
const FAILURES_MAX: u32 = 3;

/// For so long, if nothing else is said; then one asks for all.
const PAUSE: Duration = Duration::from_secs(1);

/// Closed: everybody asks. Open: nobody does, but for one probe after each pause.
#[derive(Debug)]
pub struct Breaker {
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new(PAUSE)
    }
}

impl Breaker {
    /// Closed; nobody asks for so long once it is open.
    pub fn new(pause: Duration) -> Self {
        Self { pause, state: Mutex::default() }
    }

    /// Whether to ask now. Whoever may, reports how it went.
    pub fn admits(&self, now: Instant) -> bool {
        let mut state = self.lock();
        match state.open_until {
            None => true,
            Some(until) if now < until => false,
            // The probe. If it is never heard of again, the next pause ends as well.
            Some(_) => {
                state.open_until = Some(now + self.pause);
                true
            }
        }
    }

    /// How it went; returns whether the breaker is open now.
    pub fn report(&self, is_ok: bool, now: Instant) -> bool {
        let mut state = self.lock();
        if is_ok {
            *state = State::default();
        } else {
            state.failures = state.failures.saturating_add(1);
            if state.failures >= FAILURES_MAX {
                state.open_until = Some(now + self.pause);
            }
        }
        state.open_until.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_failures_in_a_row_nobody_asks_but_one_probe_a_second() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        assert!(!breaker.report(false, now) && !breaker.report(false, now));
        assert!(breaker.admits(now), "two failures are not enough");
        assert!(breaker.report(false, now));
        assert!(!breaker.admits(now) && !breaker.admits(now + PAUSE / 2));
        assert!(breaker.admits(now + PAUSE), "one probe");
        assert!(!breaker.admits(now + PAUSE), "only one");
        assert!(breaker.report(false, now + PAUSE));
        assert!(!breaker.admits(now + PAUSE * 3 / 2));
        assert!(breaker.admits(now + PAUSE * 2), "the next probe");
        assert!(!breaker.report(true, now + PAUSE * 2));
        assert!(breaker.admits(now + PAUSE * 2) && breaker.admits(now + PAUSE * 2));
    }

    #[test]
    fn failures_that_are_not_in_a_row_open_nothing() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 {
            breaker.report(false, now);
            breaker.report(false, now);
            assert!(!breaker.report(true, now));
        }
        assert!(breaker.admits(now));
    }
}
