//! The routes, from request to reply.

use super::Shop;
use crate::auth::Admin;
use crate::catalog::routes::products::create_product;
use crate::catalog::routes::{get_product, list_products};
use crate::catalog::{Offers, Storefront, StorefrontSettings, load_demo};
use actix_web::body::to_bytes;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, HeaderMap, LOCATION};
use actix_web::test::TestRequest;
use actix_web::{App, HttpMessage, test, web};
use serde_json::{Value, json};
use std::time::Duration;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// `null` for an error: the outermost middleware would write its body.
    body: Value,
    /// What that middleware would write about.
    pointers: Vec<String>,
}

impl Answer {
    fn header(&self, name: impl actix_web::http::header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Each request meets an instance that remembers nothing.
async fn call(shop: &Shop, request: TestRequest) -> Answer {
    let fresh = Duration::from_millis(700);
    let offers = Offers::new(shop.postgres.clone());
    let settings = StorefrontSettings { bytes_max: 1 << 20, fresh, searches: 2 };
    let app = App::new()
        .app_data(web::Data::new(Storefront::start(&shop.postgres, settings, offers, None)))
        .app_data(web::Data::new(shop.postgres.clone()))
        .app_data(web::Data::new("GBP".parse::<crate::money::Currency>().unwrap()))
        .route("/v1/admin/products", web::post().to(create_product))
        .route("/v1/products", web::get().to(list_products))
        .route("/v1/products/{id_or_slug}", web::get().to(get_product));
    let app = test::init_service(app).await;
    let request = request.to_request();
    // What the policy of the route would have found out.
    request.extensions_mut().insert(Admin::command_line("create_product"));
    let response = test::call_service(&app, request).await.into_parts().1;
    let (status, headers) = (response.status(), response.headers().clone());
    let problem = response.error().and_then(|error| error.as_error::<crate::error::Problem>());
    let pointers = problem.map_or(Vec::new(), |problem| {
        problem.errors.iter().map(|error| error.pointer.clone()).collect()
    });
    let bytes = to_bytes(response.into_body()).await.unwrap_or_default();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { status, headers, body, pointers }
}

fn post(body: &Value) -> TestRequest {
    TestRequest::post().uri("/v1/admin/products").set_json(body)
}

async fn get(shop: &Shop, path: &str) -> Answer {
    call(shop, TestRequest::get().uri(path)).await
}

fn mug(sku: &str) -> Value {
    let prices =
        json!([{"amount": 1299, "currency": "GBP"}, {"amount": 1499, "currency": "EUR"}]);
    json!({"title": "Mug", "variants": [{"sku": sku, "prices": prices}]})
}

#[tokio::test]
async fn a_created_product_is_shown_at_its_id_and_its_slug() {
    let shop = Shop::open().await;
    let body = json!({
        "title": "Kid’s Café T-shirt", "description": "Soft.", "tags": ["clothing"],
        "options": ["size"], "media": [{"url": "https://example.com/t.jpg", "alt": "A shirt"}],
        "category_ids": [],
        "variants": [
            {"sku": "T-S", "prices": [{"amount": 0, "currency": "GBP"}], "options": {"size": "S"}},
            {"sku": "T-A", "prices": [{"amount": 9, "currency": "USD"},
                {"amount": 7, "currency": "EUR"}], "options": {"size": "A"}},
        ],
    });
    let made = call(&shop, post(&body)).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let id = made.body["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header(LOCATION), format!("/v1/products/{id}"));
    let (first, second) = (&made.body["variants"][0]["id"], &made.body["variants"][1]["id"]);
    let mut expected = json!({
        "id": id, "slug": "kids-cafe-t-shirt", "title": "Kid’s Café T-shirt",
        "status": "active", "version": 1, "description": "Soft.",
        "media": [{"url": "https://example.com/t.jpg", "alt": "A shirt"}],
        "tags": ["clothing"], "options": ["size"],
        "variants": [
            {"id": first, "sku": "T-S", "prices": [{"amount": 0, "currency": "GBP"}],
                "options": {"size": "S"}, "in_stock": false, "available": 0},
            {"id": second, "sku": "T-A", "prices": [{"amount": 7, "currency": "EUR"},
                {"amount": 9, "currency": "USD"}], "options": {"size": "A"},
                "in_stock": false, "available": 0},
        ],
    });
    let shown = expected.clone();
    expected["category_ids"] = json!([]);
    for variant in expected["variants"].as_array_mut().unwrap() {
        variant["status"] = json!("active");
    }
    assert_eq!(made.body, expected);
    let expected = shown;
    assert_eq!(get(&shop, &format!("/v1/products/{id}")).await.body, expected);
    assert_eq!(get(&shop, "/v1/products/kids-cafe-t-shirt").await.body, expected);
    let stock = "SELECT count(*) FROM stock JOIN locations l ON l.id = location_id
                 WHERE l.code = 'default' AND supplied = 0";
    assert_eq!(shop.value::<i64>(stock).await, 2);
}

#[tokio::test]
async fn a_taken_slug_or_sku_is_a_conflict_and_nothing_is_written() {
    let shop = Shop::open().await;
    for (sku, slug) in [("A", "mug"), ("B", "mug-2"), ("C", "mug-3")] {
        let made = call(&shop, post(&mug(sku))).await;
        assert_eq!(made.body["slug"], slug, "equal titles get numbers");
    }
    let mut taken = mug("D");
    taken["slug"] = json!("mug-2");
    let refused = call(&shop, post(&taken)).await;
    assert_eq!((refused.status, refused.pointers), (StatusCode::CONFLICT, vec!["/slug".into()]));
    let mut taken = mug("D");
    let others = mug("B")["variants"].as_array().unwrap().clone();
    taken["variants"].as_array_mut().unwrap().extend(others);
    let refused = call(&shop, post(&taken)).await;
    let expected = (StatusCode::CONFLICT, vec!["/variants/1/sku".to_owned()]);
    assert_eq!((refused.status, refused.pointers), expected);
    assert_eq!(shop.value::<i64>("SELECT count(*) FROM products").await, 3);
    assert_eq!(shop.value::<i64>("SELECT count(*) FROM stock").await, 3);
}

#[tokio::test]
async fn the_same_key_makes_one_product() {
    let shop = Shop::open().await;
    let keyed = |body: &Value| post(body).insert_header(("idempotency-key", "k1"));
    let bad = call(&shop, keyed(&json!({"title": "", "variants": []}))).await;
    let expected = (StatusCode::UNPROCESSABLE_ENTITY, vec!["/variants".into(), "/title".into()]);
    assert_eq!((bad.status, bad.pointers), expected);
    let made = call(&shop, keyed(&mug("A"))).await;
    let again = call(&shop, keyed(&mug("A"))).await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &made.body));
    assert_eq!(again.header("idempotent-replayed"), "true");
    let other = call(&shop, keyed(&mug("B"))).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(shop.value::<i64>("SELECT count(*) FROM products").await, 1);
}

#[tokio::test]
async fn the_store_shows_only_active_products() {
    let shop = Shop::open().await;
    let mut draft = mug("A");
    draft["status"] = json!("draft");
    let made = call(&shop, post(&draft)).await;
    let id = made.body["id"].as_str().unwrap();
    for path in [id, "mug", "none", "prod_1", "Mug", "a%00b", "%ff"] {
        let shown = get(&shop, &format!("/v1/products/{path}")).await;
        assert_eq!(shown.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(get(&shop, "/v1/products").await.body, json!({"items": [], "next_cursor": null}));
    shop.execute("UPDATE products SET status = 'active'").await;
    assert_eq!(get(&shop, "/v1/products/mug").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_answer_at_hand_is_not_sent_again_until_it_changes() {
    let shop = Shop::open().await;
    call(&shop, post(&mug("A"))).await;
    for path in ["/v1/products", "/v1/products/mug"] {
        let first = get(&shop, path).await;
        let tag = first.header(ETAG).to_owned();
        assert!(tag.starts_with('"'), "strong: {tag}");
        assert_eq!(first.header(CACHE_CONTROL), "public, max-age=1");
        for at_hand in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let request = TestRequest::get().uri(path).insert_header(("if-none-match", at_hand));
            let again = call(&shop, request).await;
            assert_eq!(
                (again.status, again.body.clone()),
                (StatusCode::NOT_MODIFIED, Value::Null)
            );
            assert_eq!(again.header(ETAG), tag);
        }
        shop.execute("UPDATE stock SET supplied = supplied + 3, available = available + 3").await;
        let request = TestRequest::get().uri(path).insert_header(("if-none-match", tag));
        assert_eq!(call(&shop, request).await.status, StatusCode::OK);
    }
    let variant = &get(&shop, "/v1/products/mug").await.body["variants"][0];
    assert_eq!((&variant["available"], &variant["in_stock"]), (&json!(6), &json!(true)));
}

#[tokio::test]
async fn the_demo_fills_an_empty_shop_once_and_its_pages_show_everything() {
    let shop = Shop::open().await;
    let made = load_demo(&shop.postgres).await.unwrap();
    assert!((60..=80).contains(&made));
    assert_eq!(load_demo(&shop.postgres).await, Ok(0));
    assert_eq!(shop.stock_violations().await, 0);
    let sold_out = "SELECT count(*) FROM stock WHERE available = 0";
    assert!(shop.value::<i64>(sold_out).await > 3);
    let levels = "WITH RECURSIVE level (id, number) AS (
                      SELECT id, 1 FROM categories WHERE parent_id IS NULL UNION ALL
                      SELECT c.id, number + 1 FROM categories c JOIN level l ON l.id = parent_id)
                  SELECT max(number) FROM level";
    assert_eq!(shop.value::<i32>(levels).await, 4);
    let homeless = "SELECT count(*) FROM products p WHERE NOT EXISTS (
                        SELECT FROM product_categories WHERE product_id = p.id)";
    assert_eq!(shop.value::<i64>(homeless).await, 0);
    let shown = "SELECT count(*) FROM collection_products";
    assert!(shop.value::<i64>(shown).await > 30);
    let drafts = "SELECT count(*) FROM products WHERE status = 'draft'";
    let drafts = shop.value::<i64>(drafts).await as usize;
    assert!(drafts > 0);

    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(&shop, &format!("/v1/products?limit=5{cursor}")).await.body;
        for item in page["items"].as_array().unwrap() {
            assert!(!item["variants"].as_array().unwrap().is_empty());
            ids.push(item["id"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(ids.len(), made - drafts);
    assert!(ids.is_sorted_by(|a, b| a > b), "the last made first");
    let bad = get(&shop, "/v1/products?limit=101").await;
    assert_eq!((bad.status, bad.pointers), (StatusCode::BAD_REQUEST, vec!["limit".into()]));
}
