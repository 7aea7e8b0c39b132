//! PostgreSQL and Redis that go away and come back.

use crate::harness::{
    App, Database, Pair, RedisServers, order_of, register, try_to_log_in, until, within,
};
use crate::preloaded::SlowFlush;
use crate::sale::Sale;
use futures_util::future::join_all;
use loadtests::generator::Arrivals;
use loadtests::order::Provider;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How many products a crowd reads.
const PRODUCTS: usize = 10;

/// How many look at products while Redis is not well.
const READERS: usize = 2;

/// Fails unless the server answers that it gets requests, with this health of its services.
async fn assert_ready(app: &App, postgres: &str, redis: Option<&str>) {
    let ready = app.get("/readyz").await.ok(200);
    assert_eq!((&ready["postgres"], &ready["redis"]), (&postgres.into(), &redis.into()));
    app.get("/livez").await.ok(200);
}

/// The readiness within the time that a service needs to be noticed.
async fn becomes_ready(app: &App, postgres: &str, redis: Option<&str>) {
    becomes_ready_within(2, app, postgres, redis).await;
}

async fn becomes_ready_within(seconds: u64, app: &App, postgres: &str, redis: Option<&str>) {
    within(Duration::from_secs(seconds), async || {
        let ready = app.get("/readyz").await.ok(200);
        let is_so = ready["postgres"] == postgres && ready["redis"].as_str() == redis;
        is_so.then_some(()).ok_or(ready)
    })
    .await;
}

#[tokio::test]
async fn without_postgres_orders_are_refused_at_once_and_sold_when_it_is_back() {
    // What dies has commits on its way.
    let flush = SlowFlush::by("40000");
    let mut pair = Pair::start_with("postgres-stops", &flush.environment());
    let app = App::with(&Database::on(&pair.services).await, &[]).await;
    let mut sale = Sale::at(&[&app], Provider::Manual, 32);
    sale.open_shop(&app, 700).await;
    sale.hang_up_after(Duration::from_secs(1));
    let sku = sale.run.supplied.keys().next().unwrap().clone();
    let strikes = sale.strikes.clone();
    let outage = async {
        app.database.until_at_least("SELECT count(*) FROM orders", 100).await;
        assert_ready(&app, "ok", None).await;
        let _outage = strikes.begins();
        pair.stop_postgres().await;
        let until = Instant::now() + Duration::from_secs(3);
        let mut refused = 0;
        while Instant::now() < until {
            let asked = Instant::now();
            let answer = app.place(&order_of(&[(&sku, 1)])).await;
            answer.problem(503, "storage_unavailable");
            assert!(answer.header("retry-after").is_some());
            assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
            assert_ready(&app, "degraded", None).await;
            refused += 1;
            sleep(Duration::from_millis(20)).await;
        }
        pair.start_postgres().await;
        becomes_ready(&app, "ok", None).await;
        refused
    };
    let (_, refused) = tokio::join!(sale.sell(700, Arrivals::Rate(100.0)), outage);
    println!("{refused} refused beside the sale");
    assert!(refused > 10);
    let met = sale.met();
    assert!(met > 100, "only {met} buyers met the outage");
    sale.settled("immediate stop of PostgreSQL", &app).await;
}

/// An instance with a PostgreSQL and a Redis of its own, and a sale there of so many orders.
async fn sale_beside_redis(name: &str, orders: usize) -> (Pair, App, Sale) {
    let pair = Pair::start(name);
    let redis = pair.services.redis().to_owned();
    let app = App::with(&Database::on(&pair.services).await, &[("REDIS__URL", &redis)]).await;
    let mut sale = Sale::at(&[&app], Provider::Manual, 16);
    sale.open_shop(&app, orders).await;
    sale.let_readers_in(READERS);
    assert_ready(&app, "ok", Some("ok")).await;
    (pair, app, sale)
}

