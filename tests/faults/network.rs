//! The way from an instance to PostgreSQL is slow, silent, or ends in the middle of a word.

use crate::harness::{App, Database, times};
use crate::line::{Line, Silence, Weather};
use crate::sale::Sale;
use loadtests::generator::Arrivals;
use loadtests::order::Provider;
use rand::Rng;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use tokio_postgres::NoTls;

#[tokio::test]
async fn a_line_is_as_slow_as_unsteady_and_as_narrow_as_it_is_said_to_be() {
    let database = Database::new().await;
    let line = Line::to(&database);
    let (client, connection) = tokio_postgres::connect(&line.url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let took = async |sql: &str| {
        let begun = Instant::now();
        client.simple_query(sql).await.unwrap();
        begun.elapsed()
    };
    let (latency, jitter) = (Duration::from_millis(10), Duration::from_millis(20));
    line.turn(Weather { latency, jitter, ..Weather::default() });
    let mut pings = Vec::new();
    for _ in 0..20 {
        pings.push(took("SELECT 1").await);
    }
    pings.sort_unstable();
    assert!(pings[0] >= 2 * latency, "{pings:?}");
    assert!(pings[19] - pings[0] > jitter / 2, "{pings:?}");
    line.turn(Weather { bytes_per_second: Some(1_000_000), ..Weather::default() });
    let page = "SELECT repeat('x', 500000)";
    let narrow = took(page).await;
    assert!(narrow > Duration::from_millis(450), "{narrow:?}");
    line.turn(Weather::default());
    let wide = took(page).await;
    assert!(wide < narrow, "{wide:?}, and {narrow:?} when it was narrow");
}

#[tokio::test]
async fn a_slow_and_unsteady_line_costs_time_and_nothing_else() {
    let database = Database::new().await;
    let line = Line::to(&database);
    let app = App::reaching(&line.url, &database, &[]).await;
    let mut sale = Sale::at(&[&app], Provider::Test, 64);
    sale.open_shop(&app, 300).await;
    let (latency, jitter) = (Duration::from_millis(10), Duration::from_millis(20));
    let bytes_per_second = Some(1_000_000);
    line.turn(Weather { latency, jitter, bytes_per_second, ..Weather::default() });
    let (before, slow) = (line.carried(), sale.strikes.begins());
    sale.sell(300, Arrivals::Unpaced).await;
    drop(slow);
    assert!(line.carried() > before + 50_000, "hardly anything went over it");
    let quickest = sale.run.records.iter().map(|record| record.timing.latency_us).min();
    assert!(quickest > Some(20_000), "an order took {quickest:?} µs, there and back");
    sale.assert_nobody_noticed();
    line.turn(Weather::default());
    sale.settled("10 to 30 ms and 1 MB/s to PostgreSQL", &app).await;
}

#[tokio::test]
async fn an_instance_that_is_cut_off_leaves_its_orders_to_the_others_and_comes_back() {
    let database = Database::new().await;
    let line = Line::to(&database);
    let cut_off = App::reaching(&line.url, &database, &[]).await;
    let other = App::with(&database, &[]).await;
    let mut sale = Sale::at(&[&cut_off, &other], Provider::Test, 64);
    let partitions = times("PARTITIONS", 1);
    sale.open_shop(&other, 900 * partitions).await;
    let strikes = sale.strikes.clone();
    for silence in sale.in_turn([Silence::BothWays, Silence::Answers]).take(partitions) {
        let before = Duration::from_millis(sale.dice.random_range(500..1_500));
        let partition = async {
            sleep(before).await;
            let _partition = strikes.begins();
            line.turn(Weather { silence, ..Weather::default() });
            let asked = Instant::now();
            let ready = cut_off.get("/readyz").await.ok(200);
            assert_eq!(ready["postgres"], "degraded");
            assert!(asked.elapsed() < Duration::from_secs(1), "a balancer would take it out");
            // Longer than anybody waits for an order.
            sleep(Duration::from_millis(6_500)).await;
            // What was on its way is lost, or arrives after all.
            line.turn(Weather::default());
            line.cut();
        };
        tokio::join!(sale.sell(900, Arrivals::Rate(100.0)), partition);
    }
    let met = sale.met();
    assert!(met > 20 * partitions, "only {met} buyers met it");
    sale.settled("partition of one of two instances", &cut_off).await;
}

#[tokio::test]
async fn answers_that_break_off_anywhere_lose_and_double_nothing() {
    let database = Database::new().await;
    let line = Line::to(&database);
    let settings = [("POSTGRES__JOURNAL_CONNECTIONS", "4")];
    let app = App::reaching(&line.url, &database, &settings).await;
    let mut sale = Sale::at(&[&app], Provider::Test, 32);
    sale.strikes = line.cuts.clone();
    let cuts = times("CUTS", 8);
    sale.open_shop(&app, 50 * cuts).await;
    sale.sell(50, Arrivals::Unpaced).await;
    // Whoever hangs up soon meets the cut of an open connection, or of one that is opened quickly;
    // whoever waits for longer, that of one for which a busy machine takes its time.
    let mut patience = sale.in_turn([40, 80, 160, 320]);
    while line.cuts.count() < cuts {
        sale.patience = patience.next().map(Duration::from_millis).unwrap();
        // From a connection that prepares its first statements to one that has settled batches.
        let bytes = sale.dice.random_range(500..8_000);
        line.turn(Weather { cut_after_bytes: Some(bytes), ..Weather::default() });
        line.cut();
        sale.sell(50, Arrivals::Unpaced).await;
    }
    line.turn(Weather::default());
    sale.settled("answers of PostgreSQL that break off anywhere", &app).await;
    assert!(sale.open.unknown_with_order > 0, "nobody was left without an answer");
}
