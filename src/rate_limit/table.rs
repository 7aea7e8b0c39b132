//! The first stage's memory: what clients owe this instance. Its size is fixed.
//!
//! A key has its place in one of many small buckets. When a bucket is full, the entry that is
//! cleared first makes room: who owes nothing is forgotten without loss, and who owes most is
//! remembered however many others come.

use std::sync::{Mutex, PoisonError};

/// Keys in a bucket: three cache lines.
const WAYS: usize = 8;

/// What is remembered of a key. All times are nanoseconds since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    key: u64,
    /// When it owes nothing any more.
    pub clear_at: u64,
    /// Requests that the other instances have not heard of; or failures.
    pub count: u32,
}

impl Entry {
    /// What it owes.
    pub fn debt(&self, now: u64) -> u64 {
        self.clear_at.saturating_sub(now)
    }
}

/// Entries by a hash of their key; equal hashes share an entry.
pub(super) struct Table(Box<[Mutex<[Entry; WAYS]>]>);

impl Table {
    /// For so many keys, of 25 bytes each.
    pub fn new(keys_max: usize) -> Self {
        Self((0..keys_max.div_ceil(WAYS)).map(|_| Mutex::default()).collect())
    }

    /// Looks at the key's entry and changes it.
    pub fn update<T>(&self, key: u64, change: impl FnOnce(&mut Entry) -> T) -> T {
        self.locked(key, |bucket| {
            let place = bucket.iter().position(|entry| entry.key == key);
            let place = place.unwrap_or_else(|| {
                let first = (0..WAYS).min_by_key(|place| bucket[*place].clear_at).unwrap_or(0);
                bucket[first] = Entry { key, ..Entry::default() };
                first
            });
            change(&mut bucket[place])
        })
    }

    /// The key's entry, an empty one if there is none.
    pub fn get(&self, key: u64) -> Entry {
        let found =
            self.locked(key, |bucket| bucket.iter().find(|entry| entry.key == key).copied());
        found.unwrap_or_default()
    }

    fn locked<T>(&self, key: u64, work: impl FnOnce(&mut [Entry; WAYS]) -> T) -> T {
        let bucket = &self.0[(key % self.0.len() as u64) as usize];
        work(&mut bucket.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_owes_most_is_remembered_however_many_come() {
        let table = Table::new(WAYS);
        table.update(1, |entry| entry.clear_at = 1_000_000);
        for key in 2..10_000 {
            table.update(key, |entry| entry.clear_at = key);
        }
        assert_eq!(table.get(1).debt(0), 1_000_000);
        assert_eq!(table.get(9_999).debt(9_000), 999);
        assert_eq!(table.get(2).debt(0), 0, "the first to be clear has made room");
        let held = table.0[0].lock().unwrap().iter().filter(|entry| entry.clear_at > 0).count();
        assert_eq!(held, WAYS);
    }

    #[test]
    fn looking_for_a_key_takes_nobodys_place() {
        let table = Table::new(WAYS);
        (1..=8).for_each(|key| table.update(key, |entry| entry.clear_at = key));
        assert_eq!(table.get(99).clear_at, 0);
        assert!((1..=8).all(|key| table.get(key).clear_at == key));
    }

    #[test]
    fn a_key_takes_twenty_five_bytes() {
        assert_eq!(size_of::<Mutex<[Entry; WAYS]>>(), 25 * WAYS);
    }
}
