//! The first tier: this instance's memory, bounded by weight.
//!
//! Nobody is shown something older after something newer. What comes from the database always
//! was read later than what is here, because one lane reads a key at a time. What comes from Redis
//! may be older, so it has to be newer than what is here, and than what was evicted.

use super::Key;
use super::entry::{Entry, Lifetimes, Moment, Need, Order};
use bytes::Bytes;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

/// Keys share marks by hash; a shared mark costs an early read now and then.
const STRIPES: usize = 1 << 14;

/// What is to be remembered of keys, whether or not there is an entry.
#[derive(Default)]
struct Stripe {
    /// What was read up to this moment is not fresh.
    invalid_before: AtomicU64,
    /// The highest order that was evicted.
    floor: AtomicU64,
}

/// The marks of all keys, and the revision of what is shown. Shared with those who invalidate.
pub(super) struct Marks {
    stripes: Box<[Stripe]>,
    /// The same for all keys.
    all_invalid_before: AtomicU64,
    /// Odd while something is being replaced; moves with every change.
    revision: AtomicU64,
}

impl Marks {
    fn new() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Stripe::default()).collect(),
            all_invalid_before: AtomicU64::default(),
            revision: AtomicU64::default(),
        }
    }

    /// From now on what was read of these keys is not fresh.
    pub fn invalidate(&self, stripes: impl Iterator<Item = usize>) {
        let now = Moment::now().0;
        for stripe in stripes.filter_map(|stripe| self.stripes.get(stripe)) {
            stripe.invalid_before.fetch_max(now, SeqCst);
        }
        self.revision.fetch_add(2, SeqCst);
    }

    /// The same for all keys.
    pub fn invalidate_all(&self) {
        self.all_invalid_before.fetch_max(Moment::now().0, SeqCst);
        self.revision.fetch_add(2, SeqCst);
    }

    fn invalid_before(&self, stripe: usize) -> Moment {
        let stripe = self.stripes[stripe].invalid_before.load(SeqCst);
        Moment(stripe.max(self.all_invalid_before.load(SeqCst)))
    }
}

/// Where the marks of a key are, on every instance.
pub(super) fn stripe(key: &impl Hash) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() as usize % STRIPES
}

pub(super) struct Memory<K> {
    entries: Cache<K, Arc<Entry>, Weigh, DefaultHashBuilder, KeepFloor>,
    pub marks: Arc<Marks>,
    pub lifetimes: Lifetimes,
    /// Held while something is replaced.
    replacing: Mutex<()>,
}

#[derive(Clone)]
struct Weigh;

impl<K: Key> Weighter<K, Arc<Entry>> for Weigh {
    fn weight(&self, key: &K, entry: &Arc<Entry>) -> u64 {
        // Twice: a query holds its text and what was read from it.
        entry.weight() + 2 * key.weight()
    }
}

#[derive(Clone)]
struct KeepFloor(Arc<Marks>);

impl<K: Hash> Lifecycle<K, Arc<Entry>> for KeepFloor {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), key: K, entry: Arc<Entry>) {
        self.0.stripes[stripe(&key)].floor.fetch_max(entry.order.0, SeqCst);
    }
}

impl<K: Key> Memory<K> {
    pub fn new(bytes_max: u64, lifetimes: Lifetimes) -> Self {
        // Only a hint for the size of the tables.
        let entries = (bytes_max / 2048).clamp(32, 1 << 20) as usize;
        let marks = Arc::new(Marks::new());
        let keep = KeepFloor(marks.clone());
        let hasher = DefaultHashBuilder::default();
        let entries = Cache::with(entries, bytes_max, Weigh, hasher, keep);
        Self { entries, marks, lifetimes, replacing: Mutex::default() }
    }

    pub fn get(&self, key: &K) -> Option<Arc<Entry>> {
        self.entries.get(key)
    }

    pub fn weight(&self) -> u64 {
        self.entries.weight()
    }

    pub fn meets(&self, key: &K, entry: &Entry, need: Need, now: Moment) -> bool {
        self.lifetimes.meets(entry, need, self.marks.invalid_before(stripe(key)), now)
    }

    /// Takes what was just read from the database.
    pub fn read(
        &self,
        key: &K,
        body: Option<Bytes>,
        order: Order,
        read_at: Moment,
    ) -> Arc<Entry> {
        let entry = match self.entries.peek(key) {
            Some(held) => held.read_again(body, order, read_at),
            None => Entry::new(body, order, read_at),
        };
        self.replace(key, entry)
    }

    /// Takes what Redis knows, if nothing newer is here or was here.
    pub fn take(&self, key: &K, body: Option<Bytes>, order: Order, read_at: Moment) {
        if order < Order(self.marks.stripes[stripe(key)].floor.load(SeqCst)) {
            return;
        }
        let entry = match self.entries.peek(key) {
            Some(held) if (held.order, held.read_at) >= (order, read_at) => return,
            Some(held) => held.read_again(body, order, read_at),
            None => Entry::new(body, order, read_at),
        };
        self.replace(key, entry);
    }

