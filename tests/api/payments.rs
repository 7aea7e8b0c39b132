use crate::harness::{Answer, App, fresh_key, gbp, order_of, paid_with, until};
use deadpool_postgres::Pool;
use doorbuster::id::OrderId;
use doorbuster::order::{Command, Known, Periods, World, decide, store};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;
use time::OffsetDateTime;
use tokio_postgres::NoTls;

/// Asks until the order is as expected.
async fn eventually(app: &App, order: &Value, expected: (&str, &str)) -> Value {
    until(async || {
        let shown = app.order(order).await;
        let is_so = shown["status"] == expected.0 && shown["payment_status"] == expected.1;
        if is_so { Ok(shown) } else { Err(format!("not {expected:?}: {shown}")) }
    })
    .await
}

#[tokio::test]
async fn the_test_provider_does_what_its_token_says() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let states = |order: &Value| {
        [&order["status"], &order["payment_status"], &order["payments"][0]["status"]]
            .map(|state| state.as_str().unwrap().to_owned())
    };
    let ok = app.place(&paid_with("ok", &[("A", 1)])).await.ok(201);
    assert_eq!(states(&ok), ["paid", "captured", "captured"]);
    let slow = app.place(&paid_with("delay_2s", &[("A", 1)])).await.ok(201);
    assert_eq!(states(&slow), ["paid", "captured", "captured"]);
    let declined = app.place(&paid_with("decline", &[("A", 1)])).await.ok(201);
    assert_eq!(states(&declined), ["pending_payment", "declined", "declined"]);
    assert!(declined["pay_by"].is_string());
    let silent = app.place(&paid_with("timeout", &[("A", 1)])).await.ok(201);
    assert_eq!(states(&silent), ["pending_payment", "processing", "processing"]);
    assert_eq!(app.level("A").await, [10, 6, 2, 2]);
    app.database.assert_clean();
}

#[tokio::test]
async fn a_payment_without_an_answer_is_resolved_later_and_its_replay_stays_the_same() {
    let app = App::configured(&[("PAYMENT__RESOLVE_AFTER_SECONDS", "1")]).await;
    app.stocked("A", 100, 10).await;
    let (key, order) = (fresh_key(), paid_with("timeout", &[("A", 1)]));
    let first = app.place_as(&key, &order).await;
    eventually(&app, &first.ok(201), ("paid", "captured")).await;
    let again = app.place_as(&key, &order).await;
    assert_eq!((again.status, &again.bytes), (201, &first.bytes));
    assert_eq!(app.level("A").await, [10, 9, 0, 1]);
    app.database.assert_clean();
}

#[tokio::test]
async fn whoever_pays_while_the_price_changes_has_bought_at_the_old_one() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let pending = "SELECT count(*) FROM orders WHERE payment_status = 'processing'";
    let change = async {
        app.database.until_at_least(pending, 1).await;
        let product = app.get("/v1/products/product-a").await.ok(200);
        let variant = product["variants"][0]["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/admin/variants/{variant}");
        app.admin_patch(&path, &json!({"prices": [gbp(200)]})).await.ok(200);
        assert_eq!(app.database.number(pending).await, 1, "it is paid already");
    };
    let order = paid_with("delay_2s", &[("A", 1)]);
    let (placed, ()) = tokio::join!(app.place(&order), change);
    let placed = placed.ok(201);
    assert_eq!((&placed["status"], &placed["subtotal"]), (&json!("paid"), &gbp(100)));
    let metrics = String::from_utf8(app.get("/metrics").await.bytes).unwrap();
    assert!(!metrics.contains("doorbuster_journal_retries_total"), "{metrics}");
    app.database.assert_clean();
}

#[tokio::test]
async fn a_declined_order_can_be_paid_until_its_pay_by() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let order = app.place(&paid_with("decline", &[("A", 1)])).await.ok(201);
    let pay = async |token: &str| {
        app.order_post(&order, "payments", &json!({"provider": "test", "token": token})).await
    };
    pay("decline").await.problem(402, "payment_declined");
    let paid = pay("ok").await.ok(200);
    assert_eq!((&paid["status"], &paid["payment_status"]), (&json!("paid"), &json!("captured")));
    assert_eq!(paid["payments"].as_array().unwrap().len(), 3);
    pay("ok").await.problem(409, "invalid_transition");
    assert_eq!(app.level("A").await, [10, 9, 0, 1]);
    app.database.assert_clean();
}

