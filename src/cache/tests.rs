//! Several instances of a cache over one database, which is played, and one Redis, which is real.

use super::shared::{Invalid, RedisTime};
use super::{Cache, Cached, Loaded, Need, Options, Order, Shared};
use crate::error::{Code, Problem};
use crate::postgres::unavailable;
use crate::redis::Redis;
use crate::redis::tests::Servers;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// So long that in these tests nothing expires by itself.
const LASTING: Duration = Duration::from_secs(3600);

/// What is true, and how often it was asked.
#[derive(Default)]
struct Database {
    values: Mutex<HashMap<u32, String>>,
    order: AtomicU64,
    reads: AtomicUsize,
    is_away: AtomicBool,
}

impl Database {
    fn set(&self, key: u32, value: &str) {
        self.values.lock().unwrap().insert(key, value.to_owned());
        self.order.fetch_add(1, SeqCst);
    }

    async fn load(self: Arc<Self>, keys: Vec<u32>) -> Result<Loaded<u32>, Problem> {
        self.reads.fetch_add(1, SeqCst);
        if self.is_away.load(SeqCst) {
            return Err(unavailable());
        }
        let (order, values) =
            (Order(self.order.load(SeqCst)), self.values.lock().unwrap().clone());
        tokio::time::sleep(Duration::from_millis(20)).await;
        let body = |key| Some((key, Bytes::from(values.get(&key)?.clone())));
        Ok(Loaded { order, bodies: keys.into_iter().filter_map(body).collect() })
    }

    fn reads(&self) -> usize {
        self.reads.load(SeqCst)
    }

    fn instance(self: &Arc<Self>, fresh: Duration, redis: Option<&Redis>) -> Cache<u32> {
        let options = Options {
            name: "things",
            bytes_max: 1 << 20,
            fresh,
            kept: LASTING,
            is_invalidated: true,
            lanes: 2,
            keys_max: 100,
            read_max: Duration::from_secs(2),
        };
        let database = self.clone();
        let shared = redis.map(|redis| Shared::new(redis.clone(), "shop", 1));
        Cache::start(&Handle::current(), options, shared, move |keys| {
            database.clone().load(keys).boxed()
        })
    }
}

async fn redis(name: &str) -> Servers {
    Servers::start(name, Duration::from_millis(100)).await
}

fn text(cached: Option<Cached>) -> Option<String> {
    cached.map(|cached| String::from_utf8(cached.body.to_vec()).unwrap())
}

async fn fresh(cache: &Cache<u32>, key: u32) -> Option<String> {
    let cached = cache.get(&key, Need::Fresh).await.unwrap();
    assert!(!cached.as_ref().is_some_and(|cached| cached.is_stale));
    text(cached)
}

