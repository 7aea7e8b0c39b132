//! What readers see while prices and stock change: on each instance never an older version after
//! a newer one, and nothing that was gone a second before they asked.

use crate::harness::{Answer, App, Database, Pair, gbp, order_of, services};
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Products that change.
const PRODUCTS: usize = 4;

/// What readers may not be shown any more, a second after it was acknowledged.
const STALE: Duration = Duration::from_secs(1);

/// How much: `DOORBUSTER_FRESHNESS=full` is 1,000 changes before 200 readers.
fn size() -> (usize, usize) {
    match std::env::var("DOORBUSTER_FRESHNESS").as_deref() {
        Ok("full") => (1_000, 200),
        _ => (200, 40),
    }
}

/// What changes of a product: each number only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    price: i64,
    available: i64,
}

impl Seen {
    fn of(product: &serde_json::Value) -> Self {
        let variant = &product["variants"][0];
        let price = variant["prices"][0]["amount"].as_i64().unwrap();
        Self { price, available: variant["available"].as_i64().unwrap() }
    }

    fn is_behind(self, other: Self) -> bool {
        self.price < other.price || self.available < other.available
    }
}

/// What was acknowledged of a product, and when.
#[derive(Default)]
struct Acknowledged(RwLock<Vec<(Instant, Seen)>>);

impl Acknowledged {
    fn add(&self, seen: Seen) {
        self.0.write().unwrap().push((Instant::now(), seen));
    }

    fn last(&self) -> Seen {
        self.0.read().unwrap().last().unwrap().1
    }

    /// What everybody must have heard of at that time, and how long the given state was over then.
    fn must_be_seen(&self, at: Instant) -> Seen {
        let log = self.0.read().unwrap();
        let known = log.iter().rev().find(|(when, _)| *when + STALE < at);
        known.map_or(Seen::default(), |(_, seen)| *seen)
    }

    /// For how long something newer than `seen` had been acknowledged.
    fn age(&self, seen: Seen, at: Instant) -> Duration {
        let log = self.0.read().unwrap();
        let newer = log.iter().find(|(_, later)| seen.is_behind(*later));
        newer.map_or(Duration::ZERO, |(when, _)| at.saturating_duration_since(*when))
    }
}

struct Shop {
    database: Database,
    apps: [App; 2],
    log: Vec<Acknowledged>,
    is_over: AtomicBool,
    answers: AtomicUsize,
    oldest_ms: AtomicUsize,
}

impl Shop {
    async fn open(database: &Database, settings: &[(&str, &str)]) -> Arc<Self> {
        let apps = [App::with(database, settings).await, App::with(database, settings).await];
        for number in 0..PRODUCTS {
            apps[0].stocked(&format!("S{number}"), 1, 1).await;
        }
        let first = Seen { price: 1, available: 1 };
        let log: Vec<Acknowledged> = (0..PRODUCTS).map(|_| Acknowledged::default()).collect();
        log.iter().for_each(|log| log.add(first));
        Arc::new(Self {
            database: database.clone(),
            apps,
            log,
            is_over: AtomicBool::default(),
            answers: AtomicUsize::default(),
            oldest_ms: AtomicUsize::default(),
        })
    }

    /// Prices change behind the instances' backs, stock through one of them, which then shows it;
    /// so often, and until it is over. How often that was.
    async fn change(&self, changes: usize, is_over: &AtomicBool) -> usize {
        let client = self.database.connect().await;
        let price = "WITH variant AS (SELECT id, product_id FROM variants WHERE sku = $1),
            product AS (UPDATE products SET version = version + 1
                WHERE id = (SELECT product_id FROM variant))
            UPDATE prices SET amount = amount + 1
            WHERE variant_id = (SELECT id FROM variant)";
        let mut number = 0;
        while number < changes || !is_over.load(Ordering::Relaxed) {
            let product = number % PRODUCTS;
            let (sku, log) = (format!("S{product}"), &self.log[product]);
            let mut seen = log.last();
            if (number / PRODUCTS).is_multiple_of(2) {
                assert_eq!(client.execute(price, &[&sku]).await.unwrap(), 1);
                seen.price += 1;
                log.add(seen);
            } else {
                let app = &self.apps[number % 3 % 2];
                app.adjust(&sku, 1).await.ok(201);
                seen.available += 1;
                log.add(seen);
                let path = format!("/v1/products/product-s{product}");
                let shown = Seen::of(&app.get(&path).await.ok(200));
                assert_eq!(shown.available, seen.available, "its own change");
            }
            number += 1;
            sleep(Duration::from_millis(8)).await;
        }
        number
    }

