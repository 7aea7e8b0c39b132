//! The private pair that all tests of a binary share, and a database for each test.

use super::until;
use serde::Deserialize;
use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row};

/// What `doorbuster services` says of itself.
#[derive(Debug, Clone, Deserialize)]
pub struct Services {
    pub postgres_url: String,
    pub postgres_tcp_url: String,
    pub redis_url: Option<String>,
    pub postgres_pid: i32,
    pub redis_pid: Option<i32>,
    pub postgres_bin: String,
    pub postgres_data: String,
}

impl Services {
    /// The URL of Redis, which must be there.
    pub fn redis(&self) -> &str {
        self.redis_url.as_deref().expect("redis-server is needed")
    }

    /// User and group that PostgreSQL runs as.
    pub fn owner(&self) -> (u32, u32) {
        let data = std::fs::metadata(&self.postgres_data).unwrap();
        (data.uid(), data.gid())
    }

    /// A program as that user: what belongs to PostgreSQL refuses to be root's.
    pub fn command(&self, program: &str) -> Command {
        let (user, group) = self.owner();
        let mut command = Command::new(program);
        command.current_dir("/").uid(user).gid(group);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// The same of one of PostgreSQL's own programs.
    pub fn postgres_command(&self, program: &str) -> Command {
        self.command(&format!("{}/{program}", self.postgres_bin))
    }
}

/// A pair that ends when this value, or the whole test process, goes: its standard input closes.
/// Its data stays until the process has ended.
pub struct Pair {
    pub services: Services,
    pub data: PathBuf,
    child: Child,
    /// What stops the servers that a test has started again.
    pub(super) stops: Vec<Command>,
}

impl Pair {
    pub fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    /// The same, with more in the environment of its servers.
    pub fn start_with(name: &str, environment: &[(&str, &str)]) -> Self {
        let data = Self::folder(name);
        std::fs::create_dir_all(&data).unwrap();
        let copy = Command::new("cp").arg("-a").arg(image().join(".")).arg(&data).status();
        assert!(copy.unwrap().success());
        Self::on(data, environment)
    }

    /// A pair on what is in that folder, if there is anything.
    fn on(data: PathBuf, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_doorbuster"))
            .args(["services", "--data"])
            .arg(&data)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let services = serde_json::from_str(&line).expect("the private pair did not start");
        Self { services, data, child, stops: Vec::new() }
    }

    /// Stops its servers; its data stays.
    fn stop(&mut self) {
        self.stops.iter_mut().for_each(|stop| drop(stop.status()));
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }

    /// Where the data of a pair of that name is.
    pub fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("db-{name}-{}", std::process::id()))
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Removes the data of all pairs once this process has ended, in whatever way. Not earlier: ext4
/// looks at each file that was removed in the last minutes when it creates another one.
fn remove_afterwards() {
    let sweep = "trap '' INT TERM; read -r _; cd \"$0\" || exit
        for _ in 1 2 3; do sleep 5; rm -rf db-*-\"$1\"; done";
    let mut broom = Command::new("sh");
    broom.args(["-c", sweep]).arg(std::env::temp_dir()).arg(std::process::id().to_string());
    broom.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // It waits until this end of its input is closed.
    std::mem::forget(broom.spawn().unwrap().stdin);
}

/// What every pair begins as: a pair whose database is migrated, stopped again.
fn image() -> &'static Path {
    static IMAGE: OnceLock<Pair> = OnceLock::new();
    let image = IMAGE.get_or_init(|| {
        remove_afterwards();
        let mut pair = Pair::on(Pair::folder("image"), &[]);
        let migrate = Command::new(env!("CARGO_BIN_EXE_doorbuster"))
            .args(["migrate", "--database", &pair.services.postgres_url])
            .stdout(Stdio::null())
            .status();
        assert!(migrate.unwrap().success());
        pair.stop();
        pair
    });
    let (data, place) = (&image.data, &image.services.postgres_data);
    assert!(place.starts_with(data.to_str().unwrap()), "PostgreSQL's user cannot enter {data:?}");
    data
}

/// The pair of this test binary.
pub fn services() -> &'static Services {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    &PAIR.get_or_init(|| Pair::start("tests")).services
}

const WAITING_FOR_LOCKS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// A database of a test's own, cloned from that of its pair.
#[derive(Clone)]
pub struct Database {
    pub url: String,
    pub tcp_url: String,
}

impl Database {
    /// A migrated database in the shared pair.
    pub async fn new() -> Self {
        Self::on(services()).await
    }

