//! The tables that grow are divided while the shop sells, and what is old leaves them.

use crate::harness::{App, Database, month, order_of, paid_with, retention};
use futures_util::future::join_all;
use serde_json::json;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// `doorbuster partitions`, and whether it succeeded.
async fn partitions(database: &Database, arguments: &[&str]) -> (bool, String) {
    let output = database.partitions(arguments).output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

async fn divide(database: &Database, arguments: &[&str]) -> String {
    let (is_done, said) = partitions(database, arguments).await;
    assert!(is_done, "{said}");
    said
}

/// The name of the partition of that month.
fn of_month(table: &str, months: i32) -> String {
    format!("{table}_{}", month(months)[..7].replace('-', "_"))
}

/// Rows of a table, or of one partition.
async fn rows(database: &Database, table: &str) -> i64 {
    database.number(&format!("SELECT count(*) FROM {table}")).await
}

#[tokio::test]
async fn tables_are_divided_while_orders_are_placed_paid_and_read() {
    let app = App::configured(&[("ORDER__PAY_WITHIN_SECONDS", "2")]).await;
    app.stocked("A", 100, 100_000).await;
    let is_over = AtomicBool::new(false);
    let buyer = async |n: usize| {
        let mut longest = Duration::ZERO;
        while !is_over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let body =
                if n == 0 { paid_with("decline", &[("A", 1)]) } else { order_of(&[("A", 1)]) };
            let placed = app.place(&body).await.ok(201);
            app.order(&placed).await;
            longest = longest.max(begun.elapsed());
        }
        longest
    };
    let dividing = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let said = divide(&app.database, &[]).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        is_over.store(true, Ordering::Relaxed);
        said
    };
    let (longest, said) = tokio::join!(join_all((0..8).map(buyer)), dividing);
    let longest = longest.into_iter().max().unwrap();
    println!("{said}the longest wait was {longest:?}");
    assert!(longest < Duration::from_secs(2), "somebody waited for {longest:?}");
    for table in ["orders", "order_lines", "payments", "stock_ledger", "outbox"] {
        assert!(said.contains(&format!("{table}: divided")), "{said}");
        assert!(rows(&app.database, &format!("{table}_before")).await > 0, "{table}");
        assert_eq!(rows(&app.database, &format!("{table}_rest")).await, 0, "{table}");
    }
    let unpaid = "SELECT count(*) FROM orders WHERE status = 'pending_payment'";
    app.database.until(unpaid, 0).await;
    app.database.assert_clean();
    assert_eq!(divide(&app.database, &[]).await, "", "nothing is done twice");
}

/// A shop that was divided months ago and yesterday, so that what comes now lies in the partitions
/// of this month and of this day.
async fn divided_shop() -> App {
    let app = App::configured(&[retention::QUICK]).await;
    divide(&app.database, &["--today", &month(-3)]).await;
    let yesterday = OffsetDateTime::now_utc().date().previous_day().unwrap();
    divide(&app.database, &["--today", &yesterday.to_string()]).await;
    app.stocked("A", 100, 1_000).await;
    app
}

#[tokio::test]
async fn what_is_archived_leaves_the_tables_and_everything_still_adds_up() {
    let app = divided_shop().await;
    let mut orders = Vec::new();
    for _ in 0..20 {
        orders.push(app.place(&order_of(&[("A", 2)])).await.ok(201));
    }
    for table in ["orders", "order_lines", "payments", "stock_ledger"] {
        assert!(rows(&app.database, &of_month(table, 0)).await >= 20, "{table}");
    }
    let (is_done, said) = partitions(&app.database, &["--archive-before", &month(0)]).await;
    assert!(!is_done && said.contains("younger"), "{said}");

    let unpaid = app.place(&paid_with("decline", &[("A", 1)])).await.ok(201);
    // Events stay, because `verify` wants those of the last day.
    let (cut, today) = (month(1), month(3));
    let events = "retention.enabled=false";
    let archive = ["--archive-before", &cut, "--today", &today, "--set", events];
    let (is_done, said) = partitions(&app.database, &archive).await;
    assert!(!is_done && said.contains("1 of these orders are not done with"), "{said}");
    app.order_post(&unpaid, "cancel", &json!({})).await.ok(200);
    app.database.assert_clean();
    let before = app.level("A").await;
    divide(&app.database, &archive).await;

    assert_eq!(rows(&app.database, "orders").await, 0);
    assert_eq!(rows(&app.database, &format!("archive.{}", of_month("orders", 0))).await, 21);
    app.database.assert_clean();
    // What has moved before is no new variant to whoever imports it.
    let file = std::env::temp_dir().join(format!("{}.csv", uuid::Uuid::now_v7()));
    std::fs::write(&file, "sku,title,price_minor,currency\nA,Product A,100,GBP\n").unwrap();
    let mut import = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    import.args(["import", "catalog", file.to_str().unwrap(), "--stock", "500"]);
    let imported = import.args(["--database", &app.database.url]).output().unwrap();
    assert!(imported.status.success(), "{imported:?}");
    assert_eq!(app.level("A").await, before);
    // The month is over for these tables, but life goes on: in the parts for what fits nowhere.
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    assert_eq!(rows(&app.database, "orders_rest").await, 1);
    app.database.assert_clean();
    let said = divide(&app.database, &archive).await;
    assert!(said.contains("No partition ends before that"), "{said}");
}

