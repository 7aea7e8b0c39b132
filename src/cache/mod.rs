//! What is read often: memory, then Redis, then PostgreSQL.
//!
//! A value is used for less than a second from the start of its read, so nothing is shown that is
//! older, whatever messages are lost; or, where the reader knows the version that it needs, as
//! long as it has that one. Invalidation only makes it sooner. Nobody is shown an older value
//! after a newer one. Keys that are wanted at the same time are read once and together; hot ones
//! are read ahead, so that nobody waits. While the database is away, the last copy is shown and
//! marked as stale.
//!
//! It knows no feature: a loader reads keys in one snapshot and says where that stands in order.

mod entry;
mod memory;
mod outage;
mod shared;
#[cfg(test)]
mod tests;

pub use entry::{Moment, Need, Order, etag};
pub use shared::Shared;

use crate::error::{Code, Problem};
use crate::gather::{Gather, Limits};
use crate::metrics::{self, CacheTier};
use crate::postgres::unavailable;
use crate::redis::Subscription;
use actix_web::http::header::HeaderValue;
use bytes::Bytes;
use entry::{Entry, Lifetimes};
use futures_util::future::{BoxFuture, join_all};
use memory::{Memory, stripe};
use outage::Outage;
use shared::{Invalid, RedisTime};
use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Requests that may wait for a lane.
const WAITING_MAX: usize = 10_000;

/// Between two attempts to read the same value ahead.
const CLAIM_PAUSE: Duration = Duration::from_millis(250);

/// For how long values to be read ahead gather: nobody waits for them, and a read of many costs
/// little more than a read of one.
const AHEAD_GATHER: Duration = Duration::from_millis(25);

/// More keys than this are invalidated by invalidating all.
const INVALIDATED_MAX: usize = 500;

/// What a key must be able to do. Its text names it in Redis.
pub trait Key: Eq + Hash + Clone + Display + Send + Sync + 'static {
    /// Bytes of its text in memory.
    fn weight(&self) -> u64 {
        size_of::<Self>() as u64
    }
}

impl Key for String {
    fn weight(&self) -> u64 {
        self.len() as u64
    }
}

#[cfg(test)]
impl Key for u32 {}

/// The settings of a cache.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Its name in Redis and in metrics.
    pub name: &'static str,
    /// Bytes in memory, about.
    pub bytes_max: u64,
    /// For how long a value is used that may change at any moment; less than a second.
    pub fresh: Duration,
    /// For how long Redis keeps values.
    pub kept: Duration,
    /// Whether it is invalidated, so that it has to hear of that.
    pub is_invalidated: bool,
    /// Reads at the same time. A key has its lane.
    pub lanes: usize,
    /// Keys in one read, about.
    pub keys_max: usize,
    /// A read of the database that takes longer counts as none.
    pub read_max: Duration,
}

/// What a loader has read, all of it in one snapshot. What is left out does not exist.
pub struct Loaded<K> {
    /// Where the snapshot stands.
    pub order: Order,
    /// The bytes of the keys.
    pub bodies: HashMap<K, Bytes>,
}

/// A value as it is shown.
#[derive(Debug, Clone)]
pub struct Cached {
    /// The bytes.
    pub body: Bytes,
    /// Their strong entity tag.
    pub etag: HeaderValue,
    /// Its version.
    pub order: Order,
    /// It was true then or later.
    pub read_at: Moment,
    /// Whether it may be older than promised, because the database is away.
    pub is_stale: bool,
}

/// Values by key. Cheap to clone.
pub struct Cache<K> {
    inner: Arc<Inner<K>>,
    lanes: Arc<[Lane<K>]>,
}

type Lane<K> = Gather<Asked<K>, Result<Arc<Entry>, Problem>>;

type Load<K> = dyn Fn(Vec<K>) -> BoxFuture<'static, Result<Loaded<K>, Problem>> + Send + Sync;

struct Inner<K> {
    options: Options,
    memory: Memory<K>,
    outage: Outage,
    shared: Option<Shared>,
    subscription: Mutex<Option<Subscription>>,
    load: Box<Load<K>>,
    runtime: Handle,
    hits: metrics::CacheHits,
    /// What is about to be read ahead.
    ageing: Mutex<Vec<K>>,
}

/// What somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked<K> {
    key: K,
    need: Need,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), lanes: self.lanes.clone() }
    }
}

