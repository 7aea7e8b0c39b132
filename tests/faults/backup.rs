//! A shop is backed up while it sells, and restored as it was at a moment.

use crate::harness::{App, Database, Pair, within};
use crate::sale::Sale;
use loadtests::generator::Arrivals;
use loadtests::oracle;
use loadtests::order::Provider;
use loadtests::record::Run;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

/// What buyers had been told a while before the moment; what came later may be there, or not.
fn known_at(run: &Run, moment: SystemTime) -> Run {
    let sure = moment - Duration::from_millis(500);
    let sure = sure.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as u64;
    let mut run = run.clone();
    let later = run.records.iter_mut();
    let later = later.filter(|one| one.taken_up_at_us + one.timing.latency_us > sure);
    later.for_each(|record| record.answers.clear());
    run
}

/// Segments end in the midst of a sale, as those of a large shop do all the time.
async fn end_segment(database: &Database) {
    database.rows("SELECT pg_switch_wal()::text", &[]).await;
}

/// The first one that the base has not.
fn remove_a_segment(base: &Path, wal: &Path) {
    let names = std::fs::read_dir(wal).unwrap().map(|segment| segment.unwrap().file_name());
    let missing = names.filter(|name| !base.join("pg_wal").join(name).exists()).min();
    std::fs::remove_file(wal.join(missing.unwrap())).unwrap();
}

/// Does what `restore` has printed: from then on there may be a standby and an archive.
async fn reset(restored: &Database, printed: &str) {
    let overridden = "SELECT count(*) FROM pg_file_settings
        WHERE sourcefile LIKE '%auto.conf' AND setting IN ('', 'off', 'promote')";
    assert_eq!(restored.number(overridden).await, 3);
    for statement in printed.lines().filter(|line| line.starts_with("ALTER SYSTEM")) {
        restored.execute(statement).await;
    }
    assert_eq!(restored.number(overridden).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_of_a_sale_is_restored_from_the_backup_with_all_that_was_acknowledged_before() {
    let pair = Pair::start("backup");
    let database = Database::on(&pair.services).await;
    let second = pair.second();
    let app = App::with(&database, &[]).await;
    let mut sale = Sale::at(&[&app], Provider::Test, 16);
    sale.offer(2, 1_000_000).await;
    let folder = second.folder.join("backup");
    let (base, wal) = (folder.join("base"), folder.join("wal"));
    let folder = folder.to_str().unwrap();
    let mut running = second.backup(&database.tcp_url, &["run", folder]).spawn().unwrap();
    let copied = within(Duration::from_secs(30), async || {
        end_segment(&database).await;
        sleep(Duration::from_millis(250)).await;
        base.is_dir().then_some(()).ok_or("there is no base backup")
    });
    tokio::join!(sale.sell(200, Arrivals::Rate(100.0)), copied);

    let moment = async {
        sleep(Duration::from_secs(1)).await;
        let moment = database.rows("SELECT clock_timestamp()::text", &[]).await;
        end_segment(&database).await;
        (moment[0].get::<_, String>(0), SystemTime::now())
    };
    let ((), (moment, at)) = tokio::join!(sale.sell(200, Arrivals::Rate(100.0)), moment);
    let known = known_at(&sale.run, at);
    end_segment(&database).await;
    let now = database.rows("SELECT pg_current_wal_lsn()::text", &[]).await;
    let arrived = format!(
        "SELECT count(*) FROM pg_stat_replication WHERE flush_lsn >= '{}'",
        now[0].get::<_, &str>(0)
    );
    // A later commit says that the moment is over.
    sale.sell(10, Arrivals::Unpaced).await;
    database.until(&arrived, 1).await;

    let (_, restored) = second.urls(&database);
    let data = second.data();
    let restore = ["restore", folder, data.to_str().unwrap(), &moment];
    let restoring = async {
        let printed = second.backup("", &restore).output().await.unwrap();
        assert!(printed.status.success());
        assert!(!second.backup("", &restore).status().await.unwrap().success(), "over it");
        tokio::task::block_in_place(|| second.start());
        let recovering = "SELECT pg_is_in_recovery()::int::bigint";
        restored.until(recovering, 0).await;
        String::from_utf8(printed.stdout).unwrap()
    };
    let ((), printed) = tokio::join!(sale.sell(200, Arrivals::Rate(100.0)), restoring);
    running.kill().await.unwrap();
    sale.judged().await;
    let verdict = oracle::examine(&known, &restored.url).await.unwrap();
    assert!(verdict.is_clean(), "{:#?}", verdict.findings);
    let there = restored.number("SELECT count(*) FROM orders").await;
    println!("{} were sure, {there} are there", verdict.checked.acknowledged);
    assert!(verdict.checked.acknowledged > 200 && there < 400, "it was not in the midst of it");
    restored.assert_clean();
    reset(&restored, &printed).await;
    // It is a shop like any other.
    let again = App::with(&restored, &[]).await;
    sale.settings.bases = vec![again.url.parse().unwrap()];
    sale.sell(10, Arrivals::Unpaced).await;
    restored.assert_clean();
    remove_a_segment(&base, &wal);
    let elsewhere = second.folder.join("elsewhere");
    let restore = ["restore", folder, elsewhere.to_str().unwrap()];
    assert!(!second.backup("", &restore).status().await.unwrap().success(), "over a gap");
    assert!(!elsewhere.exists());
}
