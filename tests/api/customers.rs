//! Customers: registering, logging in and out, and what is theirs, over several instances.

use crate::harness::{
    Answer, App, PASSWORD, fresh_key, order_of, paid_with, refused_within_a_second,
};
use crate::harness::{get_as as get, log_in, my, register, try_to_log_in};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Instant;

fn quantities(cart: &Value) -> Vec<(&str, i64)> {
    let items = cart["items"].as_array().unwrap().iter();
    items.map(|i| (i["sku"].as_str().unwrap(), i["quantity"].as_i64().unwrap())).collect()
}

fn address(city: &str) -> Value {
    json!({"name": "Ada", "line1": "12 St James's Square", "city": city, "country": "GB"})
}

#[tokio::test]
async fn a_customer_registers_logs_in_and_changes_the_profile() {
    let app = App::start().await;
    let registered = register(&app, "Ada@Example.com").await;
    let customer = registered.ok(201);
    assert!(customer["id"].as_str().unwrap().starts_with("cus_"));
    assert_eq!(customer["email"], "Ada@Example.com");
    assert_eq!((&customer["email_verified"], &customer["phone"]), (&json!(false), &Value::Null));
    assert_eq!(registered.header("location"), Some("/v1/customers/me"));
    assert_eq!(registered.header("cache-control"), Some("no-store"));
    let again = register(&app, "ada@example.COM").await;
    again.problem(409, "conflict");
    let answer = try_to_log_in(&app, None, "ADA@example.com", PASSWORD).await;
    let session = answer.ok(200);
    assert_eq!(session["customer"], json!({"id": customer["id"]}));
    let cookie = answer.header("set-cookie").unwrap();
    let token = session["token"].as_str().unwrap();
    assert!(cookie.starts_with(&format!("doorbuster_session={token};")), "{cookie}");
    let who = get(&app, token, "/v1/session").await.ok(200);
    assert_eq!(who["customer"], json!({"id": customer["id"]}));
    let me = my(&app, token, Method::GET, "", &Value::Null).await;
    assert_eq!((me.ok(200), me.header("etag")), (customer, Some("\"1\"")));
    let change = json!({"name": null, "phone": "+44 20 7946 0018"});
    let changed = my(&app, token, Method::PATCH, "", &change).await.ok(200);
    assert_eq!((&changed["name"], &changed["version"]), (&Value::Null, &json!(2)));
    let request = app.request(Method::PATCH, "/v1/customers/me").bearer_auth(token);
    let stale = request.header("If-Match", "\"1\"").json(&json!({"name": "Ada King"}));
    Answer::of(stale).await.problem(412, "version_conflict");
    let plain =
        format!("SELECT count(*) FROM customers WHERE customers::text LIKE '%{PASSWORD}%'");
    assert_eq!(app.database.number(&plain).await, 0, "a password was stored");
    let argon = "SELECT count(*) FROM customers
                 WHERE password_hash LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'";
    assert_eq!(app.database.number(argon).await, 1);
    app.database.assert_clean();
}

