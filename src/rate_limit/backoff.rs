//! How long somebody waits who keeps guessing a secret.

use std::time::Duration;

/// The first wrong one in a row that costs time: people mistype.
const FREE: u32 = 5;

/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);

/// After so long without a wrong one, all is forgotten.
pub const FORGET: Duration = Duration::from_secs(60 * 60);

/// How long to wait still, after so many failures in a row of which the last was so long ago: from
/// the fifth on a second, two, four …, a quarter of an hour at most.
pub fn wait(failures: u32, since: Duration) -> Duration {
    let Some(beyond) = failures.checked_sub(FREE) else { return Duration::ZERO };
    let wait = Duration::from_secs(1 << beyond.min(30)).min(WAIT_MAX);
    wait.saturating_sub(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_with_each_failure_and_has_an_end() {
        let at_once = |failures| wait(failures, Duration::ZERO).as_secs();
        assert_eq!([0, 1, 4].map(at_once), [0, 0, 0]);
        assert_eq!([5, 6, 7, 8, 14].map(at_once), [1, 2, 4, 8, 512]);
        assert_eq!([15, 16, 1_000, u32::MAX].map(at_once), [900; 4]);
        assert_eq!(wait(8, Duration::from_secs(5)), Duration::from_secs(3));
        assert_eq!(wait(8, Duration::from_secs(8)), Duration::ZERO);
        assert!(WAIT_MAX < FORGET, "who waits to the end is still remembered");
    }
}
