//! A private PostgreSQL that keeps its promises, and an equal database for every row.

use anyhow::{Context, ensure};
use doorbuster::app::postgres_options;
use doorbuster::catalog::{ImportOptions, import_file};
use doorbuster::config::{Config, Sources};
use doorbuster::embedded::Pair;
use doorbuster::migrate;
use doorbuster::postgres::Postgres;
use std::fmt::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio_postgres::{Client, NoTls};

/// SKUs that spread orders and carts choose from.
pub const SKUS: usize = 10_000;
/// A SKU of which there is nothing.
pub const SOLD_OUT: &str = "GONE-1";
/// Units of every other SKU: more than a row can sell.
const STOCK: i64 = 1_000_000;

/// The `n`th SKU.
pub fn sku(n: usize) -> String {
    format!("BENCH-{:05}", n % SKUS)
}

/// The address of the product that has the `n`th SKU.
pub fn slug(n: usize) -> String {
    format!("enamel-mug-{}", sku(n).to_lowercase())
}

/// The private pair, and the database that all others are copies of.
pub struct Databases {
    pair: Pair,
    folder: Folder,
    admin: Client,
}

impl Databases {
    /// Starts the pair in a temporary folder, with a migrated database full of stock.
    pub async fn start(runtime: Handle) -> anyhow::Result<Self> {
        let name = format!("doorbuster-bench-{}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        let pair = Pair::start(&folder.0).await?;
        let admin = connect(&named(&pair.postgres_url, "postgres")?).await?;
        fill(&pair.postgres_url, &folder.0, runtime).await?;
        Ok(Self { pair, folder, admin })
    }

    /// PostgreSQL's version, what it promises, and how long it waits for the disk.
    pub async fn describe(&self) -> anyhow::Result<String> {
        let mut text = String::from("PostgreSQL ");
        let show = async |setting: &str| -> anyhow::Result<String> {
            Ok(self.admin.query_one(&format!("SHOW {setting}"), &[]).await?.get(0))
        };
        text += show("server_version").await?.split(' ').next().unwrap_or_default();
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value = show(setting).await?;
            ensure!(value == "on", "{setting} is {value}: such figures would mean nothing");
            write!(text, ", {setting} {value}")?;
        }
        let flush = flush_micros(&self.folder.0)?;
        let cores = std::thread::available_parallelism()?;
        write!(text, "\n{cores} cores, load {}", super::table::load())?;
        write!(text, ", a flush takes {flush:.0} µs, release profile, median of ")?;
        write!(text, "{} rounds", super::ROUNDS)?;
        Ok(text)
    }

    /// A copy of the filled database, right after a checkpoint.
    pub async fn fresh(&self, name: &'static str) -> anyhow::Result<Database> {
        let sql = format!("CREATE DATABASE {name} TEMPLATE doorbuster");
        self.admin.batch_execute(&sql).await?;
        self.admin.batch_execute("CHECKPOINT").await?;
        let url = named(&self.pair.postgres_url, name)?;
        Ok(Database { name, url, postgres_pid: self.pair.postgres_pid, redis: None })
    }

    /// The same with an empty Redis beside it.
    pub async fn fresh_with_redis(&self, name: &'static str) -> anyhow::Result<Database> {
        let redis = self.pair.redis_url.clone().zip(self.pair.redis_pid);
        let (url, pid) = redis.context("there is no Redis here")?;
        let redis = Redis { url, pid };
        redis::cmd("FLUSHALL").exec_async(&mut redis.connect().await?).await?;
        Ok(Database { redis: Some(redis), ..self.fresh(name).await? })
    }

    /// Gives up a copy.
    pub async fn drop(&self, database: Database) -> anyhow::Result<()> {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", database.name);
        Ok(self.admin.batch_execute(&sql).await?)
    }

    /// Stops the pair and removes its folder.
    pub async fn stop(self) -> anyhow::Result<()> {
        drop(self.admin);
        Ok(self.pair.stop().await?)
    }
}

/// A database of one row's own.
pub struct Database {
    name: &'static str,
    pub url: String,
    pub postgres_pid: u32,
    /// Where servers of this database cache, if anywhere.
    pub redis: Option<Redis>,
}

/// The Redis of the pair.
pub struct Redis {
    pub url: String,
    pub pid: u32,
}

impl Redis {
    async fn connect(&self) -> anyhow::Result<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(self.url.as_str())?;
        Ok(client.get_multiplexed_async_connection().await?)
    }
}

