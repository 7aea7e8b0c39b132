//! API keys: shown once, limited by scopes, origins and time, and replaced without a gap.

use crate::harness::{Answer, App, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const PRODUCTS: &str = "/v1/admin/products";

async fn make(app: &App, body: &Value) -> Value {
    app.admin_post("/v1/admin/api-keys", body).await.ok(201)
}

async fn get(app: &App, key: &Value, path: &str) -> Answer {
    Answer::of(app.request(Method::GET, path).bearer_auth(key.as_str().unwrap())).await
}

#[tokio::test]
async fn a_key_is_shown_once_and_stored_as_a_hash_with_its_beginning_and_last_use() {
    let app = App::start().await;
    let made = make(&app, &json!({"name": "Warehouse", "scopes": ["catalog:read"]})).await;
    let secret = made["key"].as_str().unwrap();
    assert!(secret.starts_with("sk_") && secret.starts_with(made["prefix"].as_str().unwrap()));
    get(&app, &made["key"], PRODUCTS).await.ok(200);
    get(&app, &made["key"], "/v1/admin/orders").await.problem(403, "forbidden");
    let path = format!("/v1/admin/api-keys/{}", made["id"].as_str().unwrap());
    let shown = until(async || match app.admin_get(&path).await.json() {
        shown if shown["last_used_at"].is_string() => Ok(shown),
        shown => Err(shown),
    })
    .await;
    assert_eq!(shown["key"], Value::Null, "never again");
    let list = app.admin_get("/v1/admin/api-keys").await;
    assert!(!String::from_utf8_lossy(&list.bytes).contains(secret));
    let sql = format!("SELECT count(*) FROM api_keys k WHERE k::text LIKE '%{secret}%'");
    assert_eq!(app.database.number(&sql).await, 0);
}

#[tokio::test]
async fn keys_that_make_no_sense_are_refused() {
    let app = App::start().await;
    for body in [
        json!({"name": "", "scopes": ["catalog:read"]}),
        json!({"name": "K", "scopes": []}),
        json!({"name": "K", "scopes": ["catalog:burn"]}),
        json!({"name": "K", "scopes": ["catalog:read"], "expires_at": "2020-01-01T00:00:00Z"}),
        json!({"name": "K", "scopes": ["catalog:read"], "expires_at": "9999-12-31T23:59:59-05:00"}),
        json!({"name": "K", "kind": "publishable", "scopes": ["catalog:read"], "channel": "web"}),
        json!({"name": "K", "kind": "publishable", "channel": "web", "origins": ["shop.example"]}),
        json!({"name": "K", "kind": "publishable"}),
    ] {
        let answer = app.admin_post("/v1/admin/api-keys", &body).await;
        assert_eq!((answer.status, &*answer.code()), (422, "validation_failed"), "{body}");
    }
}

#[tokio::test]
async fn a_key_ends_in_time_and_a_new_one_takes_over_while_the_old_one_still_works() {
    let app = App::start().await;
    let old = make(&app, &json!({"name": "K", "scopes": ["catalog:read"]})).await;
    let path = format!("/v1/admin/api-keys/{}/rotate", old["id"].as_str().unwrap());
    let new = app.admin_post(&path, &json!({"overlap_seconds": 2})).await.ok(201);
    assert_eq!((&new["name"], &new["scopes"]), (&json!("K"), &json!(["catalog:read"])));
    assert_ne!(new["key"], old["key"]);
    get(&app, &old["key"], PRODUCTS).await.ok(200);
    get(&app, &new["key"], PRODUCTS).await.ok(200);
    tokio::time::sleep(Duration::from_secs(3)).await;
    get(&app, &old["key"], PRODUCTS).await.problem(401, "unauthorized");
    get(&app, &new["key"], PRODUCTS).await.ok(200);
    let path = format!("/v1/admin/api-keys/{}", new["id"].as_str().unwrap());
    assert_eq!(app.admin_delete(&path).await.status, 204);
    assert_eq!(app.admin_delete(&path).await.status, 204, "again");
    get(&app, &new["key"], PRODUCTS).await.problem(401, "unauthorized");
    let rotate = format!("{path}/rotate");
    app.admin_post(&rotate, &json!({})).await.problem(409, "invalid_transition");
    app.admin_patch(&path, &json!({"name": "L"})).await.problem(409, "invalid_transition");
}

#[tokio::test]
async fn a_publishable_key_opens_nothing_of_the_admin_and_only_its_own_pages_may_send_it() {
    let app = App::start().await;
    let body = json!({"kind": "publishable", "name": "Web", "channel": "web",
        "origins": ["https://shop.example"]});
    let made = make(&app, &body).await;
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("pk_"));
    get(&app, &made["key"], PRODUCTS).await.problem(401, "unauthorized");
    let shown = async |key: &str, origin: Option<&str>| {
        let request = app.request(Method::GET, "/v1/products").header("X-Publishable-Key", key);
        let request = match origin {
            Some(origin) => request.header("Origin", origin),
            None => request,
        };
        Answer::of(request).await
    };
    shown(key, None).await.ok(200);
    shown(key, Some("https://shop.example")).await.ok(200);
    shown(key, Some("https://evil.example")).await.problem(403, "forbidden");
    shown("pk_nonsense", None).await.problem(401, "unauthorized");
    let secret = make(&app, &json!({"name": "K", "scopes": ["catalog:read"]})).await;
    shown(secret["key"].as_str().unwrap(), None).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_key_is_rotated_again_if_its_successor_got_lost_and_not_once_it_is_over() {
    let app = App::start().await;
    let old = make(&app, &json!({"name": "K", "scopes": ["catalog:read"]})).await;
    let path = format!("/v1/admin/api-keys/{}", old["id"].as_str().unwrap());
    let rotate = format!("{path}/rotate");
    app.admin_post(&rotate, &json!({"overlap_seconds": 600})).await.ok(201);
    let ends = app.admin_get(&path).await.ok(200)["expires_at"].clone();
    assert!(ends.is_string());
    let body = json!({"overlap_seconds": 0, "expires_at": "2126-01-01T00:00:00Z"});
    let second = app.admin_post(&rotate, &body).await.ok(201);
    assert_eq!(second["expires_at"], "2126-01-01T00:00:00Z", "as was said, not as the old one");
    get(&app, &second["key"], PRODUCTS).await.ok(200);
    get(&app, &old["key"], PRODUCTS).await.problem(401, "unauthorized");
    app.admin_post(&rotate, &json!({})).await.problem(409, "invalid_transition");
    let path = format!("/v1/admin/api-keys/{}", second["id"].as_str().unwrap());
    let past = json!({"expires_at": "2020-01-01T00:00:00Z"});
    app.admin_patch(&path, &past).await.problem(422, "validation_failed");
    let never = app.admin_patch(&path, &json!({"expires_at": null})).await.ok(200);
    assert_eq!(never["expires_at"], Value::Null);
    let renamed = app.admin_patch(&path, &json!({"name": "L"})).await.ok(200);
    assert_eq!((&renamed["name"], &renamed["expires_at"]), (&json!("L"), &Value::Null));
}
