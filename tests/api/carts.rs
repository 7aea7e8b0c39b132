//! Carts: what lies in them, what it costs, and that nothing is lost over several instances.

use crate::harness::{ADMIN_KEY, Answer, App, fresh_key, gbp, until};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn patch(app: &App, token: &str, path: &str, body: Value) -> Answer {
    Answer::of(app.shopping(token, Method::PATCH, path, &body)).await
}

async fn remove(app: &App, token: &str, item: &str) -> Answer {
    let path = format!("/items/{item}");
    Answer::of(app.shopping(token, Method::DELETE, &path, &Value::Null)).await
}

fn quantities(cart: &Value) -> Vec<(&str, i64)> {
    let items = cart["items"].as_array().unwrap().iter();
    items.map(|i| (i["sku"].as_str().unwrap(), i["quantity"].as_i64().unwrap())).collect()
}

/// A product with one variant and these prices.
async fn product(app: &App, sku: &str, prices: Value) {
    let product = json!({"title": format!("Product {sku}"),
        "variants": [{"sku": sku, "prices": prices}]});
    app.admin_post("/v1/admin/products", &product).await.ok(201);
}

/// A server with the products A, B and C at 100, 200 and 300 pence.
async fn shop(settings: &[(&str, &str)]) -> App {
    let app = App::configured(settings).await;
    for (sku, price) in [("A", 100), ("B", 200), ("C", 300)] {
        product(&app, sku, json!([gbp(price)])).await;
    }
    app
}

fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().unwrap().iter();
    errors.map(|error| error["pointer"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_untouched_cart_is_empty_and_costs_nothing() {
    let app = shop(&[("ORDER__SHIPPING_PRICE", "399")]).await;
    let token = app.session().await;
    let cart = app.cart(&token).await;
    assert_eq!(cart["version"], 0);
    assert_eq!(cart["items"], json!([]));
    for amount in ["subtotal", "discount", "shipping", "tax", "total"] {
        assert_eq!(cart[amount], gbp(0), "{amount}");
    }
    for field in ["region", "email", "shipping_address", "shipping_option"] {
        assert_eq!(cart.get(field), Some(&Value::Null), "{field}");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM carts").await, 0, "a read wrote");
    let options = app.shopping(&token, Method::GET, "/shipping-options", &Value::Null);
    let standard = json!({"id": "standard", "title": "Standard", "price": gbp(399)});
    assert_eq!(Answer::of(options).await.ok(200), json!({"items": [standard]}));
    for (method, path) in [
        (Method::GET, ""),
        (Method::PATCH, ""),
        (Method::POST, "/items"),
        (Method::PATCH, "/items/item_01h455vb4pex5vsknk084sn02q"),
        (Method::DELETE, "/items/item_01h455vb4pex5vsknk084sn02q"),
        (Method::GET, "/shipping-options"),
    ] {
        let request = app.request(method, &format!("/v1/cart{path}")).json(&json!({}));
        Answer::of(request).await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn items_are_added_merged_changed_and_removed_at_the_catalog_s_prices() {
    let app = shop(&[("ORDER__SHIPPING_PRICE", "399"), ("ORDER__TAX_RATE", "0.2")]).await;
    let other = App::with(&app.database, &[]).await;
    let token = app.session().await;
    let first = app.add_to_cart(&token, &json!({"sku": "A", "quantity": 2})).await;
    assert_eq!(first.header("etag"), Some("\"1\""));
    assert_eq!(first.header("cache-control"), Some("no-store"));
    let first = first.ok(200);
    let variant = first["items"][0]["variant_id"].clone();
    let more = json!({"items": [
        {"sku": "B", "quantity": 1}, {"variant_id": variant, "quantity": 3},
        {"sku": "B", "quantity": 4},
    ]});
    let cart = app.add_to_cart(&token, &more).await.ok(200);
    assert_eq!(quantities(&cart), [("A", 5), ("B", 5)]);
    assert_eq!(
        (&cart["version"], &cart["items"][0]["id"]),
        (&json!(2), &first["items"][0]["id"])
    );
    let line = &cart["items"][1];
    assert_eq!((&line["unit_price"], &line["total"]), (&gbp(200), &gbp(1000)));
    assert_eq!((&line["title"], &line["status"]), (&json!("Product B"), &json!("available")));
    let sums = ["subtotal", "discount", "shipping", "tax", "total"].map(|sum| cart[sum].clone());
    assert_eq!(sums, [gbp(1500), gbp(0), gbp(399), gbp(380), gbp(2279)]);
    let [a, b] = [0, 1].map(|at| cart["items"][at]["id"].as_str().unwrap().to_owned());
    let item = |id: &str| format!("/items/{id}");
    let set = |quantity: i64| json!({"quantity": quantity});
    let cart = patch(&other, &token, &item(&a), set(1)).await.ok(200);
    assert_eq!((quantities(&cart), &cart["version"]), (vec![("A", 1), ("B", 5)], &json!(3)));
    let same = patch(&app, &token, &item(&a), set(1)).await.ok(200);
    assert_eq!(same["version"], 3, "nothing has changed");
    let cart = patch(&app, &token, &item(&a), set(0)).await.ok(200);
    assert_eq!(quantities(&cart), [("B", 5)]);
    patch(&app, &token, &item(&a), set(0)).await.problem(404, "not_found");
    let cart = remove(&app, &token, &b).await.ok(200);
    assert_eq!((quantities(&cart), &cart["version"]), (vec![], &json!(5)));
    assert_eq!(cart["total"], gbp(0));
    app.database.assert_clean();
}

#[tokio::test]
async fn a_merge_patch_sets_clears_and_leaves() {
    let app = shop(&[]).await;
    let token = app.session().await;
    let address = json!({"name": "Ada", "line1": "1 Street", "city": "London", "country": "GB"});
    let all = json!({"email": "a@b.example", "shipping_address": address,
        "shipping_option": "standard", "currency": "GBP"});
    let cart = patch(&app, &token, "", all.clone()).await.ok(200);
    for field in ["email", "shipping_address", "shipping_option", "currency"] {
        assert_eq!(cart[field], all[field], "{field}");
    }
    let again = patch(&app, &token, "", all).await.ok(200);
    assert_eq!((&again["version"], &cart["version"]), (&json!(1), &json!(1)));
    assert_eq!(patch(&app, &token, "", json!({})).await.ok(200)["version"], 1);
    let cleared = patch(&app, &token, "", json!({"email": null})).await.ok(200);
    assert_eq!((&cleared["email"], &cleared["version"]), (&Value::Null, &json!(2)));
    assert_eq!(cleared["shipping_address"], address);
    let nulls = json!({"shipping_address": null, "shipping_option": null, "currency": null});
    let cleared = patch(&app, &token, "", nulls).await.ok(200);
    assert_eq!(cleared["shipping_address"], Value::Null);
    let wrong = json!({"email": "no", "shipping_option": "rocket",
        "shipping_address": {"name": "", "line1": "1", "city": "L", "country": "XX"}});
    let problem = patch(&app, &token, "", wrong).await.problem(422, "validation_failed");
    let expected =
        ["/email", "/shipping_address/name", "/shipping_address/country", "/shipping_option"];
    assert_eq!(pointers(&problem), expected);
    for (body, pointer) in
        [(json!({"currency": "EU"}), "/currency"), (json!({"currency": "gbp"}), "/currency")]
    {
        let problem = patch(&app, &token, "", body).await.problem(422, "validation_failed");
        assert_eq!(pointers(&problem), [pointer]);
    }
    for body in [json!({"items": []}), json!({"total": gbp(1)}), json!({"email": 1})] {
        patch(&app, &token, "", body).await.problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn what_cannot_be_added_is_refused_as_a_whole_with_its_place() {
    let app = shop(&[]).await;
    product(&app, "EUR", json!([{"amount": 1, "currency": "EUR"}])).await;
    let draft = json!({"title": "Draft", "status": "draft",
        "variants": [{"sku": "DRAFT", "prices": [gbp(1)]}]});
    app.admin_post("/v1/admin/products", &draft).await.ok(201);
    let token = app.session().await;
    app.add_to_cart(&token, &json!({"sku": "A", "quantity": 999_999})).await.ok(200);
    let foreign = "var_01h455vb4pex5vsknk084sn02q";
    let one = |sku: &str, quantity: i64| json!({"sku": sku, "quantity": quantity});
    let list = |items: Value| json!({"items": items});
    let cases = [
        (one("NONE", 1), vec!["/sku"]),
        (one("DRAFT", 1), vec!["/sku"]),
        (one("EUR", 1), vec!["/sku"]),
        (json!({"variant_id": foreign, "quantity": 1}), vec!["/variant_id"]),
        (json!({"variant_id": "x", "quantity": 1}), vec!["/variant_id"]),
        (one("B", 0), vec!["/quantity"]),
        (one("B", -1), vec!["/quantity"]),
        (one("B", 1_000_001), vec!["/quantity"]),
        (one("A", 2), vec!["/quantity"]),
        (json!({"quantity": 1}), vec!["/sku"]),
        (json!({"sku": "A", "variant_id": foreign, "quantity": 1}), vec!["/sku"]),
        (list(json!([])), vec!["/items"]),
        (
            list(json!([one("B", 1), one("NONE", 1), one("C", 1), one("DRAFT", 1)])),
            vec!["/items/1/sku", "/items/3/sku"],
        ),
        (list(json!([one("B", 600_000), one("B", 600_000)])), vec!["/items/1/quantity"]),
        (list(json!([one("B", 1), one("EUR", 1)])), vec!["/items/1/sku"]),
    ];
    for (body, expected) in cases {
        let problem = app.add_to_cart(&token, &body).await.problem(422, "validation_failed");
        assert_eq!(pointers(&problem), expected, "{body}");
    }
    for body in [
        json!({}),
        json!({"sku": "A"}),
        json!({"items": [one("B", 1)], "sku": "A", "quantity": 1}),
        json!({"sku": "A", "quantity": 1, "unit_price": gbp(1)}),
        json!({"sku": "A", "quantity": 1.5}),
        json!([one("A", 1)]),
    ] {
        app.add_to_cart(&token, &body).await.problem(400, "invalid_request");
    }
    for id in ["x", "item_01h455vb4pex5vsknk084sn02q", "ord_01h455vb4pex5vsknk084sn02q", "%00"] {
        remove(&app, &token, id).await.problem(404, "not_found");
        let path = format!("/items/{id}");
        patch(&app, &token, &path, json!({"quantity": 1})).await.problem(404, "not_found");
    }
    let cart = app.cart(&token).await;
    assert_eq!((quantities(&cart), &cart["version"]), (vec![("A", 999_999)], &json!(1)));
    let item = cart["items"][0]["id"].as_str().unwrap();
    let stranger = app.session().await;
    remove(&app, &stranger, item).await.problem(404, "not_found");
    for quantity in [-1, 1_000_001] {
        let body = json!({"quantity": quantity});
        let refused = patch(&app, &token, &format!("/items/{item}"), body).await;
        refused.problem(422, "validation_failed");
    }
    app.database.assert_clean();
}

#[tokio::test]
async fn a_cart_holds_two_thousand_lines_and_reads_a_body_of_256_kib() {
    let app = App::start().await;
    let skus: Vec<String> =
        (0..2_001).map(|n| format!("LONG-ENOUGH-FOR-A-LARGE-BODY-{n}")).collect();
    for (at, skus) in skus.chunks(100).enumerate() {
        let variants = skus.iter().map(|sku| json!({"sku": sku, "prices": [gbp(1)]}));
        let variants: Vec<Value> = variants.collect();
        let product = json!({"title": format!("Product {at}"), "variants": variants});
        app.admin_post("/v1/admin/products", &product).await.ok(201);
    }
    let token = app.session().await;
    let item = |sku: &String| json!({"sku": sku, "quantity": 1});
    let items: Vec<Value> = skus.iter().map(item).collect();
    let whole = json!({"items": items});
    let problem = app.add_to_cart(&token, &whole).await.problem(422, "validation_failed");
    assert_eq!(pointers(&problem), ["/items"]);
    let body = json!({"items": items[..2_000]});
    assert!(body.to_string().len() > 64 * 1024);
    let cart = app.add_to_cart(&token, &body).await.ok(200);
    assert_eq!((cart["items"].as_array().unwrap().len(), &cart["total"]), (2_000, &gbp(2_000)));
    let problem = app.add_to_cart(&token, &items[2_000]).await.problem(422, "validation_failed");
    assert_eq!(pointers(&problem), ["/items"]);
    let large = app.shopping(&token, Method::POST, "/items", &Value::Null);
    let large = large.header("Content-Type", "application/json").body(" ".repeat(257 * 1024));
    Answer::of(large).await.problem(413, "payload_too_large");
    app.database.assert_clean();
}

#[tokio::test]
async fn a_change_may_ask_for_the_version_that_it_starts_from() {
    let app = shop(&[]).await;
    let token = app.session().await;
    let add = |tag: &str| {
        let body = json!({"sku": "A", "quantity": 1});
        app.shopping(&token, Method::POST, "/items", &body).header("If-Match", tag)
    };
    Answer::of(add("\"0\"")).await.ok(200);
    Answer::of(add("\"0\"")).await.problem(412, "version_conflict");
    Answer::of(add("\"1\"")).await.ok(200);
    Answer::of(add("*")).await.ok(200);
    let item = app.cart(&token).await["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/items/{item}");
    for (method, path, body) in [
        (Method::PATCH, "", json!({"email": "a@b.example"})),
        (Method::PATCH, &*path, json!({"quantity": 9})),
        (Method::DELETE, &*path, Value::Null),
    ] {
        let stale = app.shopping(&token, method, path, &body).header("If-Match", "\"2\"");
        Answer::of(stale).await.problem(412, "version_conflict");
    }
    assert_eq!(app.cart(&token).await["version"], 3);
    // Of many who start from the same version, one gets through.
    let raced = join_all((0..20).map(|_| Answer::of(add("\"3\"")))).await;
    assert_eq!(raced.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(app.cart(&token).await["version"], 4);
}

#[tokio::test]
async fn fifty_parallel_changes_over_two_instances_lose_nothing() {
    let app = shop(&[]).await;
    let other = App::with(&app.database, &[]).await;
    let token = app.session().await;
    // The first changes race for making the cart, too.
    let adds = (0..50).map(|n| {
        let app = if n % 2 == 0 { &app } else { &other };
        let sku = ["A", "B", "C"][n % 3];
        let (token, body) = (&token, json!({"sku": sku, "quantity": 1}));
        async move { app.add_to_cart(token, &body).await.ok(200) }
    });
    let carts = join_all(adds).await;
    let mut versions: Vec<i64> = carts.iter().map(|c| c["version"].as_i64().unwrap()).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=50).collect::<Vec<_>>(), "each change made a version of its own");
    let cart = app.cart(&token).await;
    let mut found = quantities(&cart);
    found.sort_unstable();
    assert_eq!(found, [("A", 17), ("B", 17), ("C", 16)]);
    let items = cart["items"].as_array().unwrap().iter().filter(|item| item["sku"] != "C");
    let items: Vec<&str> = items.map(|item| item["id"].as_str().unwrap()).collect();
    let mixed = (0..50).map(|n| {
        let app = if n % 2 == 0 { &app } else { &other };
        let (token, item) = (&token, format!("/items/{}", items[n % 2]));
        async move {
            match n % 5 {
                0 => patch(app, token, "", json!({"email": format!("n{n}@b.example")})).await,
                1 => patch(app, token, &item, json!({"quantity": 100 + n})).await,
                _ => app.add_to_cart(token, &json!({"sku": "C", "quantity": 1})).await,
            }
        }
    });
    join_all(mixed).await.iter().for_each(|answer| drop(answer.ok(200)));
    let after = other.cart(&token).await;
    let c = quantities(&after).into_iter().find(|(sku, _)| *sku == "C").unwrap();
    assert_eq!((c.1, &after["version"]), (16 + 30, &json!(100)));
    app.database.assert_clean();
}

#[tokio::test]
async fn a_key_adds_once_and_its_answer_comes_again_byte_for_byte() {
    let app = shop(&[]).await;
    let other = App::with(&app.database, &[]).await;
    let token = app.session().await;
    let add = |app: &App, token: &str, key: &str, quantity: i64| {
        let body = json!({"sku": "A", "quantity": quantity});
        let request = app.shopping(token, Method::POST, "/items", &body);
        Answer::of(request.header("Idempotency-Key", key))
    };
    let key = fresh_key();
    let asked = (0..20).flat_map(|_| [add(&app, &token, &key, 2), add(&other, &token, &key, 2)]);
    let answers = join_all(asked).await;
    for answer in &answers {
        answer.ok(200);
        assert_eq!(answer.bytes, answers[0].bytes);
        assert_eq!(answer.header("etag"), Some("\"1\""));
    }
    let fresh = answers.iter().filter(|a| a.header("idempotent-replayed").is_none()).count();
    assert_eq!(fresh, 1, "one answer is the first");
    add(&app, &token, &key, 3).await.problem(422, "idempotency_key_reused");
    let stranger = app.session().await;
    assert_eq!(add(&app, &stranger, &key, 3).await.ok(200)["version"], 1, "a scope of its own");
    // The key is looked up before anything else is judged.
    let archive = "UPDATE products SET status = 'archived'";
    app.database.connect().await.batch_execute(archive).await.unwrap();
    assert_eq!(add(&app, &token, &key, 2).await.bytes, answers[0].bytes);
    let sold_again = "UPDATE products SET status = 'active'";
    // A refusal saves nothing, and the same key is judged anew.
    let refused = fresh_key();
    let since = Instant::now();
    while add(&app, &token, &fresh_key(), 1).await.status == 200 {
        assert!(since.elapsed() < Duration::from_secs(1), "an offer of more than a second ago");
    }
    add(&app, &token, &refused, 1).await.problem(422, "validation_failed");
    app.database.connect().await.batch_execute(sold_again).await.unwrap();
    while add(&app, &token, &refused, 1).await.status != 200 {
        assert!(since.elapsed() < Duration::from_secs(5), "it is for sale again");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM carts").await, 2);
    app.database.assert_clean();
}

#[tokio::test]
async fn prices_follow_the_catalog_within_a_second_and_what_is_gone_stays_marked() {
    let app = shop(&[]).await;
    let token = app.session().await;
    let both = json!({"items": [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 1}]});
    app.add_to_cart(&token, &both).await.ok(200);
    let client = app.database.connect().await;
    let change = "UPDATE prices SET amount = 150
                  WHERE variant_id = (SELECT id FROM variants WHERE sku = 'A');
                  UPDATE variants SET archived_at = now() WHERE sku = 'B'";
    client.batch_execute(change).await.unwrap();
    let since = Instant::now();
    let cart = loop {
        let cart = app.cart(&token).await;
        if cart["items"][0]["unit_price"] == gbp(150) && cart["items"][1]["status"] != "available"
        {
            break cart;
        }
        assert!(since.elapsed() < Duration::from_secs(1), "{cart}");
    };
    assert_eq!(cart["items"][1]["status"], "unavailable");
    assert_eq!((&cart["total"], &cart["version"]), (&gbp(350), &json!(1)));
    let more = json!({"sku": "B", "quantity": 1});
    app.add_to_cart(&token, &more).await.problem(422, "validation_failed");
    let item = cart["items"][1]["id"].as_str().unwrap();
    assert_eq!(remove(&app, &token, item).await.ok(200)["total"], gbp(150));
}

#[tokio::test]
async fn a_cart_is_priced_in_one_currency() {
    let app = shop(&[]).await;
    let eur = |amount: i64| json!({"amount": amount, "currency": "EUR"});
    product(&app, "BOTH", json!([gbp(10), eur(12)])).await;
    product(&app, "ONLY-EUR", json!([eur(5)])).await;
    let token = app.session().await;
    let one = |sku: &str| json!({"sku": sku, "quantity": 1});
    let cart = app.add_to_cart(&token, &one("BOTH")).await.ok(200);
    assert_eq!(cart["total"], gbp(10));
    let cart = app.add_to_cart(&token, &one("ONLY-EUR")).await.ok(200);
    assert_eq!((&cart["currency"], &cart["total"]), (&json!("EUR"), &eur(17)));
    let problem = app.add_to_cart(&token, &one("A")).await.problem(422, "validation_failed");
    assert_eq!(pointers(&problem), ["/sku"]);
    let pounds = patch(&app, &token, "", json!({"currency": "GBP"})).await;
    assert_eq!(pointers(&pounds.problem(422, "validation_failed")), ["/currency"]);
    let token = app.session().await;
    patch(&app, &token, "", json!({"currency": "EUR"})).await.ok(200);
    let problem = app.add_to_cart(&token, &one("A")).await.problem(422, "validation_failed");
    assert_eq!(pointers(&problem), ["/sku"]);
    let cart = app.add_to_cart(&token, &one("BOTH")).await.ok(200);
    assert_eq!(cart["total"], eur(12));
}

#[tokio::test]
async fn a_total_that_does_not_fit_is_refused_and_one_that_grew_is_still_shown() {
    let app = shop(&[]).await;
    let token = app.session().await;
    let added = app.add_to_cart(&token, &json!({"sku": "A", "quantity": 2})).await.ok(200);
    let most = "UPDATE prices SET amount = 9223372036854775807";
    app.database.connect().await.batch_execute(most).await.unwrap();
    until(async || match app.cart(&token).await {
        cart if cart["total"] == gbp(i64::MAX) => Ok(()),
        cart => Err(cart),
    })
    .await;
    let refused = app.add_to_cart(&token, &json!({"sku": "B", "quantity": 1})).await;
    refused.problem(422, "validation_failed");
    let item = added["items"][0]["id"].as_str().unwrap();
    let one = patch(&app, &token, &format!("/items/{item}"), json!({"quantity": 1})).await;
    assert_eq!(one.ok(200)["total"], gbp(i64::MAX));
}

#[tokio::test]
async fn verify_finds_a_cart_that_is_not_well_formed() {
    let app = shop(&[]).await;
    let token = app.session().await;
    app.add_to_cart(&token, &json!({"sku": "A", "quantity": 2})).await.ok(200);
    app.database.assert_clean();
    let client = app.database.connect().await;
    for damage in [
        "items = items || items",
        "items = jsonb_set(items, '{0,quantity}', '0')",
        "items = jsonb_set(items, '{0,variant_id}', to_jsonb(gen_random_uuid()::text))",
        "shopper_id = gen_random_uuid()",
    ] {
        client.batch_execute("CREATE TABLE kept AS TABLE carts").await.unwrap();
        client.batch_execute(&format!("UPDATE carts SET {damage}")).await.unwrap();
        let (code, report) = app.database.verify();
        assert_eq!(code, 1, "{damage}: {report:#}");
        let restore = "DELETE FROM carts; INSERT INTO carts TABLE kept; DROP TABLE kept";
        client.batch_execute(restore).await.unwrap();
    }
    app.database.assert_clean();
}

#[tokio::test]
async fn a_foreign_page_changes_no_cart_with_the_cookie() {
    let app = shop(&[]).await;
    let token = app.session().await;
    let add = |origin: &str| {
        let request = app.request(Method::POST, "/v1/cart/items");
        let request = request.header("Cookie", format!("doorbuster_session={token}"));
        let body = json!({"sku": "A", "quantity": 1});
        Answer::of(request.header("Origin", origin).json(&body))
    };
    add("https://evil.example").await.problem(403, "forbidden");
    assert_eq!(add(&app.url).await.ok(200)["version"], 1);
    let admin = app.request(Method::GET, "/v1/cart").bearer_auth(ADMIN_KEY);
    Answer::of(admin).await.problem(401, "unauthorized");
}
