//! From cart to order: what is ordered, what is refused, and that a cart becomes one order.

use crate::harness::{Answer, App, Database, fresh_key, gbp, order_of};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

/// A session's requests.
struct Buyer<'a> {
    app: &'a App,
    token: String,
}

impl<'a> Buyer<'a> {
    async fn new(app: &'a App) -> Self {
        Self { app, token: app.session().await }
    }

    /// The same session on another instance.
    fn at<'b>(&self, app: &'b App) -> Buyer<'b> {
        Buyer { app, token: self.token.clone() }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.app.request(method, path).bearer_auth(&self.token);
        Answer::of(body.iter().fold(request, |request, body| request.json(body))).await
    }

    async fn add(&self, sku: &str, quantity: i64) -> Answer {
        let body = json!({"sku": sku, "quantity": quantity});
        self.send(Method::POST, "/v1/cart/items", Some(&body)).await
    }

    /// Adds these items and says who and where.
    async fn fill(&self, items: &[(&str, i64)]) {
        for (sku, quantity) in items {
            self.add(sku, *quantity).await.ok(200);
        }
        let order = order_of(&[]);
        let who = json!({"email": order["email"], "shipping_address": order["shipping_address"]});
        self.send(Method::PATCH, "/v1/cart", Some(&who)).await.ok(200);
    }

    async fn cart(&self) -> Value {
        self.send(Method::GET, "/v1/cart", None).await.ok(200)
    }

    async fn check_out(&self) -> Answer {
        self.check_out_as(&fresh_key(), &json!({"payment": {"provider": "manual"}})).await
    }

    async fn check_out_as(&self, key: &str, body: &Value) -> Answer {
        let request = self.app.request(Method::POST, "/v1/cart/checkout");
        let request = request.bearer_auth(&self.token).header("Idempotency-Key", key);
        Answer::of(request.json(body)).await
    }
}

fn lines(items: &Value) -> Vec<(String, i64, i64)> {
    let line = |item: &Value| {
        let amount = item["unit_price"]["amount"].as_i64().unwrap();
        let sku = item["sku"].as_str().unwrap().to_owned();
        (sku, item["quantity"].as_i64().unwrap(), amount)
    };
    items.as_array().unwrap().iter().map(line).collect()
}

#[tokio::test]
async fn a_checkout_orders_what_is_in_the_cart_and_empties_it() {
    let app = App::configured(&[("ORDER__TAX_RATE", "0.2"), ("ORDER__SHIPPING_PRICE", "399")]);
    let app = app.await;
    app.stocked("A", 1000, 10).await;
    app.stocked("B", 250, 10).await;
    let buyer = Buyer::new(&app).await;
    buyer.fill(&[("B", 2), ("A", 1)]).await;
    let cart = buyer.cart().await;
    let placed = buyer.check_out().await;
    let order = placed.ok(201);
    assert_eq!(lines(&order["items"]), lines(&cart["items"]));
    for sum in ["subtotal", "discount", "shipping", "tax", "total", "email"] {
        assert_eq!(order[sum], cart[sum], "{sum}");
    }
    assert_eq!((&order["status"], &order["total"]), (&json!("confirmed"), &gbp(2279)));
    let location = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    assert_eq!(placed.header("location"), Some(location.as_str()));
    let emptied = buyer.cart().await;
    assert_eq!((&emptied["items"], &emptied["total"]["amount"]), (&json!([]), &json!(0)));
    let before = cart["version"].as_i64().unwrap();
    assert_eq!(emptied["version"], json!(before + 1));
    assert_eq!([app.level("A").await, app.level("B").await], [[10, 9, 0, 1], [10, 8, 0, 2]]);
    app.database.assert_clean();
}