#[tokio::test]
async fn an_invoice_can_be_paid_and_a_declined_order_can_be_put_on_invoice() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let invoice = app.place(&order_of(&[("A", 1)])).await.ok(201);
    let card = json!({"provider": "test", "token": "ok"});
    let paid = app.order_post(&invoice, "payments", &card).await.ok(200);
    assert_eq!(paid["status"], "paid");
    let declined = app.place(&paid_with("decline", &[("A", 1)])).await.ok(201);
    let manual = json!({"provider": "manual"});
    let confirmed = app.order_post(&declined, "payments", &manual).await.ok(200);
    assert_eq!(confirmed["status"], "confirmed");
    app.order_post(&declined, "payments", &manual).await.problem(409, "invalid_transition");
    assert_eq!(app.level("A").await, [10, 8, 0, 2]);
    app.database.assert_clean();
}

#[tokio::test]
async fn paying_twice_at_once_captures_once() {
    let app = App::start().await;
    let other = App::with(&app.database, &[]).await;
    app.stocked("A", 100, 10).await;
    let order = app.place(&paid_with("decline", &[("A", 1)])).await.ok(201);
    let card = json!({"provider": "test", "token": "ok"});
    let tries = (0..10).flat_map(|_| {
        [app.order_post(&order, "payments", &card), other.order_post(&order, "payments", &card)]
    });
    let answers: Vec<Answer> = futures_util::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    let captured = "SELECT count(*) FROM payments WHERE status = 'captured'";
    assert_eq!(app.database.number(captured).await, 1);
    app.database.assert_clean();
}

#[tokio::test]
async fn an_unpaid_order_expires_on_any_instance_and_gives_its_stock_back() {
    let settings = [("ORDER__PAY_WITHIN_SECONDS", "1"), ("ORDER__EXPIRY_INTERVAL_MS", "200")];
    let mut app = App::configured(&settings).await;
    app.stocked("A", 100, 10).await;
    let order = app.place(&paid_with("decline", &[("A", 4)])).await.ok(201);
    app.kill();
    let other = App::with(&app.database, &settings).await;
    eventually(&other, &order, ("expired", "declined")).await;
    assert_eq!(other.level("A").await, [10, 10, 0, 0]);
    let card = json!({"provider": "test", "token": "ok"});
    other.order_post(&order, "payments", &card).await.problem(409, "invalid_transition");
    other.database.assert_clean();
}

#[tokio::test]
async fn a_payment_in_progress_keeps_its_order_from_expiring() {
    let settings = [
        ("ORDER__PAY_WITHIN_SECONDS", "1"),
        ("ORDER__EXPIRY_INTERVAL_MS", "100"),
        ("PAYMENT__RESOLVE_AFTER_SECONDS", "3"),
    ];
    let app = App::configured(&settings).await;
    app.stocked("A", 100, 10).await;
    let order = app.place(&paid_with("timeout", &[("A", 1)])).await.ok(201);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(app.order(&order).await["status"], "pending_payment");
    eventually(&app, &order, ("paid", "captured")).await;
    app.database.assert_clean();
}

#[tokio::test]
async fn money_that_comes_too_late_takes_the_stock_again_or_is_due_back() {
    let settings = [
        ("ORDER__PAY_WITHIN_SECONDS", "1"),
        ("ORDER__EXPIRY_INTERVAL_MS", "100"),
        ("PAYMENT__TIMEOUT_SECONDS", "1"),
        ("PAYMENT__RESOLVE_AFTER_SECONDS", "4"),
        ("PAYMENT__PROCESSING_MAX_SECONDS", "5"),
    ];
    let app = App::configured(&settings).await;
    app.stocked("A", 100, 2).await;
    let lucky = app.place(&paid_with("timeout", &[("A", 1)])).await.ok(201);
    let late = app.place(&paid_with("timeout", &[("A", 1)])).await.ok(201);
    // As if the longest wait had passed: both expire, and one unit is sold to somebody else.
    let expire = "UPDATE orders SET pay_by = pay_by - interval '1 hour'";
    app.database.connect().await.batch_execute(expire).await.unwrap();
    eventually(&app, &lucky, ("expired", "processing")).await;
    eventually(&app, &late, ("expired", "processing")).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    let ends = until(async || {
        let ends = [app.order(&lucky).await, app.order(&late).await];
        let are_settled = ends.iter().all(|order| order["payment_status"] != "processing");
        if are_settled { Ok(ends) } else { Err(format!("{ends:?}")) }
    })
    .await;
    let mut states: Vec<String> = ends
        .iter()
        .map(|order| format!("{} {}", order["status"], order["payment_status"]))
        .collect();
    states.sort();
    assert_eq!(states, ["\"expired\" \"refund_due\"", "\"paid\" \"captured\""]);
    assert_eq!(app.level("A").await, [2, 0, 0, 2]);
    app.database.assert_clean();
}

