use crate::harness::{Answer, App, fresh_key, order_of, paid_with};
use futures_util::future::join_all;
use serde_json::{Value, json};

#[tokio::test]
async fn a_replay_is_the_same_answer_byte_for_byte() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    for order in [order_of(&[("A", 1)]), paid_with("ok", &[("A", 1)])] {
        let key = fresh_key();
        let first = app.place_as(&key, &order).await;
        first.ok(201);
        assert_eq!(first.header("idempotent-replayed"), None);
        // Spelled differently, the same value.
        let body = serde_json::to_string_pretty(&order).unwrap();
        let request = app.placing(&key, &json!({})).body(body);
        let again = Answer::of(request).await;
        assert_eq!((again.status, &again.bytes), (201, &first.bytes));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.header("location"), first.header("location"));
    }
    assert_eq!(app.database.number("SELECT count(*) FROM orders").await, 2);
    assert_eq!(app.level("A").await, [10, 8, 0, 2]);
}

#[tokio::test]
async fn a_key_is_looked_up_before_stock_and_prices_are_judged() {
    let app = App::start().await;
    app.stocked("A", 100, 1).await;
    let (key, mut order) = (fresh_key(), order_of(&[("A", 1)]));
    order["expected_total"] = json!({"amount": 100, "currency": "GBP"});
    let first = app.place_as(&key, &order).await;
    first.ok(201);
    app.place(&order_of(&[("A", 1)])).await.problem(409, "out_of_stock");
    let again = app.place_as(&key, &order).await;
    assert_eq!((again.status, &again.bytes), (201, &first.bytes));
    let change = "UPDATE prices SET amount = 200; UPDATE stock SET offer_version = 9";
    app.database.connect().await.batch_execute(change).await.unwrap();
    let restarted = App::with(&app.database, &[]).await;
    let again = restarted.place_as(&key, &order).await;
    assert_eq!((again.status, &again.bytes), (201, &first.bytes));
    let archived = "UPDATE products SET status = 'archived'; UPDATE stock SET offer_version = 10";
    app.database.connect().await.batch_execute(archived).await.unwrap();
    let restarted = App::with(&app.database, &[]).await;
    let again = restarted.place_as(&key, &order).await;
    assert_eq!((again.status, &again.bytes), (201, &first.bytes));
}

#[tokio::test]
async fn a_key_of_another_request_is_refused_and_changes_nothing() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let key = fresh_key();
    app.place_as(&key, &order_of(&[("A", 1)])).await.ok(201);
    let other = app.place_as(&key, &order_of(&[("A", 2)])).await;
    other.problem(422, "idempotency_key_reused");
    assert_eq!(app.level("A").await, [10, 9, 0, 1]);
}

#[tokio::test]
async fn a_refusal_saves_nothing_and_the_key_is_judged_anew() {
    let app = App::start().await;
    app.stocked("A", 100, 0).await;
    let (key, order) = (fresh_key(), order_of(&[("A", 1)]));
    app.place_as(&key, &order).await.problem(409, "out_of_stock");
    app.adjust("A", 1).await.ok(201);
    app.place_as(&key, &order).await.ok(201);
    app.database.assert_clean();
}

#[tokio::test]
async fn fifty_duplicates_over_two_instances_are_one_order_with_fifty_equal_answers() {
    let app = App::start().await;
    let other = App::with(&app.database, &[]).await;
    app.stocked("A", 100, 100).await;
    for order in [order_of(&[("A", 1)]), paid_with("ok", &[("A", 1)])] {
        let key = fresh_key();
        let asked =
            (0..25).flat_map(|_| [app.place_as(&key, &order), other.place_as(&key, &order)]);
        let answers = join_all(asked).await;
        for answer in &answers {
            assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.bytes));
            assert_eq!(answer.bytes, answers[0].bytes);
        }
        let fresh = answers.iter().filter(|a| a.header("idempotent-replayed").is_none()).count();
        assert_eq!(fresh, 1, "one answer is the first");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM orders").await, 2);
    app.database.assert_clean();
}

