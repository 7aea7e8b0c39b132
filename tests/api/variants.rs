//! Variants and prices, one by one.

use crate::harness::{Answer, App, fresh_key, gbp, order_of};
use reqwest::Method;
use serde_json::{Value, json};

/// A product with one variant `A`, of which 10 are in stock: its path and the variant's.
async fn product(app: &App) -> (String, String) {
    app.stocked("A", 100, 10).await;
    let list = app.admin_get("/v1/admin/products").await.ok(200);
    let product = &list["items"][0];
    let path = |collection: &str, of: &Value| {
        format!("/v1/admin/{collection}/{}", of["id"].as_str().unwrap())
    };
    (path("products", product), path("variants", &product["variants"][0]))
}

#[tokio::test]
async fn a_variant_is_added_once_for_a_key_and_stands_behind_the_others() {
    let app = App::start().await;
    let (product, _) = product(&app).await;
    let (key, body) = (fresh_key(), json!({"sku": "B", "prices": [gbp(200)]}));
    let add = async || {
        let request = app.admin(Method::POST, &format!("{product}/variants"));
        Answer::of(request.header("Idempotency-Key", &key).json(&body)).await
    };
    let made = add().await;
    let variant = made.ok(201);
    assert_eq!((&variant["sku"], &variant["version"]), (&json!("B"), &json!(2)));
    assert_eq!(made.header("etag"), Some("\"2\""));
    let location = made.header("location").unwrap();
    assert_eq!(app.admin_get(location).await.ok(200), variant);
    let again = add().await;
    assert_eq!((again.status, &again.bytes), (201, &made.bytes));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.header("etag"), Some("\"2\""));
    let whole = app.admin_get(&product).await.ok(200);
    assert_eq!((&whole["variants"][1]["sku"], &whole["version"]), (&json!("B"), &json!(2)));
    app.adjust("B", 1).await.ok(201);
    app.place(&order_of(&[("B", 1)])).await.ok(201);
    app.database.assert_clean();
}

#[tokio::test]
async fn a_variant_in_orders_is_archived_and_comes_back() {
    let app = App::start().await;
    let (product, variant) = product(&app).await;
    app.place(&order_of(&[("A", 2)])).await.ok(201);
    for _ in 0..2 {
        assert_eq!(app.admin_delete(&variant).await.status, 204);
    }
    let archived = app.admin_get(&variant).await.ok(200);
    assert_eq!((&archived["status"], &archived["version"]), (&json!("archived"), &json!(2)));
    assert_eq!(app.get("/v1/products/product-a").await.ok(200)["variants"], json!([]));
    assert_eq!(app.get("/v1/products").await.ok(200)["items"][0]["variants"], json!([]));
    app.place(&order_of(&[("A", 1)])).await.problem(422, "validation_failed");
    let taken = json!({"sku": "A", "prices": [gbp(1)]});
    let taken = app.admin_post(&format!("{product}/variants"), &taken).await;
    taken.problem(422, "validation_failed");
    let back = app.admin_patch(&variant, &json!({"status": "active"})).await.ok(200);
    assert_eq!((&back["status"], &back["version"]), (&json!("active"), &json!(3)));
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    assert_eq!(app.level("A").await, [10, 7, 0, 3]);
    app.database.assert_clean();
}

#[tokio::test]
async fn prices_come_change_and_go() {
    let app = App::start().await;
    let (_, variant) = product(&app).await;
    let euros = |amount: i64| json!({"amount": amount, "currency": "EUR"});
    for prices in [json!([euros(120), gbp(100)]), json!([euros(130)]), json!([gbp(110)])] {
        let patched = app.admin_patch(&variant, &json!({"prices": prices})).await.ok(200);
        assert_eq!(patched["prices"], prices);
    }
    let sql = "SELECT currency || coalesce(amount::text, '-') FROM price_history ORDER BY id";
    let rows = app.database.rows(sql, &[]).await;
    let history: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(history, ["GBP100", "EUR120", "GBP-", "EUR130", "EUR-", "GBP110"]);
    let order = app.place(&order_of(&[("A", 1)])).await.ok(201);
    assert_eq!(order["subtotal"], gbp(110));
    app.database.assert_clean();
}

