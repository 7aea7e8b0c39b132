//! Products as staff make, change and archive them.

use crate::harness::{Answer, App, fresh_key, gbp, order_of};
use reqwest::Method;
use serde_json::{Value, json};

/// A shirt in three sizes, the first two of them in stock.
async fn shirt(app: &App) -> Value {
    let variant = |size: &str| {
        let sku = format!("T-{size}");
        json!({"sku": sku, "prices": [gbp(2_000)], "options": {"size": size}})
    };
    let body = json!({
        "title": "Shirt", "description": "Soft.", "options": ["size"], "tags": ["cotton"],
        "media": [{"url": "/media/shirt.svg", "alt": "A shirt"}],
        "variants": [variant("S"), variant("M"), variant("L")],
    });
    let product = app.admin_post("/v1/admin/products", &body).await.ok(201);
    app.adjust("T-S", 10).await.ok(201);
    app.adjust("T-M", 10).await.ok(201);
    product
}

fn path(product: &Value) -> String {
    format!("/v1/admin/products/{}", product["id"].as_str().unwrap())
}

async fn epoch(app: &App) -> i64 {
    app.database.number("SELECT value FROM catalog_epoch").await
}

fn skus(product: &Value) -> Vec<(&str, &str)> {
    let variants = product["variants"].as_array().unwrap();
    variants
        .iter()
        .map(|variant| (variant["sku"].as_str().unwrap(), variant["status"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn staff_see_products_of_every_status_and_page_through_them() {
    let app = App::start().await;
    for (sku, status) in [("A", "active"), ("B", "draft"), ("C", "archived"), ("D", "draft")] {
        let body = json!({"title": sku, "status": status,
            "variants": [{"sku": sku, "prices": [gbp(1)]}]});
        app.admin_post("/v1/admin/products", &body).await.ok(201);
    }
    let titles = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap();
        items.iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
    };
    let all = app.admin_get("/v1/admin/products").await.ok(200);
    assert_eq!(titles(&all), ["A", "B", "C", "D"]);
    let first = app.admin_get("/v1/admin/products?status=draft&limit=1").await.ok(200);
    assert_eq!(titles(&first), ["B"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = format!("/v1/admin/products?status=draft&limit=1&cursor={cursor}");
    let last = app.admin_get(&next).await.ok(200);
    assert_eq!((titles(&last), &last["next_cursor"]), (vec!["D".to_owned()], &Value::Null));
    for bad in ["status=sold", "limit=0", "cursor=x", "page=2"] {
        let path = format!("/v1/admin/products?{bad}");
        app.admin_get(&path).await.problem(400, "invalid_request");
    }
    app.get("/v1/admin/products").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_nothing_else() {
    let app = App::start().await;
    let product = shirt(&app).await;
    let path = path(&product);
    let before = epoch(&app).await;
    let answer = app.admin_patch(&path, &json!({"title": "Blouse", "description": null})).await;
    let patched = answer.ok(200);
    assert_eq!(answer.header("etag"), Some("\"2\""));
    let mut expected = app.admin_get(&path).await.ok(200);
    assert_eq!(patched, expected);
    assert_eq!((&expected["title"], &expected["version"]), (&json!("Blouse"), &json!(2)));
    assert_eq!(expected["description"], "");
    for field in ["title", "version", "description", "variants"] {
        expected[field] = product[field].clone();
    }
    assert_eq!(expected, product);
    assert!(epoch(&app).await > before);
    assert_eq!(app.get("/v1/products/shirt").await.ok(200)["title"], "Blouse");
    let emptied = json!({"tags": null, "media": null, "category_ids": null});
    let emptied = app.admin_patch(&path, &emptied).await.ok(200);
    assert_eq!((&emptied["tags"], &emptied["media"]), (&json!([]), &json!([])));
    app.database.assert_clean();
}

#[tokio::test]
async fn a_patch_that_changes_nothing_writes_nothing() {
    let app = App::start().await;
    let product = shirt(&app).await;
    let before = (epoch(&app).await, app.database.number(OFFERS).await);
    for body in [
        json!({}),
        json!({"title": " Shirt "}),
        json!({"variants": [
        {"sku": "T-S"}, {"sku": "T-M", "prices": [gbp(2_000)]}, {"sku": "T-L"}]}),
    ] {
        let same = app.admin_patch(&path(&product), &body).await.ok(200);
        assert_eq!(same["version"], 1, "{body}");
    }
    assert_eq!((epoch(&app).await, app.database.number(OFFERS).await), before);
}

const OFFERS: &str = "SELECT sum(offer_version)::bigint FROM stock";

#[tokio::test]
async fn null_for_what_a_product_needs_is_refused_with_its_place() {
    let app = App::start().await;
    let product = shirt(&app).await;
    let unknown = "cat_01h455vb4pex5vsknk084sn02q";
    for (body, pointer) in [
        (json!({"title": null}), "/title"),
        (json!({"slug": null}), "/slug"),
        (json!({"status": null}), "/status"),
        (json!({"variants": null}), "/variants"),
        (json!({"variants": []}), "/variants"),
        (json!({"title": " "}), "/title"),
        (json!({"status": "sold"}), "/status"),
        (json!({"category_ids": [unknown]}), "/category_ids/0"),
        (json!({"category_ids": ["x"]}), "/category_ids/0"),
        (json!({"options": null}), "/options"),
        (json!({"variants": [{"sku": "T-S", "prices": null}]}), "/variants/0/prices"),
        (json!({"variants": [{"sku": "NEW"}]}), "/variants/0/prices"),
        (json!({"variants": [{"sku": "T-S"}, {"sku": "T-S"}]}), "/variants/1/prices"),
        (json!({"variants": [{"prices": [gbp(1)]}]}), "/variants/0"),
        (json!({"variants": [{"id": "var_01h455vb4pex5vsknk084sn02q"}]}), "/variants/0/id"),
        (
            json!({"variants": [{"sku": "T-S", "options": {"colour": "red"}}]}),
            "/variants/0/options/colour",
        ),
    ] {
        let problem = app.admin_patch(&path(&product), &body).await;
        let problem = problem.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    let wrong_type = app.admin_patch(&path(&product), &json!({"tags": "cotton"})).await;
    wrong_type.problem(400, "invalid_request");
    assert_eq!(app.admin_get(&path(&product)).await.ok(200)["version"], 1);
}

#[tokio::test]
async fn the_list_of_variants_replaces_the_old_one() {
    let app = App::start().await;
    let product = shirt(&app).await;
    let medium = product["variants"][1]["id"].clone();
    let euros = json!({"amount": 2_400, "currency": "EUR"});
    let body = json!({"variants": [
        {"sku": "T-XL", "prices": [gbp(2_200)], "options": {"size": "XL"}},
        {"id": medium, "sku": "T-MEDIUM", "prices": [euros]},
        {"sku": "T-S"},
    ]});
    let patched = app.admin_patch(&path(&product), &body).await.ok(200);
    let expected =
        [("T-XL", "active"), ("T-MEDIUM", "active"), ("T-S", "active"), ("T-L", "archived")];
    assert_eq!(skus(&patched), expected);
    assert_eq!(patched["variants"][1]["prices"], json!([euros]));
    assert_eq!(patched["variants"][1]["options"], json!({"size": "M"}));
    assert_eq!(patched["variants"][1]["available"], 10);
    let shown = app.get("/v1/products/shirt").await.ok(200);
    let shown: Vec<&Value> =
        shown["variants"].as_array().unwrap().iter().map(|variant| &variant["sku"]).collect();
    assert_eq!(shown, ["T-XL", "T-MEDIUM", "T-S"]);
    app.place(&order_of(&[("T-L", 1)])).await.problem(422, "validation_failed");
    app.place(&order_of(&[("T-M", 1)])).await.problem(422, "validation_failed");
    let order = app.place(&order_of(&[("T-MEDIUM", 1)])).await.ok(201);
    assert_eq!(order["subtotal"], euros);
    app.adjust("T-XL", 1).await.ok(201);
    let order = app.place(&order_of(&[("T-XL", 1), ("T-S", 2)])).await.ok(201);
    assert_eq!(order["subtotal"], gbp(6_200));
    app.database.assert_clean();
}

#[tokio::test]
async fn a_new_price_counts_from_the_next_order_on() {
    let app = App::start().await;
    let product = shirt(&app).await;
    let order = async || app.place(&order_of(&[("T-S", 1)])).await.ok(201)["subtotal"].clone();
    assert_eq!(order().await, gbp(2_000));
    for price in [2_500, 1_500, 1_800] {
        let body = json!({"variants": [{"sku": "T-S", "prices": [gbp(price)]}]});
        app.admin_patch(&path(&product), &body).await.ok(200);
        assert_eq!(order().await, gbp(price));
    }
    let history = "SELECT count(*) FROM price_history h JOIN variants v ON v.id = h.variant_id
                   WHERE v.sku = 'T-S'";
    assert_eq!(app.database.number(history).await, 4);
    app.database.assert_clean();
}

#[tokio::test]
async fn only_the_version_asked_for_is_changed() {
    let app = App::start().await;
    let product = shirt(&app).await;
    let path = path(&product);
    let send = async |method: Method, tag: &str| {
        let request = app.admin(method, &path).header("If-Match", tag);
        Answer::of(request.json(&json!({"title": format!("Shirt {tag}")}))).await
    };
    send(Method::PATCH, "\"1\"").await.ok(200);
    send(Method::PATCH, "\"1\"").await.problem(412, "version_conflict");
    send(Method::DELETE, "\"1\"").await.problem(412, "version_conflict");
    send(Method::PATCH, "*").await.ok(200);
    assert_eq!(send(Method::DELETE, "\"3\"").await.status, 204);
}

#[tokio::test]
async fn archiving_a_product_removes_nothing_and_can_be_taken_back() {
    let app = App::start().await;
    let product = shirt(&app).await;
    let path = path(&product);
    app.place(&order_of(&[("T-S", 1)])).await.ok(201);
    for _ in 0..2 {
        let gone = app.admin_delete(&path).await;
        assert_eq!((gone.status, gone.bytes.len()), (204, 0));
    }
    let archived = app.admin_get(&path).await.ok(200);
    assert_eq!((&archived["status"], &archived["version"]), (&json!("archived"), &json!(2)));
    assert_eq!(app.database.number("SELECT count(*) FROM variants").await, 3);
    app.get("/v1/products/shirt").await.problem(404, "not_found");
    app.place(&order_of(&[("T-S", 1)])).await.problem(422, "validation_failed");
    let other = json!({"title": "Other", "variants": [{"sku": "T-S", "prices": [gbp(1)]}]});
    app.admin_post("/v1/admin/products", &other).await.problem(409, "conflict");
    app.admin_patch(&path, &json!({"status": "active"})).await.ok(200);
    app.place(&order_of(&[("T-S", 1)])).await.ok(201);
    app.database.assert_clean();
}

#[tokio::test]
async fn what_another_product_has_is_a_conflict_at_its_place() {
    let app = App::start().await;
    let product = shirt(&app).await;
    app.stocked("A", 100, 0).await;
    for (body, pointer) in [
        (json!({"slug": "product-a"}), "/slug"),
        (
            json!({"variants": [{"sku": "T-S"}, {"sku": "A", "prices": [gbp(1)]}]}),
            "/variants/1/sku",
        ),
    ] {
        let problem = app.admin_patch(&path(&product), &body).await.problem(409, "conflict");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    assert_eq!(app.database.number("SELECT sum(version)::bigint FROM products").await, 2);
}

#[tokio::test]
async fn products_that_do_not_exist_are_not_found() {
    let app = App::start().await;
    for id in ["prod_01h455vb4pex5vsknk084sn02q", "prod_x", "var_01h455vb4pex5vsknk084sn02q"] {
        let path = format!("/v1/admin/products/{id}");
        app.admin_get(&path).await.problem(404, "not_found");
        app.admin_patch(&path, &json!({})).await.problem(404, "not_found");
        app.admin_delete(&path).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn parallel_changes_of_a_product_all_arrive() {
    let app = App::start().await;
    let product = shirt(&app).await;
    let variants = format!("{}/variants", path(&product));
    let add = |number: i64| {
        let body = json!({"sku": format!("N-{number}"), "prices": [gbp(number)]});
        let request = app.admin(Method::POST, &variants).header("Idempotency-Key", fresh_key());
        Answer::of(request.json(&body))
    };
    let added = futures_util::future::join_all((1..=20).map(add)).await;
    added.iter().for_each(|answer| drop(answer.ok(201)));
    let product = app.admin_get(&path(&product)).await.ok(200);
    assert_eq!(product["variants"].as_array().unwrap().len(), 23);
    assert_eq!(product["version"], 21);
    app.database.assert_clean();
}

#[tokio::test]
async fn a_picture_is_drawn_for_every_slug_and_is_only_a_picture() {
    let app = App::start().await;
    let picture = app.get("/media/enamel-mug.svg").await;
    assert_eq!(picture.status, 200);
    assert_eq!(picture.header("content-type"), Some("image/svg+xml"));
    assert_eq!(picture.header("cache-control"), Some("public, max-age=86400"));
    assert!(picture.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert_eq!(app.get("/media/enamel-mug.svg").await.bytes, picture.bytes);
    for bad in ["/media/A.svg", "/media/a--b.svg", "/media/.svg", "/media/%00.svg", "/media/mug"]
    {
        app.get(bad).await.problem(404, "not_found");
    }
}
