//! What is kept, from when it is, and when it may be used.

use actix_web::http::header::HeaderValue;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The version of a value: a greater one was read later. Where it comes from is for the loader to
/// say; the order of the database's snapshots, or a number that grows with every change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Order(pub u64);

/// An instant that fits into an atomic: microseconds since the day before the first use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub(super) u64);

impl Moment {
    /// Now.
    pub fn now() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        Self((BEGIN.elapsed() + DAY).as_micros() as u64)
    }

    /// So much earlier, or the beginning of time.
    pub fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(earlier.as_micros() as u64))
    }

    /// So much later.
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later.as_micros() as u64))
    }
}

/// A value, or the knowledge that there is none.
#[derive(Debug)]
pub(super) struct Entry {
    pub body: Option<Bytes>,
    /// Strong; changes with the body.
    pub etag: HeaderValue,
    pub order: Order,
    /// It was true then or later: before the read began.
    pub read_at: Moment,
    /// When somebody last undertook to read it again.
    claimed_at: AtomicU64,
}

impl Entry {
    pub fn new(body: Option<Bytes>, order: Order, read_at: Moment) -> Self {
        let etag = etag(body.as_deref().unwrap_or_default());
        Self { body, etag, order, read_at, claimed_at: AtomicU64::default() }
    }

    /// The same knowledge as of another read. Equal bytes keep their place and their tag.
    pub fn read_again(&self, body: Option<Bytes>, order: Order, read_at: Moment) -> Self {
        if self.body != body {
            return Self::new(body, order, read_at);
        }
        let (body, etag) = (self.body.clone(), self.etag.clone());
        Self { body, etag, order, read_at, claimed_at: AtomicU64::default() }
    }

    /// Whether the caller is the one who reads it again; the next one may a moment later.
    pub fn claim(&self, now: Moment, pause: Duration) -> bool {
        let last = self.claimed_at.load(Ordering::Relaxed);
        let is_due = Moment(last).plus(pause) <= now;
        let swap = || {
            self.claimed_at.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed)
        };
        is_due && swap().is_ok()
    }

    pub fn weight(&self) -> u64 {
        // The entry, its place in the tables, its tag.
        const OVERHEAD: u64 = 256;
        OVERHEAD + self.body.as_ref().map_or(0, |body| body.len() as u64)
    }
}

/// A strong entity tag of some bytes.
pub fn etag(bytes: &[u8]) -> HeaderValue {
    let text = format!("\"{}\"", crate::auth::hex(&Sha256::digest(bytes)[..16]));
    // Hexadecimal digits in quotes are a header's value.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// What a caller can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// Read a moment ago, and since the last invalidation.
    Fresh,
    /// The same, but younger: who reads ahead does not want what is about to expire.
    Young,
    /// Of this order or a later one.
    Since(Order),
}

/// For how long values may be used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetimes {
    /// What may change at any moment, from the start of its read.
    pub fresh: Duration,
}

/// Values that are never wrong are still not kept for ever.
pub(super) const LONG: Duration = Duration::from_secs(60);

impl Lifetimes {
    /// Whether the entry meets the need now; what was read at `invalid_before` or earlier is not
    /// fresh.
    pub fn meets(&self, entry: &Entry, need: Need, invalid_before: Moment, now: Moment) -> bool {
        match need {
            Need::Fresh => entry.read_at > invalid_before && self.within(entry, self.fresh, now),
            Need::Young => {
                entry.read_at > invalid_before && self.within(entry, self.fresh / 3, now)
            }
            Need::Since(order) => entry.order >= order && self.within(entry, LONG, now),
        }
    }

    /// Whether it is so young that nobody has to read it again yet.
    pub fn is_young(&self, read_at: Moment, now: Moment) -> bool {
        now < self.ageing(read_at)
    }

    /// When a value that was read then should be read again, so that nobody waits for it.
    pub fn ageing(&self, read_at: Moment) -> Moment {
        read_at.plus(self.fresh * 3 / 5)
    }

    /// Whether its read began no longer ago.
    pub fn is_fresh(&self, entry: &Entry, now: Moment) -> bool {
        self.within(entry, self.fresh, now)
    }

    fn within(&self, entry: &Entry, lifetime: Duration, now: Moment) -> bool {
        now < entry.read_at.plus(lifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIMES: Lifetimes = Lifetimes { fresh: Duration::from_millis(700) };

    fn at(ms: u64) -> Moment {
        Moment::default().plus(Duration::from_millis(ms))
    }

    fn entry(order: u64, read_at: Moment) -> Entry {
        Entry::new(Some(Bytes::from_static(b"1")), Order(order), read_at)
    }

    #[test]
    fn a_value_is_fresh_from_the_start_of_its_read_and_for_less_than_a_second() {
        let entry = entry(1, at(1_000));
        let meets = |need, invalid, now| LIFETIMES.meets(&entry, need, at(invalid), at(now));
        assert!(meets(Need::Fresh, 0, 1_699) && !meets(Need::Fresh, 0, 1_700));
        assert!(meets(Need::Young, 0, 1_233) && !meets(Need::Young, 0, 1_234));
        assert!(!meets(Need::Fresh, 1_000, 1_001), "the invalidation may have come first");
        assert!(meets(Need::Fresh, 999, 1_001));
    }

    #[test]
    fn a_value_that_is_never_wrong_is_used_until_something_newer_is_asked_for() {
        let entry = entry(7, at(0));
        let meets =
            |order, now| LIFETIMES.meets(&entry, Need::Since(Order(order)), at(9), at(now));
        assert!(meets(7, 59_999) && meets(6, 1) && !meets(8, 1) && !meets(7, 60_000));
    }

    #[test]
    fn equal_bytes_keep_their_allocation_and_their_tag() {
        let first = entry(1, at(0));
        let same = first.read_again(Some(Bytes::copy_from_slice(b"1")), Order(2), at(5));
        let place = |entry: &Entry| entry.body.as_ref().map(|body| body.as_ptr());
        assert_eq!((place(&same), &same.etag), (place(&first), &first.etag));
        assert_eq!((same.order, same.read_at), (Order(2), at(5)));
        let other = first.read_again(Some(Bytes::from_static(b"2")), Order(2), at(5));
        assert_ne!(other.etag, first.etag);
    }

    #[test]
    fn one_of_many_reads_an_ageing_value_again() {
        let (entry, pause) = (entry(1, at(0)), Duration::from_millis(200));
        assert!(entry.claim(at(1_000), pause) && !entry.claim(at(1_100), pause));
        assert!(entry.claim(at(1_200), pause), "the first one may have failed");
    }
}
