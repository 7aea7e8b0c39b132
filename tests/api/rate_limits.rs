//! Limits of clients: by address, token, customer and account, on one instance and on two.

use crate::harness::{
    Answer, App, Database, PASSWORD, Pair, fresh_key, order_of, register, try_to_log_in, who,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::sleep;

async fn log_in(app: &App, email: &str, password: &str) -> Answer {
    try_to_log_in(app, None, email, password).await
}

async fn forwarded(app: &App, line: &str) -> Answer {
    let request = app.request(Method::GET, "/v1/products");
    Answer::of(request.header("X-Forwarded-For", line)).await
}

/// What an answer says of a limit: how much at once, how much is left.
fn standing(answer: &Answer) -> (Option<&str>, Option<&str>) {
    (answer.header("ratelimit-limit"), answer.header("ratelimit-remaining"))
}

/// Fails unless this was refused by a limit; for how long.
#[track_caller]
fn refused(answer: &Answer) -> Duration {
    answer.problem(429, "rate_limited");
    assert_eq!(answer.header("ratelimit-remaining"), Some("0"));
    let seconds = |name: &str| answer.header(name).unwrap().parse::<u64>().unwrap();
    let wait = seconds("retry-after");
    assert!(wait > 0 && wait <= seconds("ratelimit-reset").max(1), "{:?}", answer.headers);
    Duration::from_secs(wait)
}

#[tokio::test]
async fn what_is_tight_is_refused_says_for_how_long_and_keeps_its_word() {
    let origin = "https://shop.example";
    let settings =
        [("LIMITS__LOGINS_PER_ADDRESS", "20/minute burst 3"), ("SERVER__CORS_ORIGINS", origin)];
    let app = App::configured(&settings).await;
    for left in ["2", "1", "0"] {
        let answer = log_in(&app, &format!("{left}@example.com"), PASSWORD).await;
        answer.problem(401, "unauthorized");
        assert_eq!(standing(&answer), (Some("3"), Some(left)));
        assert!(answer.header("ratelimit-reset").is_some());
    }
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let request = app.request(Method::POST, "/v1/session/login").header("Origin", origin);
    let answer = Answer::of(request.json(&body)).await;
    let wait = refused(&answer);
    let exposed = answer.header("access-control-expose-headers").unwrap().to_lowercase();
    for name in ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after"] {
        assert!(exposed.contains(name), "{name} is not in {exposed}");
    }
    // Other work is not in the way of it, and what operators ask is not limited.
    assert_eq!(standing(&app.get("/v1/products").await).0, Some("40000"));
    assert_eq!(standing(&app.get("/livez").await), (None, None));
    let metrics = app.get("/metrics").await;
    let metrics = String::from_utf8(metrics.bytes).unwrap();
    let counted = "doorbuster_rate_limited_total{limit=\"logins_per_address\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    sleep(wait).await;
    log_in(&app, "ada@example.com", PASSWORD).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn two_instances_share_a_limit_and_each_keeps_it_when_redis_dies() {
    let pair = Pair::start("limits");
    let redis = pair.services.redis().to_owned();
    let database = Database::on(&pair.services).await;
    let settings = [
        ("REDIS__URL", &*redis),
        ("REDIS__TIMEOUT_MS", "2000"),
        ("LIMITS__LOGINS_PER_ADDRESS", "1/hour burst 6"),
        ("LIMITS__REGISTRATIONS_PER_ADDRESS", "1/hour burst 2"),
    ];
    let (one, two) =
        (App::with(&database, &settings).await, App::with(&database, &settings).await);
    for n in 0..4 {
        log_in(&one, &format!("{n}@example.com"), PASSWORD).await.problem(401, "unauthorized");
    }
    for left in ["1", "0"] {
        let answer = log_in(&two, &format!("{left}@example.org"), PASSWORD).await;
        answer.problem(401, "unauthorized");
        assert_eq!(standing(&answer), (Some("6"), Some(left)));
    }
    refused(&log_in(&two, "ada@example.com", PASSWORD).await);
    refused(&log_in(&one, "ada@example.com", PASSWORD).await);
    pair.kill_redis();
    // What each remembers holds, and what is new is limited by each for itself, without delay.
    for app in [&one, &two] {
        refused(&log_in(app, "ada@example.com", PASSWORD).await);
        let since = Instant::now();
        for n in 0..2 {
            register(app, &format!("{n}-{}@example.com", app.pid())).await.ok(201);
        }
        refused(&register(app, "ada@example.com").await);
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    }
}

#[tokio::test]
async fn a_forged_address_gives_no_new_budget() {
    let app = App::configured(&[("LIMITS__PER_ADDRESS", "1/hour burst 5")]).await;
    for n in 0..5 {
        forwarded(&app, &format!("203.0.113.{n}")).await.ok(200);
    }
    for line in ["203.0.113.9", "127.0.0.2", "unknown", "203.0.113.9, 127.0.0.1"] {
        refused(&forwarded(&app, line).await);
    }
    let request = app.request(Method::GET, "/v1/products");
    let request = request.header("Forwarded", "for=203.0.113.9").header("X-Real-IP", "192.0.2.1");
    refused(&Answer::of(request).await);
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_a_budget_of_its_own() {
    let settings = [
        ("LIMITS__PER_ADDRESS", "1/hour burst 3"),
        ("SERVER__TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8"),
    ];
    let app = App::configured(&settings).await;
    for client in ["203.0.113.1", "203.0.113.2", "2001:db8::1"] {
        for _ in 0..3 {
            forwarded(&app, client).await.ok(200);
        }
        refused(&forwarded(&app, client).await);
        refused(&forwarded(&app, &format!("198.51.100.9, {client}, 10.0.0.7")).await);
    }
    // The whole network of IPv6 is one client's.
    refused(&forwarded(&app, "2001:db8::2").await);
    forwarded(&app, "2001:db8:0:1::1").await.ok(200);
    // What is no address counts for the proxy.
    for line in ["x", "203.0.113.7, unknown", "1.2.3.4.5"] {
        forwarded(&app, line).await.ok(200);
    }
    refused(&forwarded(&app, "y").await);
}

#[tokio::test]
async fn whoever_guesses_a_password_waits_and_an_account_that_is_none_looks_the_same() {
    let app = App::start().await;
    register(&app, "ada@example.com").await.ok(201);
    let mut stories = Vec::new();
    for email in ["Ada@example.com", "nobody@example.com"] {
        let mut story = Vec::new();
        for n in 0..7 {
            let answer = log_in(&app, email, &format!("difference engine {n}")).await;
            let mut problem = answer.json();
            problem.as_object_mut().unwrap().remove("request_id");
            let wait = answer.header("retry-after").map(str::to_owned);
            story.push((answer.status, wait, problem));
        }
        stories.push(story);
    }
    assert_eq!(stories[0], stories[1]);
    let statuses: Vec<u16> = stories[0].iter().map(|(status, ..)| *status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    // The right one is not looked at before its time, and then it is.
    sleep(Duration::from_millis(1_100)).await;
    log_in(&app, "ada@example.com", "difference engine").await.ok(200);
    // A clean slate; and then the waits grow.
    for _ in 0..5 {
        log_in(&app, "ada@example.com", "wrong").await.problem(401, "unauthorized");
    }
    assert_eq!(refused(&log_in(&app, "ada@example.com", "wrong").await).as_secs(), 1);
    sleep(Duration::from_millis(1_100)).await;
    log_in(&app, "ada@example.com", "wrong").await.problem(401, "unauthorized");
    assert_eq!(refused(&log_in(&app, "ADA@example.com", PASSWORD).await).as_secs(), 2);
}

#[tokio::test]
async fn the_owner_logs_in_while_somebody_else_guesses() {
    let settings = [("SERVER__TRUSTED_PROXIES", "127.0.0.1")];
    let app = App::configured(&settings).await;
    register(&app, "ada@example.com").await.ok(201);
    let from = async |address: &str, password: &str| {
        let body = json!({"email": "ada@example.com", "password": password});
        let request = app.request(Method::POST, "/v1/session/login").json(&body);
        Answer::of(request.header("X-Forwarded-For", address)).await
    };
    for _ in 0..5 {
        from("203.0.113.1", "wrong").await.problem(401, "unauthorized");
    }
    refused(&from("203.0.113.1", PASSWORD).await);
    refused(&from("203.0.113.2", PASSWORD).await);
    from("198.51.100.1", PASSWORD).await.ok(200);
}

#[tokio::test]
async fn an_account_is_guessed_at_only_so_often_from_everywhere_together() {
    let settings = [
        ("SERVER__TRUSTED_PROXIES", "127.0.0.1"),
        ("LIMITS__GUESSES_PER_ACCOUNT", "30/minute burst 4"),
    ];
    let app = App::configured(&settings).await;
    let from = async |n: usize| {
        let body = json!({"email": "ada@example.com", "password": "wrong"});
        let request = app.request(Method::POST, "/v1/session/login").json(&body);
        Answer::of(request.header("X-Forwarded-For", format!("198.51.{n}.1"))).await
    };
    register(&app, "ada@example.com").await.ok(201);
    // Once from home, which stays open whatever others do.
    log_in(&app, "ada@example.com", PASSWORD).await.ok(200);
    let mut refusals = 0;
    for n in 0..12 {
        let answer = from(n).await;
        refusals += usize::from(answer.status == 429);
    }
    assert!(refusals >= 4, "only {refusals} of 12 were refused");
    log_in(&app, "ada@example.com", PASSWORD).await.ok(200);
}

#[tokio::test]
async fn each_token_has_a_budget_and_a_cookie_is_the_same_token() {
    let app = App::configured(&[("LIMITS__PER_CREDENTIAL", "1/hour burst 4")]).await;
    let (one, two) = (app.session().await, app.session().await);
    for _ in 0..2 {
        who(&app, &one).await.ok(200);
        let cookie = format!("a={}; doorbuster_session={one}", fresh_key());
        let request = app.request(Method::GET, "/v1/session").header("Cookie", cookie);
        Answer::of(request).await.ok(200);
    }
    refused(&who(&app, &one).await);
    let spelt = app.request(Method::GET, "/v1/session");
    refused(&Answer::of(spelt.header("Authorization", format!("bearer   {one}"))).await);
    who(&app, &two).await.ok(200);
    app.get("/v1/products").await.ok(200);
}

#[tokio::test]
async fn all_sessions_of_a_customer_share_one_budget() {
    let app = App::configured(&[("LIMITS__PER_CUSTOMER", "1/hour burst 4")]).await;
    register(&app, "ada@example.com").await.ok(201);
    let token = async || {
        let session = log_in(&app, "ada@example.com", PASSWORD).await.ok(200);
        session["token"].as_str().unwrap().to_owned()
    };
    let (phone, laptop, guest) = (token().await, token().await, app.session().await);
    for token in [&phone, &laptop, &phone, &laptop] {
        who(&app, token).await.ok(200);
    }
    refused(&who(&app, &phone).await);
    refused(&who(&app, &laptop).await);
    who(&app, &guest).await.ok(200);
}

#[tokio::test]
async fn a_session_places_only_so_many_orders_at_once() {
    let app = App::configured(&[("LIMITS__ORDERS_PER_CREDENTIAL", "1/hour burst 2")]).await;
    app.stocked("A", 100, 10).await;
    let token = app.session().await;
    let place = async || {
        let order = app.placing(&fresh_key(), &order_of(&[("A", 1)]));
        Answer::of(order.bearer_auth(&token)).await
    };
    place().await.ok(201);
    place().await.ok(201);
    refused(&place().await);
    let checkout = app.shopping(&token, Method::POST, "/checkout", &Value::Null);
    refused(&Answer::of(checkout).await);
    assert_eq!(app.level("A").await, [10, 8, 0, 2], "nothing was begun");
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    app.database.assert_clean();
}

#[tokio::test]
async fn one_mailbox_is_registered_only_so_often_and_can_still_get_a_new_password() {
    let app = App::configured(&[("LIMITS__PER_EMAIL", "1/hour burst 2")]).await;
    register(&app, "ada@example.com").await.ok(201);
    register(&app, "ADA@example.com").await.problem(409, "conflict");
    refused(&register(&app, "Ada@example.com").await);
    refused(&register(&app, "ada+once.more@example.com").await);
    register(&app, "bob@example.com").await.ok(201);
    let reset = json!({"email": "ada@example.com"});
    let reset = app.request(Method::POST, "/v1/customers/password-reset").json(&reset);
    assert_eq!(Answer::of(reset).await.status, 202);
}

#[tokio::test]
async fn without_limits_nobody_is_refused_and_nothing_is_said_of_them() {
    let settings = [("LIMITS__ENABLED", "false"), ("LIMITS__PER_ADDRESS", "1/hour burst 1")];
    let app = App::configured(&settings).await;
    for _ in 0..3 {
        let answer = app.get("/v1/products").await;
        answer.ok(200);
        assert_eq!(standing(&answer), (None, None));
    }
    for _ in 0..7 {
        log_in(&app, "ada@example.com", PASSWORD).await.problem(401, "unauthorized");
    }
    let one_off = App::configured(&[("LIMITS__PER_ADDRESS", "none")]).await;
    assert_eq!(standing(&one_off.get("/v1/products").await), (None, None));
}