#[tokio::test]
async fn a_checkout_names_everything_that_is_missing() {
    let app = App::start().await;
    for sku in ["A", "B"] {
        app.stocked(sku, 100, 10).await;
    }
    let buyer = Buyer::new(&app).await;
    buyer.check_out().await.problem(409, "cart_empty");
    for sku in ["A", "B"] {
        buyer.add(sku, 1).await.ok(200);
    }
    let variant = buyer.cart().await["items"][1]["variant_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/admin/variants/{variant}");
    let archive = app.request(Method::DELETE, &path);
    let archived = Answer::of(archive.bearer_auth(crate::harness::ADMIN_KEY)).await;
    assert_eq!(archived.status, 204);
    let problem = buyer.check_out().await.problem(422, "checkout_incomplete");
    let pointers: Vec<&Value> =
        problem["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/items/1", "/email", "/shipping_address"]);
    assert_eq!(buyer.cart().await["items"].as_array().unwrap().len(), 2);
    assert_eq!(app.database.number("SELECT count(*) FROM orders").await, 0);
    assert_eq!(app.database.number("SELECT count(*) FROM idempotency_keys").await, 0);
}

#[tokio::test]
async fn a_checkout_without_key_or_session_or_with_another_total_is_refused() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let buyer = Buyer::new(&app).await;
    buyer.fill(&[("A", 1)]).await;
    let body = json!({"payment": {"provider": "manual"}});
    let keyless = buyer.send(Method::POST, "/v1/cart/checkout", Some(&body)).await;
    keyless.problem(400, "idempotency_key_required");
    let nobody = app.request(Method::POST, "/v1/cart/checkout").header("Idempotency-Key", "k");
    Answer::of(nobody.json(&body)).await.problem(401, "unauthorized");
    let key = fresh_key();
    let mut expecting = body.clone();
    expecting["expected_total"] = gbp(99);
    let refused = buyer.check_out_as(&key, &expecting).await.problem(409, "price_changed");
    assert_eq!(refused["total"], gbp(100));
    // A refusal saves nothing: the same key is judged anew.
    expecting["expected_total"] = gbp(100);
    buyer.check_out_as(&key, &expecting).await.ok(201);
}

#[tokio::test]
async fn what_is_sold_out_is_named_by_its_place_in_the_cart() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    app.stocked("B", 100, 1).await;
    let buyer = Buyer::new(&app).await;
    buyer.fill(&[("A", 1), ("B", 2)]).await;
    let problem = buyer.check_out().await.problem(409, "out_of_stock");
    let error = &problem["errors"][0];
    assert_eq!(error["pointer"], "/items/1/quantity");
    assert_eq!([&error["requested"], &error["available"]], [&json!(2), &json!(1)]);
    assert_eq!(buyer.cart().await["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn checkouts_of_one_cart_at_once_make_one_order() {
    let database = Database::new().await;
    let apps = [App::with(&database, &[]).await, App::with(&database, &[]).await];
    apps[0].stocked("A", 100, 1_000).await;
    for provider in [json!({"provider": "manual"}), json!({"provider": "test", "token": "ok"})] {
        let buyer = Buyer::new(&apps[0]).await;
        buyer.fill(&[("A", 3)]).await;
        let others: Vec<Buyer> = (0..20).map(|n| buyer.at(&apps[n % 2])).collect();
        let (body, keys) = (json!({"payment": provider}), [fresh_key(), fresh_key()]);
        let checkouts = others.iter().enumerate().map(|(n, other)| {
            // Some try again with the same key, the others are in a hurry with new ones.
            let key = if n < 10 { keys[n % 2].clone() } else { fresh_key() };
            let body = &body;
            async move { other.check_out_as(&key, body).await }
        });
        let answers = join_all(checkouts).await;
        let mut placed: Vec<&Answer> = answers.iter().filter(|a| a.status == 201).collect();
        placed.dedup_by_key(|answer| answer.json()["id"].clone());
        assert_eq!(placed.len(), 1, "one order, whoever asked");
        for refused in answers.iter().filter(|answer| answer.status != 201) {
            refused.problem(409, "cart_empty");
        }
        assert_eq!(buyer.cart().await["items"], json!([]));
    }
    assert_eq!(database.number("SELECT count(*) FROM orders").await, 2);
    assert_eq!(apps[0].level("A").await, [1_000, 994, 0, 6]);
    database.assert_clean();
}

#[tokio::test]
async fn a_used_key_answers_though_the_cart_is_empty() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let buyer = Buyer::new(&app).await;
    buyer.fill(&[("A", 1)]).await;
    let (key, body) = (fresh_key(), json!({"payment": {"provider": "manual"}}));
    let first = buyer.check_out_as(&key, &body).await;
    first.ok(201);
    let again = buyer.check_out_as(&key, &body).await;
    assert_eq!((again.status, &again.bytes), (201, &first.bytes));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    // Keys belong to sessions: for another one this key is new.
    let other = Buyer::new(&app).await;
    other.check_out_as(&key, &body).await.problem(409, "cart_empty");
}

