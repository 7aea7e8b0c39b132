//! Whoever waits for a lock: no longer than is said, without holding others up, never in a circle.

use crate::harness::{Answer, App, Database, fresh_key, gbp, order_of, times};
use reqwest::Method;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const PRODUCTS: usize = 6;

/// The product of a SKU, as the store shows it.
async fn product(app: &App, sku: &str) -> Value {
    app.get(&format!("/v1/products/product-{}", sku.to_lowercase())).await.ok(200)
}

async fn id_of(app: &App, path: &str, body: &Value) -> String {
    let made = app.admin_post(path, body).await.ok(201);
    made["id"].as_str().unwrap().to_owned()
}

/// `doorbuster import catalog` of products with these titles and prices.
fn import(database: &Database, name: &str, rows: &[(String, String, i64)]) -> Command {
    let file = std::env::temp_dir().join(format!("{name}-{}.csv", std::process::id()));
    let rows = rows.iter().map(|(sku, title, price)| format!("{sku},{title},{price}\n"));
    std::fs::write(&file, format!("sku,title,price_minor\n{}", rows.collect::<String>()))
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    command.args(["import", "catalog"]).arg(&file).args(["--database", &database.url]);
    command.stdout(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_what_is_shown_of_a_product_does_not_hold_its_orders_up() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    app.stocked("B", 100, 10).await;
    let variant = product(&app, "A").await["variants"][0]["id"].as_str().unwrap().to_owned();
    // As a category does that moves with many products.
    let mut moving = app.database.connect().await;
    let transaction = moving.transaction().await.unwrap();
    let lock = "SELECT FROM product_search ORDER BY product_id FOR UPDATE";
    transaction.execute(lock, &[]).await.unwrap();
    let path = format!("/v1/admin/variants/{variant}");
    let request = app.admin(Method::PATCH, &path).json(&json!({"prices": [gbp(200)]}));
    let dearer = tokio::spawn(Answer::of(request));
    let row = [("B".to_owned(), "Product B".to_owned(), 300)];
    let mut importing = import(&app.database, "held-up", &row).spawn().unwrap();
    app.database.until_waiting_for_locks(2).await;
    app.place(&order_of(&[("A", 1), ("B", 1)])).await.ok(201);
    transaction.rollback().await.unwrap();
    dearer.await.unwrap().ok(200);
    assert!(importing.wait().unwrap().success());
    let order = app.place(&order_of(&[("A", 1), ("B", 1)])).await.ok(201);
    assert_eq!(order["subtotal"], gbp(500));
    app.database.assert_clean();
}

#[tokio::test]
async fn a_change_of_the_catalog_does_not_wait_for_ever() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let variant = product(&app, "A").await["variants"][0]["id"].as_str().unwrap().to_owned();
    let mut paused = app.database.connect().await;
    let transaction = paused.transaction().await.unwrap();
    transaction.execute("UPDATE catalog_epoch SET value = value + 1", &[]).await.unwrap();
    let path = format!("/v1/admin/variants/{variant}");
    let refused = app.admin_patch(&path, &json!({"prices": [gbp(200)]})).await;
    refused.problem(503, "storage_unavailable");
    // Nothing is locked any more.
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    transaction.rollback().await.unwrap();
    app.admin_patch(&path, &json!({"prices": [gbp(200)]})).await.ok(200);
}

