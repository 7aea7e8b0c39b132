//! Reads that travel together: while one is on its way, the keys that are asked for gather, and
//! leave with the next, without a timer. So a key is read once for all who want it, and many keys
//! share a round trip. Whoever would wait too long for the reads before theirs is refused at once.

use crate::error::Problem;
use crate::postgres::{too_many_reads, unavailable};
use futures_util::FutureExt;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Nobody waits longer than this for the reads before theirs, as far as these can be foreseen.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// The limits of a [`Gather`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Keys in one read, about: a request for several is never split.
    pub keys_max: usize,
    /// Requests that may wait; more are refused with `overloaded`.
    pub waiting_max: usize,
    /// A read that takes longer answers nobody.
    pub read_max: Duration,
}

/// A way to read `V`s by `K`. Cheap to clone.
pub struct Gather<K, V> {
    queue: mpsc::Sender<Asked<K, V>>,
    keys_max: usize,
    read_max: Duration,
    /// Keys in the queue.
    waiting: Arc<AtomicUsize>,
    pace: Arc<Pace>,
}

impl<K, V> Clone for Gather<K, V> {
    fn clone(&self) -> Self {
        let (queue, waiting, pace) =
            (self.queue.clone(), self.waiting.clone(), self.pace.clone());
        Self { queue, waiting, pace, ..*self }
    }
}

/// How long a read takes: the average of the last ones, in microseconds.
#[derive(Default)]
struct Pace(AtomicU64);

impl Pace {
    fn learn(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX / 8);
        let average = self.0.load(Ordering::Relaxed);
        self.0.store(average - average / 8 + took / 8, Ordering::Relaxed);
    }

    /// How long so many reads take.
    fn of(&self, reads: usize) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed).saturating_mul(reads as u64))
    }
}

struct Asked<K, V> {
    keys: Vec<K>,
    answer: oneshot::Sender<Result<HashMap<K, V>, Problem>>,
}

impl<K, V> Gather<K, V>
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Reads with `read` on `runtime`: it gets distinct keys and leaves out what does not exist.
    /// It ends when the last handle is gone.
    pub fn start<F, R>(runtime: &Handle, limits: Limits, read: F) -> Self
    where
        F: Fn(Vec<K>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<HashMap<K, V>, Problem>> + Send,
    {
        let (queue, mut asked) = mpsc::channel(limits.waiting_max);
        let pace = Arc::<Pace>::default();
        let waiting = Arc::<AtomicUsize>::default();
        let (learning, left) = (pace.clone(), waiting.clone());
        runtime.spawn(async move {
            while let Some(first) = asked.recv().await {
                let batch = batch(first, &mut asked, limits.keys_max);
                left.fetch_sub(batch.iter().map(|a| a.keys.len()).sum(), Ordering::Relaxed);
                let begun = Instant::now();
                answer(batch, &read, limits.read_max).await;
                learning.learn(begun.elapsed());
            }
        });
        let Limits { keys_max, read_max, .. } = limits;
        Self { queue, keys_max, read_max, waiting, pace }
    }

    /// What there is of the keys. It was read after this was called. Refused with `overloaded` if
    /// too many wait, `storage_unavailable` if a read takes longer than it may, or those before it.
    pub async fn get_all(&self, keys: Vec<K>) -> Result<HashMap<K, V>, Problem> {
        let (answer, answered) = oneshot::channel();
        let waiting = self.waiting.load(Ordering::Relaxed);
        if self.pace.of(waiting / self.keys_max) > WAIT_MAX {
            return Err(too_many_reads());
        }
        let count = keys.len();
        self.waiting.fetch_add(count, Ordering::Relaxed);
        if self.queue.try_send(Asked { keys, answer }).is_err() {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            return Err(too_many_reads());
        }
        // Reads may be slower than was foreseen.
        match timeout(WAIT_MAX + self.read_max, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Problem::internal("a read was lost")),
            Err(_) => Err(unavailable()),
        }
    }

    /// What there is of one key. It was read after this was called.
    pub async fn get(&self, key: K) -> Result<Option<V>, Problem> {
        Ok(self.get_all(vec![key.clone()]).await?.remove(&key))
    }
}

/// The first request and those that wait behind it.
fn batch<K, V>(
    first: Asked<K, V>,
    queue: &mut mpsc::Receiver<Asked<K, V>>,
    keys_max: usize,
) -> Vec<Asked<K, V>> {
    let mut keys = first.keys.len();
    let mut batch = vec![first];
    while keys < keys_max {
        let Ok(next) = queue.try_recv() else { break };
        keys += next.keys.len();
        batch.push(next);
    }
    batch
}