#[tokio::test]
async fn what_is_wrong_with_a_registration_is_said_all_at_once() {
    let app = App::start().await;
    let body = json!({"email": "ada", "password": "seven77", "name": " ", "phone": ""});
    let answer = Answer::of(app.request(Method::POST, "/v1/customers").json(&body)).await;
    let problem = answer.problem(422, "validation_failed");
    let errors = problem["errors"].as_array().unwrap().iter();
    let pointers: Vec<&str> = errors.map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/email", "/password", "/name", "/phone"]);
    assert!(!problem.to_string().contains("seven77"), "a password is repeated");
    let common = json!({"email": "ada@example.com", "password": "password1"});
    let answer = Answer::of(app.request(Method::POST, "/v1/customers").json(&common)).await;
    answer.problem(422, "validation_failed");
    let unknown = json!({"email": "ada@example.com", "password": PASSWORD, "status": "staff"});
    let answer = Answer::of(app.request(Method::POST, "/v1/customers").json(&unknown)).await;
    answer.problem(400, "invalid_request");
    assert_eq!(app.database.number("SELECT count(*) FROM customers").await, 0);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_are_the_same() {
    let app = App::start().await;
    register(&app, "ada@example.com").await.ok(201);
    let guest = app.session().await;
    let mut bodies = Vec::new();
    for (email, password) in [
        ("ada@example.com", "difference engines"),
        ("bob@example.com", PASSWORD),
        ("not an address", ""),
    ] {
        let answer = try_to_log_in(&app, Some(&guest), email, password).await;
        let mut problem = answer.problem(401, "unauthorized");
        assert_eq!(answer.header("set-cookie"), None);
        problem.as_object_mut().unwrap().remove("request_id");
        bodies.push(problem);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    // The guest is none the worse for it.
    assert_eq!(get(&app, &guest, "/v1/session").await.ok(200)["customer"], Value::Null);
}

#[tokio::test]
async fn logging_in_replaces_the_token_and_takes_cart_and_orders_along() {
    let app = App::start().await;
    for (sku, price) in [("A", 100), ("B", 200), ("C", 300)] {
        app.stocked(sku, price, 100).await;
    }
    let other = App::with(&app.database, &[]).await;
    let customer = register(&app, "ada@example.com").await.ok(201);
    let phone = log_in(&app, None, "ada@example.com").await;
    let add = json!({"items": [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 2}]});
    app.add_to_cart(&phone, &add).await.ok(200);
    let guest = app.session().await;
    let add = json!({"items": [{"sku": "B", "quantity": 3}, {"sku": "C", "quantity": 4}]});
    app.add_to_cart(&guest, &add).await.ok(200);
    let order = app.placing(&fresh_key(), &order_of(&[("A", 1)])).bearer_auth(&guest);
    let order = Answer::of(order).await.ok(201);
    let since = Instant::now();
    let laptop = log_in(&app, Some(&guest), "ada@example.com").await;
    assert_ne!(laptop, guest);
    get(&app, &guest, "/v1/session").await.problem(401, "unauthorized");
    refused_within_a_second(&other, &guest, since).await;
    for (app, token) in [(&app, &laptop), (&other, &phone)] {
        let cart = app.cart(token).await;
        assert_eq!(quantities(&cart), [("A", 1), ("B", 5), ("C", 4)]);
        let orders = get(app, token, "/v1/orders").await.ok(200);
        assert_eq!(orders["items"][0]["id"], order["id"]);
        let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
        get(app, token, &path).await.ok(200);
    }
    let stranger = app.session().await;
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    get(&app, &stranger, &path).await.problem(404, "not_found");
    let owner = "SELECT count(*) FROM orders o JOIN customers c ON c.id = o.shopper_id";
    assert_eq!(app.database.number(owner).await, 1, "{customer}");
    // Logging in once more from there moves nothing a second time.
    let once_more = log_in(&app, Some(&laptop), "ada@example.com").await;
    let cart = app.cart(&once_more).await;
    assert_eq!(quantities(&cart), [("A", 1), ("B", 5), ("C", 4)]);
    app.database.assert_clean();
}

#[tokio::test]
async fn a_hundred_logins_and_changes_at_once_lose_and_double_no_line() {
    let app = App::configured(&[("CUSTOMER__PASSWORD_QUEUE_MAX", "1000")]).await;
    let other = App::with(&app.database, &[("CUSTOMER__PASSWORD_QUEUE_MAX", "1000")]).await;
    for n in 0..10 {
        app.stocked(&format!("S{n}"), 100, 1000).await;
    }
    register(&app, "ada@example.com").await.ok(201);
    let own = log_in(&app, None, "ada@example.com").await;
    let mut guests = Vec::new();
    // With the customer's own session, as many log-ins as a customer may have sessions.
    for n in 0..49 {
        let guest = app.session().await;
        let add = json!({"sku": format!("S{}", n % 10), "quantity": 1});
        app.add_to_cart(&guest, &add).await.ok(200);
        guests.push(guest);
    }
    // Each guest logs in twice, in parallel and at both instances, and once more something is
    // added to the guest's cart and to the customer's.
    let rounds = guests.iter().enumerate().map(|(n, guest)| {
        let (app, other, own) = (&app, &other, &own);
        async move {
            let add = json!({"sku": format!("S{}", n % 10), "quantity": 1});
            let (first, second, late, direct) = tokio::join!(
                try_to_log_in(app, Some(guest), "ada@example.com", PASSWORD),
                try_to_log_in(other, Some(guest), "ada@example.com", PASSWORD),
                other.add_to_cart(guest, &add),
                other.add_to_cart(own, &add),
            );
            assert_eq!((first.status, second.status), (200, 200));
            direct.ok(200);
            // What the guest added in time came along; what came too late was refused.
            match late.status {
                200 => 1,
                _ => {
                    late.problem(401, "unauthorized");
                    0
                }
            }
        }
    });
    let late: i64 = join_all(rounds).await.into_iter().sum();
    let cart = app.cart(&own).await;
    let units: i64 = quantities(&cart).iter().map(|(_, quantity)| quantity).sum();
    assert_eq!((cart["items"].as_array().unwrap().len(), units), (10, 49 + 49 + late));
    let open = "SELECT count(*) FROM carts WHERE merged_into IS NOT NULL AND items <> '[]'";
    assert_eq!(app.database.number(open).await, 0);
    app.database.assert_clean();
}

#[tokio::test]
async fn with_one_session_more_than_a_hundred_the_oldest_is_over() {
    let app = App::start().await;
    register(&app, "ada@example.com").await.ok(201);
    register(&app, "bob@example.com").await.ok(201);
    let bob = log_in(&app, None, "bob@example.com").await;
    let (oldest, second) = (
        log_in(&app, None, "ada@example.com").await,
        log_in(&app, None, "ada@example.com").await,
    );
    // The hundredth, and many that are over.
    let more =
        "INSERT INTO sessions (id, token_hash, customer_id, created_at, expires_at, ends_at)
        SELECT gen_random_uuid(), sha256(n::text::bytea), c.id, now() + n * interval '1 ms',
            now() + until, now() + until
        FROM customers c, generate_series(1, 298) n,
            LATERAL (SELECT CASE WHEN n > 98 THEN '-1 s' ELSE '1 h' END::interval AS until) u
        WHERE c.email = 'ada@example.com'";
    app.database.execute(more).await;
    let newest = log_in(&app, None, "ada@example.com").await;
    let since = Instant::now();
    refused_within_a_second(&app, &oldest, since).await;
    for token in [&second, &newest, &bob] {
        get(&app, token, "/v1/session").await.ok(200);
    }
    let held = "SELECT count(*) FROM sessions s JOIN customers c ON c.id = s.customer_id
        WHERE c.email = 'ada@example.com' AND s.expires_at > now()";
    assert_eq!(app.database.number(held).await, 100);
    assert_eq!(app.database.number("SELECT count(*) FROM sessions").await, 101);
}

#[tokio::test]
async fn sessions_are_listed_and_end_one_by_one_or_everywhere() {
    let app = App::start().await;
    let other = App::with(&app.database, &[]).await;
    register(&app, "ada@example.com").await.ok(201);
    register(&app, "bob@example.com").await.ok(201);
    let (phone, laptop) = (
        log_in(&app, None, "ada@example.com").await,
        log_in(&app, None, "ada@example.com").await,
    );
    let bob = log_in(&app, None, "bob@example.com").await;
    let list = my(&app, &phone, Method::GET, "/sessions", &Value::Null).await.ok(200);
    let items = list["items"].as_array().unwrap();
    let current: Vec<bool> = items.iter().map(|i| i["current"].as_bool().unwrap()).collect();
    assert_eq!(current, [false, true], "newest first");
    let path = format!("/sessions/{}", items[0]["id"].as_str().unwrap());
    my(&app, &bob, Method::DELETE, &path, &Value::Null).await.problem(404, "not_found");
    get(&other, &laptop, "/v1/session").await.ok(200);
    let since = Instant::now();
    assert_eq!(my(&app, &phone, Method::DELETE, &path, &Value::Null).await.status, 204);
    get(&app, &laptop, "/v1/session").await.problem(401, "unauthorized");
    refused_within_a_second(&other, &laptop, since).await;
    my(&app, &phone, Method::DELETE, &path, &Value::Null).await.problem(404, "not_found");
    let second = log_in(&app, None, "ada@example.com").await;
    assert_eq!(my(&app, &phone, Method::DELETE, "/sessions", &Value::Null).await.status, 204);
    for token in [&phone, &second] {
        get(&app, token, "/v1/session").await.problem(401, "unauthorized");
    }
    get(&app, &bob, "/v1/session").await.ok(200);
}

#[tokio::test]
async fn addresses_are_saved_and_one_of_them_is_the_default() {
    let app = App::start().await;
    register(&app, "ada@example.com").await.ok(201);
    register(&app, "bob@example.com").await.ok(201);
    let ada = log_in(&app, None, "ada@example.com").await;
    let bob = log_in(&app, None, "bob@example.com").await;
    let save = async |city: &str, is_default: bool| {
        let body = json!({"address": address(city), "is_default": is_default});
        my(&app, &ada, Method::POST, "/addresses", &body).await.ok(201)
    };
    let london = save("London", false).await;
    assert_eq!(london["is_default"], true, "the first one");
    let paris = save("Paris", true).await;
    let rome = save("Rome", false).await;
    let path = |saved: &Value| format!("/addresses/{}", saved["id"].as_str().unwrap());
    let defaults = async || {
        let list = my(&app, &ada, Method::GET, "/addresses", &Value::Null).await.ok(200);
        let items = list["items"].as_array().unwrap().clone();
        let cities = items.iter().filter(|item| item["is_default"] == true);
        cities.map(|i| i["address"]["city"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(defaults().await, ["Paris"]);
    let change = json!({"is_default": true});
    my(&app, &ada, Method::PATCH, &path(&rome), &change).await.ok(200);
    assert_eq!(defaults().await, ["Rome"]);
    let change = json!({"address": address("Oslo")});
    let oslo = my(&app, &ada, Method::PATCH, &path(&paris), &change).await.ok(200);
    assert_eq!((&oslo["address"]["city"], &oslo["is_default"]), (&json!("Oslo"), &json!(false)));
    // Those of others are not there.
    for (method, body) in [
        (Method::GET, Value::Null),
        (Method::PATCH, json!({"is_default": true})),
        (Method::DELETE, Value::Null),
    ] {
        my(&app, &bob, method, &path(&rome), &body).await.problem(404, "not_found");
    }
    assert_eq!(my(&app, &ada, Method::DELETE, &path(&rome), &Value::Null).await.status, 204);
    assert_eq!(defaults().await, ["London"], "the oldest of the others");
    let wrong = json!({"address": {"name": "", "line1": "x", "city": "y", "country": "XX"}});
    let problem = my(&app, &ada, Method::POST, "/addresses", &wrong).await;
    problem.problem(422, "validation_failed");
    let adding = (0..60).map(|n| {
        let body = json!({"address": address(&format!("City {n}")), "is_default": n % 2 == 0});
        let (app, ada) = (&app, &ada);
        async move { my(app, ada, Method::POST, "/addresses", &body).await.status }
    });
    let statuses = join_all(adding).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 48);
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 12);
    assert_eq!(defaults().await.len(), 1);
}

#[tokio::test]
async fn more_passwords_than_may_wait_are_refused_and_the_others_are_not_harmed() {
    let app = App::configured(&[("CUSTOMER__PASSWORD_QUEUE_MAX", "2")]).await;
    register(&app, "ada@example.com").await.ok(201);
    let logins = (0..30).map(|_| try_to_log_in(&app, None, "ada@example.com", PASSWORD));
    let answers = join_all(logins).await;
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(!refused.is_empty(), "nothing was refused");
    for answer in &refused {
        answer.problem(503, "overloaded");
        assert!(answer.header("retry-after").is_some());
    }
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(done > 0 && done + refused.len() == 30, "{done} and {}", refused.len());
}

#[tokio::test]
async fn a_request_that_is_repeated_after_logging_in_is_answered_and_not_carried_out_again() {
    let app = App::start().await;
    app.stocked("A", 100, 100).await;
    register(&app, "ada@example.com").await.ok(201);
    let place = async |token: &str, key: &str, quantity: i64| {
        let placing = app.placing(key, &order_of(&[("A", quantity)]));
        Answer::of(placing.bearer_auth(token)).await
    };
    let own = log_in(&app, None, "ada@example.com").await;
    let guest = app.session().await;
    let first = place(&guest, "lost", 1).await.ok(201);
    // The same key for two requests: the customer's stays theirs.
    let mine = place(&own, "both", 2).await.ok(201);
    place(&guest, "both", 3).await.ok(201);
    let token = log_in(&app, Some(&guest), "ada@example.com").await;
    let again = place(&token, "lost", 1).await;
    assert_eq!(again.ok(201), first);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(place(&token, "both", 2).await.ok(201), mine);
    place(&token, "both", 3).await.problem(422, "idempotency_key_reused");
    assert_eq!(app.database.number("SELECT count(*) FROM orders").await, 3);
    app.database.assert_clean();
}

#[tokio::test]
async fn a_key_that_the_customer_uses_while_a_guest_with_it_logs_in_stays_the_customers() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let ada = register(&app, "ada@example.com").await.ok(201);
    let scope = format!("customer:{}", ada["id"].as_str().unwrap());
    let guest = app.session().await;
    let order = order_of(&[("A", 1)]);
    Answer::of(app.placing("both", &order).bearer_auth(&guest)).await.ok(201);
    // As the order of another instance, which commits while the log-in waits for the key.
    let elsewhere = app.database.connect().await;
    elsewhere.batch_execute("BEGIN").await.unwrap();
    let used = "INSERT INTO idempotency_keys (scope, key, request_hash, status, body)
        VALUES ($1, 'both', '', 201, '')";
    elsewhere.execute(used, &[&scope]).await.unwrap();
    let commits = async {
        let waits = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event = 'transactionid'";
        app.database.until_at_least(waits, 1).await;
        elsewhere.batch_execute("COMMIT").await.unwrap();
    };
    let (answer, ()) =
        tokio::join!(try_to_log_in(&app, Some(&guest), "ada@example.com", PASSWORD), commits);
    answer.ok(200);
    let of_customer = "SELECT count(*) FROM idempotency_keys
        WHERE scope LIKE 'customer:%' AND request_hash = ''";
    assert_eq!(app.database.number(of_customer).await, 1);
    let of_order = "SELECT count(*) FROM idempotency_keys WHERE scope = 'erased'";
    assert_eq!(app.database.number(of_order).await, 1, "the guest's order has lost its key");
}

#[tokio::test]
async fn an_address_is_saved_once_for_one_key() {
    let app = App::start().await;
    register(&app, "ada@example.com").await.ok(201);
    let token = log_in(&app, None, "ada@example.com").await;
    let save = async |city: &str| {
        let request = app.request(Method::POST, "/v1/customers/me/addresses");
        let request = request.bearer_auth(&token).header("Idempotency-Key", "one");
        Answer::of(request.json(&json!({"address": address(city)}))).await
    };
    let saves = join_all((0..5).map(|_| save("London"))).await;
    let ids: Vec<Value> = saves.iter().map(|saved| saved.ok(201)["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let location = format!("/v1/customers/me/addresses/{}", ids[0].as_str().unwrap());
    assert!(saves.iter().all(|saved| saved.header("location") == Some(&*location)));
    save("Paris").await.problem(422, "idempotency_key_reused");
    let list = my(&app, &token, Method::GET, "/addresses", &Value::Null).await.ok(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_that_is_repeated_after_logging_in_while_its_payment_is_made_has_one_order() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    register(&app, "ada@example.com").await.ok(201);
    let other = App::with(&app.database, &[]).await;
    for place in [&app, &other] {
        let (guest, key) = (app.session().await, fresh_key());
        let order = paid_with("delay_2s", &[("A", 1)]);
        let asked = Answer::of(app.placing(&key, &order).bearer_auth(&guest));
        let repeated = async {
            let waits = "SELECT count(*) FROM payments WHERE status = 'processing'";
            app.database.until_at_least(waits, 1).await;
            let ada = log_in(&app, Some(&guest), "ada@example.com").await;
            Answer::of(place.placing(&key, &order).bearer_auth(&ada)).await
        };
        let (asked, repeated) = tokio::join!(asked, repeated);
        asked.ok(201);
        repeated.ok(201);
        assert_eq!(repeated.header("idempotent-replayed"), Some("true"));
        assert_eq!(repeated.bytes, asked.bytes);
    }
    let waiting = "SELECT count(*) FROM idempotency_keys WHERE scope NOT LIKE 'customer:%'";
    assert_eq!(app.database.number(waiting).await, 0, "a key was left behind");
    app.database.assert_clean();
}

#[tokio::test]
async fn a_guest_who_has_logged_in_has_no_cart_any_more_wherever_they_are_still_believed() {
    let app = App::start().await;
    app.stocked("A", 100, 100).await;
    let other = App::with(&app.database, &[]).await;
    register(&app, "ada@example.com").await.ok(201);
    for _ in 0..3 {
        let guest = app.session().await;
        app.add_to_cart(&guest, &json!({"sku": "A", "quantity": 1})).await.ok(200);
        other.cart(&guest).await;
        log_in(&app, Some(&guest), "ada@example.com").await;
        let shown = Answer::of(other.shopping(&guest, Method::GET, "", &Value::Null)).await;
        shown.problem(401, "unauthorized");
        let pay = json!({"payment": {"provider": "manual"}});
        let checkout = other.shopping(&guest, Method::POST, "/checkout", &pay);
        let checkout = checkout.header("Idempotency-Key", fresh_key());
        Answer::of(checkout).await.problem(401, "unauthorized");
    }
}