#[tokio::test]
async fn a_redis_that_is_emptied_costs_orders_nothing() {
    let (pair, app, mut sale) = sale_beside_redis("redis-emptied", 400).await;
    let strikes = sale.strikes.clone();
    let flushing = async {
        let mut keys = 0;
        for _ in 0..10 {
            app.get("/v1/products").await.ok(200);
            sleep(Duration::from_millis(150)).await;
            let _flush = strikes.begins();
            keys += pair.flush_redis();
        }
        keys
    };
    let (_, keys) = tokio::join!(sale.sell(400, Arrivals::Rate(200.0)), flushing);
    assert!(keys >= 10, "it held {keys} keys ten times together");
    assert_ready(&app, "ok", Some("ok")).await;
    sale.assert_nobody_noticed();
    sale.settled("Redis is emptied", &app).await;
}

#[tokio::test]
async fn a_redis_that_says_nothing_costs_orders_nothing() {
    let (pair, app, mut sale) = sale_beside_redis("redis-sleeps", 500).await;
    let (moment, strikes) = (sale.moment(500), sale.strikes.clone());
    let silence = async {
        sleep(moment).await;
        let _silence = strikes.begins();
        pair.signal_redis("STOP");
        becomes_ready(&app, "ok", Some("degraded")).await;
    };
    tokio::join!(sale.sell(400, Arrivals::Rate(200.0)), silence);
    pair.signal_redis("CONT");
    becomes_ready(&app, "ok", Some("ok")).await;
    sale.sell(100, Arrivals::Unpaced).await;
    sale.assert_nobody_noticed();
    sale.settled("Redis says nothing", &app).await;
}

#[tokio::test]
async fn without_redis_orders_go_on() {
    let (mut pair, app, mut sale) = sale_beside_redis("redis-stops", 500).await;
    let (moment, strikes) = (sale.moment(500), sale.strikes.clone());
    let kill = async {
        sleep(moment).await;
        let _outage = strikes.begins();
        pair.kill_redis();
        becomes_ready(&app, "ok", Some("degraded")).await;
    };
    tokio::join!(sale.sell(400, Arrivals::Rate(200.0)), kill);
    assert_ready(&app, "ok", Some("degraded")).await;
    pair.start_redis();
    becomes_ready(&app, "ok", Some("ok")).await;
    sale.sell(100, Arrivals::Unpaced).await;
    sale.assert_nobody_noticed();
    sale.settled("kill -9 of Redis", &app).await;
}

/// Fails unless what one of two instances has counted counts at the other: what a client may do so
/// often (three registrations an hour), and what it has guessed.
async fn assert_limits_are_shared(app: &App, other: &App) {
    for (n, app) in [app, other, app].into_iter().enumerate() {
        register(app, &format!("{n}@limits.example")).await.ok(201);
    }
    for app in [app, other] {
        register(app, "one-more@limits.example").await.problem(429, "rate_limited");
    }
    let guess = async |app| try_to_log_in(app, None, "0@limits.example", "wrong").await;
    for app in [app, other, app, other, app] {
        guess(app).await.problem(401, "unauthorized");
    }
    for app in [app, other] {
        guess(app).await.problem(429, "rate_limited");
    }
}

/// A sale in which the Redis that holds the keys is killed, and another one takes its place.
async fn sells_while_redis_fails_over(fault: &str, mut redis: RedisServers) {
    let database = Database::new().await;
    let settings = [
        ("REDIS__URL", redis.url.as_str()),
        ("LIMITS__REGISTRATIONS_PER_ADDRESS", "1/hour burst 3"),
    ];
    let app = App::with(&database, &settings).await;
    let other = App::with(&database, &settings).await;
    let mut sale = Sale::at(&[&app, &other], Provider::Manual, 16);
    sale.open_shop(&app, 600).await;
    sale.let_readers_in(READERS);
    assert_ready(&app, "ok", Some("ok")).await;
    sale.sell(100, Arrivals::Unpaced).await;
    let (moment, strikes) = (sale.moment(500), sale.strikes.clone());
    let failover = async {
        sleep(moment).await;
        app.get("/v1/products").await.ok(200);
        let _outage = strikes.begins();
        let failover = tokio::task::spawn_blocking(move || {
            redis.kill_primary();
            redis
        });
        failover.await.unwrap()
    };
    let (_, redis) = tokio::join!(sale.sell(400, Arrivals::Rate(100.0)), failover);
    for app in [&app, &other] {
        becomes_ready_within(10, app, "ok", Some("ok")).await;
    }
    sale.sell(100, Arrivals::Rate(50.0)).await;
    for app in [&app, &other] {
        // What is there from now on was written to the one that took over, and by this instance.
        redis.flush();
        until(async || {
            app.get("/v1/products").await.ok(200);
            (redis.products() > 0).then_some(()).ok_or("it does not ask the Redis that took over")
        })
        .await;
    }
    assert_limits_are_shared(&app, &other).await;
    sale.assert_nobody_noticed();
    sale.settled(fault, &app).await;
}