impl<K: Key> Cache<K> {
    /// Reads with `load` on `runtime`.
    pub fn start(
        runtime: &Handle,
        options: Options,
        shared: Option<Shared>,
        load: impl Fn(Vec<K>) -> BoxFuture<'static, Result<Loaded<K>, Problem>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let memory = Memory::new(options.bytes_max, Lifetimes { fresh: options.fresh });
        let marks = memory.marks.clone();
        let listening = shared.as_ref().filter(|_| options.is_invalidated);
        let subscription = listening.map(|shared| {
            shared.listen(options.name, move |invalid| {
                metrics::cache_invalidation();
                match invalid {
                    Invalid::All => marks.invalidate_all(),
                    Invalid::Stripes(stripes) => marks.invalidate(stripes.into_iter()),
                }
            })
        });
        let inner = Arc::new(Inner {
            options,
            memory,
            outage: Outage::default(),
            shared,
            subscription: Mutex::new(subscription),
            load: Box::new(load),
            runtime: runtime.clone(),
            hits: metrics::CacheHits::new(options.name),
            ageing: Mutex::default(),
        });
        let limits = Limits {
            keys_max: options.keys_max,
            waiting_max: WAITING_MAX,
            // Redis is asked before.
            read_max: options.read_max * 2,
        };
        let lane = |_| {
            let inner = inner.clone();
            Gather::start(runtime, limits, move |asked| fill(inner.clone(), asked))
        };
        let lanes = (0..options.lanes.max(1)).map(lane).collect();
        Self { inner, lanes }
    }

    /// The value of a key, if it has one.
    pub async fn get(&self, key: &K, need: Need) -> Result<Option<Cached>, Problem> {
        let now = Moment::now();
        if let Some(known) = self.known(key, need, now) {
            return Ok(known);
        }
        let mut read = self.read(vec![key.clone()], need, now).await?;
        Ok(read.remove(key).flatten())
    }

    /// The values of keys, in their order. Fails if one cannot be known.
    pub async fn get_all(&self, keys: &[K], need: Need) -> Result<Vec<Option<Cached>>, Problem> {
        let now = Moment::now();
        let known: Vec<_> = keys.iter().map(|key| self.known(key, need, now)).collect();
        let unknown = keys.iter().zip(&known).filter(|(_, known)| known.is_none());
        let unknown: Vec<K> = unknown.map(|(key, _)| key.clone()).collect();
        let read = match unknown.is_empty() {
            true => HashMap::new(),
            false => self.read(unknown, need, now).await?,
        };
        let pick = |(key, known): (&K, Option<Option<Cached>>)| {
            known.unwrap_or_else(|| read.get(key).cloned().flatten())
        };
        Ok(keys.iter().zip(known).map(pick).collect())
    }

    /// What can be said without waiting.
    fn known(&self, key: &K, need: Need, now: Moment) -> Option<Option<Cached>> {
        let Inner { memory, outage, hits, .. } = &*self.inner;
        let entry = memory.get(key)?;
        if memory.meets(key, &entry, need, now) {
            let is_ageing = need == Need::Fresh && !memory.lifetimes.is_young(entry.read_at, now);
            if is_ageing && entry.claim(now, CLAIM_PAUSE) {
                self.read_ahead(key.clone());
            }
            hits.count(CacheTier::Memory);
            return Some(cached(&entry, false));
        }
        if outage.is_on() && entry.body.is_some() {
            if outage.is_due(now) && entry.claim(now, CLAIM_PAUSE) {
                self.read_ahead(key.clone());
            }
            hits.count(CacheTier::Stale);
            return Some(cached(&entry, true));
        }
        None
    }

    /// Waits for lanes to find the values. If the reads were too slow for what they brought to be
    /// used, they are repeated once.
    async fn read(
        &self,
        keys: Vec<K>,
        need: Need,
        asked_at: Moment,
    ) -> Result<HashMap<K, Option<Cached>>, Problem> {
        let mut values = HashMap::new();
        let mut open = keys;
        for is_last in [false, true] {
            let mut late = Vec::new();
            for (key, entry) in self.ask(open, need).await? {
                let entry = entry?;
                let is_usable = self.inner.is_usable(&key, &entry, need, asked_at);
                if !is_usable && !is_last && !self.inner.outage.is_on() {
                    late.push(key);
                } else if is_usable || entry.body.is_some() {
                    if !is_usable {
                        self.inner.hits.count(CacheTier::Stale);
                    }
                    values.insert(key, cached(&entry, !is_usable));
                } else {
                    return Err(unavailable());
                }
            }
            open = late;
            if open.is_empty() {
                break;
            }
        }
        Ok(values)
    }

