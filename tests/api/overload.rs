//! More is asked than can be done: who is refused, how, and that it passes.

use crate::harness::{Answer, App, gbp, order_of, until};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const LIMIT: &str = "doorbuster_in_flight_limit{journal=\"orders\"}";

#[tokio::test]
async fn as_many_orders_are_let_in_as_are_committed_in_time_and_the_others_refused_at_once() {
    // An order for itself in each transaction, so that a crowd takes long.
    let app = App::configured(&[
        ("POSTGRES__JOURNAL_CONNECTIONS", "1"),
        ("JOURNAL__BATCH_MAX", "1"),
        ("JOURNAL__LATENCY_TARGET_MS", "40"),
        ("ORDER__IN_FLIGHT_MAX", "200"),
    ])
    .await;
    app.stocked("A", 100, 1_000_000).await;
    assert_eq!(app.metric(LIMIT).await, 200.0);
    let order = order_of(&[("A", 1)]);
    let until = Instant::now() + Duration::from_secs(40);
    let (mut sold, mut refused, mut limit) = (0, Vec::new(), 200.0);
    while refused.is_empty() || limit > 100.0 {
        assert!(Instant::now() < until, "the limit is still {limit}");
        let crowd = join_all((0..200).map(|_| app.place(&order)));
        let (crowd, alive, ready) = tokio::join!(crowd, app.get("/livez"), app.get("/readyz"));
        [alive, ready].iter().for_each(|answer| drop(answer.ok(200)));
        for answer in crowd {
            match answer.status {
                201 => sold += 1,
                _ => refused.push(answer),
            }
        }
        limit = app.metric(LIMIT).await;
    }
    for answer in &refused {
        let problem = answer.problem(503, "overloaded");
        assert_eq!(problem["detail"], "Too many orders are being placed.");
        assert!(answer.header("retry-after").is_some());
    }
    // It passes by itself: one after the other is never too many, and the limit rises.
    while limit < 200.0 {
        assert!(Instant::now() < until, "the limit is still {limit}");
        app.place(&order).await.ok(201);
        sold += 1;
        limit = app.metric(LIMIT).await;
    }
    assert_eq!(app.level("A").await[3], sold, "who was refused has bought nothing");
    app.database.assert_clean();
}