#[tokio::test]
async fn orders_go_on_while_sentinels_make_another_redis_the_primary() {
    let redis = RedisServers::under_sentinels();
    sells_while_redis_fails_over("Redis: failover by Sentinels", redis).await;
}

#[tokio::test]
async fn orders_go_on_while_a_cluster_makes_another_redis_the_primary() {
    let redis = RedisServers::in_a_cluster();
    sells_while_redis_fails_over("Redis: failover in a cluster", redis).await;
}

#[tokio::test]
async fn instances_hear_of_each_other_s_changes_after_redis_went_silently() {
    let mut redis = RedisServers::under_sentinels();
    let database = Database::new().await;
    let settings = [("REDIS__URL", redis.url.as_str())];
    let (app, other) =
        (App::with(&database, &settings).await, App::with(&database, &settings).await);
    app.stocked("A", 100, 1_000).await;
    let heard = async || other.metric("doorbuster_cache_invalidations_total").await;
    let hears = async || {
        let before = heard().await;
        until(async || {
            app.adjust("A", 1).await.ok(201);
            sleep(Duration::from_millis(100)).await;
            let is_heard = heard().await > before;
            is_heard.then_some(()).ok_or("an instance does not hear of changes")
        })
        .await;
    };
    hears().await;
    app.get("/v1/products").await.ok(200);
    sleep(Duration::from_millis(200)).await;
    let _redis = tokio::task::spawn_blocking(move || {
        redis.stop_primary();
        redis
    })
    .await
    .unwrap();
    becomes_ready_within(10, &app, "ok", Some("ok")).await;
    // That it is connected again counts as something heard, too.
    hears().await;
    sleep(Duration::from_secs(3)).await;
    hears().await;
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_sends_no_crowd_to_the_database() {
    let pair = Pair::start("redis-empty");
    let redis = pair.services.redis().to_owned();
    let database = Database::on(&pair.services).await;
    let settings = [("REDIS__URL", redis.as_str())];
    let apps = [App::with(&database, &settings).await, App::with(&database, &settings).await];
    for n in 0..PRODUCTS {
        apps[0].stocked(&format!("P-{n}"), 100, 10).await;
    }
    let list = apps[0].get(&format!("/v1/products?limit={PRODUCTS}")).await.ok(200);
    let items = list["items"].as_array().unwrap().iter();
    let paths = items.map(|item| format!("/v1/products/{}", item["id"].as_str().unwrap()));
    let paths: Vec<_> = paths.collect();
    let read = async || {
        let series = "doorbuster_cache_reads_total{cache=\"products\",tier=\"database\"}";
        apps[0].metric(series).await + apps[1].metric(series).await
    };
    let (before, begin) = (read().await, Instant::now());
    let until = begin + Duration::from_secs(3);
    let reader = async |n: usize| {
        let mut answers = 0;
        while Instant::now() < until {
            let path = &paths[(n + answers) % PRODUCTS];
            apps[n % 2].get(path).await.ok(200);
            answers += 1;
            sleep(Duration::from_millis(10)).await;
        }
        answers
    };
    let emptying = async {
        while Instant::now() < until {
            pair.flush_redis();
            sleep(Duration::from_millis(100)).await;
        }
    };
    let (answers, ()) = tokio::join!(join_all((0..40).map(reader)), emptying);
    let (answers, reads) = (answers.iter().sum::<usize>(), read().await - before);
    // Each instance reads a product at most once in the time after which it is read ahead.
    let rounds = begin.elapsed().div_duration_f64(Duration::from_millis(250)).ceil() + 1.0;
    println!("{answers} answers, {reads} products read");
    assert!(reads > 0.0 && reads <= 2.0 * PRODUCTS as f64 * rounds, "{reads} reads");
    assert!(answers as f64 > 3.0 * reads, "{answers} answers from {reads} reads");
}
