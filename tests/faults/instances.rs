//! Instances that are killed, stopped or paused while they sell.

use crate::harness::{App, Database, Pair, times};
use crate::proxy::{Fault, Proxy};
use crate::sale::Sale;
use loadtests::generator::Arrivals;
use loadtests::kill::KillSwitch;
use loadtests::order::Provider;
use loadtests::record::{Outcome, Record};
use rand::Rng;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

async fn kill_one_of_two(provider: Provider) -> Sale {
    let killed = App::start().await;
    let survivor = App::with(&killed.database, &[]).await;
    let mut sale = Sale::at(&[&killed, &survivor], provider, 64);
    sale.some_pay_slowly = provider == Provider::Test;
    sale.offer(1, 500).await;
    sale.let_shoppers_in(&survivor).await;
    let after = sale.dice.random_range(50..150);
    let kill = Arc::new(KillSwitch::new(0, killed.pid() as u32, after, 20));
    sale.settings.kill = Some(kill.clone());
    sale.sell(1_250, Arrivals::Unpaced).await;
    let shot = kill.shot().unwrap();
    println!("{shot:?}");
    sale.strikes.at(kill.fired_at().unwrap());
    let is_cut = |record: &&Record| record.lost > 0;
    let cut: Vec<&Record> = sale.run.records.iter().filter(is_cut).collect();
    assert!(cut.len() >= shot.in_flight, "{} were in flight, {} lost", shot.in_flight, cut.len());
    assert!(cut.iter().any(|record| record.outcome() == Outcome::Acknowledged));
    let fault = format!("kill -9 while the last units go, {provider:?}");
    let checked = sale.settled(&fault, &survivor).await;
    assert_eq!((checked.acknowledged, checked.refused, checked.unknown), (500, 750, 0));
    assert_eq!(sale.judged_by_the_api().await, checked);
    let sku = sale.run.supplied.keys().next().unwrap();
    assert_eq!(survivor.level(sku).await, [500, 0, 0, 500]);
    sale
}

#[tokio::test]
async fn an_instance_that_is_killed_in_a_sale_takes_nothing_with_it() {
    kill_one_of_two(Provider::Manual).await;
}

#[tokio::test]
async fn an_instance_that_is_killed_while_payments_are_made_leaves_them_to_the_other() {
    // Who is asked for money has an order already.
    let sale = kill_one_of_two(Provider::Test).await;
    assert!(sale.unanswered > 0, "no payment was on its way");
}

#[tokio::test]
async fn instances_that_are_killed_again_and_again_take_nothing_with_them() {
    let database = Database::new().await;
    let mut apps = [App::with(&database, &[]).await, App::with(&database, &[]).await];
    let mut sale = Sale::at(&[&apps[0], &apps[1]], Provider::Test, 64);
    let kills = times("KILLS", 3);
    sale.open_shop(&apps[0], 300 * kills).await;
    let mut in_flight = 0;
    for round in 0..kills {
        let after = sale.dice.random_range(10..60);
        let (victim, app) = (round % 2, &mut apps[round % 2]);
        let kill = Arc::new(KillSwitch::new(victim, app.pid() as u32, after, 10));
        sale.settings.kill = Some(kill.clone());
        sale.sell(300, Arrivals::Unpaced).await;
        let shot = kill.shot().unwrap();
        sale.strikes.at(kill.fired_at().unwrap());
        in_flight += shot.in_flight;
        // It is dead already, and waited for here.
        app.kill();
        app.start_again().await;
    }
    sale.settings.kill = None;
    let lost: u64 = sale.run.records.iter().map(|record| record.lost).sum();
    println!("{kills} kills, {in_flight} requests in flight, {lost} without an answer");
    assert!(lost >= in_flight as u64);
    sale.settled("kill -9 of one of two instances", &apps[0]).await;
    assert!(sale.turned_shoppers_away() > 0, "no shopper met it");
    assert!(sale.unanswered > 0, "nothing was on its way into the database");
}

#[tokio::test]
async fn an_instance_that_is_killed_between_a_payment_and_its_recording_charges_nobody_twice() {
    let database = Database::new().await;
    let proxy = Proxy::before(&database);
    let resolving = [("PAYMENT__TIMEOUT_SECONDS", "1"), ("PAYMENT__RESOLVE_AFTER_SECONDS", "2")];
    let survivor = App::with(&database, &resolving).await;
    let mut sale = Sale::at(&[&survivor], Provider::Test, 2);
    sale.offer(1, 1_000_000).await;
    let (kills, strikes) = (times("PAYMENTS", 2), sale.strikes.clone());
    let unrecorded = "SELECT count(*) FROM orders WHERE status = 'pending_payment'";
    let patient = sale.settings.deadline;
    for round in 0..kills {
        // The one before is recorded by whoever lives.
        database.until(unrecorded, 0).await;
        // Every other one does not come again.
        sale.settings.deadline = if round % 2 == 0 { patient } else { Duration::ZERO };
        let settings = [("POSTGRES__JOURNAL_CONNECTIONS", "1"), ("SERVER__ROLE", "api")];
        let mut app = App::reaching(&proxy.url, &database, &settings).await;
        let bases = [&app, &survivor].map(|app| app.url.parse().unwrap());
        sale.settings.bases = bases.into();
        // The order's own transaction is the first of its connection.
        proxy.arm(Fault::HoldBegin, 1, true);
        let kill = async {
            proxy.held().await;
            assert_eq!(database.number(unrecorded).await, 1, "it waits for another transaction");
            strikes.now();
            app.kill();
            proxy.release();
        };
        tokio::join!(sale.sell(1, Arrivals::Unpaced), kill);
    }
    assert_eq!(sale.met(), kills);
    let fault = "kill -9 between a payment and its recording";
    sale.settled(fault, &survivor).await;
    assert_eq!((proxy.faults(), sale.open.unknown_with_order), (kills, kills as u64 / 2));
    let captured = "SELECT count(*) FROM payments WHERE status = 'captured'";
    assert_eq!(database.number(captured).await, kills as i64);
}