async fn answer<K, V, F, R>(batch: Vec<Asked<K, V>>, read: &F, read_max: Duration)
where
    K: Eq + Hash + Clone,
    V: Clone,
    F: Fn(Vec<K>) -> R,
    R: Future<Output = Result<HashMap<K, V>, Problem>>,
{
    // After a flood nothing is read for those who have left.
    let (batch, _): (Vec<_>, Vec<_>) = batch.into_iter().partition(|a| !a.answer.is_closed());
    if batch.is_empty() {
        return;
    }
    let distinct: HashSet<&K> = batch.iter().flat_map(|asked| &asked.keys).collect();
    let keys: Vec<K> = distinct.into_iter().cloned().collect();
    // Whoever comes next must find the task alive.
    let found = timeout(read_max, AssertUnwindSafe(read(keys)).catch_unwind());
    let found = match found.await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => Err(Problem::internal("a read panicked")),
        Err(_) => Err(unavailable()),
    };
    for Asked { keys, answer } in batch {
        let pick = |found: &HashMap<K, V>| {
            let known = |key: K| found.get(&key).cloned().map(|value| (key, value));
            keys.into_iter().filter_map(known).collect()
        };
        // Who no longer waits needs no answer.
        let _ = answer.send(found.as_ref().map(pick).map_err(Clone::clone));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use std::sync::{Arc, Mutex};

    const LIMITS: Limits =
        Limits { keys_max: 10, waiting_max: 100, read_max: Duration::from_millis(200) };

    #[tokio::test]
    async fn nothing_is_read_for_those_who_have_left() {
        let reads = Arc::new(Mutex::new(Vec::new()));
        let seen = reads.clone();
        let gather = Gather::start(&Handle::current(), LIMITS, move |keys: Vec<u32>| {
            seen.lock().unwrap().push(keys.clone());
            async move { Ok(keys.into_iter().map(|key| (key, key)).collect()) }
        });
        // Asked, but gone before it is its turn.
        assert!(gather.get(1).now_or_never().is_none());
        assert_eq!(gather.get(2).await, Ok(Some(2)));
        assert_eq!(*reads.lock().unwrap(), [vec![2]]);
    }

    #[tokio::test]
    async fn keys_that_are_asked_for_during_a_read_share_the_next_one() {
        let reads = Arc::new(Mutex::new(Vec::new()));
        let seen = reads.clone();
        let squares = Gather::start(&Handle::current(), LIMITS, move |mut keys: Vec<u32>| {
            keys.sort_unstable();
            seen.lock().unwrap().push(keys.clone());
            async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(keys.into_iter().filter(|key| *key > 0).map(|key| (key, key * key)).collect())
            }
        });
        let first = tokio::spawn({
            let squares = squares.clone();
            async move { squares.get(1).await }
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        let (two, both, none) =
            tokio::join!(squares.get(2), squares.get_all(vec![2, 3]), squares.get(0));
        assert_eq!(first.await.unwrap(), Ok(Some(1)));
        assert_eq!((two, none), (Ok(Some(4)), Ok(None)));
        assert_eq!(both, Ok(HashMap::from([(2, 4), (3, 9)])));
        assert_eq!(*reads.lock().unwrap(), [vec![1], vec![0, 2, 3]]);
    }

    #[tokio::test]
    async fn who_would_wait_too_long_is_refused_at_once() {
        let limits = Limits { keys_max: 1, waiting_max: 1_000, ..LIMITS };
        let slow = Gather::start(&Handle::current(), limits, |keys: Vec<u32>| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(keys.into_iter().map(|key| (key, key)).collect())
        });
        // How long a read takes is known after a few.
        for key in 0..20 {
            assert_eq!(slow.get(key).await, Ok(Some(key)));
        }
        let begun = Instant::now();
        let all = futures_util::future::join_all((0..100).map(|key| slow.get(key))).await;
        let refused = all.iter().filter(|one| one.is_err()).count();
        assert!((50..90).contains(&refused), "{refused} of 100 were refused");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(slow.get(7).await, Ok(Some(7)), "it passes");
    }

    #[tokio::test]
    async fn nobody_waits_for_all_the_reads_before_theirs_when_these_begin_to_hang() {
        let limits = Limits { keys_max: 1, ..LIMITS };
        let silent = Gather::start(&Handle::current(), limits, |_: Vec<u32>| async move {
            std::future::pending::<Result<HashMap<u32, u32>, Problem>>().await
        });
        let begun = Instant::now();
        let all = futures_util::future::join_all((0..50).map(|key| silent.get(key))).await;
        let codes = all.into_iter().map(|one| one.unwrap_err().code);
        assert_eq!(codes.collect::<HashSet<_>>(), HashSet::from([Code::StorageUnavailable]));
        // One after the other they take ten seconds.
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_read_that_panics_or_hangs_fails_those_who_wait_and_nobody_else() {
        let read = Gather::start(&Handle::current(), LIMITS, |keys: Vec<u32>| async move {
            match keys[..] {
                [0] => panic!("asked to panic"),
                [1] => std::future::pending().await,
                _ => Ok(keys.into_iter().map(|key| (key, key)).collect()),
            }
        });
        assert_eq!(read.get(0).await.unwrap_err().code, Code::Internal);
        assert_eq!(read.get(1).await.unwrap_err().code, Code::StorageUnavailable);
        assert_eq!(read.get(2).await, Ok(Some(2)));
    }
}
