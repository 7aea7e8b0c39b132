//! The disk is full or slow, and there is no connection to be had.

use crate::harness::{App, Database, Pair};
use crate::preloaded::SlowFlush;
use crate::sale::Sale;
use futures_util::future::join_all;
use loadtests::generator::Arrivals;
use loadtests::order::Provider;
use loadtests::record::Record;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use tokio_postgres::NoTls;

/// A disk in memory that holds so much.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mounted_at(folder: PathBuf, megabytes: u32) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let options = format!("mode=755,size={megabytes}m");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder).status();
        assert!(mounted.unwrap().success(), "it may not mount a disk of its own: CAP_SYS_ADMIN");
        Self(folder)
    }

    /// Takes all that is left of it.
    fn fill(&self) {
        let mut ballast = File::create(self.0.join("ballast")).unwrap();
        let full = std::io::copy(&mut std::io::repeat(0), &mut ballast).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    fn clear(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn a_full_disk_refuses_orders_and_loses_none() {
    let disk = SmallDisk::mounted_at(Pair::folder("disk"), 400);
    // What is refused by the disk is on its way there.
    let flush = SlowFlush::by("40000");
    let mut pair = Pair::start_with("disk", &flush.environment());
    let database = Database::on(&pair.services).await;
    let app = App::with(&database, &[]).await;
    let mut sale = Sale::at(&[&app], Provider::Test, 32);
    sale.open_shop(&app, 900).await;
    sale.hang_up_after(Duration::from_secs(1));
    let (moment, strikes) = (sale.moment(1_000), sale.strikes.clone());
    let outage = async {
        sleep(moment).await;
        let client = database.connect().await;
        let _outage = strikes.begins();
        disk.fill();
        // The log has some room in files that were made before; there shall be none.
        let _ = client.batch_execute("SELECT pg_switch_wal()").await;
        sleep(Duration::from_secs(5)).await;
        disk.clear();
        // It may have ended when it could not write its log.
        if !pair.is_postgres_there() {
            pair.start_postgres().await;
        }
    };
    tokio::join!(sale.sell(900, Arrivals::Rate(100.0)), outage);
    let met = sale.met();
    assert!(met > 50, "only {met} buyers met it: the disk was not full");
    assert!(sale.run.records.iter().any(Record::was_left_open), "no commit was on its way");
    sale.settled("full disk", &app).await;
}

#[tokio::test]
async fn without_a_connection_to_be_had_orders_are_refused_until_there_is_one() {
    // Connections that are ended have commits on their way.
    let flush = SlowFlush::by("40000");
    let pair = Pair::start_with("connections", &flush.environment());
    let database = Database::on(&pair.services).await;
    let app = App::with(&database, &[]).await;
    let mut sale = Sale::at(&[&app], Provider::Test, 32);
    sale.open_shop(&app, 900).await;
    sale.hang_up_after(Duration::from_millis(300));
    let (moment, strikes) = (sale.moment(1_000), sale.strikes.clone());
    let hoarding = async {
        sleep(moment).await;
        let _hoard = strikes.begins();
        let client = database.connect().await;
        let (mut hoard, mut refused, mut since) = (Vec::new(), 0, None::<Instant>);
        while since.is_none_or(|since| since.elapsed() < Duration::from_secs(3)) {
            // Several at once, so that all are taken before the sale is over.
            let more = (0..16).map(|_| tokio_postgres::connect(&database.url, NoTls));
            let (had, none): (Vec<_>, Vec<_>) =
                join_all(more).await.into_iter().partition(Result::is_ok);
            let had = had.into_iter().flatten();
            hoard.extend(had.map(|(client, connection)| (client, tokio::spawn(connection))));
            if !none.is_empty() {
                refused += none.len();
                since.get_or_insert_with(Instant::now);
                // Those of the instance go too, and whoever is quicker gets their places.
                let ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE application_name = 'doorbuster' AND pid <> pg_backend_pid()";
                client.batch_execute(ours).await.unwrap();
                sleep(Duration::from_millis(5)).await;
            }
        }
        assert!(refused > 10, "only {refused} connections were refused");
        hoard.len()
    };
    let (_, hoarded) = tokio::join!(sale.sell(900, Arrivals::Rate(100.0)), hoarding);
    let met = sale.met();
    println!("{hoarded} connections were taken away");
    assert!(met > 50, "only {met} buyers met it");
    sale.settled("no connection to be had", &app).await;
}

#[tokio::test]
async fn a_disk_that_flushes_slowly_costs_time_and_nothing_else() {
    let flush = SlowFlush::by("8000");
    let pair = Pair::start_with("flush", &flush.environment());
    let app = App::with(&Database::on(&pair.services).await, &[]).await;
    let mut sale = Sale::at(&[&app], Provider::Test, 64);
    sale.open_shop(&app, 300).await;
    let begun = Instant::now();
    sale.sell(1, Arrivals::Unpaced).await;
    assert!(begun.elapsed() > Duration::from_millis(16), "two commits were not slow");
    let slow = sale.strikes.begins();
    sale.sell(300, Arrivals::Unpaced).await;
    drop(slow);
    sale.assert_nobody_noticed();
    sale.settled("a flush takes 8 ms longer", &app).await;
}