/// Waits until the instance shows the value.
async fn becomes(cache: &Cache<u32>, key: u32, value: &str) {
    let until = Instant::now() + Duration::from_secs(5);
    while fresh(cache, key).await.as_deref() != Some(value) {
        assert!(Instant::now() < until, "it never shows {value}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_thousand_requests_for_a_cold_key_are_one_read() {
    let database = Arc::new(Database::default());
    database.set(1, "a");
    let cache = database.instance(LASTING, None);
    let answers = join_all((0..1_000).map(|_| fresh(&cache, 1))).await;
    assert!(answers.iter().all(|answer| answer.as_deref() == Some("a")));
    assert_eq!(database.reads(), 1);
    let keys: Vec<u32> = (0..50).collect();
    let all = cache.get_all(&keys, Need::Fresh).await.unwrap();
    assert_eq!(all.into_iter().flatten().count(), 1, "that there is nothing is an answer too");
    assert!(database.reads() <= 3, "one read for each lane");
    cache.get_all(&keys, Need::Fresh).await.unwrap();
    assert!(database.reads() <= 3);
}

#[tokio::test]
async fn a_value_is_read_ahead_before_anybody_has_to_wait_for_it() {
    let database = Arc::new(Database::default());
    database.set(1, "a");
    let cache = database.instance(Duration::from_millis(500), None);
    let until = Instant::now() + Duration::from_secs(2);
    let mut waits = 0;
    while Instant::now() < until {
        let waited = cache.get(&1, Need::Fresh).now_or_never().is_none();
        waits += usize::from(waited);
        tokio::time::sleep(Duration::from_millis(10)).await;
        if waited {
            fresh(&cache, 1).await;
        }
    }
    // A test machine may stop for longer than a value is fresh.
    assert!(waits <= 3, "{waits} waited");
    assert!(database.reads() <= 12, "{} reads in 2 s", database.reads());
}

#[tokio::test]
async fn what_this_instance_changed_is_never_shown_older_afterwards() {
    let database = Arc::new(Database::default());
    let cache = database.instance(LASTING, None);
    for number in 0..20 {
        database.set(1, &format!("before {number}"));
        // A read on its way, which sees the older value.
        let reader = tokio::spawn({
            let cache = cache.clone();
            async move { fresh(&cache, 1).await }
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        database.set(1, &format!("after {number}"));
        cache.invalidate(&[1]).await;
        assert_eq!(fresh(&cache, 1).await, Some(format!("after {number}")));
        reader.await.unwrap();
        assert_eq!(fresh(&cache, 1).await, Some(format!("after {number}")));
        cache.invalidate_all().await;
    }
}

#[tokio::test]
async fn instances_share_reads_and_hear_of_changes_over_redis() {
    let servers = redis("share").await;
    let database = Arc::new(Database::default());
    database.set(1, "a");
    let one = database.instance(LASTING, Some(&servers.redis));
    let two = database.instance(LASTING, Some(&servers.redis));
    becomes(&one, 1, "a").await;
    becomes(&two, 1, "a").await;
    // Both have heard that they are connected, which makes them read once more, from Redis.
    tokio::time::sleep(Duration::from_millis(300)).await;
    becomes(&one, 1, "a").await;
    becomes(&two, 1, "a").await;
    let reads = database.reads();
    assert_eq!(
        (fresh(&one, 1).await, fresh(&two, 1).await),
        (Some("a".into()), Some("a".into()))
    );
    assert_eq!(database.reads(), reads);
    database.set(1, "b");
    one.invalidate(&[1]).await;
    assert_eq!(fresh(&one, 1).await.as_deref(), Some("b"));
    becomes(&two, 1, "b").await;
    database.set(1, "c");
    two.invalidate_all().await;
    assert_eq!(fresh(&two, 1).await.as_deref(), Some("c"));
    becomes(&one, 1, "c").await;
    // A third one finds it in Redis.
    let reads = database.reads();
    let three = database.instance(LASTING, Some(&servers.redis));
    assert_eq!(fresh(&three, 1).await.as_deref(), Some("c"));
    assert_eq!(database.reads(), reads);
}

#[tokio::test]
async fn releases_of_two_formats_share_a_redis_but_no_values() {
    let servers = redis("formats").await;
    let [old, new] = [1, 2].map(|format| Shared::new(servers.redis.clone(), "shop", format));
    let name = ["1".to_owned()];
    let (now, _) = old.get("things", &name).await.unwrap();
    let value = (name[0].clone(), Some(Bytes::from_static(b"old")), Order(1));
    old.put("things", LASTING, now, vec![value]).await;
    assert!(old.get("things", &name).await.unwrap().1[0].is_some());
    assert_eq!(new.get("things", &name).await.unwrap().1, [None]);
}

#[tokio::test]
async fn in_redis_a_value_is_set_only_over_an_older_one() {
    let servers = redis("order").await;
    let shared = Shared::new(servers.redis.clone(), "shop", 1);
    let put = async |order, text: &'static str, time| {
        let value = ("1".to_owned(), Some(Bytes::from_static(text.as_bytes())), Order(order));
        shared.put("things", LASTING, time, vec![value]).await;
    };
    let held = async || {
        let (_, mut copies) = shared.get("things", &["1".to_owned()]).await.unwrap();
        copies.remove(0)
    };
    let (now, _) = shared.get("things", &["1".to_owned()]).await.unwrap();
    // What is read later than this has been read, too.
    let now = RedisTime(now.0 - 120_000_000);
    let body = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    put(5, "five", now).await;
    put(4, "four", RedisTime(now.0 + 9_000_000)).await;
    assert_eq!(held().await.unwrap().body, body("five"));
    put(6, "six", now).await;
    assert_eq!(held().await.unwrap().body, body("six"));
    // Outdated, it keeps its place in the order.
    let names = vec!["1".to_owned(), "2".to_owned()];
    shared.invalidate("things", names, Invalid::Stripes(vec![1])).await;
    let copy = held().await.unwrap();
    assert_eq!((copy.body, copy.order), (body("six"), Order(6)));
    assert!(copy.read_at < super::Moment::now().minus(Duration::from_secs(3600)));
    put(5, "five", RedisTime(now.0 + 60_000_000)).await;
    assert_eq!(held().await.unwrap().body, body("six"));
    put(6, "six again", now).await;
    assert_eq!(held().await.unwrap().body, body("six again"));
    // The database has gone back in a failover.
    put(1, "one", RedisTime(now.0 + 11_000_000)).await;
    assert_eq!(held().await.unwrap().body, body("one"));
    // Redis has got another clock in a failover.
    put(9, "nine", RedisTime(now.0 + 3_600_000_000)).await;
    put(2, "two", RedisTime(now.0 + 12_000_000)).await;
    assert_eq!(held().await.unwrap().body, body("two"));
}

#[tokio::test]
async fn a_database_that_is_away_is_seldom_asked_and_its_values_are_marked() {
    let database = Arc::new(Database::default());
    database.set(1, "a");
    let cache = database.instance(Duration::from_millis(50), None);
    assert_eq!(fresh(&cache, 1).await.as_deref(), Some("a"));
    assert_eq!(fresh(&cache, 2).await, None);
    database.is_away.store(true, SeqCst);
    tokio::time::sleep(Duration::from_millis(60)).await;
    let (reads, begin) = (database.reads(), Instant::now());
    for _ in 0..500 {
        let cached = cache.get(&1, Need::Fresh).await.unwrap().unwrap();
        assert!(cached.is_stale);
        // That there was nothing is not said for longer than it is known.
        for unknown in [2, 3] {
            let refused = cache.get(&unknown, Need::Fresh).await.unwrap_err();
            assert_eq!(refused.code, Code::StorageUnavailable);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let probes = begin.elapsed().as_millis() / 300 + 2;
    assert!((database.reads() - reads) as u128 <= probes * 2, "{} probes", database.reads());
    database.set(1, "b");
    database.is_away.store(false, SeqCst);
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let cached = cache.get(&1, Need::Fresh).await.unwrap();
        if cached.as_ref().is_some_and(|cached| !cached.is_stale) {
            assert_eq!(text(cached).as_deref(), Some("b"));
            break;
        }
        assert!(Instant::now() < until, "it does not notice that the database is back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn while_the_database_is_away_an_instance_without_memory_finds_copies_in_redis() {
    let servers = redis("copies").await;
    let database = Arc::new(Database::default());
    database.set(1, "a");
    let short = Duration::from_millis(50);
    let one = database.instance(short, Some(&servers.redis));
    becomes(&one, 1, "a").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    database.is_away.store(true, SeqCst);
    let two = database.instance(short, Some(&servers.redis));
    let cached = two.get(&1, Need::Fresh).await.unwrap().unwrap();
    assert!(cached.is_stale);
    assert_eq!(text(Some(cached)).as_deref(), Some("a"));
}

#[tokio::test]
async fn a_redis_that_is_paused_or_gone_costs_its_timeout_a_few_times() {
    let servers = redis("paused").await;
    let database = Arc::new(Database::default());
    let cache = database.instance(LASTING, Some(&servers.redis));
    database.set(1, "0");
    becomes(&cache, 1, "0").await;
    for signal in ["STOP", "KILL"] {
        servers.signal(signal);
        let mut slow = 0;
        for number in 1..100 {
            let begin = Instant::now();
            database.set(1, &number.to_string());
            cache.invalidate(&[1]).await;
            assert_eq!(fresh(&cache, 1).await, Some(number.to_string()));
            slow += usize::from(begin.elapsed() >= Duration::from_millis(100));
        }
        assert!(slow <= 8, "{slow} of 99 waited for Redis");
        servers.signal("CONT");
    }
}