#[tokio::test]
async fn a_variant_takes_another_sku_and_the_old_one_is_free() {
    let app = App::start().await;
    let (product, variant) = product(&app).await;
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    app.admin_patch(&variant, &json!({"sku": "A-2"})).await.ok(200);
    app.place(&order_of(&[("A", 1)])).await.problem(422, "validation_failed");
    app.place(&order_of(&[("A-2", 1)])).await.ok(201);
    let old = json!({"sku": "A", "prices": [gbp(5)]});
    app.admin_post(&format!("{product}/variants"), &old).await.ok(201);
    app.stocked("X", 1, 0).await;
    let taken = app.admin_patch(&variant, &json!({"sku": "X"})).await;
    assert_eq!(taken.problem(409, "conflict")["errors"][0]["pointer"], "/sku");
    app.database.assert_clean();
}

#[tokio::test]
async fn options_are_merged_member_by_member() {
    let app = App::start().await;
    let (product, variant) = product(&app).await;
    app.admin_patch(&product, &json!({"options": ["size", "colour"]})).await.ok(200);
    let patch = async |options: Value| {
        app.admin_patch(&variant, &json!({"options": options})).await.ok(200)["options"].clone()
    };
    assert_eq!(patch(json!({"size": "L"})).await, json!({"size": "L"}));
    let both = json!({"size": "L", "colour": "red"});
    assert_eq!(patch(json!({"colour": "red"})).await, both);
    assert_eq!(patch(json!({"size": null})).await, json!({"colour": "red"}));
    let needed = app.admin_patch(&product, &json!({"options": ["size"]})).await;
    assert_eq!(needed.problem(422, "validation_failed")["errors"][0]["pointer"], "/options");
    assert_eq!(patch(Value::Null).await, json!({}));
    for (body, pointer) in [
        (json!({"options": {"weight": "1"}}), "/options/weight"),
        (json!({"sku": null}), "/sku"),
        (json!({"sku": " "}), "/sku"),
        (json!({"prices": []}), "/prices"),
        (json!({"prices": [gbp(-1)]}), "/prices/0/amount"),
        (json!({"status": "draft"}), "/status"),
    ] {
        let problem = app.admin_patch(&variant, &body).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
}

#[tokio::test]
async fn variants_are_changed_from_the_version_of_their_product() {
    let app = App::start().await;
    let (_, variant) = product(&app).await;
    let send = async |method: Method, tag: &str| {
        let request = app.admin(method, &variant).header("If-Match", tag);
        Answer::of(request.json(&json!({"prices": [gbp(7)]}))).await
    };
    send(Method::PATCH, "\"2\"").await.problem(412, "version_conflict");
    send(Method::PATCH, "\"1\"").await.ok(200);
    send(Method::DELETE, "\"1\"").await.problem(412, "version_conflict");
    assert_eq!(send(Method::DELETE, "\"2\"").await.status, 204);
    for id in ["var_01h455vb4pex5vsknk084sn02q", "x"] {
        let path = format!("/v1/admin/variants/{id}");
        app.admin_get(&path).await.problem(404, "not_found");
        app.admin_patch(&path, &json!({})).await.problem(404, "not_found");
        app.admin_delete(&path).await.problem(404, "not_found");
        let path = format!("/v1/admin/products/{id}/variants");
        let body = json!({"sku": "N", "prices": [gbp(1)]});
        app.admin_post(&path, &body).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn verify_finds_a_price_that_was_never_asked_and_one_without_its_history() {
    let app = App::start().await;
    let (_, variant) = product(&app).await;
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    app.admin_patch(&variant, &json!({"prices": [gbp(90)]})).await.ok(200);
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    app.database.assert_clean();
    let client = app.database.connect().await;
    let found = || {
        let (_, report) = app.database.verify();
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["id"] == "I9").unwrap();
        check["violations"].as_i64().unwrap()
    };
    // The old price, after the new one was there.
    let tamper = "UPDATE order_lines SET unit_price = 100, total = 100 WHERE unit_price = 90";
    client.batch_execute(tamper).await.unwrap();
    assert_eq!(found(), 1);
    let unrecorded = "ALTER TABLE prices DISABLE TRIGGER prices_are_recorded;
                      UPDATE prices SET amount = 1";
    client.batch_execute(unrecorded).await.unwrap();
    assert_eq!(found(), 2);
}
