//! While the database is away, nobody waits to find that out again.

use super::entry::Moment;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// Between two probes.
const PAUSE: Duration = Duration::from_millis(300);

/// When the database may be asked again; 0 while it answers.
#[derive(Debug, Default)]
pub(super) struct Outage(AtomicU64);

impl Outage {
    /// Whether the last read failed.
    pub fn is_on(&self) -> bool {
        self.0.load(SeqCst) != 0
    }

    /// Whether it is time for a probe.
    pub fn is_due(&self, now: Moment) -> bool {
        self.0.load(SeqCst) <= now.0
    }

    /// Whether the caller may ask: always while the database answers, else as the probe.
    pub fn admits(&self, now: Moment) -> bool {
        let until = self.0.load(SeqCst);
        let probe = || self.0.compare_exchange(until, now.plus(PAUSE).0, SeqCst, SeqCst).is_ok();
        until == 0 || until <= now.0 && probe()
    }

    /// It did not answer.
    pub fn goes_on(&self, now: Moment) {
        self.0.store(now.plus(PAUSE).0, SeqCst);
    }

    /// It answered.
    pub fn ends(&self) {
        self.0.store(0, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_the_database_is_away_one_probe_at_a_time_asks_it() {
        let (outage, now) = (Outage::default(), Moment::now());
        assert!(!outage.is_on() && outage.admits(now) && outage.admits(now));
        outage.goes_on(now);
        assert!(outage.is_on() && !outage.is_due(now) && !outage.admits(now));
        let later = now.plus(PAUSE);
        assert!(outage.is_due(later));
        assert!(outage.admits(later) && !outage.admits(later), "one probe");
        outage.ends();
        assert!(!outage.is_on() && outage.admits(later));
    }
}
