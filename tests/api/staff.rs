//! Staff: invited, logged in with one factor or two, given roles, and removed; over instances.

use crate::harness::{
    Answer, App, Database, Letterbox, get_as, invited_by_hand, services, status_within_a_second,
};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use totp_rs::{Builder, Secret, Totp};

const PASSWORD: &str = "nanoseconds of wire";

async fn invite(app: &App, email: &str, role: &str) -> Value {
    let body = json!({"email": email, "name": "Grace Hopper", "role": role});
    app.admin_post("/v1/admin/staff", &body).await.ok(201)
}

/// A server, and where its mails arrive.
async fn with_mail() -> (App, Letterbox) {
    let mails = Letterbox::new();
    (App::configured(&[("MAIL__URL", &mails.url())]).await, mails)
}

/// The token in the last of so many invitations.
async fn invitation(mails: &Letterbox, address: &str, count: usize) -> Value {
    json!(mails.wait(address, "You are invited to the staff", count).await.token())
}

async fn accept(app: &App, token: &Value, password: &str) -> Answer {
    let body = json!({"token": token, "password": password});
    Answer::of(app.request(Method::POST, "/v1/admin/invitations/accept").json(&body)).await
}

async fn try_to_log_in(app: &App, email: &str, password: &str, code: Option<&str>) -> Answer {
    let mut body = json!({"email": email, "password": password});
    if let Some(code) = code {
        body["code"] = json!(code);
    }
    Answer::of(app.request(Method::POST, "/v1/admin/session/login").json(&body)).await
}

async fn log_in(app: &App, email: &str) -> String {
    let answer = try_to_log_in(app, email, PASSWORD, None).await.ok(200);
    answer["token"].as_str().unwrap().to_owned()
}

/// Somebody with this role, by id, and their token.
async fn hired(app: &App, email: &str, role: &str) -> (String, String) {
    let invitation = invited_by_hand(app, email, role);
    let staff = accept(app, &json!(invitation), PASSWORD).await.ok(200);
    (staff["id"].as_str().unwrap().to_owned(), log_in(app, email).await)
}

async fn by(app: &App, token: &str, method: Method, path: &str, body: &Value) -> Answer {
    let request = app.request(method, path).bearer_auth(token);
    Answer::of(if body.is_null() { request } else { request.json(body) }).await
}

/// Something in the body is wrong, and who asks is not.
fn assert_wrong(answer: &Answer, pointer: &str) {
    let problem = answer.problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
}

#[tokio::test]
async fn somebody_is_invited_by_mail_chooses_a_password_once_and_logs_in() {
    let (app, mails) = with_mail().await;
    let invited = invite(&app, "Grace@Example.com", "support").await;
    assert_eq!((&invited["invited"], &invited["totp"]), (&json!(true), &json!(false)));
    let token = &invitation(&mails, "Grace@Example.com", 1).await;
    try_to_log_in(&app, "grace@example.com", PASSWORD, None).await.problem(401, "unauthorized");
    accept(&app, token, "password").await.problem(422, "validation_failed");
    accept(&app, &json!("dbi_nonsense"), PASSWORD).await.problem(422, "validation_failed");
    let tries = join_all((0..20).map(|_| accept(&app, token, PASSWORD))).await;
    let accepted = tries.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(accepted, 1, "an invitation is good for once");
    let token = log_in(&app, "grace@example.com").await;
    let me = get_as(&app, &token, "/v1/admin/session").await.ok(200);
    assert_eq!(
        (&me["staff"]["email"], &me["staff"]["role"]),
        (&json!("Grace@Example.com"), &json!("support"))
    );
    assert!(me["scopes"].as_array().unwrap().contains(&json!("orders:read")));
    get_as(&app, &token, "/v1/admin/orders").await.ok(200);
    get_as(&app, &token, "/v1/admin/staff").await.problem(403, "forbidden");
    let stored = app
        .database
        .number(
            "SELECT count(*) FROM staff_sessions s, staff f WHERE octet_length(token_hash) = 32
         AND password_hash LIKE '$argon2id$%' AND invitation_hash IS NULL",
        )
        .await;
    assert_eq!(stored, 1, "a hash of each secret and nothing else");
    let again = json!({"email": "GRACE@example.com", "name": "G", "role": "support"});
    app.admin_post("/v1/admin/staff", &again).await.problem(409, "conflict");
}

