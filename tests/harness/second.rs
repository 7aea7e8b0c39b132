//! A second PostgreSQL, made from that of a pair: a standby that takes over, or a backup restored.

use super::{Database, Pair, Services, free_port};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server beside that of a pair, on data of its own.
pub struct Second {
    port: u16,
    /// A folder of the user that PostgreSQL runs as.
    pub folder: PathBuf,
    /// Those of the pair.
    pub services: Services,
}

impl Pair {
    /// A place for it, without data.
    pub fn second(&self) -> Second {
        let services = self.services.clone();
        let folder = Path::new(&services.postgres_data).with_file_name("second");
        let (user, group) = services.owner();
        std::fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
        chown(&folder, Some(user), Some(group)).unwrap();
        Second { port: free_port(), folder, services }
    }

    /// Copies the server, and starts the copy as its standby.
    pub async fn standby(&self) -> Second {
        let standby = self.second();
        let mut copy = self.services.postgres_command("pg_basebackup");
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--dbname"]);
        copy.arg(&self.services.postgres_tcp_url).arg("--pgdata").arg(standby.data());
        assert!(copy.status().unwrap().success());
        standby.start();
        self.until_replicating("state = 'streaming'").await;
        standby
    }

    /// … and from then on waits for it with each commit.
    pub async fn synchronous_standby(&self) -> Second {
        let standby = self.standby().await;
        self.wait_for_standbys("*").await;
        self.until_replicating("sync_state = 'sync'").await;
        standby
    }

    /// From a moment later on commits wait for the standbys of these names.
    pub async fn wait_for_standbys(&self, names: &str) {
        let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'");
        self.own().execute(&set).await;
        self.own().execute("SELECT pg_reload_conf()").await;
    }

    async fn until_replicating(&self, condition: &str) {
        let sql = format!("SELECT count(*) FROM pg_stat_replication WHERE {condition}");
        self.own().until_at_least(&sql, 1).await;
    }

    /// The database that those of its tests are cloned from.
    fn own(&self) -> Database {
        let Services { postgres_url, postgres_tcp_url, .. } = self.services.clone();
        Database { url: postgres_url, tcp_url: postgres_tcp_url }
    }
}

impl Second {
    /// Where its data is.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// This database of the pair on both servers, whichever takes writes; and here alone.
    pub fn urls(&self, database: &Database) -> (String, Database) {
        let (account, place) = database.tcp_url.rsplit_once('@').unwrap();
        let (primary, name) = place.split_once('/').unwrap();
        let own = format!("127.0.0.1:{}", self.port);
        let alone = format!("{account}@{own}/{name}");
        let alone = Database { url: alone.clone(), tcp_url: alone };
        (format!("{account}@{primary},{own}/{name}"), alone)
    }

    /// Makes it the primary.
    pub async fn promote(&self) {
        let mut promote = tokio::process::Command::from(self.pg_ctl("promote"));
        assert!(promote.status().await.unwrap().success());
    }

    /// Starts the server on its data.
    pub fn start(&self) {
        let settings = format!(
            "-c port={} -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
             -c max_connections=500",
            self.port
        );
        let mut start = self.pg_ctl("start");
        start.arg("-l").arg(self.folder.join("log")).args(["-o", &settings]);
        assert!(start.status().unwrap().success());
    }

    /// The shipped script, as the owner of the data, who may not enter every folder of a
    /// repository.
    pub fn backup(&self, url: &str, arguments: &[&str]) -> tokio::process::Command {
        let script = self.folder.join("backup.sh");
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/backup.sh");
        std::fs::copy(shipped, &script).unwrap();
        let mut command = self.services.command(script.to_str().unwrap());
        command.args(arguments).env("DOORBUSTER__POSTGRES__URL", url);
        command.into()
    }

    fn pg_ctl(&self, what: &str) -> Command {
        let mut command = self.services.postgres_command("pg_ctl");
        command.args([what, "-w", "-D"]).arg(self.data());
        command
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.pg_ctl("stop").args(["-m", "immediate"]).status();
    }
}
