//! The primary dies, its synchronous standby takes over, and instances that know both go there.

use crate::harness::{App, Database, Pair};
use crate::sale::Sale;
use loadtests::generator::Arrivals;
use loadtests::order::Provider;
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test]
async fn a_failover_to_a_synchronous_standby_takes_nothing_acknowledged_with_it() {
    let pair = Pair::start("failover");
    let database = Database::on(&pair.services).await;
    let standby = pair.synchronous_standby().await;
    let (both, alone) = standby.urls(&database);
    // Its judges find what is left at the standby.
    let first = App::reaching(&both, &alone, &[]).await;
    let second = App::reaching(&both, &alone, &[]).await;
    let mut sale = Sale::at(&[&first, &second], Provider::Test, 32);
    sale.offer(1, 1_000_000).await;
    sale.let_shoppers_in(&first).await;
    let failover = async {
        sleep(Duration::from_secs(2)).await;
        pair.stop_postgres().await;
        // As long as those need who decide about it.
        sleep(Duration::from_secs(1)).await;
        standby.promote().await;
    };
    tokio::join!(sale.sell(800, Arrivals::Rate(100.0)), failover);
    let met = sale.met();
    assert!(met > 50, "only {met} buyers met the failover");
    let checked = sale.settled("failover to a synchronous standby", 1, &second).await;
    assert_eq!((checked.acknowledged, checked.unknown), (800, 0));
}
