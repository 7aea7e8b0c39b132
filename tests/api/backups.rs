//! What `scripts/backup.sh` refuses, so that no earlier backup is lost.

use crate::harness::{Database, Pair, within};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_lost_its_base_or_shares_a_slot_is_refused_and_what_there_is_stays() {
    let pair = Pair::start("backups");
    let second = pair.second();
    let url = &pair.services.postgres_tcp_url;
    let database = Database { url: url.clone(), tcp_url: url.clone() };
    let is_refused = async |folder: &str| {
        let ended = second.backup(url, &["run", folder]).status().await.unwrap();
        assert_eq!(ended.code(), Some(1), "{folder}");
    };
    let folder = second.folder.join("week");
    let (base, away) = (folder.join("base"), folder.join("away"));
    let has_wal = || folder.join("wal").read_dir().unwrap().next().is_some();
    let (week, next) = (folder.to_str().unwrap(), second.folder.join("next"));
    let copy = async || {
        let mut running = second.backup(url, &["run", week]).spawn().unwrap();
        let active = "SELECT count(*) FROM pg_replication_slots
            WHERE slot_name = 'doorbuster_backup' AND active";
        let copied =
            async || (base.is_dir() && has_wal()).then_some(()).ok_or("there is no base backup");
        within(Duration::from_secs(30), copied).await;
        database.until(active, 1).await;
        running.kill().await.unwrap();
        database.until(active, 0).await;
    };
    let kept = "SELECT (restart_lsn - '0/0')::bigint FROM pg_replication_slots";
    copy().await;
    let since = database.number(kept).await;
    is_refused(next.to_str().unwrap()).await;
    is_refused(next.to_str().unwrap()).await;
    is_refused(second.folder.join("not-mounted/week").to_str().unwrap()).await;
    std::fs::rename(&base, &away).unwrap();
    is_refused(week).await;
    assert_eq!(database.number(kept).await, since);
    assert!(has_wal(), "its WAL is gone");

    // An attempt that was cut off has a slot and what it had copied, and is begun anew.
    std::fs::rename(&away, folder.join("base.new")).unwrap();
    copy().await;
    let verified = pair.services.postgres_command("pg_verifybackup").arg(&base).status();
    assert!(verified.unwrap().success());
}
