use crate::harness::{Answer, App, gbp, order_of};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_product_is_made_and_shown_by_id_and_slug() {
    let app = App::start().await;
    let body = json!({
        "title": "Enamel Mug", "description": "Holds coffee.", "tags": ["kitchen"],
        "options": ["size"], "media": [{"url": "https://x.example/m.png", "alt": "a mug"}],
        "variants": [
            {"sku": "MUG-S", "prices": [gbp(999), {"amount": 1199, "currency": "EUR"}],
             "options": {"size": "S"}},
            {"sku": "MUG-L", "prices": [gbp(1299)], "options": {"size": "L"}},
        ],
    });
    let made = app.admin_post("/v1/admin/products", &body).await;
    let product = made.ok(201);
    let id = product["id"].as_str().unwrap();
    assert_eq!(made.header("location"), Some(format!("/v1/products/{id}").as_str()));
    assert_eq!((&product["slug"], &product["status"]), (&json!("enamel-mug"), &json!("active")));
    app.adjust("MUG-L", 3).await.ok(201);
    let shown = app.get(&format!("/v1/products/{id}")).await.ok(200);
    assert_eq!(shown, app.get("/v1/products/enamel-mug").await.ok(200));
    let large = &shown["variants"][1];
    assert_eq!((&large["in_stock"], &large["available"]), (&json!(true), &json!(3)));
    assert_eq!(shown["variants"][0]["in_stock"], json!(false));
    app.place(&order_of(&[("MUG-L", 1)])).await.ok(201);
    let is_sold = |list: &Answer| list.ok(200)["items"][0]["variants"][1]["available"] == 2;
    app.until("/v1/products", is_sold).await;
}

#[tokio::test]
async fn an_unchanged_product_is_not_sent_again() {
    let app = App::start().await;
    app.stocked("A", 100, 1).await;
    let path = "/v1/products/product-a";
    let first = app.get(path).await;
    first.ok(200);
    let etag = first.header("etag").unwrap().to_owned();
    let again = app.request(Method::GET, path).header("If-None-Match", &etag);
    let again = Answer::of(again).await;
    assert_eq!((again.status, again.bytes.len()), (304, 0));
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    app.until(path, |answer| answer.header("etag") != Some(&etag)).await;
    let changed = app.request(Method::GET, path).header("If-None-Match", &etag);
    assert_eq!(Answer::of(changed).await.status, 200);
}

#[tokio::test]
async fn a_taken_slug_or_sku_is_a_conflict_and_nothing_is_written() {
    let app = App::start().await;
    app.stocked("A", 100, 0).await;
    let sku = json!({"title": "Other",
        "variants": [{"sku": "B", "prices": [gbp(1)]}, {"sku": "A", "prices": [gbp(1)]}]});
    app.admin_post("/v1/admin/products", &sku).await.problem(409, "conflict");
    let slug = json!({"title": "Other", "slug": "product-a",
        "variants": [{"sku": "B", "prices": [gbp(1)]}]});
    app.admin_post("/v1/admin/products", &slug).await.problem(409, "conflict");
    assert_eq!(app.database.number("SELECT count(*) FROM products").await, 1);
    assert_eq!(app.database.number("SELECT count(*) FROM variants").await, 1);
}

#[tokio::test]
async fn what_is_not_active_is_neither_shown_nor_sold() {
    let app = App::start().await;
    let draft = json!({"title": "Draft", "status": "draft",
        "variants": [{"sku": "D", "prices": [gbp(1)]}]});
    let product = app.admin_post("/v1/admin/products", &draft).await.ok(201);
    app.adjust("D", 5).await.ok(201);
    app.get("/v1/products/draft").await.problem(404, "not_found");
    let path = format!("/v1/products/{}", product["id"].as_str().unwrap());
    app.get(&path).await.problem(404, "not_found");
    assert_eq!(app.get("/v1/products").await.ok(200)["items"], json!([]));
    app.place(&order_of(&[("D", 1)])).await.problem(422, "validation_failed");
}