#[tokio::test]
async fn tables_that_were_divided_in_different_months_are_archived_together() {
    let app = App::start().await;
    // A line of a time that is far away, so the run ends when only the orders are divided.
    let far = "INSERT INTO order_lines (order_id, id, variant_id, location_id, sku, title,
                   quantity, unit_price, total, tax_rate)
               SELECT 'ffffffff-ffff-7fff-bfff-ffffffffffff', gen_random_uuid(),
                   gen_random_uuid(), gen_random_uuid(), 'A', 'A', 1, 1, 1, 0";
    app.database.execute(far).await;
    let (is_done, said) = partitions(&app.database, &["--today", &month(-4)]).await;
    assert!(!is_done && said.contains("order_lines has rows of"), "{said}");
    app.database.execute("DELETE FROM order_lines").await;
    divide(&app.database, &["--today", &month(-3)]).await;
    divide(&app.database, &["--today", &month(-1)]).await;
    app.stocked("A", 100, 1_000).await;
    app.place(&order_of(&[("A", 2)])).await.ok(201);
    let archive = ["--archive-before", &month(1), "--today", &month(3)];
    let archive = [&archive[..], &["--set", "retention.enabled=false"]].concat();
    divide(&app.database, &archive).await;
    assert_eq!(rows(&app.database, "orders").await, 0);
    assert_eq!(rows(&app.database, "order_lines").await, 0);
    app.database.assert_clean();
}

#[tokio::test]
async fn what_changes_while_months_are_summed_up_is_in_the_sums() {
    let app = divided_shop().await;
    let old = app.place(&order_of(&[("A", 3)])).await.ok(201);
    // Whoever is about to write the same sums holds up the ones that were read.
    let keeper = app.database.connect().await;
    let hold = "BEGIN; INSERT INTO archived_stock SELECT variant_id, location_id FROM stock";
    keeper.batch_execute(hold).await.unwrap();
    let (cut, today) = (month(1), month(3));
    let events = "retention.enabled=false";
    let arguments = ["--archive-before", &cut, "--today", &today, "--set", events];
    let selling = async {
        let leaving = "SELECT count(*) FROM pg_trigger WHERE tgname = 'leaving'";
        app.database.until_at_least(leaving, 12).await;
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid'
                     AND datname = current_database() AND query LIKE '%archived_stock%'";
        app.database.until_at_least(waits, 1).await;
        // The orders are counted, but this one is not sold in the end.
        app.order_post(&old, "cancel", &json!({})).await.ok(200);
        app.place(&order_of(&[("A", 1)])).await.ok(201);
        keeper.batch_execute("ROLLBACK").await.unwrap();
    };
    let (said, ()) = tokio::join!(divide(&app.database, &arguments), selling);
    assert!(said.contains("archive.orders_"), "{said}");
    assert_eq!(rows(&app.database, "orders").await, 0);
    assert_eq!(app.level("A").await[3], 1);
    app.database.assert_clean();
    app.place(&order_of(&[("A", 1)])).await.ok(201);
}

#[tokio::test]
async fn a_command_that_was_not_run_for_long_leaves_what_came_meanwhile_where_it_is() {
    let app = App::start().await;
    divide(&app.database, &["--today", &month(-9)]).await;
    app.stocked("A", 100, 1_000).await;
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    for table in ["orders", "order_lines", "payments", "stock_ledger", "outbox"] {
        assert!(rows(&app.database, &format!("{table}_rest")).await > 0, "{table}");
    }
    // One of next month already, by a clock that is ahead.
    let ahead = "UPDATE outbox SET created_at = created_at + interval '3 days'";
    app.database.execute(ahead).await;
    let said = divide(&app.database, &[]).await;
    assert!(said.contains("rows of it lie in outbox_rest and stay"), "{said}");
    assert!(said.contains(&format!("{}: made", of_month("orders", 1))), "{said}");
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    assert_eq!(rows(&app.database, "orders").await, 2);
    app.database.assert_clean();
}

#[tokio::test]
async fn events_whose_time_is_over_go_with_their_day() {
    let app = divided_shop().await;
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    let events = "SELECT count(*) FROM outbox";
    let before = app.database.number(events).await;
    let old = "INSERT INTO outbox (aggregate_id, type, payload, created_at)
               SELECT gen_random_uuid(), 'old', '{}', now() - interval '200 days'
               FROM generate_series(1, 5000)";
    app.database.execute(old).await;
    // They lie where nothing is dropped, and so are found by walking.
    app.database.until(events, before).await;
    assert_eq!(app.database.number(events).await, before, "what lies at the same places stays");
    let said = divide(&app.database, &["--today", &month(2)]).await;
    assert!(said.contains("dropped"), "{said}");
    assert_eq!(rows(&app.database, "outbox").await, 0);
    let by_place = "DELETE FROM outbox WHERE ctid = '(0,1)'";
    let refused = app.database.connect().await.execute(by_place, &[]).await.unwrap_err();
    assert!(refused.as_db_error().unwrap().message().contains("leave with their partition"));
}
