//! Sessions: tokens, cookies, their end on every instance.

use crate::harness::{Answer, App, refused_within_a_second, until, who};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn with_cookie(app: &App, method: Method, token: &str) -> reqwest::RequestBuilder {
    let cookie = format!("other=1; doorbuster_session={token}");
    app.request(method, "/v1/session").header("Cookie", cookie)
}

#[tokio::test]
async fn a_guest_gets_a_token_and_a_cookie_that_open_the_same_session() {
    let app = App::start().await;
    for request in [
        app.request(Method::POST, "/v1/sessions"),
        app.request(Method::POST, "/v1/sessions").json(&json!({})).header("Idempotency-Key", "k"),
        app.request(Method::POST, "/v1/sessions").json(&json!({})).header("Idempotency-Key", "k"),
    ] {
        let answer = Answer::of(request).await;
        let started = answer.ok(201);
        let token = started["token"].as_str().unwrap();
        assert!(token.starts_with("dbs_") && token.len() >= 4 + 43, "256 bits: {token}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let cookie = answer.header("set-cookie").unwrap();
        assert!(cookie.starts_with(&format!("doorbuster_session={token};")), "{cookie}");
        for part in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=7776000"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let session = who(&app, token).await.ok(200);
        assert!(session["id"].as_str().unwrap().starts_with("sess_"));
        assert_eq!(session["customer"], Value::Null);
        assert_eq!(session["expires_at"], started["expires_at"]);
        assert!(session["created_at"].is_string());
        let by_cookie = Answer::of(with_cookie(&app, Method::GET, token)).await;
        assert_eq!(by_cookie.ok(200), session);
        assert_eq!(by_cookie.header("cache-control"), Some("no-store"));
    }
    assert_eq!(app.database.number("SELECT count(DISTINCT token_hash) FROM sessions").await, 3);
    assert_eq!(app.database.number("SELECT count(*) FROM idempotency_keys").await, 0);
    let tokens = "SELECT count(*) FROM sessions WHERE position('dbs_' IN sessions::text) > 0";
    assert_eq!(app.database.number(tokens).await, 0, "a token was stored");
}

#[tokio::test]
async fn without_a_good_token_nobody_is_known() {
    let app = App::start().await;
    let token = app.session().await;
    let unknown = format!("dbs_{}", "A".repeat(43));
    let cut = &token[..token.len() - 1];
    for wrong in [&*unknown, cut, &token[4..], "dbs_", "x", ""] {
        let refused = who(&app, wrong).await;
        refused.problem(401, "unauthorized");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        assert_eq!(refused.header("cache-control"), Some("no-store"));
        // A bearer token wins over the cookie, also when it is worth nothing.
        let both = with_cookie(&app, Method::GET, &token).bearer_auth(wrong);
        Answer::of(both).await.problem(401, "unauthorized");
        let cookie = Answer::of(with_cookie(&app, Method::GET, wrong)).await;
        cookie.problem(401, "unauthorized");
    }
    app.get("/v1/session").await.problem(401, "unauthorized");
    let basic = app.request(Method::GET, "/v1/session").header("Authorization", "Basic x");
    Answer::of(basic).await.problem(401, "unauthorized");
    let both = with_cookie(&app, Method::GET, &unknown).bearer_auth(&token);
    Answer::of(both).await.ok(200);
    let body = app.request(Method::POST, "/v1/sessions").json(&json!({"customer": "me"}));
    Answer::of(body).await.problem(400, "invalid_request");
}

#[tokio::test]
async fn logging_out_is_effective_at_once_here_and_within_a_second_elsewhere() {
    let app = App::start().await;
    let other = App::with(&app.database, &[]).await;
    for _ in 0..3 {
        let token = app.session().await;
        who(&app, &token).await.ok(200);
        who(&other, &token).await.ok(200);
        let logging_out = app.request(Method::DELETE, "/v1/session").bearer_auth(&token);
        let out = Answer::of(logging_out).await;
        let since = Instant::now();
        assert_eq!((out.status, out.bytes.len()), (204, 0));
        let cookie = out.header("set-cookie").unwrap();
        assert!(cookie.starts_with("doorbuster_session=;"), "{cookie}");
        assert!(cookie.contains("Max-Age=0"), "{cookie}");
        who(&app, &token).await.problem(401, "unauthorized");
        refused_within_a_second(&other, &token, since).await;
        let again = app.request(Method::DELETE, "/v1/session").bearer_auth(&token);
        Answer::of(again).await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn use_moves_the_expiry_on_but_never_beyond_the_absolute_end() {
    let app = App::start().await;
    let token = app.session().await;
    let database = app.database.connect().await;
    let moved = "SELECT count(*) FROM sessions WHERE expires_at > now() + interval '13 days'";
    database
        .batch_execute("UPDATE sessions SET expires_at = now() + interval '1 h'")
        .await
        .unwrap();
    until(async || {
        who(&app, &token).await.ok(200);
        (app.database.number(moved).await > 0).then_some(()).ok_or("use does not move it on")
    })
    .await;
    // Within a hundredth of the idle time nothing is written.
    let version = "SELECT xmin::text::bigint FROM sessions";
    let before = app.database.number(version).await;
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(1) {
        who(&app, &token).await.ok(200);
    }
    assert_eq!(app.database.number(version).await, before, "a look-up wrote");
    let soon = "UPDATE sessions SET expires_at = now() + interval '1 h',
        ends_at = now() + interval '2 h'";
    database.batch_execute(soon).await.unwrap();
    let at_end = "SELECT count(*) FROM sessions WHERE expires_at = ends_at";
    until(async || {
        who(&app, &token).await.ok(200);
        (app.database.number(at_end).await > 0).then_some(()).ok_or("it does not reach the end")
    })
    .await;
    let over = "UPDATE sessions SET expires_at = now(), ends_at = now()";
    database.batch_execute(over).await.unwrap();
    refused_within_a_second(&app, &token, Instant::now()).await;
}

#[tokio::test]
async fn a_foreign_page_changes_nothing_with_the_cookie() {
    let listed = "https://shop.example";
    let app = App::configured(&[("SERVER__CORS_ORIGINS", listed)]).await;
    let token = app.session().await;
    let delete = || with_cookie(&app, Method::DELETE, &token);
    for foreign in ["https://evil.example", "null", "https://shop.example.evil.example"] {
        let refused = Answer::of(delete().header("Origin", foreign)).await;
        refused.problem(403, "forbidden");
        // What only reads is not dangerous: the page may not look at the answer.
        let read = with_cookie(&app, Method::GET, &token).header("Origin", foreign);
        Answer::of(read).await.ok(200);
        let begun = app.request(Method::POST, "/v1/sessions").header("Origin", foreign);
        let begun = Answer::of(begun).await;
        begun.ok(201);
        assert_eq!(begun.header("set-cookie"), None, "a foreign page exchanged the session");
    }
    for own in [listed, &app.url] {
        let token = app.session().await;
        let request = with_cookie(&app, Method::DELETE, &token).header("Origin", own);
        assert_eq!(Answer::of(request).await.status, 204, "{own}");
    }
    // A token is sent on purpose, so it needs no origin of ours.
    let request = app.request(Method::DELETE, "/v1/session").bearer_auth(&token);
    let out = Answer::of(request.header("Origin", "https://evil.example")).await;
    assert_eq!(out.status, 204);
}