    /// Reads products one by one and in lists, by turns, until the changes are over.
    async fn read(self: Arc<Self>, reader: usize) {
        let app = &self.apps[reader % 2];
        let mut newest: HashMap<String, Seen> = HashMap::new();
        for turn in reader.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let slug = format!("product-s{}", turn % PRODUCTS);
            let asked = Instant::now();
            let products = match turn % 3 {
                0 => app.get("/v1/products?limit=10").await.ok(200)["items"].take(),
                _ => json!([app.get(&format!("/v1/products/{slug}")).await.ok(200)]),
            };
            for product in products.as_array().unwrap() {
                self.judge(&mut newest, product, asked);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn judge(
        &self,
        newest: &mut HashMap<String, Seen>,
        product: &serde_json::Value,
        asked: Instant,
    ) {
        let (slug, seen) = (product["slug"].as_str().unwrap().to_owned(), Seen::of(product));
        let number: usize = slug.strip_prefix("product-s").unwrap().parse().unwrap();
        let before = newest.insert(slug, seen).unwrap_or_default();
        assert!(!seen.is_behind(before), "{seen:?} after {before:?}");
        let must = self.log[number].must_be_seen(asked);
        assert!(!seen.is_behind(must), "{seen:?} a second after {must:?} was acknowledged");
        let age = self.log[number].age(seen, asked).as_millis() as usize;
        self.oldest_ms.fetch_max(age, Ordering::Relaxed);
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Changes before readers, with something that happens meanwhile.
    async fn look(self: &Arc<Self>, name: &str, meanwhile: impl Future<Output = ()>) {
        let (changes, readers) = size();
        let begin = Instant::now();
        let readers: Vec<_> =
            (0..readers).map(|reader| tokio::spawn(self.clone().read(reader))).collect();
        let is_over = AtomicBool::default();
        let meanwhile = async {
            meanwhile.await;
            is_over.store(true, Ordering::Relaxed);
        };
        let (changes, ()) = tokio::join!(self.change(changes, &is_over), meanwhile);
        let took = begin.elapsed();
        self.is_over.store(true, Ordering::Relaxed);
        let count = readers.len();
        for reader in readers {
            reader.await.unwrap();
        }
        println!(
            "{name}: {changes} changes in {took:.1?} before {count} readers, {} products seen, \
             the oldest {} ms after something newer was acknowledged",
            self.answers.load(Ordering::Relaxed),
            self.oldest_ms.load(Ordering::Relaxed),
        );
        assert!(self.answers.load(Ordering::Relaxed) > changes);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_nobody_sees_what_is_old_or_goes_back() {
    let shop = Shop::open(&Database::new().await, &[]).await;
    shop.look("without Redis", async {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis_nobody_sees_what_is_old_or_goes_back() {
    let pair = Pair::start("fresh-redis");
    let redis = pair.services.redis().to_owned();
    let database = Database::on(&pair.services).await;
    let shop = Shop::open(&database, &[("REDIS__URL", &redis)]).await;
    shop.look("with Redis", async {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_killed_nobody_sees_what_is_old_or_goes_back() {
    let mut pair = Pair::start("fresh-kill");
    let redis = pair.services.redis().to_owned();
    let database = Database::on(&pair.services).await;
    let shop = Shop::open(&database, &[("REDIS__URL", &redis)]).await;
    let outage = async {
        sleep(Duration::from_secs(2)).await;
        pair.kill_redis();
        sleep(Duration::from_secs(3)).await;
        pair.start_redis();
        sleep(Duration::from_secs(1)).await;
    };
    shop.look("Redis killed", outage).await;
    let up = shop.apps[0].get("/readyz").await.ok(200);
    assert_eq!(up["redis"], "ok", "it came back");
}

#[tokio::test]
async fn what_is_sold_out_or_back_on_one_instance_is_so_on_the_other_within_a_second() {
    let redis = services().redis();
    for settings in [vec![], vec![("REDIS__URL", redis)]] {
        let database = Database::new().await;
        let seller = App::with(&database, &settings).await;
        let other = App::with(&database, &settings).await;
        seller.stocked("A", 1, 1).await;
        for available in [1, 0, 1, 0] {
            for app in [&seller, &other] {
                let shown = app.get("/v1/products/product-a").await.ok(200);
                assert_eq!(shown["variants"][0]["available"], available);
                assert_eq!(shown["variants"][0]["in_stock"], available > 0);
                let listed = app.get("/v1/products?in_stock=true").await.ok(200);
                assert_eq!(listed["items"].as_array().unwrap().len(), available);
            }
            match available {
                0 => drop(other.adjust("A", 1).await.ok(201)),
                _ => drop(seller.place(&order_of(&[("A", 1)])).await.ok(201)),
            }
            sleep(STALE).await;
        }
    }
}

#[tokio::test]
async fn a_redis_that_is_flushed_or_paused_takes_no_answer_away() {
    let pair = Pair::start("fresh-pause");
    let url = pair.services.redis().to_owned();
    let database = Database::on(&pair.services).await;
    let app = App::with(&database, &[("REDIS__URL", &url)]).await;
    app.stocked("A", 1, 0).await;
    for round in ["flush", "pause"] {
        match round {
            "flush" => {
                app.get("/v1/products/product-a").await.ok(200);
                assert!(pair.flush_redis() > 0, "nothing was kept in Redis");
            }
            _ => pair.signal_redis("STOP"),
        }
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            let asked = Instant::now();
            for path in ["/v1/products/product-a", "/v1/products"] {
                let answer = app.get(path).await;
                answer.ok(200);
                assert_eq!(answer.header("doorbuster-stale"), None);
            }
            app.adjust("A", 1).await.ok(201);
            assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
            sleep(Duration::from_millis(50)).await;
        }
        let shown = app.get("/v1/products/product-a").await.ok(200);
        assert_eq!(shown["variants"][0]["available"], app.level("A").await[1]);
    }
    pair.signal_redis("CONT");
}

#[tokio::test]
async fn while_postgres_is_away_what_was_shown_goes_on_and_is_marked() {
    let mut pair = Pair::start("fresh-away");
    let database = Database::on(&pair.services).await;
    let app = App::with(&database, &[]).await;
    app.stocked("A", 1, 3).await;
    let paths = ["/v1/products/product-a", "/v1/products"];
    // What is not found while PostgreSQL is away may be there by now.
    let nothing = "/v1/products?q=nothing";
    for path in paths.into_iter().chain([nothing]) {
        assert_eq!(app.get(path).await.header("doorbuster-stale"), None);
    }
    pair.stop_postgres().await;
    // What was read before may be shown as fresh for a moment.
    sleep(Duration::from_secs(1)).await;
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        for path in paths.into_iter().chain([nothing]) {
            let asked = Instant::now();
            let answer = app.get(path).await;
            answer.ok(200);
            assert_eq!(answer.header("doorbuster-stale"), Some("true"), "{path}");
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        }
        app.get("/v1/products/never-seen").await.problem(503, "storage_unavailable");
    }
    pair.start_postgres().await;
    let change = "UPDATE products SET version = version + 1; UPDATE prices SET amount = 2;
        UPDATE catalog_epoch SET value = value + 1";
    database.connect().await.batch_execute(change).await.unwrap();
    let is_fresh = |answer: &Answer| {
        let shown = answer.json();
        let product = shown["items"].get(0).unwrap_or(&shown);
        let is_marked = answer.header("doorbuster-stale").is_some();
        answer.status == 200 && !is_marked && product["variants"][0]["prices"][0] == gbp(2)
    };
    for path in paths {
        app.until(path, is_fresh).await;
    }
    app.get("/v1/products/never-seen").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_thousand_who_want_a_cold_product_cause_one_read() {
    let database = Database::new().await;
    App::with(&database, &[]).await.stocked("A", 1, 0).await;
    let app = Arc::new(App::with(&database, &[]).await);
    let found = async |tier: &str| {
        let series = "doorbuster_cache_reads_total";
        app.metric(&format!("{series}{{cache=\"products\",tier=\"{tier}\"}}")).await as u64
    };
    let id: String = {
        let row = database.rows("SELECT id FROM products", &[]).await.remove(0);
        doorbuster::id::ProductId::from(row.get::<_, uuid::Uuid>(0)).to_string()
    };
    assert_eq!(found("database").await, 0);
    let buyers: Vec<_> = (0..1_000)
        .map(|_| {
            let (app, path) = (app.clone(), format!("/v1/products/{id}"));
            tokio::spawn(async move { app.get(&path).await.ok(200) })
        })
        .collect();
    for buyer in buyers {
        buyer.await.unwrap();
    }
    // Who came when it was not so young any more had it read ahead.
    let reads = found("database").await;
    assert!((1..=2).contains(&reads), "{reads} reads");
}

#[tokio::test]
async fn a_search_that_takes_too_long_is_refused_and_is_no_outage() {
    let app = App::start().await;
    app.stocked("MUG", 100, 1).await;
    app.get("/v1/products?q=product").await.ok(200);
    let keeper = app.database.connect().await;
    let lock = "BEGIN; LOCK TABLE product_search IN ACCESS EXCLUSIVE MODE";
    keeper.batch_execute(lock).await.unwrap();
    let refused = app.get("/v1/products?q=mug").await;
    refused.problem(503, "overloaded");
    assert!(refused.header("retry-after").is_some());
    let remembered = app.get("/v1/products?q=product").await;
    assert_eq!((remembered.status, remembered.header("doorbuster-stale")), (200, None));
    keeper.batch_execute("ROLLBACK").await.unwrap();
    let found = app.get("/v1/products?q=mug").await.ok(200);
    assert_eq!(found["items"][0]["title"], "Product MUG");
}