#[tokio::test]
async fn an_instance_that_is_asked_to_stop_answers_everything_it_accepted() {
    let mut app = App::start().await;
    let mut sale = Sale::at(&[&app], Provider::Manual, 64);
    sale.offer(1, 1_000_000).await;
    // Nobody tries again, so an order without an answer is one that was accepted and forgotten.
    sale.settings.deadline = Duration::ZERO;
    let begun = Instant::now();
    let stop = async {
        app.database.until_at_least("SELECT count(*) FROM orders", 200).await;
        app.signal("TERM");
        begun.elapsed()
    };
    let ((), before) = tokio::join!(sale.sell(8_000, Arrivals::Unpaced), stop);
    assert_eq!(app.wait(), Some(0));
    let records = &sale.run.records;
    let acknowledged =
        || records.iter().filter(|record| record.outcome() == Outcome::Acknowledged);
    let late = acknowledged()
        .filter(|record| Duration::from_micros(record.timing.answered_at_us) > before)
        .count();
    let lost = records.iter().filter(|record| record.lost > 0).count();
    println!("{late} answered after the signal, {lost} not accepted");
    assert!(late > 0 && lost > 0, "it was not stopped in the middle of the sale");
    assert!(acknowledged().count() > late + 100);
    for record in records.iter().filter(|record| record.lost == 0) {
        assert!(["201", "unknown after 503 overloaded"].contains(&record.label().as_str()));
    }
    assert_eq!(sale.judged().await.unknown_with_order, 0);
}

#[tokio::test]
async fn an_instance_that_sleeps_with_its_locks_does_not_stop_the_others_for_long() {
    let database = Database::new().await;
    let proxy = Proxy::before(&database);
    // Always the exact form, which holds its locks for a round trip.
    let exact = [("POSTGRES__JOURNAL_CONNECTIONS", "1"), ("INVENTORY__PLENTY_FACTOR", "1000000")];
    let sleeper = App::reaching(&proxy.url, &database, &exact).await;
    let other = App::with(&database, &[]).await;
    let mut sale = Sale::at(&[&sleeper, &other], Provider::Manual, 64);
    sale.settings.attempt_timeout = Duration::from_secs(2);
    sale.offer(1, 600).await;
    sale.let_shoppers_in(&other).await;
    // The other one's transactions are idle for a round trip, too.
    let open = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'
            AND clock_timestamp() - state_change > interval '500 ms'";
    let writing = format!("{open} AND backend_xid IS NOT NULL");
    let orders = "SELECT count(*) FROM orders";
    let (moment, strikes) = (sale.moment(700), sale.strikes.clone());
    let pause = async {
        sleep(moment).await;
        proxy.arm(Fault::HoldBegin, 1, false);
        proxy.held().await;
        let _sleep = strikes.begins();
        sleeper.falls_asleep().await;
        proxy.release();
        sleep(Duration::from_secs(1)).await;
        assert!(database.number(&writing).await >= 1, "it holds no locks");
        let before = database.number(orders).await;
        // PostgreSQL ends a transaction that was idle for 3 s.
        sleep(Duration::from_secs(5)).await;
        // Where it read when it fell asleep is over, too.
        assert_eq!(database.number(open).await, 0);
        let after = database.number(orders).await;
        sleeper.signal("CONT");
        (before, after)
    };
    let (_, (before, after)) = tokio::join!(sale.sell(1_080, Arrivals::Rate(90.0)), pause);
    println!("{before} orders when it fell asleep, {after} when it woke up");
    assert_eq!(proxy.faults(), 1);
    assert!(after > before, "nothing was sold while it slept");
    sale.settled("SIGSTOP of an instance that holds locks", &other).await;
    assert!(sale.left_open > 0, "nobody was left without an answer");
}

#[tokio::test]
async fn many_instances_sell_side_by_side_with_the_connections_that_are_theirs() {
    let pair = Pair::start("many");
    let database = Database::on(&pair.services).await;
    // As many as an instance has unless it is told otherwise.
    let settings = [("POSTGRES__READ_CONNECTIONS", "4"), ("POSTGRES__WRITE_CONNECTIONS", "4")];
    let count = times("INSTANCES", 4);
    let mut apps = Vec::new();
    for _ in 0..count {
        apps.push(App::with(&database, &settings).await);
    }
    let mut sale = Sale::at(&apps.iter().collect::<Vec<_>>(), Provider::Test, 8 * count);
    sale.open_shop(&apps[0], 50 * count).await;
    let crowd = sale.strikes.begins();
    sale.sell(50 * count, Arrivals::Unpaced).await;
    drop(crowd);
    let connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'doorbuster'";
    let connected = database.number(connected).await as usize;
    println!("{count} instances have {connected} connections");
    assert!((count..=14 * count).contains(&connected), "{connected} connections of {count}");
    sale.assert_nobody_noticed();
    let fault = format!("{count} instances side by side");
    sale.settled(&fault, &apps[0]).await;
}
