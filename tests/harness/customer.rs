//! Customers as tests make them.

use super::{Answer, App};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The password of every customer that tests make.
pub const PASSWORD: &str = "difference engine";

pub async fn register(app: &App, email: &str) -> Answer {
    let body = json!({"email": email, "password": PASSWORD, "name": "Ada Lovelace"});
    Answer::of(app.request(Method::POST, "/v1/customers").json(&body)).await
}

/// The token of somebody who is invited to the staff by whoever has the database.
pub fn invited_by_hand(app: &App, email: &str, role: &str) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_doorbuster"))
        .args(["staff", "create", "--email", email, "--name", "Grace Hopper", "--role", role])
        .args(["--database", &app.database.url])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split('"').find(|word| word.starts_with("dbi_")).expect("a token").to_owned()
}

/// Tries to log in, with the session of this token if there is one.
pub async fn try_to_log_in(
    app: &App,
    former: Option<&str>,
    email: &str,
    password: &str,
) -> Answer {
    let body = json!({"email": email, "password": password});
    let request = app.request(Method::POST, "/v1/session/login").json(&body);
    let request = match former {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    Answer::of(request).await
}

/// Logs in and tells the new token.
pub async fn log_in(app: &App, former: Option<&str>, email: &str) -> String {
    let answer = try_to_log_in(app, former, email, PASSWORD).await;
    answer.ok(200)["token"].as_str().unwrap().to_owned()
}

/// What a customer asks: `method /v1/customers/me{path}`, with a body unless it is null.
pub async fn my(app: &App, token: &str, method: Method, path: &str, body: &Value) -> Answer {
    let request = app.request(method, &format!("/v1/customers/me{path}")).bearer_auth(token);
    Answer::of(if body.is_null() { request } else { request.json(body) }).await
}

pub async fn get_as(app: &App, token: &str, path: &str) -> Answer {
    Answer::of(app.request(Method::GET, path).bearer_auth(token)).await
}

/// What its session says to a token.
pub async fn who(app: &App, token: &str) -> Answer {
    get_as(app, token, "/v1/session").await
}

/// Asks until the token is refused, which must be within a second after `since`.
pub async fn refused_within_a_second(app: &App, token: &str, since: Instant) {
    status_within_a_second(app, token, "/v1/session", 401, since).await;
    who(app, token).await.problem(401, "unauthorized");
}

/// Asks until the status is as expected, which must be within a second after `since`.
pub async fn status_within_a_second(
    app: &App,
    token: &str,
    path: &str,
    status: u16,
    since: Instant,
) {
    loop {
        let age = since.elapsed();
        let answer = get_as(app, token, path).await;
        assert!(age < Duration::from_secs(1), "{path}: {answer:?}, not {status}, after {age:?}");
        if answer.status == status {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

pub async fn post(app: &App, path: &str, body: &Value) -> Answer {
    Answer::of(app.request(Method::POST, path).json(body)).await
}