    /// Asks the keys' lanes.
    async fn ask(
        &self,
        keys: Vec<K>,
        need: Need,
    ) -> Result<Vec<(K, Result<Arc<Entry>, Problem>)>, Problem> {
        let mut lanes: HashMap<usize, Vec<Asked<K>>> = HashMap::new();
        for key in keys {
            let lane = stripe(&key) % self.lanes.len();
            lanes.entry(lane).or_default().push(Asked { key, need });
        }
        let reads = lanes.into_iter().map(|(lane, asked)| self.lanes[lane].get_all(asked));
        let mut entries = Vec::new();
        for read in join_all(reads).await {
            entries.extend(read?.into_iter().map(|(asked, entry)| (asked.key, entry)));
        }
        Ok(entries)
    }

    /// Reads a hot value before it expires, or probes whether the database is back; together with
    /// others that come within a moment.
    fn read_ahead(&self, key: K) {
        let Inner { ageing, runtime, options, .. } = &*self.inner;
        let mut waiting = ageing.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(key);
        if waiting.len() > 1 {
            return;
        }
        let (cache, keys_max) = (self.clone(), options.keys_max);
        runtime.spawn(async move {
            tokio::time::sleep(AHEAD_GATHER).await;
            let ageing = &cache.inner.ageing;
            let keys =
                std::mem::take(&mut *ageing.lock().unwrap_or_else(PoisonError::into_inner));
            let reads = keys.chunks(keys_max).map(|keys| cache.ask(keys.to_vec(), Need::Young));
            // Whoever needs one asks for it and learns what is wrong.
            join_all(reads).await;
        });
    }

    /// From now on nothing that was read of these keys is fresh, here at once and soon on other
    /// instances. Waits for Redis no longer than its timeout.
    pub async fn invalidate(&self, keys: &[K]) {
        if keys.len() > INVALIDATED_MAX {
            return self.invalidate_all().await;
        }
        let stripes: Vec<usize> = keys.iter().map(stripe).collect();
        self.inner.memory.marks.invalidate(stripes.iter().copied());
        let names = keys.iter().map(K::to_string).collect();
        self.announce(names, Invalid::Stripes(stripes)).await;
    }

    /// The same for all keys.
    pub async fn invalidate_all(&self) {
        self.inner.memory.marks.invalidate_all();
        self.announce(Vec::new(), Invalid::All).await;
    }

    async fn announce(&self, names: Vec<String>, invalid: Invalid) {
        metrics::cache_invalidation();
        if let Some(shared) = &self.inner.shared {
            shared.invalidate(self.inner.options.name, names, invalid).await;
        }
    }

    /// Moves with every change of what is shown, if only by an invalidation; none while something
    /// changes. Whatever was composed of values between two equal revisions shows the current ones.
    pub fn revision(&self) -> Option<u64> {
        self.inner.memory.revision()
    }

    /// When a value that was read at this moment should be read again.
    pub fn ageing(&self, read_at: Moment) -> Moment {
        self.inner.memory.lifetimes.ageing(read_at)
    }