    /// A migrated database in a pair.
    pub async fn on(services: &Services) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // One at a time: nobody else may look at what is cloned.
        static CLONING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _cloning = CLONING.lock().await;
        let admin = connect(&named(&services.postgres_url, "postgres")).await;
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let sql = format!("CREATE DATABASE {name} TEMPLATE doorbuster");
        admin.batch_execute(&sql).await.unwrap();
        Self {
            url: named(&services.postgres_url, &name),
            tcp_url: named(&services.postgres_tcp_url, &name),
        }
    }

    /// What the test provider has collected for the orders in it.
    pub fn books(&self) -> String {
        std::fs::read_to_string(books(&self.url)).unwrap_or_default()
    }

    pub async fn connect(&self) -> Client {
        connect(&self.url).await
    }

    /// The rows of a query.
    pub async fn rows(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        self.connect().await.query(sql, params).await.unwrap()
    }

    /// The single number that a query returns.
    pub async fn number(&self, sql: &str) -> i64 {
        self.number_for(sql, &[]).await
    }

    /// The same, of a query with parameters.
    pub async fn number_for(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> i64 {
        self.connect().await.query_one(sql, params).await.unwrap().get(0)
    }

    /// Asks until a query returns that number.
    pub async fn until(&self, sql: &str, expected: i64) {
        self.until_it(sql, |number| number == expected, &format!("not {expected}")).await;
    }

    /// Asks until a query returns that number or more.
    pub async fn until_at_least(&self, sql: &str, least: i64) {
        self.until_it(sql, |number| number >= least, &format!("not {least} or more")).await;
    }

    /// On one connection: each is a process, and takes longer than what it is asked.
    async fn until_it(&self, sql: &str, is_enough: impl Fn(i64) -> bool, otherwise: &str) {
        let client = self.connect().await;
        until(async || match client.query_one(sql, &[]).await.unwrap().get(0) {
            number if is_enough(number) => Ok(()),
            number => Err(format!("{number}, {otherwise}: {sql}")),
        })
        .await;
    }

    /// How many of its backends wait for a lock.
    pub async fn waiting_for_locks(&self) -> i64 {
        self.number(WAITING_FOR_LOCKS).await
    }

    /// Asks until so many of its backends, or more, wait for a lock.
    pub async fn until_waiting_for_locks(&self, least: i64) {
        self.until_at_least(WAITING_FOR_LOCKS, least).await;
    }

    /// The columns that hold one of these texts anywhere, in all tables.
    pub async fn holders(&self, texts: &[&str]) -> Vec<String> {
        let client = self.connect().await;
        let sql = "SELECT c.table_name::text, c.column_name::text, c.data_type::text
                   FROM information_schema.columns c JOIN information_schema.tables t
                       USING (table_schema, table_name)
                   WHERE t.table_schema = 'public' AND t.table_type = 'BASE TABLE'";
        let mut holders = Vec::new();
        for row in client.query(sql, &[]).await.unwrap() {
            let (table, column, kind): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
            let shown = match kind {
                "bytea" => format!("encode({column}, 'escape')"),
                _ => format!("{column}::text"),
            };
            for text in texts {
                let holds = format!("position(lower($1::text) IN lower({shown})) > 0");
                let sql = format!("SELECT count(*) FROM {table} WHERE {holds}");
                let found: i64 = client.query_one(&sql, &[text]).await.unwrap().get(0);
                if found > 0 {
                    holders.push(format!("{table}.{column}: {text}"));
                }
            }
        }
        holders
    }

    /// Runs statements.
    pub async fn execute(&self, sql: &str) {
        self.connect().await.batch_execute(sql).await.unwrap();
    }

    /// `doorbuster verify` on this database: its exit code and its report.
    pub fn verify(&self) -> (i32, serde_json::Value) {
        let output = Command::new(env!("CARGO_BIN_EXE_doorbuster"))
            .args(["verify", "--json", "--database", &self.url])
            .output()
            .unwrap();
        let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code().unwrap(), report)
    }

    /// Fails unless all invariants hold.
    pub fn assert_clean(&self) {
        let (code, report) = self.verify();
        assert_eq!(code, 0, "{report:#}");
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Where the test provider of instances on that database keeps its books, whoever they run as.
pub fn books(url: &str) -> PathBuf {
    let folder = Pair::folder("books");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    let name = url.rsplit('/').next().unwrap();
    folder.join(name.split('?').next().unwrap())
}

fn named(url: &str, database: &str) -> String {
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{database}")
}