impl Database {
    /// Bytes on the disk, without the WAL.
    pub async fn bytes(&self) -> anyhow::Result<i64> {
        Ok(self.written().await?.kept)
    }

    /// What was written until now. Nobody else writes on this server.
    pub async fn written(&self) -> anyhow::Result<Written> {
        let client = connect(&self.url).await?;
        let sql = "SELECT (pg_current_wal_lsn() - '0/0')::bigint,
                       pg_database_size(current_database())";
        let row = client.query_one(sql, &[]).await?;
        Ok(Written { wal: row.get(0), kept: row.get(1) })
    }

    /// What PostgreSQL and Redis were asked until now, where there is a Redis. Waits until idle
    /// sessions have told PostgreSQL what they did (`PGSTAT_IDLE_INTERVAL`, ten seconds).
    pub async fn asked(&self) -> anyhow::Result<Asked> {
        let Some(redis) = &self.redis else { return Ok(Asked::default()) };
        tokio::time::sleep(Duration::from_secs(11)).await;
        let sql = "SELECT xact_commit + xact_rollback FROM pg_stat_database
                   WHERE datname = current_database()";
        let transactions = connect(&self.url).await?.query_one(sql, &[]).await?.get(0);
        let mut connection = redis.connect().await?;
        let stats: String = redis::cmd("INFO").arg("stats").query_async(&mut connection).await?;
        let commands =
            stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        let commands = commands.context("Redis does not count")?.trim().parse()?;
        Ok(Asked { transactions, commands })
    }
}

/// How often others were asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// Of PostgreSQL, whatever they were for.
    pub transactions: i64,
    /// Of Redis.
    pub commands: i64,
}

impl Asked {
    /// Since an earlier look.
    pub fn since(self, earlier: Self) -> Self {
        let transactions = self.transactions - earlier.transactions;
        Self { transactions, commands: self.commands - earlier.commands }
    }
}

/// Bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Written {
    pub wal: i64,
    /// In tables and indexes.
    pub kept: i64,
}

impl Written {
    /// What was written since an earlier look.
    pub fn since(self, earlier: Self) -> Self {
        Self { wal: self.wal - earlier.wal, kept: self.kept - earlier.kept }
    }
}

/// A folder that goes when this value goes.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The settings of a server on that database: the defaults.
pub fn config(url: &str) -> anyhow::Result<Config> {
    let overrides = [("postgres.url".to_owned(), url.to_owned())].into();
    Ok(Config::load(&Sources { overrides, ..Sources::default() })?)
}

async fn fill(url: &str, folder: &Path, runtime: Handle) -> anyhow::Result<()> {
    let postgres = Postgres::new(&postgres_options(&config(url)?), runtime);
    let postgres = postgres.map_err(anyhow::Error::msg)?;
    migrate::run(&postgres).await.map_err(anyhow::Error::msg)?;
    let skus: Vec<String> = (0..SKUS).map(sku).collect();
    for (skus, stock) in [(&skus[..], Some(STOCK)), (&[SOLD_OUT.to_owned()], None)] {
        let mut csv = String::from("sku,title,price_minor,currency\n");
        for sku in skus {
            writeln!(csv, "{sku},Enamel mug {sku},1299,GBP")?;
        }
        let file = folder.join("catalog.csv");
        std::fs::write(&file, csv)?;
        let options = ImportOptions { stock, ..ImportOptions::default() };
        let report = import_file(&postgres, &file, options).await?;
        ensure!(report.errors == 0, "the catalog was not imported: {report}");
    }
    // A database is only copied while nobody is connected to it.
    postgres.readers.close();
    postgres.writers.close();
    let admin = connect(&named(url, "postgres")?).await?;
    let connected = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'doorbuster'";
    while admin.query_one(connected, &[]).await?.get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn named(url: &str, database: &str) -> anyhow::Result<String> {
    let (server, _) = url.rsplit_once('/').context("a URL without a database")?;
    Ok(format!("{server}/{database}"))
}

/// What a commit waits for at least: one block written and flushed where the WAL lies.
fn flush_micros(folder: &Path) -> anyhow::Result<f64> {
    const FLUSHES: u32 = 200;
    let path = folder.join("flush");
    let file = std::fs::File::create(&path)?;
    file.write_all_at(&[0; 1 << 20], 0)?;
    file.sync_all()?;
    let started = Instant::now();
    for n in 0..FLUSHES {
        file.write_all_at(&[1; 8192], u64::from(n % 100) * 8192)?;
        file.sync_data()?;
    }
    Ok(started.elapsed().as_micros() as f64 / f64::from(FLUSHES))
}