    fn replace(&self, key: &K, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(entry);
        let _one_at_a_time = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = self.entries.peek(key).is_none_or(|held| held.etag != entry.etag);
        let step = u64::from(is_other);
        self.marks.revision.fetch_add(step, SeqCst);
        self.entries.insert(key.clone(), entry.clone());
        self.marks.revision.fetch_add(step, SeqCst);
        entry
    }

    /// Moves with every change of what is shown; none while something changes.
    pub fn revision(&self) -> Option<u64> {
        let revision = self.marks.revision.load(SeqCst);
        revision.is_multiple_of(2).then_some(revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn memory(bytes_max: u64) -> Memory<u32> {
        Memory::new(bytes_max, Lifetimes { fresh: Duration::from_millis(700) })
    }

    fn body(text: &'static str) -> Option<Bytes> {
        Some(Bytes::from_static(text.as_bytes()))
    }

    fn shown(memory: &Memory<u32>, key: u32) -> Option<(Order, Option<Bytes>)> {
        memory.get(&key).map(|entry| (entry.order, entry.body.clone()))
    }

    #[test]
    fn what_redis_knows_replaces_only_what_is_older() {
        let (memory, now) = (memory(1 << 20), Moment::now());
        memory.take(&1, body("5"), Order(5), now);
        memory.take(&1, body("4"), Order(4), now.plus(Duration::from_secs(1)));
        assert_eq!(shown(&memory, 1), Some((Order(5), body("5"))));
        memory.take(&1, body("6"), Order(6), now);
        assert_eq!(shown(&memory, 1), Some((Order(6), body("6"))));
        // That there is nothing any more is knowledge as well.
        memory.take(&1, None, Order(7), now);
        memory.take(&1, body("6"), Order(6), now);
        assert_eq!(shown(&memory, 1), Some((Order(7), None)));
    }

    #[test]
    fn what_keys_hold_counts_as_well() {
        let memory: Memory<String> =
            Memory::new(1 << 18, Lifetimes { fresh: Duration::from_millis(700) });
        let key = |n: usize| format!("{n:010000}");
        for n in 0..100 {
            memory.read(&key(n), body("x"), Order(1), Moment::now());
        }
        let kept = (0..100).filter(|n| memory.get(&key(*n)).is_some()).count();
        assert!((1..=13).contains(&kept), "{kept} keys of 10 kB, twice each, in 256 kB");
    }

    #[test]
    fn what_was_evicted_leaves_a_floor_under_what_redis_may_say() {
        let (memory, now) = (memory(400), Moment::now());
        memory.read(&1, body("5"), Order(5), now);
        for other in 2..50 {
            memory.read(&other, body("x"), Order(1), now);
        }
        assert!(memory.get(&1).is_none(), "it was not evicted");
        memory.take(&1, body("4"), Order(4), now);
        assert_eq!(shown(&memory, 1), None);
        let floor = &memory.marks.stripes[stripe(&1u32)].floor;
        assert_eq!(floor.load(SeqCst), 5);
    }

    #[test]
    fn what_was_read_before_an_invalidation_is_not_fresh() {
        let memory = memory(1 << 20);
        let meets =
            |key: u32, entry: &Entry| memory.meets(&key, entry, Need::Fresh, Moment::now());
        let (one, two) = (1, 2);
        let first = memory.read(&one, body("1"), Order(1), Moment::now());
        let second = memory.read(&two, body("1"), Order(1), Moment::now());
        assert!(meets(one, &first) && meets(two, &second));
        let slow = Moment::now();
        memory.marks.invalidate([stripe(&one)].into_iter());
        assert!(!meets(one, &first) && meets(two, &second));
        // A read that was on its way.
        assert!(!meets(one, &memory.read(&one, body("1"), Order(1), slow)));
        std::thread::sleep(Duration::from_micros(2));
        assert!(meets(one, &memory.read(&one, body("1"), Order(1), Moment::now())));
        memory.marks.invalidate_all();
        assert!(!meets(one, &first) && !meets(two, &second));
    }

    #[test]
    fn the_revision_moves_with_what_is_shown_and_not_with_every_read() {
        let (memory, now) = (memory(1 << 20), Moment::now());
        memory.read(&1, body("a"), Order(1), now);
        let before = memory.revision();
        memory.read(&1, body("a"), Order(2), now);
        assert_eq!(memory.revision(), before);
        memory.read(&1, body("b"), Order(3), now);
        assert_ne!(memory.revision(), before);
        let before = memory.revision();
        memory.marks.invalidate_all();
        assert_ne!(memory.revision(), before);
    }
}
