//! The private PostgreSQL and Redis of a data folder: never two owners, also after a kill.

use doorbuster::embedded::{Pair, running};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tokio_postgres::NoTls;

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("db-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Another process that owns the folder, and what it said of its servers.
fn owner_of(folder: &Folder) -> (Child, serde_json::Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    command.args(["services", "--data"]).arg(&folder.0);
    let mut owner = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(owner.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (owner, serde_json::from_str(&line).unwrap())
}

async fn run(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
}

fn lives(pid: u64) -> bool {
    // What ended but was not waited for has no command line left.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
async fn a_second_owner_is_refused_and_told_the_first_ones_id() {
    let folder = Folder::new("second");
    let (mut owner, told) = owner_of(&folder);
    let found = running(&folder.0).unwrap();
    assert_eq!(found.pid, owner.id());
    assert_eq!(told["postgres_url"], found.postgres_url);
    let refused = Pair::start(&folder.0).await.err().expect("two owners").to_string();
    assert!(refused.contains(&format!("in use by process {}", owner.id())), "{refused}");
    run(&found.postgres_url, "SELECT 1").await;
    drop(owner.stdin.take());
    assert!(owner.wait().unwrap().success());
    assert!(running(&folder.0).is_none());
    assert!(!lives(told["postgres_pid"].as_u64().unwrap()));
}

#[tokio::test]
async fn after_a_killed_owner_the_next_one_takes_over() {
    let folder = Folder::new("killed");
    let (mut owner, told) = owner_of(&folder);
    run(told["postgres_url"].as_str().unwrap(), "CREATE TABLE kept ()").await;
    owner.kill().unwrap();
    owner.wait().unwrap();
    let left = ["postgres_pid", "redis_pid"].map(|name| told[name].as_u64().unwrap());
    assert!(left.iter().all(|pid| lives(*pid)), "the servers outlive their owner");
    assert!(running(&folder.0).is_none());
    let pair = Pair::start(&folder.0).await.unwrap();
    assert!(!left.iter().any(|pid| lives(*pid)));
    run(&pair.postgres_url, "TABLE kept").await;
    pair.stop().await.unwrap();
}