#[tokio::test]
async fn units_that_are_added_during_checkouts_are_ordered_or_still_in_the_cart() {
    let database = Database::new().await;
    let apps = [App::with(&database, &[]).await, App::with(&database, &[]).await];
    apps[0].stocked("A", 100, 100_000).await;
    let buyer = Buyer::new(&apps[0]).await;
    buyer.fill(&[("A", 1)]).await;
    let adds = (0..4).map(|n| {
        let buyer = buyer.at(&apps[n % 2]);
        async move {
            for _ in 0..25 {
                buyer.add("A", 1).await.ok(200);
            }
        }
    });
    let checkouts = (0..4).map(|n| {
        let buyer = buyer.at(&apps[n % 2]);
        async move {
            let mut ordered = 0;
            for _ in 0..15 {
                let answer = buyer.check_out().await;
                match answer.status {
                    201 => ordered += answer.json()["items"][0]["quantity"].as_i64().unwrap(),
                    409 => drop(answer.problem(409, "cart_empty")),
                    _ => drop(answer.problem(503, "overloaded")),
                }
            }
            ordered
        }
    });
    let (_, ordered) = tokio::join!(join_all(adds), join_all(checkouts));
    let left = buyer.cart().await;
    let left: i64 = lines(&left["items"]).iter().map(|(_, quantity, _)| quantity).sum();
    assert_eq!(ordered.iter().sum::<i64>() + left, 101);
    let sold = "SELECT coalesce(sum(quantity), 0)::bigint FROM order_lines";
    assert_eq!(database.number(sold).await, 101 - left);
    database.assert_clean();
}

#[tokio::test]
async fn a_session_sees_its_orders_and_nobody_elses() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let (ada, eve) = (Buyer::new(&app).await, Buyer::new(&app).await);
    ada.fill(&[("A", 1)]).await;
    let first = ada.check_out().await.ok(201);
    let request = app.placing(&fresh_key(), &order_of(&[("A", 1)])).bearer_auth(&ada.token);
    let second = Answer::of(request).await.ok(201);
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    let ids = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap();
        items.iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
    };
    let hers = ada.send(Method::GET, "/v1/orders", None).await.ok(200);
    let expected = [&second, &first].map(|order| order["id"].as_str().unwrap().to_owned());
    assert_eq!(ids(&hers), expected);
    assert!(!hers.to_string().contains("access_token"));
    let page = ada.send(Method::GET, "/v1/orders?limit=1", None).await.ok(200);
    let next = format!("/v1/orders?limit=1&cursor={}", page["next_cursor"].as_str().unwrap());
    let rest = ada.send(Method::GET, &next, None).await.ok(200);
    assert_eq!((ids(&rest), &rest["next_cursor"]), (vec![expected[1].clone()], &Value::Null));
    assert_eq!(eve.send(Method::GET, "/v1/orders", None).await.ok(200)["items"], json!([]));
    Answer::of(app.request(Method::GET, "/v1/orders")).await.problem(401, "unauthorized");

    let path = format!("/v1/orders/{}", expected[1]);
    assert_eq!(ada.send(Method::GET, &path, None).await.ok(200)["id"], first["id"]);
    let pay = json!({"provider": "test", "token": "ok"});
    for (path, method, body) in [
        (path.clone(), Method::GET, None),
        (format!("{path}/payments"), Method::POST, Some(&pay)),
        (format!("{path}/cancel"), Method::POST, None),
    ] {
        eve.send(method.clone(), &path, body).await.problem(404, "not_found");
        let nobody = app.request(method, &path);
        let nobody = body.iter().fold(nobody, |request, body| request.json(body));
        Answer::of(nobody).await.problem(404, "not_found");
    }
    assert_eq!(ada.send(Method::GET, &path, None).await.ok(200)["status"], "confirmed");
    let paid = ada.send(Method::POST, &format!("{path}/payments"), Some(&pay)).await.ok(200);
    assert_eq!(paid["status"], "paid");
}
