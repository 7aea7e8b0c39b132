//! Rows whose time is over go, and nothing else does.

use crate::harness::retention::{OLD_EVENTS, OLD_KEYS, QUICK, fill};
use crate::harness::{App, Database, fresh_key, order_of, paid_with, until};
use serde_json::json;

/// What an instance has removed.
async fn removed(app: &App) -> u64 {
    let metrics = String::from_utf8(app.get("/metrics").await.bytes).unwrap();
    let samples =
        metrics.lines().filter(|l| l.starts_with("doorbuster_retention_removed_total{"));
    samples.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn old_keys_and_events_go_and_fresh_ones_stay() {
    let app = App::configured(&[QUICK]).await;
    app.stocked("A", 100, 10).await;
    let order = order_of(&[("A", 1)]);
    let (old, fresh) = (fresh_key(), fresh_key());
    let (first, second) = (app.place_as(&old, &order).await, app.place_as(&fresh, &order).await);
    fill(&app.database, 5_000).await;
    let age = format!(
        "UPDATE idempotency_keys SET created_at = now() - interval '49 hours' WHERE key = '{old}'"
    );
    app.database.execute(&age).await;
    let key = format!("SELECT count(*) FROM idempotency_keys WHERE key = '{old}'");
    app.database.until(&key, 0).await;
    app.database.until(OLD_KEYS, 0).await;
    app.database.until(OLD_EVENTS, 0).await;
    assert_eq!(removed(&app).await, 10_001);
    assert_eq!(app.database.number("SELECT count(*) FROM outbox").await, 2);
    let again = app.place_as(&fresh, &order).await;
    assert_eq!((again.status, &again.bytes), (201, &second.bytes));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    // The key that is gone is as good as new.
    let new = app.place_as(&old, &order).await;
    assert_ne!(new.ok(201)["id"], first.ok(201)["id"]);
}

#[tokio::test]
async fn a_large_table_is_never_read_as_a_whole() {
    let database = Database::new().await;
    fill(&database, 10_000).await;
    let app = App::with(&database, &[QUICK]).await;
    let deleted = "SELECT count(*) FROM pg_stat_user_tables
        WHERE relname IN ('idempotency_keys', 'outbox') AND n_tup_del >= 10000";
    app.database.until(deleted, 2).await;
    // Each row once or twice; with the whole table in each step it would be a quarter of a million.
    let scanned = "SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables
        WHERE relname IN ('idempotency_keys', 'outbox')";
    let scanned = app.database.number(scanned).await;
    assert!(scanned < 60_000, "{scanned} rows were read one after the other");
}

#[tokio::test]
async fn a_key_that_waits_for_a_payment_stays_until_it_has_its_reply() {
    let mut app = App::configured(&[]).await;
    app.stocked("A", 100, 10).await;
    let (key, order) = (fresh_key(), paid_with("delay_2s", &[("A", 1)]));
    let asking = tokio::spawn(app.placing(&key, &order).send());
    let waiting = "SELECT count(*) FROM idempotency_keys WHERE status IS NULL";
    app.database.until(waiting, 1).await;
    app.kill();
    assert!(asking.await.unwrap().is_err());
    let age = "UPDATE idempotency_keys SET created_at = now() - interval '1000 hours'";
    app.database.execute(age).await;
    let settings = [QUICK, ("PAYMENT__RESOLVE_AFTER_SECONDS", "3000")];
    let mut sweeping = App::with(&app.database, &settings).await;
    // Rows that came after the waiting key go, twice.
    for _ in 0..2 {
        fill(&app.database, 10).await;
        app.database.until(OLD_KEYS, 0).await;
    }
    assert_eq!(app.database.number(waiting).await, 1);
    sweeping.kill();
    let settings = [("RETENTION__ENABLED", "false"), ("PAYMENT__RESOLVE_AFTER_SECONDS", "1")];
    let resolving = App::with(&app.database, &settings).await;
    app.database.until(waiting, 0).await;
    let placed = resolving.place_as(&key, &order).await;
    assert_eq!(placed.ok(201)["status"], "paid");
    assert_eq!(placed.header("idempotent-replayed"), Some("true"));
    app.database.assert_clean();
}

#[tokio::test]
async fn a_payment_is_settled_after_its_key_has_gone() {
    let settings = [QUICK, ("PAYMENT__RESOLVE_AFTER_SECONDS", "3000")];
    let mut app = App::configured(&settings).await;
    app.stocked("A", 100, 10).await;
    let order = app.place(&paid_with("timeout", &[("A", 1)])).await.ok(201);
    assert_eq!(order["payment_status"], "processing");
    let age = "UPDATE orders SET created_at = created_at - interval '100 hours';
               UPDATE payments SET created_at = created_at - interval '100 hours';
               UPDATE idempotency_keys SET created_at = created_at - interval '100 hours'";
    app.database.execute(age).await;
    app.database.until("SELECT count(*) FROM idempotency_keys", 0).await;
    app.kill();
    let app = App::with(&app.database, &[("PAYMENT__RESOLVE_AFTER_SECONDS", "1")]).await;
    app.database.until("SELECT count(*) FROM orders WHERE status = 'paid'", 1).await;
    assert_eq!(app.level("A").await, [10, 9, 0, 1]);
    assert_eq!(app.database.number("SELECT count(*) FROM idempotency_keys").await, 0);
    app.database.assert_clean();
}

/// Asks until the instances have removed so many together; then each for itself.
async fn until_removed(apps: [&App; 2], expected: u64) -> [u64; 2] {
    until(async || {
        let each = [removed(apps[0]).await, removed(apps[1]).await];
        let is_all = each.iter().sum::<u64>() == expected;
        is_all.then_some(each).ok_or(format!("{each:?}, not {expected}"))
    })
    .await
}

#[tokio::test]
async fn one_of_two_instances_removes_what_nobody_has_locked_and_the_other_when_it_is_gone() {
    let database = Database::new().await;
    let settings = [QUICK, ("RETENTION__BUSY_PERCENT", "50")];
    let start = || App::with(&database, &settings);
    let (mut first, mut second) = (start().await, start().await);
    first.stocked("A", 100, 10).await;
    let young = "INSERT INTO idempotency_keys (scope, key, request_hash, status, body)
                 VALUES ('old', '0', repeat('h', 32)::bytea, 201, '')";
    database.execute(young).await;
    let mut locker = database.connect().await;
    let transaction = locker.transaction().await.unwrap();
    // Such a lock lets the row become old.
    let lock = "SELECT FROM idempotency_keys WHERE scope = 'old' FOR KEY SHARE";
    assert_eq!(transaction.execute(lock, &[]).await.unwrap(), 1);
    let age = "UPDATE idempotency_keys SET created_at = now() - interval '100 hours'";
    database.execute(age).await;
    fill(&database, 10_000).await;
    database.until(OLD_KEYS, 1).await;
    database.until(OLD_EVENTS, 0).await;
    first.place(&order_of(&[("A", 1)])).await.ok(201);
    second.place(&order_of(&[("A", 1)])).await.ok(201);
    transaction.rollback().await.unwrap();
    let each = until_removed([&first, &second], 20_001).await;
    assert!(each.contains(&0), "both walked: {each:?}");
    let (walker, other) =
        if each[1] == 0 { (&mut first, &second) } else { (&mut second, &first) };
    walker.kill();
    fill(&database, 1_000).await;
    until(async || match removed(other).await {
        2_000 => Ok(()),
        removed => Err(removed),
    })
    .await;
    database.assert_clean();
}

#[tokio::test]
async fn sessions_that_are_over_go_with_their_carts_and_living_ones_stay() {
    let app = App::configured(&[QUICK]).await;
    app.stocked("A", 100, 10).await;
    let (over, living) = (app.session().await, app.session().await);
    let ending = app.session().await;
    for token in [&over, &living, &ending] {
        app.add_to_cart(token, &json!({"sku": "A", "quantity": 1})).await.ok(200);
    }
    let age = "UPDATE carts SET updated_at = now() - interval '2 hours';
         UPDATE sessions SET expires_at = now() - interval '2 hours' WHERE id IN (
             SELECT id FROM sessions ORDER BY id LIMIT 1);
         UPDATE sessions SET expires_at = now() - interval '5 seconds' WHERE id IN (
             SELECT id FROM sessions ORDER BY id DESC LIMIT 1)";
    app.database.execute(age).await;
    app.database.until("SELECT count(*) FROM sessions", 2).await;
    // Its last request may still be moving its expiry on.
    app.database.until("SELECT count(*) FROM carts", 2).await;
    assert_eq!(app.cart(&living).await["items"][0]["quantity"], 1);
    app.database.assert_clean();
}

#[tokio::test]
async fn an_instance_told_not_to_removes_nothing() {
    let idle = App::configured(&[QUICK, ("RETENTION__ENABLED", "false")]).await;
    fill(&idle.database, 10).await;
    idle.stocked("A", 100, 10).await;
    idle.place(&order_of(&[("A", 1)])).await.ok(201);
    assert_eq!(idle.database.number(OLD_KEYS).await, 10);
    assert_eq!(removed(&idle).await, 0);
    // It is the switch: another instance does it.
    let _other = App::with(&idle.database, &[QUICK]).await;
    idle.database.until(OLD_KEYS, 0).await;
}