#[tokio::test]
async fn an_import_waits_longer_than_a_write_of_a_request_may_take() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let mut paused = app.database.connect().await;
    let transaction = paused.transaction().await.unwrap();
    transaction.execute("UPDATE catalog_epoch SET value = value + 1", &[]).await.unwrap();
    let row = [("A".to_owned(), "Product A".to_owned(), 200)];
    let mut import = import(&app.database, "patient", &row);
    import.env("DOORBUSTER__POSTGRES__WRITE_MAX_SECONDS", "6");
    let mut importing = import.spawn().unwrap();
    app.database.until_waiting_for_locks(1).await;
    sleep(Duration::from_secs(7)).await;
    transaction.rollback().await.unwrap();
    assert!(importing.wait().unwrap().success());
    let order = app.place(&order_of(&[("A", 1)])).await.ok(201);
    assert_eq!(order["subtotal"], gbp(200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_and_its_category_change_at_the_same_time() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let product = product(&app, "A").await["id"].as_str().unwrap().to_owned();
    let kind = id_of(&app, "/v1/admin/categories", &json!({"title": "Kind"})).await;
    let path = format!("/v1/admin/products/{product}");
    app.admin_patch(&path, &json!({"category_ids": [kind]})).await.ok(200);
    // Somebody is putting another product somewhere.
    let mut putting = app.database.connect().await;
    let transaction = putting.transaction().await.unwrap();
    let lock = "SELECT pg_advisory_xact_lock_shared(1953654117)";
    transaction.execute(lock, &[]).await.unwrap();
    let category = format!("/v1/admin/categories/{kind}");
    let rename = app.admin(Method::PATCH, &category).json(&json!({"title": "Other"}));
    let renamed = tokio::spawn(Answer::of(rename));
    app.database.until_waiting_for_locks(1).await;
    let body = json!({"title": "Other", "category_ids": []});
    let taken_out = tokio::spawn(Answer::of(app.admin(Method::PATCH, &path).json(&body)));
    app.database.until_waiting_for_locks(2).await;
    transaction.rollback().await.unwrap();
    renamed.await.unwrap().ok(200);
    taken_out.await.unwrap().ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_locks_its_old_and_new_products_in_one_order() {
    let app = App::start().await;
    let mut ids = Vec::new();
    for sku in ["A", "B"] {
        app.stocked(sku, 100, 10).await;
        ids.push(product(&app, sku).await["id"].as_str().unwrap().to_owned());
    }
    let summer = json!({"title": "Summer", "product_ids": [ids[1]]});
    let summer = id_of(&app, "/v1/admin/collections", &summer).await;
    let mut other = app.database.connect().await;
    let transaction = other.transaction().await.unwrap();
    let lock = "SELECT FROM product_search WHERE product_id = (
                    SELECT id FROM products ORDER BY id LIMIT 1 OFFSET $1) FOR UPDATE NOWAIT";
    transaction.execute(lock, &[&0_i64]).await.unwrap();
    let path = format!("/v1/admin/collections/{summer}");
    let more = app.admin(Method::PATCH, &path).json(&json!({"product_ids": ids}));
    let more = tokio::spawn(Answer::of(more));
    app.database.until_waiting_for_locks(1).await;
    transaction.execute(lock, &[&1_i64]).await.unwrap();
    transaction.rollback().await.unwrap();
    more.await.unwrap().ok(200);
}

#[tokio::test]
async fn an_order_waits_for_a_lock_as_long_as_its_deadline_allows() {
    let settings = [("POSTGRES__JOURNAL_CONNECTIONS", "1"), ("ORDER__DEADLINE_SECONDS", "20")];
    let app = App::configured(&settings).await;
    app.stocked("A", 100, 10).await;
    let client = app.database.connect().await;
    client.batch_execute("BEGIN; SELECT 1 FROM stock FOR UPDATE").await.unwrap();
    let release = async {
        // Longer than a lane's runs wait that are counted.
        sleep(Duration::from_secs(8)).await;
        client.batch_execute("COMMIT").await.unwrap();
    };
    let order = order_of(&[("A", 1)]);
    let (placed, ()) = tokio::join!(app.place(&order), release);
    placed.ok(201);
    assert_eq!(app.level("A").await, [10, 9, 0, 1]);
}

#[tokio::test]
async fn an_order_whose_key_is_locked_holds_nobody_else_up() {
    let settings = [("POSTGRES__JOURNAL_CONNECTIONS", "1"), ("ORDER__DEADLINE_SECONDS", "8")];
    let app = App::configured(&settings).await;
    app.stocked("A", 100, 1_000).await;
    let order = order_of(&[("A", 1)]);
    let client = app.database.connect().await;
    // As whoever erases a customer.
    app.place_as("locked", &order).await.ok(201);
    client.batch_execute("BEGIN; DELETE FROM idempotency_keys").await.unwrap();
    let is_over = AtomicBool::default();
    let locked = async {
        let placed = app.place_as("locked", &order).await;
        is_over.store(true, Ordering::Relaxed);
        placed
    };
    let others = async {
        let mut slowest = Vec::new();
        while slowest.len() < 20 {
            sleep(Duration::from_millis(150)).await;
            assert!(!is_over.load(Ordering::Relaxed), "it is not locked");
            let asked = Instant::now();
            app.place(&order).await.ok(201);
            slowest.push(asked.elapsed());
        }
        client.batch_execute("ROLLBACK").await.unwrap();
        slowest
    };
    let (placed, mut took) = tokio::join!(locked, others);
    placed.ok(201);
    took.sort_unstable();
    // One of them may have waited with it for two seconds.
    assert!(took[18] < Duration::from_secs(1), "{took:?}");
    assert_eq!(app.level("A").await[3], 21);
    app.database.assert_clean();
}

#[tokio::test]
async fn orders_that_waited_too_long_are_refused_and_the_journal_works_on() {
    let settings = [
        ("POSTGRES__JOURNAL_CONNECTIONS", "1"),
        ("POSTGRES__WAIT_SECONDS", "1"),
        ("ORDER__DEADLINE_SECONDS", "1"),
    ];
    let app = App::configured(&settings).await;
    app.stocked("A", 100, 10).await;
    let client = app.database.connect().await;
    client.batch_execute("BEGIN; SELECT 1 FROM stock FOR UPDATE").await.unwrap();
    let order = order_of(&[("A", 1)]);
    let (first, second) = (fresh_key(), fresh_key());
    let later = async {
        app.database.until_waiting_for_locks(1).await;
        // So long it is still asked after when the first one's time is over.
        sleep(Duration::from_millis(300)).await;
        app.place_as(&second, &order).await
    };
    // The first one waits for the lock, the second one for its turn.
    let (locked, queued) = tokio::join!(app.place_as(&first, &order), later);
    locked.problem(503, "storage_unavailable");
    queued.problem(503, "overloaded");
    client.batch_execute("COMMIT").await.unwrap();
    // Time for a batch that consists of the late one alone.
    sleep(Duration::from_millis(500)).await;
    app.place(&order).await.ok(201);
    assert_eq!(app.level("A").await, [10, 9, 0, 1], "nothing was done of the late ones");
    for key in [&first, &second] {
        let placed = app.place_as(key, &order).await;
        placed.ok(201);
        assert_eq!(placed.header("idempotent-replayed"), None);
    }
    let metrics = String::from_utf8(app.get("/metrics").await.bytes).unwrap();
    assert!(!metrics.contains("doorbuster_actor_restarts_total"), "{metrics}");
    app.database.assert_clean();
}

/// Everything that everybody needs to get in each other's way.
struct Shop {
    apps: [App; 2],
    products: Vec<(String, String, String)>,
    categories: Vec<String>,
    collections: Vec<String>,
    is_over: AtomicBool,
    orders: AtomicU64,
    changes: AtomicU64,
}

impl Shop {
    async fn open(database: &Database) -> Self {
        let settings = [("POSTGRES__WRITE_CONNECTIONS", "8")];
        let start = || App::with(database, &settings);
        let apps = [start().await, start().await];
        let (mut products, mut categories, mut collections) = (vec![], vec![], vec![]);
        for n in 0..PRODUCTS {
            let sku = format!("P{n}");
            apps[0].stocked(&sku, 1_000, 1_000_000).await;
            let shown = product(&apps[0], &sku).await;
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            products.push((sku, text(&shown["id"]), text(&shown["variants"][0]["id"])));
        }
        for n in 0..3 {
            let title = json!({"title": format!("Kind {n}")});
            categories.push(id_of(&apps[0], "/v1/admin/categories", &title).await);
            collections.push(id_of(&apps[0], "/v1/admin/collections", &title).await);
        }
        let is_over = AtomicBool::new(false);
        let (orders, changes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { apps, products, categories, collections, is_over, orders, changes }
    }

    /// Goes on until it is over; `n` tells the instance and what comes first.
    async fn repeat(self: Arc<Self>, n: usize, step: impl AsyncFn(&Self, &App, usize)) {
        for round in n.. {
            if self.is_over.load(Ordering::SeqCst) {
                break;
            }
            step(&self, &self.apps[n % 2], round).await;
        }
    }

    async fn buy(&self, app: &App, round: usize) {
        let sku = |step: usize| self.products[(round * step + step) % PRODUCTS].0.as_str();
        let mut skus = vec![sku(1), sku(5), sku(2)];
        skus.sort_unstable();
        skus.dedup();
        let items: Vec<(&str, i64)> = skus.into_iter().map(|sku| (sku, 1)).collect();
        let answer = app.place(&order_of(&items)).await;
        match answer.status {
            201 => drop(self.orders.fetch_add(1, Ordering::SeqCst)),
            // Its prices changed under it again and again.
            _ => drop(answer.problem(503, "overloaded")),
        }
    }

    async fn patch(&self, app: &App, path: &str, body: &Value) {
        app.admin_patch(path, body).await.ok(200);
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    async fn reprice(&self, app: &App, round: usize) {
        let path = format!("/v1/admin/variants/{}", self.products[round % PRODUCTS].2);
        let price = gbp(1_000 + round as i64 % 100);
        self.patch(app, &path, &json!({"prices": [price]})).await;
    }

    async fn recategorise(&self, app: &App, round: usize) {
        let path = format!("/v1/admin/products/{}", self.products[round % PRODUCTS].1);
        let some = [&self.categories[round % 3], &self.categories[(round + 1) % 3]];
        let body = json!({"title": format!("Thing {round}"), "category_ids": some});
        self.patch(app, &path, &body).await;
    }

    async fn move_category(&self, app: &App, round: usize) {
        let path = format!("/v1/admin/categories/{}", self.categories[2]);
        let parent = &self.categories[round % 2];
        let body = json!({"title": format!("Kind {round}"), "parent_id": parent});
        self.patch(app, &path, &body).await;
    }

    async fn collect(&self, app: &App, round: usize) {
        let path = format!("/v1/admin/collections/{}", self.collections[round % 3]);
        let some = |n: &usize| !(round + n).is_multiple_of(3);
        let ids: Vec<_> = (0..PRODUCTS).filter(some).map(|n| &self.products[n].1).collect();
        self.patch(app, &path, &json!({"product_ids": ids})).await;
    }

    /// Some prices and the other titles, so that each is written by itself.
    async fn import(&self, app: &App, round: usize) {
        let rows = (0..PRODUCTS).rev().map(|n| {
            let price = 2_000 + ((round + n) % 2 * round) as i64;
            (self.products[n].0.clone(), format!("Thing {}", (round + n) % 7), price)
        });
        let mut command = import(&app.database, "circle", &rows.collect::<Vec<_>>());
        let done = tokio::task::spawn_blocking(move || command.status()).await;
        assert!(done.unwrap().unwrap().success());
        self.changes.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_and_changes_of_the_catalog_never_wait_in_a_circle() {
    let database = Database::new().await;
    let shop = Arc::new(Shop::open(&database).await);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        tasks.spawn(shop.clone().repeat(n, async |shop, app, n| shop.buy(app, n).await));
    }
    for n in 0..4 {
        tasks.spawn(shop.clone().repeat(n, async |shop, app, n| shop.reprice(app, n).await));
        tasks.spawn(shop.clone().repeat(n, async |shop, app, n| shop.recategorise(app, n).await));
        tasks.spawn(shop.clone().repeat(n, async |shop, app, n| shop.collect(app, n).await));
    }
    tasks.spawn(shop.clone().repeat(0, async |shop, app, n| shop.move_category(app, n).await));
    tasks.spawn(shop.clone().repeat(1, async |shop, app, n| shop.import(app, n).await));
    let over = shop.clone();
    tasks.spawn(async move {
        sleep(Duration::from_secs(times("CIRCLE_SECONDS", 5) as u64)).await;
        over.is_over.store(true, Ordering::SeqCst);
    });
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let (orders, changes) = (&shop.orders, &shop.changes);
    println!(
        "{} orders, {} changes",
        orders.load(Ordering::SeqCst),
        changes.load(Ordering::SeqCst)
    );
    assert!(orders.load(Ordering::SeqCst) > 50 && changes.load(Ordering::SeqCst) > 50);
    // Backends tell what they met at their end at the latest.
    drop(shop);
    let others = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.until(others, 0).await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(database.number(deadlocks).await, 0);
    database.assert_clean();
}