#[tokio::test]
async fn a_payment_begun_by_a_killed_instance_is_finished_by_another() {
    let settings = [("PAYMENT__RESOLVE_AFTER_SECONDS", "1")];
    let mut app = App::configured(&settings).await;
    app.stocked("A", 100, 10).await;
    let (key, order) = (fresh_key(), paid_with("delay_2s", &[("A", 1)]));
    let asking = tokio::spawn(app.placing(&key, &order).send());
    let pending = "SELECT count(*) FROM orders WHERE payment_status = 'processing'";
    app.database.until_at_least(pending, 1).await;
    app.kill();
    assert!(asking.await.unwrap().is_err());
    let other = App::with(&app.database, &settings).await;
    let placed = other.place_as(&key, &order).await.ok(201);
    assert_eq!(placed["status"], "paid");
    assert_eq!(other.database.number("SELECT count(*) FROM orders").await, 1);
    other.database.assert_clean();
}

#[tokio::test]
async fn providers_and_tokens_that_do_not_exist_are_named() {
    let app = App::configured(&[("PAYMENT__TEST_PROVIDER", "false")]).await;
    app.stocked("A", 100, 10).await;
    let problem =
        app.place(&paid_with("ok", &[("A", 1)])).await.problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/payment/provider");
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let problem = app.place(&paid_with("?", &[("A", 1)])).await.problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/payment/token");
}

/// What the rule under the locks says of each order: whether it expires now.
async fn expiring(readers: &Pool, periods: Periods, now: OffsetDateTime) -> HashSet<OrderId> {
    let ids = readers.get().await.unwrap().query("SELECT id FROM orders", &[]).await.unwrap();
    let mut expiring = HashSet::new();
    for id in ids.iter().map(|row| OrderId::from(row.get::<_, uuid::Uuid>(0))) {
        let order = store::find(readers.get().await.unwrap(), id).await.unwrap().unwrap();
        let (state, order) = (order.state.clone(), Known::from(order));
        let command = Command::Expire { order };
        let mut world = World::presumed(&[&command], now, 1, periods);
        world.stock.values_mut().for_each(|row| row.level.held = 1);
        world.orders.insert(id, state);
        let decision = decide(&[command], world).remove(0);
        expiring.extend(decision.write.map(|_| id));
    }
    expiring
}

#[tokio::test]
async fn the_reaper_finds_exactly_the_orders_that_the_rule_lets_expire() {
    let app = App::configured(&[("ORDER__EXPIRY_INTERVAL_MS", "60000")]).await;
    app.stocked("A", 100, 1_000).await;
    let processing_max = Duration::from_secs(600);
    let periods = Periods { pay_within: Duration::from_secs(60), processing_max };
    for _ in 0..7 * 5 * 3 {
        app.place(&paid_with("decline", &[("A", 1)])).await.ok(201);
    }
    let every_state = "UPDATE orders o SET
        status = ('{pending_payment,confirmed,paid,fulfilled,completed,cancelled,expired}'::text[])
            [1 + n % 7],
        payment_status = ('{pending,processing,captured,declined,refund_due}'::text[])
            [1 + n / 7 % 5],
        pay_by = now() - ('{-1 h,1 s,1 h}'::interval[])[1 + n / 35]
        FROM (SELECT id, row_number() OVER () - 1 AS n FROM orders) k WHERE k.id = o.id";
    app.database.connect().await.batch_execute(every_state).await.unwrap();
    let manager = deadpool_postgres::Manager::new(app.database.url.parse().unwrap(), NoTls);
    let readers = Pool::builder(manager).build().unwrap();
    let found = store::candidates_for_expiry(&readers, processing_max, 1_000).await.unwrap();
    let expiring = expiring(&readers, periods, OffsetDateTime::now_utc()).await;
    assert_eq!(expiring.len(), 4 + 5, "unanswered only after an hour, others after a second");
    assert_eq!(found.into_iter().collect::<HashSet<_>>(), expiring);
}
