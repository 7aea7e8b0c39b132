//! Connections that are cut in the middle of a transaction.

use crate::harness::{App, Database, order_of, times, until};
use crate::proxy::{Fault, Proxy};
use crate::sale::Sale;
use crate::shelf::BUYERS_PER_SKU;
use loadtests::generator::Arrivals;
use loadtests::order::Provider;
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

/// Buyers of one round.
const ROUND: usize = 100;

/// Faults of a test in which answers of COMMIT are lost.
fn commits() -> usize {
    times("COMMITS", 20)
}

/// Those of one in which BEGIN is not answered, or COMMIT does not arrive.
fn undone() -> usize {
    times("UNDONE", 20)
}

/// How much there is of a SKU.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stock {
    /// For everybody, of one SKU.
    Plenty,
    /// One unit less than buyers want, of each of many SKUs.
    Scarce,
}

/// Sells until the fault has happened so often, asks for every order again, and judges.
async fn sell_through(fault: Fault, count: usize, stock: Stock, provider: Provider) -> Proxy {
    let database = Database::new().await;
    let proxy = Proxy::before(&database);
    let settings = [("POSTGRES__JOURNAL_CONNECTIONS", "4")];
    let app = App::reaching(&proxy.url, &database, &settings).await;
    let mut sale = Sale::at(&[&app], provider, 16);
    sale.strikes = proxy.strikes.clone();
    // Shorter than it takes to find out what became of a COMMIT.
    sale.patience = Duration::from_millis(80);
    if stock == Stock::Plenty {
        sale.offer(1, 1_000_000).await;
        sale.let_shoppers_in(&app).await;
        // The view and the clock are learnt from a first order.
        sale.sell(1, Arrivals::Unpaced).await;
    }
    // Scarce stock sees the hardest case: the same batch is hit again and again.
    proxy.arm(fault, count, stock == Stock::Plenty);
    while proxy.faults() < count {
        if stock == Stock::Scarce {
            sale.offer(ROUND / BUYERS_PER_SKU, BUYERS_PER_SKU as i64 - 1).await;
        }
        let before = proxy.faults();
        sale.sell(ROUND, Arrivals::Unpaced).await;
        assert!(proxy.faults() > before, "buyers came and no connection was cut");
    }
    let words = match fault {
        Fault::SwallowCommit => "lost answers of COMMIT",
        Fault::SwallowBegin => "lost answers of BEGIN",
        Fault::DropCommit => "COMMIT does not arrive",
        Fault::HoldBegin | Fault::Late => "BEGIN is held back",
    };
    let words = format!("{words}, {stock:?}, {provider:?}");
    let checked = sale.settled(&words, &app).await;
    println!(
        "{fault:?} {} times, {} committed, {} pipelined",
        proxy.faults(),
        proxy.committed(),
        proxy.pipelined()
    );
    if fault == Fault::SwallowCommit {
        assert!(sale.open.unknown_with_order > 0, "nobody was left without an answer");
    }
    // Whoever has hung up, or came while all lanes were reconnecting, is told once.
    let told_twice = checked.replays * 3 >= checked.acknowledged * 2;
    assert!(told_twice, "{} of {}", checked.replays, checked.acknowledged);
    proxy
}

#[tokio::test]
async fn lost_answers_to_commit_lose_and_double_nothing_while_there_is_plenty() {
    let count = commits();
    let proxy = sell_through(Fault::SwallowCommit, count, Stock::Plenty, Provider::Manual).await;
    assert_eq!((proxy.faults(), proxy.committed()), (count, count));
    // What was hit is made again in the exact form, and may be hit again.
    assert!(proxy.pipelined() > count / 5, "{} were optimistic", proxy.pipelined());
}

#[tokio::test]
async fn lost_answers_to_commit_lose_and_double_nothing_while_stock_is_scarce() {
    let count = commits();
    let proxy = sell_through(Fault::SwallowCommit, count, Stock::Scarce, Provider::Manual).await;
    assert_eq!((proxy.faults(), proxy.committed()), (count, count));
    assert_eq!(proxy.pipelined(), 0);
}

#[tokio::test]
async fn lost_answers_to_commit_charge_nobody_twice() {
    let count = commits();
    let proxy = sell_through(Fault::SwallowCommit, count, Stock::Plenty, Provider::Test).await;
    assert_eq!((proxy.faults(), proxy.committed()), (count, count));
}

