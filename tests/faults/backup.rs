//! A shop is backed up while it sells, and restored as it was at a moment.

use crate::harness::{App, Database, Pair, Second};
use crate::sale::Sale;
use loadtests::generator::Arrivals;
use loadtests::oracle;
use loadtests::order::Provider;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Polls until it is so.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(Instant::now() < give_up, "{what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The shipped script, as the owner of the data, who may not enter every folder of a repository.
fn backup(second: &Second, url: &str, arguments: &[&str]) -> Command {
    let script = second.folder.join("backup.sh");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/backup.sh");
    std::fs::copy(shipped, &script).unwrap();
    let mut command = second.services.command(script.to_str().unwrap());
    command.args(arguments).env("DOORBUSTER__POSTGRES__URL", url);
    command
}

#[tokio::test]
async fn a_moment_of_a_sale_is_restored_from_the_backup_with_all_that_was_acknowledged_before() {
    let pair = Pair::start("backup");
    let database = Database::on(&pair.services).await;
    let second = pair.second();
    let app = App::with(&database, &[]).await;
    let mut sale = Sale::at(&[&app], Provider::Test, 16);
    sale.offer(2, 1_000_000).await;
    let folder = second.folder.join("backup");
    let folder = folder.to_str().unwrap();
    let mut running = backup(&second, &database.tcp_url, &["run", folder]).spawn().unwrap();
    let base = second.folder.join("backup/base");
    let copied = until("there is no base backup", async || base.is_dir());
    tokio::join!(sale.sell(200, Arrivals::Rate(100.0)), copied);
    let moment = database.rows("SELECT clock_timestamp()::text", &[]).await;
    let moment: &str = moment[0].get(0);
    let before = sale.run.clone();
    sale.sell(200, Arrivals::Unpaced).await;
    // All of it has arrived when what is written now has.
    let written = "SELECT count(*) FROM pg_stat_replication
                   WHERE flush_lsn >= (SELECT pg_current_wal_lsn())";
    until("the WAL does not arrive", async || database.number(written).await == 1).await;
    running.kill().unwrap();
    running.wait().unwrap();

    let (_, restored) = second.urls(&database);
    let data = second.data();
    let restore = ["restore", folder, data.to_str().unwrap(), moment];
    assert!(backup(&second, "", &restore).status().unwrap().success());
    assert!(!backup(&second, "", &restore).status().unwrap().success(), "over what is there");
    second.start();
    let recovering = "SELECT pg_is_in_recovery()::int::bigint";
    until("it still recovers", async || restored.number(recovering).await == 0).await;
    let verdict = oracle::examine(&before, &restored.url).await.unwrap();
    assert!(verdict.is_clean(), "{:#?}", verdict.findings);
    assert_eq!(verdict.checked.acknowledged, 200);
    assert_eq!(restored.number("SELECT count(*) FROM orders").await, 200, "none of later ones");
    restored.assert_clean();
    // It is a shop like any other.
    let again = App::with(&restored, &[]).await;
    sale.settings.bases = vec![again.url.parse().unwrap()];
    sale.sell(10, Arrivals::Unpaced).await;
    restored.assert_clean();
}