    /// Hears no more of other instances.
    pub fn stop(&self) {
        let subscription = &self.inner.subscription;
        subscription.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn cached(entry: &Entry, is_stale: bool) -> Option<Cached> {
    let (order, read_at) = (entry.order, entry.read_at);
    let body = entry.body.clone()?;
    Some(Cached { body, etag: entry.etag.clone(), order, read_at, is_stale })
}

/// Finds what is asked for: in memory, because somebody may have read it meanwhile, in Redis in
/// one round trip, in the database in one read.
async fn fill<K: Key>(
    inner: Arc<Inner<K>>,
    asked: Vec<Asked<K>>,
) -> Result<HashMap<Asked<K>, Result<Arc<Entry>, Problem>>, Problem> {
    let mut found = HashMap::new();
    let open = inner.take_known(asked, &mut found, CacheTier::Memory);
    if open.is_empty() {
        return Ok(found);
    }
    let time = inner.take_from_redis(&open).await;
    let open = match time {
        Some(_) => inner.take_known(open, &mut found, CacheTier::Redis),
        None => open,
    };
    if open.is_empty() {
        return Ok(found);
    }
    let mut keys: Vec<K> = Vec::new();
    for Asked { key, .. } in &open {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    let read = inner.read(keys, time).await;
    let pick = |asked: Asked<K>| {
        let entry = match &read {
            Ok(entries) => entries.get(&asked.key).cloned().ok_or_else(unavailable),
            Err(problem) if problem.code == Code::StorageUnavailable => {
                let held = inner.memory.get(&asked.key).filter(|held| held.body.is_some());
                held.ok_or_else(|| problem.clone())
            }
            Err(problem) => Err(problem.clone()),
        };
        (asked, entry)
    };
    found.extend(open.into_iter().map(pick));
    metrics::cache_bytes(inner.options.name, inner.memory.weight());
    Ok(found)
}

impl<K: Key> Inner<K> {
    /// Moves to `found` what memory has; returns the rest.
    fn take_known(
        &self,
        asked: Vec<Asked<K>>,
        found: &mut HashMap<Asked<K>, Result<Arc<Entry>, Problem>>,
        tier: CacheTier,
    ) -> Vec<Asked<K>> {
        let mut open = Vec::new();
        for asked in asked {
            let held = self.memory.get(&asked.key);
            let meets = |held: &Arc<Entry>| {
                self.memory.meets(&asked.key, held, asked.need, Moment::now())
            };
            match held.filter(meets) {
                Some(entry) => {
                    self.hits.count(tier);
                    found.insert(asked, Ok(entry));
                }
                None => open.push(asked),
            }
        }
        open
    }

    /// Takes into memory what Redis has, and the time from which a read of the database counts.
    async fn take_from_redis(&self, asked: &[Asked<K>]) -> Option<RedisTime> {
        let names: Vec<String> = asked.iter().map(|asked| asked.key.to_string()).collect();
        let shared = self.shared.as_ref()?;
        let (time, copies) = shared.get(self.options.name, &names).await?;
        for (Asked { key, .. }, copy) in asked.iter().zip(copies) {
            if let Some(copy) = copy {
                self.memory.take(key, copy.body, copy.order, copy.read_at);
            }
        }
        Some(time)
    }

    async fn read(
        &self,
        keys: Vec<K>,
        time: Option<RedisTime>,
    ) -> Result<HashMap<K, Arc<Entry>>, Problem> {
        let started = Moment::now();
        if !self.outage.admits(started) {
            return Err(unavailable());
        }
        let loaded = timeout(self.options.read_max, (self.load)(keys.clone())).await;
        let Loaded { order, mut bodies } = match loaded.unwrap_or_else(|_| Err(unavailable())) {
            Ok(loaded) => loaded,
            Err(problem) => {
                if problem.code == Code::StorageUnavailable {
                    self.outage.goes_on(Moment::now());
                }
                return Err(problem);
            }
        };
        self.outage.ends();
        let mut entries = HashMap::new();
        for key in keys {
            self.hits.count(CacheTier::Database);
            let entry = self.memory.read(&key, bodies.remove(&key), order, started);
            entries.insert(key, entry);
        }
        self.put(&entries, time);
        Ok(entries)
    }

    /// Tells Redis, while those who wait are answered.
    fn put(&self, entries: &HashMap<K, Arc<Entry>>, time: Option<RedisTime>) {
        let (Some(time), Some(shared)) = (time, self.shared.clone()) else { return };
        let value =
            |(key, entry): (&K, &Arc<Entry>)| (key.to_string(), entry.body.clone(), entry.order);
        let values = entries.iter().map(value).collect();
        let Options { name, kept, .. } = self.options;
        self.runtime.spawn(async move { shared.put(name, kept, time, values).await });
    }

    /// Whether somebody who asked then may be shown this now: invalidations since are no concern
    /// of theirs.
    fn is_usable(&self, key: &K, entry: &Entry, need: Need, asked_at: Moment) -> bool {
        let now = Moment::now();
        let was_read_for_them =
            entry.read_at >= asked_at && self.memory.lifetimes.is_fresh(entry, now);
        was_read_for_them || self.memory.meets(key, entry, need, now)
    }
}