#[tokio::test]
async fn while_threads_are_late_browsing_gives_way_and_orders_and_health_do_not() {
    let settings = [("SERVER__WORKERS", "1"), ("SERVER__BROWSE_LAG_MAX_MS", "5")];
    let app = App::configured(&settings).await;
    app.stocked("A", 100, 1_000_000).await;
    let order = order_of(&[("A", 1)]);
    let until = Instant::now() + Duration::from_secs(20);
    let mut refused: Option<Answer> = None;
    while refused.is_none() {
        assert!(Instant::now() < until, "nobody gave way");
        let browsing = join_all((0..200).map(|_| app.get("/v1/products?sort=price")));
        let buying = join_all((0..10).map(|_| app.place(&order)));
        let (browsed, bought, alive) = tokio::join!(browsing, buying, app.get("/livez"));
        bought.iter().for_each(|answer| drop(answer.ok(201)));
        alive.ok(200);
        refused = browsed.into_iter().find(|answer| answer.status != 200);
    }
    let refused = refused.unwrap();
    let problem = refused.problem(503, "overloaded");
    assert_eq!(problem["detail"], "Too busy to look around; orders go first.");
    assert!(refused.header("retry-after").is_some());
    assert!(app.metric("doorbuster_gave_way_total").await >= 1.0);
    app.until("/v1/products", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn who_reads_for_themselves_is_refused_at_once_when_too_many_wait() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let order = app.place(&order_of(&[("A", 1)])).await.ok(201);
    let locker = app.database.connect().await;
    locker.batch_execute("BEGIN; LOCK TABLE order_lines").await.unwrap();
    // Two connections are taken, and for each of them fifty may wait.
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let token = order["access_token"].as_str().unwrap();
    let look = || Answer::of(app.request(Method::GET, &path).header("X-Order-Token", token));
    let mut answers: FuturesUnordered<_> = (0..150).map(|_| look()).collect();
    for _ in 0..40 {
        let problem = answers.next().await.unwrap().problem(503, "overloaded");
        assert_eq!(problem["detail"], "Too many reads are waiting.");
    }
    drop(answers);
    locker.batch_execute("COMMIT").await.unwrap();
    until(async || match look().await.status {
        200 => Ok(()),
        status => Err(status),
    })
    .await;
}

#[tokio::test]
async fn a_read_that_takes_too_long_ends_in_the_database_too() {
    let app = App::configured(&[("POSTGRES__READ_MAX_SECONDS", "3")]).await;
    app.stocked("A", 100, 1).await;
    let locker = app.database.connect().await;
    locker.batch_execute("BEGIN; LOCK TABLE products").await.unwrap();
    let asked = Instant::now();
    let answer = app.admin_get("/v1/admin/products").await;
    answer.problem(503, "overloaded");
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    assert_eq!(app.database.waiting_for_locks().await, 0, "nobody works for who has gone");
    locker.batch_execute("COMMIT").await.unwrap();
    app.admin_get("/v1/admin/products").await.ok(200);
}

#[tokio::test]
async fn a_write_that_takes_too_long_ends_in_the_database_too() {
    let app = App::configured(&[("POSTGRES__WRITE_MAX_SECONDS", "6")]).await;
    let token = app.session().await;
    let locker = app.database.connect().await;
    locker.batch_execute("BEGIN; SELECT FROM sessions FOR UPDATE").await.unwrap();
    let asked = Instant::now();
    let log_out = || app.request(Method::DELETE, "/v1/session").bearer_auth(&token);
    Answer::of(log_out()).await.problem(503, "overloaded");
    assert!(asked.elapsed() < Duration::from_secs(11), "{:?}", asked.elapsed());
    assert_eq!(app.database.waiting_for_locks().await, 0, "it waits on for who has gone");
    locker.batch_execute("COMMIT").await.unwrap();
    assert_eq!(Answer::of(log_out()).await.status, 204);
}

#[tokio::test]
async fn an_order_that_takes_too_long_ends_in_the_database_too_and_its_key_tells_later() {
    let app =
        App::configured(&[("ORDER__DEADLINE_SECONDS", "1"), ("POSTGRES__WAIT_SECONDS", "1")])
            .await;
    app.stocked("A", 100, 10).await;
    let hang = "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS
                    'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';
                CREATE TRIGGER hang BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION hang()";
    app.database.execute(hang).await;
    let asked = Instant::now();
    let order = order_of(&[("A", 1)]);
    app.place_as("slow", &order).await.problem(503, "storage_unavailable");
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    let working = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'PgSleep'";
    app.database.until(working, 0).await;
    assert!(asked.elapsed() < Duration::from_secs(8), "it goes on for who has gone");
    app.database.execute("DROP TRIGGER hang ON orders; DROP FUNCTION hang()").await;
    app.place_as("slow", &order).await.ok(201);
    assert_eq!(app.level("A").await[3], 1);
    app.database.assert_clean();
}

#[tokio::test]
async fn small_changes_of_large_carts_come_in_small_batches() {
    let settings = [("JOURNAL__BYTES_MAX", "1048576"), ("POSTGRES__CART_CONNECTIONS", "1")];
    let app = App::configured(&settings).await;
    let mut items = Vec::new();
    for product in 0..5 {
        let skus: Vec<String> = (0..100).map(|n| format!("V{product}-{n}")).collect();
        let variants = skus
            .iter()
            .map(|sku| json!({"sku": sku, "prices": [gbp(100)], "options": {"n": sku}}));
        let variants: Vec<Value> = variants.collect();
        let title = format!("Product {product}");
        let product = json!({"title": title, "options": ["n"], "variants": variants});
        app.admin_post("/v1/admin/products", &product).await.ok(201);
        items.extend(skus.iter().map(|sku| json!({"sku": sku, "quantity": 1})));
    }
    let (mut tokens, mut shown) = (Vec::new(), usize::MAX);
    for _ in 0..24 {
        let token = app.session().await;
        let cart = app.add_to_cart(&token, &json!({"items": items})).await;
        cart.ok(200);
        shown = shown.min(cart.bytes.len());
        tokens.push(token);
    }
    let batches = "doorbuster_journal_batch_entries_count{journal=\"carts\",form=\"exact\"}";
    let before = app.metric(batches).await;
    let one = json!({"sku": "V0-0", "quantity": 1});
    let changed = join_all(tokens.iter().map(|token| app.add_to_cart(token, &one))).await;
    changed.iter().for_each(|answer| drop(answer.ok(200)));
    // Each writes its cart and its reply, about as much again; a batch has 1 MiB of that.
    let most = (1 << 20) / (2 * shown);
    let fewest = tokens.len().div_ceil(most);
    let batches = app.metric(batches).await - before;
    println!("{batches} batches, {fewest} at least, {shown} bytes in a cart");
    assert!(fewest >= 6 && batches >= fewest as f64, "{batches} batches of 24 changes");
}