#[tokio::test]
async fn an_invitation_that_is_sent_again_or_too_old_lets_nobody_in() {
    let (app, mails) = with_mail().await;
    let staff = invite(&app, "grace@example.com", "support").await;
    let first = invitation(&mails, "grace@example.com", 1).await;
    let path = format!("/v1/admin/staff/{}/invitation", staff["id"].as_str().unwrap());
    app.admin_post(&path, &json!({})).await.ok(201);
    let second = invitation(&mails, "grace@example.com", 2).await;
    assert_ne!(first, second);
    accept(&app, &first, PASSWORD).await.problem(422, "validation_failed");
    let client = app.database.connect().await;
    let old = "UPDATE staff SET invited_until = now() - interval '1 second'";
    client.execute(old, &[]).await.unwrap();
    accept(&app, &second, PASSWORD).await.problem(422, "validation_failed");
    app.admin_post(&path, &json!({})).await.ok(201);
    let third = invitation(&mails, "grace@example.com", 3).await;
    accept(&app, &third, PASSWORD).await.ok(200);
    app.admin_post(&path, &json!({})).await.problem(409, "invalid_transition");
}

#[tokio::test]
async fn wrong_passwords_and_unknown_addresses_are_answered_alike() {
    let app = App::start().await;
    hired(&app, "grace@example.com", "support").await;
    let without = |answer: &Answer| {
        let mut body = answer.problem(401, "unauthorized");
        body["request_id"] = Value::Null;
        body
    };
    let wrong = try_to_log_in(&app, "grace@example.com", "another password", None).await;
    let unknown = try_to_log_in(&app, "nobody@example.com", PASSWORD, None).await;
    assert_eq!(without(&wrong), without(&unknown));
}

/// What the authenticator shows, `steps` of thirty seconds from now.
fn code(secret: &str, steps: i64) -> String {
    let totp: Totp = Builder::new()
        .with_secret(Secret::try_from_base32(secret).unwrap())
        .with_account_name("grace")
        .build()
        .unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    totp.generate(now.as_secs().checked_add_signed(30 * steps).unwrap()).to_string()
}

#[tokio::test]
async fn a_second_factor_is_asked_for_once_it_is_confirmed_and_each_code_is_good_for_once() {
    // So many wrong codes in a row would have to wait.
    let app = App::configured(&[("LIMITS__GUESSES_PER_ACCOUNT", "none")]).await;
    let (_, token) = hired(&app, "grace@example.com", "owner").await;
    let ask = async |path: &str, body: Value| {
        by(&app, &token, Method::POST, &format!("/v1/admin/session/totp{path}"), &body).await
    };
    let wrong = ask("", json!({"password": "another password"})).await;
    assert_wrong(&wrong, "/password");
    let offered = ask("", json!({"password": PASSWORD})).await.ok(201);
    let secret = offered["secret"].as_str().unwrap();
    assert!(offered["otpauth_url"].as_str().unwrap().contains(secret));
    log_in(&app, "grace@example.com").await;
    assert_wrong(&ask("/confirm", json!({"code": "000000"})).await, "/code");
    let codes = ask("/confirm", json!({"code": code(secret, -1)})).await.ok(200);
    let codes = codes["recovery_codes"].as_array().unwrap().clone();
    assert_eq!(codes.len(), 10);
    let grace =
        async |code: Option<&str>| try_to_log_in(&app, "grace@example.com", PASSWORD, code).await;
    grace(None).await.problem(401, "unauthorized");
    grace(Some(&code(secret, -1))).await.problem(401, "unauthorized");
    grace(Some("000000")).await.problem(401, "unauthorized");
    let now = code(secret, 0);
    let tries = join_all((0..10).map(|_| grace(Some(&now)))).await;
    assert_eq!(tries.iter().filter(|answer| answer.status == 200).count(), 1);
    let paper = codes[3].as_str().unwrap();
    let tries = join_all((0..10).map(|_| grace(Some(paper)))).await;
    assert_eq!(tries.iter().filter(|answer| answer.status == 200).count(), 1);
    let paper = codes[4].as_str().unwrap();
    let body = json!({"password": PASSWORD, "code": "000000"});
    assert_wrong(&ask("/remove", body).await, "/code");
    let off = ask("/remove", json!({"password": PASSWORD, "code": paper})).await;
    assert_eq!(off.status, 204);
    log_in(&app, "grace@example.com").await;
}

