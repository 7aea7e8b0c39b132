//! `doorbuster partitions` is killed while the shop sells: what it began, the next run finishes.

use crate::harness::{App, Database, month, order_of};
use crate::sale::Sale;
use crate::strikes::Strikes;
use loadtests::generator::Arrivals;
use loadtests::order::Provider;
use rand::Rng;
use rand::rngs::StdRng;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

/// The tables that are divided.
const TABLES: [&str; 5] = ["orders", "order_lines", "payments", "stock_ledger", "outbox"];

/// How often one command is killed.
const KILLS_MAX: usize = 6;

/// Partitions that are watched until they have left.
const WATCHED: &str = "SELECT count(*) FROM pg_trigger WHERE tgname = 'leaving'";

fn begin(database: &Database, arguments: &[&str]) -> Child {
    let mut command = database.partitions(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

/// Kills the command at any moment, a few times. What a run has committed stays, so the next one
/// comes further.
async fn kill(database: &Database, dice: &mut StdRng, strikes: &Strikes) {
    let mut killed = 0;
    while killed < KILLS_MAX {
        let since = Instant::now();
        let mut child = begin(database, &[]);
        let moment = Duration::from_millis(dice.random_range(40..150));
        match timeout(moment, child.wait()).await {
            Err(_) => {
                child.kill().await.unwrap();
                strikes.lasted((since, Instant::now()));
                killed += 1;
            }
            Ok(_) => match said(child.wait_with_output().await.unwrap()) {
                Ok(_) => break,
                Err(why) => assert!(is_taken(&why), "{why}"),
            },
        }
    }
    assert!(killed > 0, "it was done before it was killed");
}

/// Runs the command to its end.
async fn finish(database: &Database, arguments: &[&str]) {
    while let Err(why) = said(begin(database, arguments).wait_with_output().await.unwrap()) {
        assert!(is_taken(&why), "{why}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Kills the command when it has summed up what is to leave.
async fn kill_while_it_sums_up(database: &Database, arguments: &[&str]) {
    // Whoever is about to write the same sums holds it up.
    let keeper = database.connect().await;
    let hold = "BEGIN; INSERT INTO archived_stock SELECT variant_id, location_id FROM stock";
    keeper.batch_execute(hold).await.unwrap();
    let mut child = begin(database, arguments);
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid'
                 AND datname = current_database() AND query LIKE '%archived_stock%'";
    database.until_at_least(waits, 1).await;
    child.kill().await.unwrap();
    keeper.batch_execute("ROLLBACK").await.unwrap();
}

fn said(output: Output) -> Result<String, String> {
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// PostgreSQL has not noticed yet that the run before is dead.
fn is_taken(why: &str) -> bool {
    why.contains("another run is dividing tables")
}

#[tokio::test]
async fn a_command_that_is_killed_while_it_divides_or_archives_is_finished_by_the_next() {
    let app = App::start().await;
    let database = &app.database;
    let mut sale = Sale::at(&[&app], Provider::Test, 16);
    sale.open_shop(&app, 600).await;
    let (mut dice, strikes) = (sale.dice.clone(), sale.strikes.clone());
    let selling = sale.sell(600, Arrivals::Rate(200.0));
    tokio::join!(selling, kill(database, &mut dice, &strikes));
    finish(database, &[]).await;
    let divided = "SELECT count(*) FROM pg_class WHERE relkind = 'p' AND relname = ANY($1)";
    assert_eq!(database.number_for(divided, &[&&TABLES[..]]).await, 5);
    sale.settled("kill -9 of `doorbuster partitions`", &app).await;

    let orders = database.number("SELECT count(*) FROM orders").await;
    // In half a year; events stay, because `verify` wants those of the last day.
    let (end, today) = (month(2), month(6));
    let archive = ["--archive-before", &end, "--today", &today];
    let archive = [&archive[..], &["--set", "retention.enabled=false"]].concat();
    kill_while_it_sums_up(database, &archive).await;
    assert!(database.number(WATCHED).await > 0, "it was killed too early");
    database.assert_clean();
    finish(database, &archive).await;
    assert_eq!(database.number("SELECT count(*) FROM archive.orders_before").await, orders);
    assert_eq!(database.number("SELECT count(*) FROM orders").await, 0);
    assert_eq!(database.number(WATCHED).await, 0);
    let bounds = "SELECT count(*) FROM pg_constraint WHERE conname = 'partition_bound'";
    assert_eq!(database.number(bounds).await, 0);
    database.assert_clean();
    app.stocked("LATER", 100, 10).await;
    app.place(&order_of(&[("LATER", 1)])).await.ok(201);
    database.assert_clean();
}
