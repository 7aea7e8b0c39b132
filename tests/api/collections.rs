//! Collections: products in an order of the shop's choice.

use crate::harness::{Answer, App};
use reqwest::Method;
use serde_json::{Value, json};

/// The ids of products A, B and C.
async fn products(app: &App) -> Vec<Value> {
    for sku in ["A", "B", "C"] {
        app.stocked(sku, 100, 0).await;
    }
    let list = app.admin_get("/v1/admin/products").await.ok(200);
    list["items"].as_array().unwrap().iter().map(|product| product["id"].clone()).collect()
}

fn path(collection: &Value) -> String {
    format!("/v1/admin/collections/{}", collection["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_collection_keeps_its_products_in_their_order() {
    let app = App::start().await;
    let ids = products(&app).await;
    let body = json!({"title": "Summer", "description": "Warm.",
        "product_ids": [ids[2], ids[0]]});
    let made = app.admin_post("/v1/admin/collections", &body).await;
    let summer = made.ok(201);
    assert_eq!(made.header("location"), Some(path(&summer).as_str()));
    assert_eq!(summer["product_ids"], json!([ids[2], ids[0]]));
    let order = json!({"product_ids": [ids[1], ids[2], ids[0]]});
    let patched = app.admin_patch(&path(&summer), &order).await.ok(200);
    assert_eq!(
        (&patched["product_ids"], &patched["version"]),
        (&order["product_ids"], &json!(2))
    );
    assert_eq!(app.admin_get(&path(&summer)).await.ok(200), patched);
    let emptied = json!({"product_ids": null, "description": null});
    let emptied = app.admin_patch(&path(&summer), &emptied).await.ok(200);
    assert_eq!((&emptied["product_ids"], &emptied["description"]), (&json!([]), &json!("")));
    app.database.assert_clean();
}

#[tokio::test]
async fn the_store_pages_through_collections_and_shows_each() {
    let app = App::start().await;
    for title in ["Summer", "Summer", "Gifts"] {
        app.admin_post("/v1/admin/collections", &json!({"title": title})).await.ok(201);
    }
    let first = app.get("/v1/collections?limit=2").await.ok(200);
    assert_eq!(
        (&first["items"][0]["slug"], &first["items"][1]["slug"]),
        (&json!("summer"), &json!("summer-2"))
    );
    let cursor = first["next_cursor"].as_str().unwrap();
    let last = app.get(&format!("/v1/collections?cursor={cursor}")).await.ok(200);
    assert_eq!(
        (&last["items"][0]["slug"], &last["next_cursor"]),
        (&json!("gifts"), &Value::Null)
    );
    let shown = app.get("/v1/collections/gifts").await;
    assert_eq!(shown.ok(200), last["items"][0]);
    assert_eq!(shown.header("cache-control"), Some("public, max-age=1"));
    let tag = shown.header("etag").unwrap();
    let again = app.request(Method::GET, "/v1/collections/gifts").header("If-None-Match", tag);
    assert_eq!(Answer::of(again).await.status, 304);
    for unknown in ["none", "Gifts", "%00"] {
        app.get(&format!("/v1/collections/{unknown}")).await.problem(404, "not_found");
    }
    app.get("/v1/collections?limit=101").await.problem(400, "invalid_request");
    let staff = app.admin_get("/v1/admin/collections").await.ok(200);
    assert_eq!(staff["items"].as_array().unwrap().len(), 3);
    app.get("/v1/admin/collections").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn collections_that_make_no_sense_are_refused() {
    let app = App::start().await;
    let ids = products(&app).await;
    let unknown = "prod_01h455vb4pex5vsknk084sn02q";
    for (body, pointer) in [
        (json!({"title": " "}), "/title"),
        (json!({"title": "X", "slug": "X"}), "/slug"),
        (json!({"title": "X", "product_ids": [ids[0], unknown]}), "/product_ids/1"),
        (json!({"title": "X", "product_ids": ["x"]}), "/product_ids/0"),
        (json!({"title": "X", "product_ids": [ids[0], ids[0]]}), "/product_ids/1"),
    ] {
        let problem = app.admin_post("/v1/admin/collections", &body).await;
        let problem = problem.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM collections").await, 0);
}

#[tokio::test]
async fn collections_are_changed_and_deleted_from_the_version_asked_for() {
    let app = App::start().await;
    let ids = products(&app).await;
    let body = json!({"title": "Summer", "product_ids": ids});
    let summer = app.admin_post("/v1/admin/collections", &body).await.ok(201);
    app.admin_post("/v1/admin/collections", &json!({"title": "Gifts"})).await.ok(201);
    let send = async |method: Method, tag: &str, body: &Value| {
        let request = app.admin(method, &path(&summer)).header("If-Match", tag);
        Answer::of(request.json(body)).await
    };
    let title = json!({"title": "High summer"});
    send(Method::PATCH, "\"2\"", &title).await.problem(412, "version_conflict");
    send(Method::PATCH, "\"1\"", &title).await.ok(200);
    assert_eq!(send(Method::PATCH, "\"2\"", &title).await.ok(200)["version"], 2);
    let taken = send(Method::PATCH, "*", &json!({"slug": "gifts"})).await;
    taken.problem(409, "conflict");
    let given = json!({"title": "X", "slug": "gifts"});
    let given = app.admin_post("/v1/admin/collections", &given).await;
    assert_eq!(given.problem(409, "conflict")["errors"][0]["pointer"], "/slug");
    send(Method::DELETE, "\"1\"", &title).await.problem(412, "version_conflict");
    assert_eq!(send(Method::DELETE, "\"2\"", &title).await.status, 204);
    app.admin_delete(&path(&summer)).await.problem(404, "not_found");
    app.admin_patch(&path(&summer), &title).await.problem(404, "not_found");
    assert_eq!(app.database.number("SELECT count(*) FROM products").await, 3);
    app.database.assert_clean();
}