#[tokio::test]
async fn nobody_gives_or_takes_what_they_may_not_do_themselves_and_one_owner_stays() {
    let app = App::start().await;
    let (owner, _) = hired(&app, "owner@example.com", "owner").await;
    let role =
        json!({"name": "doorkeeper", "scopes": ["staff:read", "staff:write", "keys:write"]});
    app.admin_post("/v1/admin/roles", &role).await.ok(201);
    let (_, keeper) = hired(&app, "keeper@example.com", "doorkeeper").await;
    let post = async |path: &str, body: Value| by(&app, &keeper, Method::POST, path, &body).await;
    let guest = |role: &str| json!({"email": "new@example.com", "name": "N", "role": role});
    post("/v1/admin/staff", guest("owner")).await.problem(403, "forbidden");
    post("/v1/admin/staff", guest("nonsense")).await.problem(422, "validation_failed");
    post("/v1/admin/staff", guest("doorkeeper")).await.ok(201);
    let role = json!({"name": "wide", "scopes": ["orders:read"]});
    post("/v1/admin/roles", role).await.problem(403, "forbidden");
    let key = json!({"name": "K", "scopes": ["orders:read"]});
    post("/v1/admin/api-keys", key).await.problem(403, "forbidden");
    let path = format!("/v1/admin/staff/{owner}");
    let body = json!({"role": "doorkeeper"});
    by(&app, &keeper, Method::PATCH, &path, &body).await.problem(403, "forbidden");
    by(&app, &keeper, Method::DELETE, &path, &Value::Null).await.problem(403, "forbidden");
    app.admin_patch(&path, &body).await.problem(409, "invalid_transition");
    app.admin_delete(&path).await.problem(409, "invalid_transition");
    let mut stays = path;
    for n in 0..5 {
        let (second, _) = hired(&app, &format!("owner-{n}@example.com"), "owner").await;
        let paths = [stays, format!("/v1/admin/staff/{second}")];
        let both = join_all(paths.iter().map(|path| app.admin_delete(path))).await;
        let mut statuses: Vec<u16> = both.iter().map(|answer| answer.status).collect();
        let refused = statuses.iter().position(|status| *status == 409);
        stays = paths[refused.unwrap_or_default()].clone();
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409], "of two owners who remove each other one stays");
    }
}

#[tokio::test]
async fn wrong_passwords_in_a_session_and_at_its_door_are_counted_together_and_for_staff_alone() {
    let app = App::start().await;
    let (_, token) = hired(&app, "grace@example.com", "support").await;
    let wrong = json!({"password": "another password"});
    let ask = || by(&app, &token, Method::POST, "/v1/admin/session/totp", &wrong);
    for _ in 0..3 {
        assert_wrong(&ask().await, "/password");
    }
    for _ in 0..2 {
        let guess = try_to_log_in(&app, "grace@example.com", "another password", None).await;
        guess.problem(401, "unauthorized");
    }
    ask().await.problem(429, "rate_limited");
    // A customer's address that looks like what staff are counted under.
    let body = json!({"email": "staff:grace@example.com", "password": PASSWORD});
    for path in ["/v1/customers", "/v1/session/login"] {
        let answer = Answer::of(app.request(Method::POST, path).json(&body)).await;
        assert!(answer.status < 300, "{path}: {answer:?}");
    }
    ask().await.problem(429, "rate_limited");
    let right = try_to_log_in(&app, "grace@example.com", PASSWORD, None).await;
    right.problem(429, "rate_limited");
}