#[tokio::test]
async fn lost_answers_to_begin_lose_and_double_nothing_while_there_is_plenty() {
    // Enough to tell that most were on their way without an answer.
    let count = undone().max(60);
    let proxy = sell_through(Fault::SwallowBegin, count, Stock::Plenty, Provider::Manual).await;
    assert!(proxy.committed() > count / 2, "{} committed", proxy.committed());
}

#[tokio::test]
async fn lost_answers_to_begin_lose_and_double_nothing_while_stock_is_scarce() {
    sell_through(Fault::SwallowBegin, undone(), Stock::Scarce, Provider::Test).await;
}

#[tokio::test]
async fn a_commit_that_does_not_arrive_is_made_again() {
    let count = undone();
    let proxy = sell_through(Fault::DropCommit, count, Stock::Plenty, Provider::Manual).await;
    assert_eq!((proxy.faults(), proxy.committed()), (count, 0));
    // As above.
    assert!(proxy.pipelined() > count / 5, "{} were optimistic", proxy.pipelined());
    let proxy = sell_through(Fault::DropCommit, count, Stock::Scarce, Provider::Test).await;
    assert_eq!((proxy.faults(), proxy.committed()), (count, 0));
}

#[tokio::test]
async fn a_batch_that_reaches_postgres_late_places_no_order_that_was_refused() {
    let database = Database::new().await;
    let proxy = Proxy::before(&database);
    let settings = [("POSTGRES__JOURNAL_CONNECTIONS", "1")];
    let app = App::reaching(&proxy.url, &database, &settings).await;
    let other = App::with(&database, &[]).await;
    app.stocked("A", 100, 1_000).await;
    // The view and the clock are learnt from a first order.
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    proxy.arm(Fault::Late, 1, true);
    let order = order_of(&[("A", 1)]);
    let refused = async { app.place_as("late", &order).await };
    let meanwhile = async {
        proxy.held().await;
        let all = other.place(&order_of(&[("A", 999)])).await.ok(201);
        proxy.release();
        all
    };
    let (refused, all) = tokio::join!(refused, meanwhile);
    refused.problem(409, "out_of_stock");
    other.order_post(&all, "cancel", &json!({})).await.ok(200);
    proxy.release();
    until(async || (proxy.faults() > 0).then_some(()).ok_or("nothing has been held up")).await;
    let orders = "SELECT count(*) FROM orders";
    assert_eq!((proxy.committed(), database.number(orders).await), (0, 2), "it is there");
    // The key is free: it is judged anew, once it is known here that there is something again.
    sleep(Duration::from_secs(1)).await;
    app.place_as("late", &order).await.ok(201);
    assert_eq!(app.level("A").await, [1_000, 998, 0, 2]);
    database.assert_clean();
}

#[tokio::test]
async fn a_guest_who_logs_in_before_a_lost_answer_is_found_out_keeps_the_order() {
    let database = Database::new().await;
    let proxy = Proxy::before(&database);
    let settings = [("POSTGRES__JOURNAL_CONNECTIONS", "1")];
    let app = App::reaching(&proxy.url, &database, &settings).await;
    // What a log-in does to the key, before the next run looks for it.
    let logs_in = "CREATE FUNCTION log_in() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            UPDATE idempotency_keys SET scope = 'customer'
                WHERE (scope, key) = (NEW.scope, NEW.key);
            RETURN NULL;
        END $$;
        CREATE TRIGGER log_in AFTER INSERT OR UPDATE ON idempotency_keys FOR EACH ROW
            WHEN (NEW.key LIKE 'guest-%' AND NEW.status IS NOT NULL AND NEW.scope <> 'customer')
            EXECUTE FUNCTION log_in()";
    database.execute(logs_in).await;
    app.stocked("A", 100, 3).await;
    // The view and the clock are learnt from a first order.
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    for (key, left) in [("guest-plenty", 1), ("guest-last", 0)] {
        proxy.arm(Fault::SwallowCommit, 1, true);
        app.place_as(key, &order_of(&[("A", 1)])).await.problem(503, "storage_unavailable");
        assert_eq!(app.level("A").await, [3, left, 0, 3 - left]);
    }
    let kept = "SELECT count(*) FROM idempotency_keys WHERE scope = 'customer' AND status = 201";
    assert_eq!((proxy.committed(), database.number(kept).await), (2, 2));
    database.assert_clean();
}
