//! The primary dies, its synchronous standby takes over, and instances that know both go there.

use crate::harness::{App, Database, Pair, order_of, times};
use crate::preloaded::SlowFlush;
use crate::sale::Sale;
use loadtests::generator::Arrivals;
use loadtests::order::Provider;
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test]
async fn a_failover_to_a_synchronous_standby_takes_nothing_acknowledged_with_it() {
    // Whoever waits for a provider's answer to be recorded is met, too.
    let flush = SlowFlush::by("20000");
    let pair = Pair::start_with("failover", &flush.environment());
    let database = Database::on(&pair.services).await;
    let standby = pair.synchronous_standby().await;
    let (both, alone) = standby.urls(&database);
    // Its judges find what is left at the standby.
    let first = App::reaching(&both, &alone, &[]).await;
    let second = App::reaching(&both, &alone, &[]).await;
    let mut sale = Sale::at(&[&first, &second], Provider::Test, 32);
    sale.open_shop(&first, 600).await;
    sale.hang_up_after(Duration::from_secs(1));
    let (moment, strikes) = (sale.moment(1_000), sale.strikes.clone());
    let failover = async {
        sleep(moment).await;
        let _outage = strikes.begins();
        pair.stop_postgres().await;
        // As long as those need who decide about it.
        sleep(Duration::from_secs(1)).await;
        standby.promote().await;
    };
    tokio::join!(sale.sell(600, Arrivals::Rate(120.0)), failover);
    let met = sale.met();
    assert!(met > 50, "only {met} buyers met the failover");
    sale.settled("failover to a synchronous standby", &second).await;
    assert!(sale.unanswered > 0, "no payment was on its way");
}

#[tokio::test]
async fn a_primary_that_hangs_with_its_connections_open_is_left_when_another_takes_over() {
    for round in 0..times("HANGS", 1) {
        leave_a_primary_that_hangs(round).await;
    }
}

/// What no other connection says last.
const PULSES: &str = "FROM pg_stat_activity WHERE application_name = 'doorbuster' AND query = ''";

/// The connection that would find out is there to do so, or has been lost just before; which of
/// these comes first is left to chance.
async fn leave_a_primary_that_hangs(round: usize) {
    let mut pair = Pair::start(&format!("frozen-{round}"));
    let database = Database::on(&pair.services).await;
    let standby = pair.synchronous_standby().await;
    let (both, alone) = standby.urls(&database);
    let apps = [App::reaching(&both, &alone, &[]).await, App::reaching(&both, &alone, &[]).await];
    let mut sale = Sale::at(&[&apps[0], &apps[1]], Provider::Test, 32);
    sale.open_shop(&apps[0], 600).await;
    sale.hang_up_after(Duration::from_secs(1));
    let (moment, strikes) = (sale.moment(1_000), sale.strikes.clone());
    // All of these sales draw the same one first.
    let is_felt = sale.in_turn([true, false]).nth(round).unwrap();
    let failover = async {
        sleep(moment).await;
        if !is_felt {
            database.until_at_least(&format!("SELECT count(*) {PULSES}"), 2).await;
            let end = format!("SELECT count(pg_terminate_backend(pid)) {PULSES}");
            assert_eq!(database.number(&end).await, 2);
        }
        let _outage = strikes.begins();
        pair.freeze_postgres();
        sleep(Duration::from_secs(1)).await;
        standby.promote().await;
    };
    tokio::join!(sale.sell(600, Arrivals::Rate(100.0)), failover);
    let met = sale.met();
    assert!(met > 50, "only {met} buyers met the failover");
    let fault = match is_felt {
        true => "failover from a primary whose processes stand still",
        false => "failover from one that stands still, and whose pulse is lost",
    };
    sale.settled(fault, &apps[1]).await;
    // Also what is asked seldom, and what works by itself: retention, the pulse, and two lanes;
    // those of carts come when they are needed.
    for app in &apps {
        app.admin_get("/v1/admin/staff").await.ok(200);
    }
    let here = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'doorbuster'";
    alone.until_at_least(here, 2 * (1 + 2 + 2)).await;
}

#[tokio::test]
async fn an_order_that_no_standby_has_is_not_acknowledged_when_its_time_is_over() {
    let pair = Pair::start("no-standby");
    let database = Database::on(&pair.services).await;
    let short = [("ORDER__DEADLINE_SECONDS", "1"), ("POSTGRES__WAIT_SECONDS", "1")];
    let app = App::with(&database, &short).await;
    app.stocked("A", 100, 10).await;
    pair.wait_for_standbys("nobody").await;
    let waiting = async |name: &str| {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE wait_event = 'SyncRep' AND application_name LIKE $1";
        database.number_for(sql, &[&name]).await
    };
    // A moment passes until commits wait for it.
    let writer = database.connect().await;
    let write = "SELECT pg_logical_emit_message(true, 'probe', '')";
    let writing = async { while writer.batch_execute(write).await.is_ok() {} };
    let begun = async { while waiting("%").await == 0 {} };
    tokio::select! { () = writing => panic!("it cannot write"), () = begun => () }
    let order = order_of(&[("A", 1)]);
    app.place_as("no-standby", &order).await.problem(503, "storage_unavailable");
    // Longer than any statement may take: PostgreSQL must not end the wait and call it committed.
    sleep(Duration::from_secs(3)).await;
    assert!(waiting("doorbuster").await > 0, "nobody waits for the standby");
    assert_eq!(database.number("SELECT count(*) FROM orders").await, 0, "it is shown already");
    pair.wait_for_standbys("").await;
    app.place_as("no-standby", &order).await.ok(201);
    assert_eq!(app.level("A").await[3], 1);
    database.assert_clean();
}