#[tokio::test]
async fn roles_of_the_shop_are_made_changed_and_removed_and_built_in_ones_are_not() {
    let app = App::start().await;
    let role = json!({"name": "warehouse", "scopes": ["stock:read", "stock:write"]});
    let make = || app.admin(Method::POST, "/v1/admin/roles").header("Idempotency-Key", "r1");
    let made = Answer::of(make().json(&role)).await;
    made.ok(201);
    let replayed = Answer::of(make().json(&role)).await;
    assert_eq!((replayed.status, &replayed.bytes), (201, &made.bytes));
    app.admin_post("/v1/admin/roles", &role).await.problem(409, "conflict");
    for wrong in
        [json!({"name": "Big", "scopes": ["stock:read"]}), json!({"name": "ab", "scopes": []})]
    {
        app.admin_post("/v1/admin/roles", &wrong).await.problem(422, "validation_failed");
    }
    for unknown in ["none", "None", "%00"] {
        let path = format!("/v1/admin/roles/{unknown}");
        app.admin_get(&path).await.problem(404, "not_found");
        let change = app.admin_patch(&path, &json!({"scopes": ["stock:read"]})).await;
        change.problem(404, "not_found");
        app.admin_delete(&path).await.problem(404, "not_found");
    }
    let list = app.admin_get("/v1/admin/roles").await.ok(200);
    let names: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["owner", "manager", "support", "read-only", "warehouse"]);
    hired(&app, "w@example.com", "warehouse").await;
    app.admin_delete("/v1/admin/roles/warehouse").await.problem(409, "conflict");
    app.admin_delete("/v1/admin/roles/owner").await.problem(409, "invalid_transition");
    let body = json!({"scopes": ["stock:read"]});
    app.admin_patch("/v1/admin/roles/support", &body).await.problem(409, "invalid_transition");
    let changed = app.admin_patch("/v1/admin/roles/warehouse", &body).await.ok(200);
    assert_eq!((&changed["version"], &changed["scopes"]), (&json!(2), &json!(["stock:read"])));
    let log = app.admin_get("/v1/admin/audit-log?action=update_role").await.ok(200);
    assert_eq!(log["items"][0]["target"], "warehouse");
    let stale = app.admin(Method::PATCH, "/v1/admin/roles/warehouse").header("If-Match", "\"1\"");
    Answer::of(stale.json(&body)).await.problem(412, "version_conflict");
}

/// What changes on one instance counts on the other within a second.
async fn effective_on_both(here: &App, there: &App) {
    let (id, token) = hired(here, "grace@example.com", "owner").await;
    let products = "/v1/admin/products";
    let staff = "/v1/admin/staff";
    get_as(there, &token, staff).await.ok(200);
    hired(here, "second@example.com", "owner").await;
    let path = format!("/v1/admin/staff/{id}");
    here.admin_patch(&path, &json!({"role": "read-only"})).await.ok(200);
    let since = Instant::now();
    status_within_a_second(there, &token, staff, 403, since).await;
    status_within_a_second(here, &token, staff, 403, since).await;
    get_as(there, &token, products).await.ok(200);
    let out = by(here, &token, Method::DELETE, "/v1/admin/session", &Value::Null).await;
    assert_eq!(out.status, 204);
    get_as(here, &token, products).await.problem(401, "unauthorized");
    status_within_a_second(there, &token, products, 401, Instant::now()).await;
    let body = json!({"name": "Key", "scopes": ["catalog:read"]});
    let key = here.admin_post("/v1/admin/api-keys", &body).await.ok(201);
    let secret = key["key"].as_str().unwrap();
    get_as(there, secret, products).await.ok(200);
    let path = format!("/v1/admin/api-keys/{}", key["id"].as_str().unwrap());
    assert_eq!(here.admin_delete(&path).await.status, 204);
    get_as(here, secret, products).await.problem(401, "unauthorized");
    status_within_a_second(there, secret, products, 401, Instant::now()).await;
}