#[tokio::test]
async fn a_duplicate_waits_for_the_request_in_flight_on_any_instance() {
    let app = App::start().await;
    let other = App::with(&app.database, &[]).await;
    app.stocked("A", 100, 10).await;
    let (key, order) = (fresh_key(), paid_with("delay_2s", &[("A", 1)]));
    let (first, here, there) = tokio::join!(
        app.place_as(&key, &order),
        app.place_as(&key, &order),
        other.place_as(&key, &order),
    );
    assert_eq!(first.ok(201)["status"], "paid");
    assert_eq!((&here.bytes, &there.bytes), (&first.bytes, &first.bytes));
}

#[tokio::test]
async fn a_duplicate_does_not_wait_forever_for_the_request_in_flight() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let (key, order) = (fresh_key(), order_of(&[("A", 1)]));
    app.place_as(&key, &order).await.ok(201);
    // As if an instance that nobody hears of any more were asking for its payment.
    let unsaved = "UPDATE idempotency_keys SET status = NULL, location = NULL, body = NULL
                   WHERE key = $1 RETURNING key";
    assert_eq!(app.database.rows(unsaved, &[&key]).await.len(), 1);
    let duplicate = app.place_as(&key, &order).await;
    duplicate.problem(409, "request_in_progress");
    assert_eq!(duplicate.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn admin_posts_take_keys_too() {
    let app = App::start().await;
    app.stocked("A", 100, 0).await;
    let body = json!({"sku": "A", "quantity": 5, "reason": "received"});
    let post = |key: &str, body: &Value| {
        app.request(reqwest::Method::POST, "/v1/admin/stock/adjustments")
            .bearer_auth("sk_test_0123456789abcdef0123456789abcdef")
            .header("Idempotency-Key", key)
            .json(body)
    };
    let first = Answer::of(post("k1", &body)).await;
    first.ok(201);
    let again = Answer::of(post("k1", &body)).await;
    assert_eq!((again.status, &again.bytes), (201, &first.bytes));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let mut other = body.clone();
    other["quantity"] = json!(6);
    Answer::of(post("k1", &other)).await.problem(422, "idempotency_key_reused");
    assert_eq!(app.level("A").await[0], 5);
    let keyed = join_all((0..10).map(|_| Answer::of(post("k2", &body)))).await;
    assert!(keyed.iter().all(|answer| answer.bytes == keyed[0].bytes));
    assert_eq!(app.level("A").await[0], 10);
    app.database.assert_clean();
}

#[tokio::test]
async fn orders_need_a_key_of_visible_ascii() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let order = order_of(&[("A", 1)]);
    let bare = app.request(reqwest::Method::POST, "/v1/orders").json(&order);
    Answer::of(bare).await.problem(400, "idempotency_key_required");
    let twice = app.placing("a", &order).header("Idempotency-Key", "b");
    Answer::of(twice).await.problem(400, "invalid_request");
    for wrong in ["", "with space", "ü", &"x".repeat(256)] {
        let refused = app.place_as(wrong, &order).await;
        refused.problem(400, "invalid_request");
    }
    app.place_as(&"x".repeat(255), &order).await.ok(201);
}

#[tokio::test]
async fn replays_of_cancels_and_payments_say_that_they_are_replays() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let card = json!({"provider": "test", "token": "ok"});
    for (path, body) in [("cancel", json!({})), ("payments", card)] {
        let order = app.place(&order_of(&[("A", 1)])).await.ok(201);
        let post = || {
            let path = format!("/v1/orders/{}/{path}", order["id"].as_str().unwrap());
            let token = order["access_token"].as_str().unwrap();
            let request = app.request(reqwest::Method::POST, &path).json(&body);
            request.header("X-Order-Token", token).header("Idempotency-Key", path)
        };
        let first = Answer::of(post()).await;
        first.ok(200);
        assert_eq!(first.header("idempotent-replayed"), None);
        let again = Answer::of(post()).await;
        assert_eq!((again.status, &again.bytes), (200, &first.bytes));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }
    app.database.assert_clean();
}
