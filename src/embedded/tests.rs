//! With real servers: they need PostgreSQL's programs, and Redis's for what concerns Redis.

use super::*;
use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls};

/// A folder that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("doorbuster-test-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn ping(url: &str) -> Result<()> {
    let mut connection = ::redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    Ok(::redis::cmd("PING").exec_async(&mut connection).await?)
}

fn lives(pid: u32) -> bool {
    // What ended but was not waited for has no command line left.
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
async fn what_is_written_is_there_after_the_next_start() -> Result<()> {
    let data = Scratch::new();
    let pair = Pair::start(&data.0).await?;
    let client = connect(&pair.postgres_url).await?;
    client.batch_execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)").await?;
    let on: String = client.query_one("SHOW fsync", &[]).await?.get(0);
    assert_eq!(on, "on");
    let (postgres_pid, redis_pid) = (pair.postgres_pid, pair.redis_pid);
    pair.stop().await?;
    assert!(!lives(postgres_pid) && !redis_pid.is_some_and(lives));

    let begun = Instant::now();
    let pair = Pair::start(&data.0).await?;
    println!("second start: {:?}", begun.elapsed());
    let kept: i32 = connect(&pair.postgres_tcp_url)
        .await?
        .query_one("SELECT id FROM kept", &[])
        .await?
        .get(0);
    assert_eq!(kept, 7);
    for url in pair.redis_url.iter().chain(&pair.redis_tcp_url) {
        ping(url).await?;
    }
    let sockets = pair.home.sockets.clone();
    pair.stop().await?;
    assert!(!sockets.exists());
    Ok(())
}

#[tokio::test]
async fn nobody_enters_without_the_password() -> Result<()> {
    let data = Scratch::new();
    let pair = Pair::start(&data.0).await?;
    let password = fs::read_to_string(data.0.join("servers.password"))?;
    for url in [&pair.postgres_url, &pair.postgres_tcp_url] {
        assert!(connect(&url.replace(password.trim(), "guess")).await.is_err());
    }
    for url in pair.redis_url.iter().chain(&pair.redis_tcp_url) {
        assert!(ping(&url.replace(password.trim(), "guess")).await.is_err());
    }
    assert_eq!(fs::metadata(&pair.home.sockets)?.mode() & 0o777, 0o700);
    Ok(pair.stop().await?)
}

#[tokio::test]
async fn a_killed_postgres_and_a_reused_process_id_do_not_stop_a_start() -> Result<()> {
    let data = Scratch::new();
    let pair = Pair::start(&data.0).await?;
    let postgres_data = pair.postgres_data.clone();
    kill(Pid::from_raw(i32::try_from(pair.postgres_pid)?), Signal::SIGKILL)?;
    pair.die();
    let file = postgres_data.join("postmaster.pid");
    let mut other = Command::new("sleep").arg("60").spawn()?;
    let text = fs::read_to_string(&file)?;
    let rest = text.split_once('\n').context("lines")?.1;
    fs::write(&file, format!("{}\n{rest}", other.id()))?;

    let pair = Pair::start(&data.0).await?;
    connect(&pair.postgres_url).await?;
    assert!(lives(other.id()), "the innocent process was ended");
    other.kill()?;
    other.wait()?;
    Ok(pair.stop().await?)
}

#[tokio::test]
async fn a_very_deep_data_folder_has_short_sockets() -> Result<()> {
    let data = Scratch::new();
    let deep = data.0.join("a data folder of many words/".repeat(8));
    let pair = Pair::start(&deep).await?;
    for entry in fs::read_dir(&pair.home.sockets)? {
        assert!(entry?.path().as_os_str().len() < 100);
    }
    connect(&pair.postgres_url).await?;
    pair.die();
    Ok(Pair::start(&deep).await?.stop().await?)
}

#[tokio::test]
async fn root_serves_a_folder_that_only_root_may_enter() -> Result<()> {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can test this");
        return Ok(());
    }
    let data = Scratch::new();
    fs::DirBuilder::new().mode(0o700).create(&data.0)?;
    let pair = Pair::start(&data.0).await?;
    let files = pair.postgres_data.parent().context("parent")?.to_owned();
    assert!(!files.starts_with(&data.0));
    assert_ne!(fs::metadata(&pair.postgres_data)?.uid(), 0);
    connect(&pair.postgres_url).await?;
    pair.stop().await?;
    Ok(fs::remove_dir_all(files)?)
}

#[tokio::test]
async fn what_cannot_be_used_is_told_in_a_sentence() -> Result<()> {
    let data = Scratch::new();
    fs::create_dir(&data.0)?;
    let file = data.0.join("file");
    fs::write(&file, "")?;
    let told = Pair::start(&file.join("data")).await.err().context("a file")?.to_string();
    assert!(told.starts_with("cannot make the folder") && told.contains("use another"), "{told}");

    let strange = data.0.join("strange");
    fs::create_dir_all(strange.join("postgres"))?;
    let told = Pair::start(&strange).await.err().context("strange")?.to_string();
    assert!(told.contains("is not a PostgreSQL database: move it away"), "{told}");

    let broken = data.0.join("broken");
    let pair = Pair::start(&broken).await?;
    let control = pair.postgres_data.join("global/pg_control");
    pair.stop().await?;
    fs::write(&control, "")?;
    let told = Pair::start(&broken).await.err().context("broken")?.to_string();
    assert!(
        told.starts_with("PostgreSQL did not start") && told.contains("pg_control"),
        "{told}"
    );

    let release = broken.join("postgres/PG_VERSION");
    fs::write(&release, "7\n")?;
    let told = Pair::start(&broken).await.err().context("old")?.to_string();
    assert!(told.contains("was made by PostgreSQL 7, but only release"), "{told}");
    Ok(())
}

#[test]
fn the_admin_key_stays_the_same_and_private() -> Result<()> {
    let data = Scratch::new();
    let key = admin_key(&data.0)?;
    assert_eq!(key, admin_key(&data.0)?);
    assert!(key.starts_with("sk_") && key.len() == 67);
    let file = data.0.join("admin.key");
    assert_eq!(fs::metadata(&file)?.mode() & 0o777, 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    admin_key(&data.0)?;
    assert_eq!(fs::metadata(&file)?.mode() & 0o777, 0o600);
    fs::write(&file, "sk_\n")?;
    assert!(admin_key(&data.0).is_err());
    Ok(())
}

#[tokio::test]
async fn a_dropped_pair_stops_by_itself() -> Result<()> {
    let data = Scratch::new();
    let pair = Pair::start(&data.0).await?;
    let pid = pair.postgres_pid;
    drop(pair);
    let give_up = Instant::now() + Duration::from_secs(30);
    while lives(pid) {
        ensure!(Instant::now() < give_up, "PostgreSQL goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Pair::start(&data.0).await?.stop().await?)
}
