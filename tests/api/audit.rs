//! The audit log: every change of staff and keys, and nothing that rewrites it.

use crate::harness::{Answer, App, gbp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_change_is_logged_with_who_what_before_after_from_where_and_the_request() {
    let app = App::start().await;
    let key = json!({"name": "K", "scopes": ["catalog:read", "catalog:write"]});
    let key = app.admin_post("/v1/admin/api-keys", &key).await.ok(201);
    let product = json!({"title": "Mug", "variants": [{"sku": "M", "prices": [gbp(100)]}]});
    let product = app.admin_post("/v1/admin/products", &product).await.ok(201);
    let id = product["id"].as_str().unwrap();
    let change = app.request(Method::PATCH, &format!("/v1/admin/products/{id}"));
    let change = change.bearer_auth(key["key"].as_str().unwrap()).json(&json!({"title": "Cup"}));
    Answer::of(change.header("X-Request-Id", "request-7")).await.ok(200);
    let path = format!("/v1/admin/audit-log?target={id}");
    let log = app.admin_get(&path).await.ok(200);
    let [changed, made] = log["items"].as_array().unwrap().as_slice() else { panic!("{log}") };
    assert_eq!(made["action"], "create_product");
    assert_eq!((&made["actor"], &made["before"]), (&json!("configured_key"), &Value::Null));
    assert_eq!(made["after"]["title"], "Mug");
    assert_eq!((&changed["action"], &changed["actor"]), (&json!("update_product"), &key["id"]));
    assert_eq!(
        (&changed["before"]["title"], &changed["after"]["title"]),
        (&json!("Mug"), &json!("Cup"))
    );
    assert_eq!(
        (&changed["address"], &changed["request_id"]),
        (&json!("127.0.0.1"), &json!("request-7"))
    );
    let filtered = app.admin_get("/v1/admin/audit-log?action=create_api_key").await.ok(200);
    assert_eq!(filtered["items"].as_array().unwrap().len(), 1);
    let text = filtered.to_string();
    assert!(!text.contains(key["key"].as_str().unwrap()), "no secret is in the log");
    let csv = app.admin_get("/v1/admin/exports/audit-log").await;
    let csv = String::from_utf8(csv.bytes).unwrap();
    assert!(csv.contains("update_product") && csv.contains("request-7"), "{csv}");
}

#[tokio::test]
async fn a_page_of_the_log_follows_another() {
    let app = App::start().await;
    for number in 0..5 {
        app.admin_post("/v1/admin/collections", &json!({"title": format!("C{number}")})).await;
    }
    let first = app.admin_get("/v1/admin/audit-log?limit=3").await.ok(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = app.admin_get(&format!("/v1/admin/audit-log?limit=3&cursor={cursor}")).await;
    let titles = |page: &Value| {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|e| e["after"]["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = [titles(&first), titles(&second.ok(200))].concat();
    assert_eq!(all, ["C4", "C3", "C2", "C1", "C0"]);
    let position = |micros: &str| {
        let id = "00000000-0000-7000-8000-000000000000";
        format!("cursor={}", URL_SAFE_NO_PAD.encode(format!("[{micros},\"{id}\"]")))
    };
    let [early, late] = ["-300000000000000000", "18446744073709551615"].map(position);
    let wrongs = ["actor=", "created_from=yesterday", "cursor=abc", &early, &late, "limit=0"];
    for wrong in wrongs.into_iter().chain(["who=me"]) {
        let answer = app.admin_get(&format!("/v1/admin/audit-log?{wrong}")).await;
        answer.problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn nobody_rewrites_the_log_with_sql_either() {
    let app = App::start().await;
    app.admin_post("/v1/admin/collections", &json!({"title": "Summer"})).await.ok(201);
    let client = app.database.connect().await;
    for sql in
        ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
    {
        let refused = client.execute(sql, &[]).await.unwrap_err();
        assert!(
            refused.to_string().contains("append-only")
                || refused
                    .as_db_error()
                    .is_some_and(|error| error.message().contains("append-only")),
            "{sql}"
        );
    }
    assert_eq!(app.database.number("SELECT count(*) FROM audit_log").await, 1);
}

#[tokio::test]
async fn a_refused_or_repeated_change_is_not_logged() {
    let app = App::start().await;
    let make = async || {
        let request = app.admin(Method::POST, "/v1/admin/collections");
        let request = request.header("Idempotency-Key", "once");
        Answer::of(request.json(&json!({"title": "Summer", "slug": "summer"}))).await
    };
    let id = make().await.ok(201)["id"].as_str().unwrap().to_owned();
    make().await.ok(201);
    let body = json!({"title": "Summer", "slug": "summer"});
    app.admin_post("/v1/admin/collections", &body).await.problem(409, "conflict");
    app.admin_patch(&format!("/v1/admin/collections/{id}"), &json!({"title": "Summer"}))
        .await
        .ok(200);
    assert_eq!(app.database.number("SELECT count(*) FROM audit_log").await, 1);
}
