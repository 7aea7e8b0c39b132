//! Instances are restarted one after the other behind a balancer, and nobody notices.

use crate::harness::{Answer, App, Balancer, Database, fresh_key, services, times};
use crate::sale::Sale;
use crate::strikes::Strikes;
use loadtests::generator::Arrivals;
use loadtests::order::Provider;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use tokio::runtime::Handle;

/// Restarts each instance at its place; the shop as it is now.
async fn roll_out(mut apps: [App; 2], rounds: usize, strikes: Strikes) -> [App; 2] {
    for _ in 0..rounds {
        for app in &mut apps {
            let stops = strikes.begins();
            app.signal("TERM");
            assert_eq!(app.wait(), Some(0));
            drop(stops);
            app.start_again().await;
            // The balancer finds out that it is back.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
    }
    apps
}

/// What is for the inside stays inside, however it is written; what problems point to is shown.
async fn assert_closed(balancer: &Balancer) {
    let http = reqwest::Client::new();
    for (path, expected) in [
        ("/metrics", 404),
        ("/%6detrics", 404),
        ("/readyz", 404),
        ("/docs/", 404),
        ("/docs/errors", 200),
        ("/v1/products", 200),
    ] {
        let request = http.get(format!("{}{path}", balancer.url));
        let answer = request.header("Idempotency-Key", "k").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected, "{path}");
    }
}

/// Where no instance is.
const GONE: &str = "http://127.0.0.1:1";

/// Sells and fills carts behind the balancer as long as instances are restarted, while another one
/// is gone; no request may fail, though nobody tries again.
async fn sell_through_a_rollout(balancer: fn([&str; 3]) -> Balancer) {
    let database = Database::new().await;
    let redis = [("REDIS__URL", services().redis())];
    let apps = [App::with(&database, &redis).await, App::with(&database, &redis).await];
    let balancer = balancer([&apps[0].url, GONE, &apps[1].url]);
    assert_closed(&balancer).await;
    let mut sale = Sale::at(&[&apps[0]], Provider::Test, 64);
    let rounds = times("ROLLOUTS", 1);
    sale.open_shop(&apps[0], 800 * rounds).await;
    sale.settings.bases = vec![balancer.url.parse().unwrap()];
    sale.settings.deadline = Duration::ZERO;
    let sku = sale.run.supplied.keys().next().unwrap().clone();
    let token = apps[0].session().await;
    let strikes = sale.strikes.clone();
    let rolling = move || Handle::current().block_on(roll_out(apps, rounds, strikes));
    let rolling = tokio::task::spawn_blocking(rolling);
    let mut changes = 0;
    let http = reqwest::Client::new();
    while !rolling.is_finished() {
        let filling = async {
            for _ in 0..20 {
                let url = format!("{}/v1/cart/items", balancer.url);
                let adding = http.request(Method::POST, url).bearer_auth(&token);
                let adding = adding.json(&json!({"sku": sku, "quantity": 1}));
                // What has no key is not sent again where it may have arrived.
                let adding = adding.header("Idempotency-Key", fresh_key());
                Answer::of(adding).await.ok(200);
                changes += 1;
            }
        };
        // Many at once, so that batches and payments are in the midst of it.
        tokio::join!(sale.sell(200, Arrivals::Rate(100.0)), filling);
    }
    let apps = rolling.await.unwrap();
    let sent = sale.run.records.len();
    println!("{rounds} rollouts, {sent} orders and {changes} changes of a cart");
    sale.assert_nobody_noticed();
    let name = balancer.name;
    let fault = format!("restarts behind {name}, a third instance gone, nobody tries again");
    sale.settled(&fault, &apps[1]).await;
    assert_eq!(apps[1].cart(&token).await["items"][0]["quantity"], changes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_instances_are_restarted_behind_nginx() {
    sell_through_a_rollout(Balancer::nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_instances_are_restarted_behind_haproxy() {
    sell_through_a_rollout(Balancer::haproxy).await;
}