#[tokio::test]
async fn log_out_role_and_revocation_are_effective_everywhere_within_a_second() {
    let database = Database::new().await;
    let redis = services().redis_url.clone().expect("Redis");
    let settings = [("REDIS__URL", &*redis)];
    let (here, there) =
        (App::with(&database, &settings).await, App::with(&database, &settings).await);
    effective_on_both(&here, &there).await;
}

#[tokio::test]
async fn log_out_role_and_revocation_need_no_redis_to_be_effective_everywhere() {
    let database = Database::new().await;
    // Nobody listens there.
    let settings = [("REDIS__URL", "redis://127.0.0.1:1")];
    let (here, there) =
        (App::with(&database, &settings).await, App::with(&database, &settings).await);
    effective_on_both(&here, &there).await;
}

#[tokio::test]
async fn another_password_ends_the_other_sessions_and_removal_ends_all() {
    let app = App::start().await;
    let (id, token) = hired(&app, "grace@example.com", "support").await;
    let other = log_in(&app, "grace@example.com").await;
    let body = json!({"current_password": PASSWORD, "password": "a moth in the relay"});
    let path = "/v1/admin/session/password";
    let wrong = json!({"current_password": "not this one", "password": "a moth in the relay"});
    assert_wrong(&by(&app, &token, Method::POST, path, &wrong).await, "/current_password");
    assert_eq!(by(&app, &token, Method::POST, path, &body).await.status, 204);
    get_as(&app, &other, "/v1/admin/session").await.problem(401, "unauthorized");
    get_as(&app, &token, "/v1/admin/session").await.ok(200);
    try_to_log_in(&app, "grace@example.com", PASSWORD, None).await.problem(401, "unauthorized");
    assert_eq!(app.admin_delete(&format!("/v1/admin/staff/{id}")).await.status, 204);
    get_as(&app, &token, "/v1/admin/session").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn the_first_owner_is_let_in_by_the_command_line() {
    let app = App::start().await;
    let token = invited_by_hand(&app, "ada@example.com", "owner");
    accept(&app, &json!(token), PASSWORD).await.ok(200);
    let token = log_in(&app, "ada@example.com").await;
    get_as(&app, &token, "/v1/admin/staff").await.ok(200);
    let log = app.admin_get("/v1/admin/audit-log?actor=command_line").await.ok(200);
    assert_eq!(log["items"][0]["action"], "create_staff");
}

#[tokio::test]
async fn a_session_of_staff_lasts_while_it_is_used_and_not_beyond_its_end() {
    let app = App::start().await;
    let (_, token) = hired(&app, "grace@example.com", "support").await;
    let ask = || get_as(&app, &token, "/v1/admin/session");
    let soon = "UPDATE staff_sessions SET expires_at = now() + interval '3 seconds'";
    app.database.execute(soon).await;
    // Longer than a look-up is believed.
    tokio::time::sleep(Duration::from_millis(800)).await;
    ask().await.ok(200);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    ask().await.ok(200);
    let end = "UPDATE staff_sessions SET expires_at = now() + interval '3 seconds',
                   ends_at = now() + interval '3 seconds'";
    app.database.execute(end).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    ask().await.ok(200);
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    ask().await.problem(401, "unauthorized");
}
