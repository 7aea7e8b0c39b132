//! Carts under faults: what was acknowledged lies in them, once.

use crate::harness::{Answer, App, Database, fresh_key};
use crate::proxy::{Fault, Proxy};
use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

fn adding(app: &App, token: &str, sku: &str) -> RequestBuilder {
    let body = json!({"sku": sku, "quantity": 1});
    app.shopping(token, Method::POST, "/items", &body)
}

/// How many of a SKU lie in the session's cart.
async fn count(app: &App, token: &str, sku: &str) -> i64 {
    let cart = app.cart(token).await;
    let items = cart["items"].as_array().unwrap().iter();
    let found = items.filter(|item| item["sku"] == sku);
    found.map(|item| item["quantity"].as_i64().unwrap()).sum()
}

/// What one SKU of a cart must hold: all that was acknowledged, and at most what is in doubt more.
#[derive(Default)]
struct Told {
    acknowledged: AtomicI64,
    unknown: AtomicI64,
}

impl Told {
    /// Fails unless what was found agrees with what was told; returns how much is in doubt.
    fn judge(&self, sku: &str, found: i64) -> i64 {
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        let unknown = self.unknown.load(Ordering::Relaxed);
        println!("{sku}: {acknowledged} acknowledged, {unknown} unknown, {found} found");
        assert!(acknowledged > 50, "hardly anything was added");
        assert!(sku != "KEYED" || unknown == 0, "a key gives the one true answer");
        assert!((acknowledged..=acknowledged + unknown).contains(&found));
        unknown
    }
}

#[tokio::test]
async fn an_instance_that_is_killed_loses_no_acknowledged_change_of_a_cart() {
    let mut killed = App::start().await;
    let survivor = App::with(&killed.database, &[]).await;
    for sku in ["KEYED", "BARE"] {
        survivor.stocked(sku, 100, 0).await;
    }
    let tokens = join_all((0..4).map(|_| survivor.session())).await;
    let (keyed, bare): (Vec<Told>, Vec<Told>) =
        tokens.iter().map(|_| (Told::default(), Told::default())).unzip();
    let answered = AtomicI64::new(0);
    let url = &killed.url;
    let until = Instant::now() + Duration::from_secs(5);
    let shopper = |n: usize| {
        let (token, keyed, bare) = (&tokens[n % 4], &keyed[n % 4], &bare[n % 4]);
        let (survivor, answered) = (&survivor, &answered);
        async move {
            for turn in 0.. {
                if Instant::now() > until || answered.load(Ordering::Relaxed) > 2_500 {
                    break;
                }
                let (sku, told, key) = match (n + turn) % 2 {
                    0 => ("KEYED", keyed, Some(fresh_key())),
                    _ => ("BARE", bare, None),
                };
                let with_key = |request: RequestBuilder| match &key {
                    Some(key) => request.header("Idempotency-Key", key),
                    None => request,
                };
                let base = if n.is_multiple_of(2) { url } else { &survivor.url };
                let request = survivor.http.post(format!("{base}/v1/cart/items"));
                let body = json!({"sku": sku, "quantity": 1});
                let sent = with_key(request.bearer_auth(token).json(&body)).send().await;
                let status = match sent {
                    Ok(response) => response.status().as_u16(),
                    Err(_) if key.is_some() => {
                        // The same key gives the one true answer, on the other instance.
                        Answer::of(with_key(adding(survivor, token, sku))).await.status
                    }
                    Err(_) => 0,
                };
                let counter = if status == 200 { &told.acknowledged } else { &told.unknown };
                counter.fetch_add(1, Ordering::Relaxed);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let kill = async {
        while answered.load(Ordering::Relaxed) < 800 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        killed.signal("KILL");
    };
    tokio::join!(join_all((0..32).map(shopper)), kill);
    killed.kill();
    let mut in_doubt = 0;
    for (at, token) in tokens.iter().enumerate() {
        for (sku, told) in [("KEYED", &keyed[at]), ("BARE", &bare[at])] {
            in_doubt += told.judge(sku, count(&survivor, token, sku).await);
        }
    }
    assert!(in_doubt > 0, "nothing was in flight when it was killed");
    survivor.database.assert_clean();
}

/// Adds until the fault has happened so often; every change must be there once.
async fn add_through(fault: Fault, faults: usize) -> Proxy {
    let database = Database::new().await;
    let proxy = Proxy::before(&database);
    let app = App::reaching(&proxy.url, &database, &[]).await;
    app.stocked("A", 100, 0).await;
    let token = app.session().await;
    let mut expected = 0;
    proxy.arm(fault, faults, false);
    while proxy.faults() < faults {
        // Without a key, so only the cart itself can tell that a change was made already.
        let added = join_all((0..8).map(|_| Answer::of(adding(&app, &token, "A")))).await;
        for answer in added {
            // While all lanes are cut off at once, nothing is begun.
            let said = String::from_utf8_lossy(&answer.bytes);
            if !said.contains("The storage is not available; try again.") {
                answer.ok(200);
                expected += 1;
            }
        }
    }
    assert_eq!(count(&app, &token, "A").await, expected);
    assert_eq!(app.cart(&token).await["version"], expected);
    database.assert_clean();
    proxy
}

#[tokio::test]
async fn a_lost_answer_of_commit_adds_nothing_twice_to_a_cart() {
    let proxy = add_through(Fault::SwallowCommit, 20).await;
    assert!(proxy.committed() >= 20, "nothing was committed without an answer");
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_made_again_for_a_cart() {
    let proxy = add_through(Fault::DropCommit, 20).await;
    assert_eq!(proxy.committed(), 0);
}
