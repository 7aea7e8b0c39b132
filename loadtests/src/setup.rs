//! What a run ran on: the product, the machine, and the settings of PostgreSQL without which an
//! acknowledged order could be lost with the power.

use crate::client::{Base, Connection, Request};
use crate::monitor::process;
use crate::stored;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// How long an instance may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(2);
/// The settings that are told.
const TOLD: &[&str] = &[
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
    "wal_sync_method",
];
/// Without these a measured commit is none. `remote_apply` waits for more than `on` does.
const DURABLE: &[(&str, &[&str])] = &[
    ("fsync", &["on"]),
    ("synchronous_commit", &["on", "remote_apply"]),
    ("full_page_writes", &["on"]),
];
/// Options whose values nobody else shall read.
const SECRET: &[&str] = &["--admin-key", "--database"];

/// What a run ran on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The version of the load tests.
    pub loadtests: String,
    /// The command line, without its secrets.
    pub command: Vec<String>,
    /// What each instance says of itself.
    pub instances: Vec<Product>,
    /// The machine of the generator.
    pub machine: Machine,
    /// The database, if it is known.
    pub postgres: Option<PostgresSetup>,
    /// What could not be found out, and why.
    pub unknown: Vec<String>,
}

/// What an instance says of itself at `/`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// Its address.
    #[serde(default)]
    pub url: String,
    /// What it is called.
    #[serde(default)]
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// The commit that it was built from, if it says so.
    #[serde(default)]
    pub commit: Option<String>,
}

/// The machine of the generator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// CPUs that it may use.
    pub cores: usize,
    /// What they are called.
    pub cpu_model: String,
    /// Its memory.
    pub memory_bytes: u64,
    /// Its kernel.
    pub kernel: String,
    /// Processes that wanted to run in the last 1, 5 and 15 minutes, before the run.
    pub load_average: Vec<f64>,
}

/// PostgreSQL as the load test's connection finds it, which is the instances' database and user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PostgresSetup {
    /// Its version.
    pub version: String,
    /// Its settings, with their units.
    pub settings: BTreeMap<String, String>,
    /// Its first process, if that is on this machine.
    pub pid: Option<u32>,
}

impl Setup {
    /// Looks around before a run.
    pub async fn look(bases: &[Base], database: Option<&str>) -> Self {
        let mut setup = Self {
            loadtests: env!("CARGO_PKG_VERSION").to_owned(),
            command: without_secrets(std::env::args().skip(1)),
            machine: Machine::this(),
            ..Self::default()
        };
        for base in bases {
            match Product::ask(base).await {
                Ok(product) => setup.instances.push(product),
                Err(error) => setup.unknown.push(format!("{base}: {error:#}")),
            }
        }
        if let Some(database) = database {
            match PostgresSetup::ask(database).await {
                Ok(postgres) => setup.postgres = Some(postgres),
                Err(error) => setup.unknown.push(format!("settings of PostgreSQL: {error:#}")),
            }
        }
        setup
    }

    /// Why what was measured does not count, if the database does not keep what it commits, or
    /// if nobody knows although there is one.
    pub fn not_durable(&self, has_database: bool) -> Vec<String> {
        match &self.postgres {
            None if has_database => vec!["whether PostgreSQL is durable is not known".to_owned()],
            None => Vec::new(),
            Some(postgres) => postgres.not_durable(),
        }
    }

    /// The database in a line, to be compared.
    pub fn postgres_line(&self) -> String {
        let Some(postgres) = &self.postgres else { return "unknown".to_owned() };
        let settings = postgres.settings.iter().map(|(name, value)| format!("{name} {value}"));
        let settings: Vec<String> = settings.collect();
        format!("{} with {}", postgres.version, settings.join(", "))
    }
}

impl Product {
    async fn ask(base: &Base) -> anyhow::Result<Self> {
        let answer = Connection::new(base.clone()).send(&Request::get("/"), PATIENCE).await;
        let answer = answer.ok().context("did not answer")?;
        let product: Self =
            serde_json::from_slice(&answer.body).context("does not say what it is")?;
        Ok(Self { url: base.to_string(), ..product })
    }

    /// Name, version and commit.
    pub fn version_line(&self) -> String {
        let commit = self.commit.as_deref().map(|commit| format!(" ({commit})"));
        format!("{} {}{}", self.name, self.version, commit.unwrap_or_default())
    }
}

impl Machine {
    fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let load = read("/proc/loadavg");
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu_model: cpu_model(&read("/proc/cpuinfo")),
            memory_bytes: process::kilobytes_of(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_average: load.split(' ').take(3).filter_map(|load| load.parse().ok()).collect(),
        }
    }

    /// The machine in a line, to be compared.
    pub fn line(&self) -> String {
        let gib = self.memory_bytes as f64 / 1_073_741_824.0;
        format!("{} × {}, {gib:.1} GiB, {}", self.cores, self.cpu_model, self.kernel)
    }
}

fn cpu_model(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let model = line.and_then(|line| line.split_once(':')).map_or("", |(_, model)| model.trim());
    if model.is_empty() { "CPU of unknown model".to_owned() } else { model.to_owned() }
}

impl PostgresSetup {
    async fn ask(database: &str) -> anyhow::Result<Self> {
        let client = stored::connect(database).await?;
        let sql = "SELECT name, concat_ws(' ', current_setting(name)) FROM pg_settings
                   WHERE name = ANY($1)";
        let rows = client.query(sql, &[&TOLD]).await?;
        let settings = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        let settings: Result<_, tokio_postgres::Error> = settings.collect();
        let sql = "SELECT current_setting('server_version'), pg_backend_pid()";
        let row = client.query_one(sql, &[]).await?;
        let backend = u32::try_from(row.try_get::<_, i32>(1)?).unwrap_or(0);
        Ok(Self { version: row.try_get(0)?, settings: settings?, pid: parent_of(backend) })
    }

    fn not_durable(&self) -> Vec<String> {
        let wrong = DURABLE.iter().filter_map(|(name, good)| {
            let value = self.settings.get(*name).map_or("not known", String::as_str);
            let wrong = format!("PostgreSQL: {name} is {value}, so a commit may be lost");
            (!good.contains(&value)).then_some(wrong)
        });
        wrong.collect()
    }
}

/// The first process of PostgreSQL, from one that serves this program: while that is connected,
/// a process of this machine with the same number and name is no other one.
fn parent_of(backend: u32) -> Option<u32> {
    process::is_called(backend, "postgres").then(|| process::cpu(backend))?.map(|cpu| cpu.parent)
}

fn without_secrets(arguments: impl Iterator<Item = String>) -> Vec<String> {
    const HIDDEN: &str = "…";
    let mut hide_next = false;
    let hide = |argument: String| {
        let hide = std::mem::replace(&mut hide_next, SECRET.contains(&argument.as_str()));
        if hide {
            return HIDDEN.to_owned();
        }
        match argument.split_once('=') {
            Some((name, _)) if SECRET.contains(&name) => format!("{name}={HIDDEN}"),
            _ => argument,
        }
    };
    arguments.map(hide).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_may_lose_commits_does_not_pass() {
        let mut setup = Setup::default();
        assert!(setup.not_durable(false).is_empty());
        assert_eq!(setup.not_durable(true).len(), 1, "nobody knows");
        let on = |name: &&str| ((*name).to_owned(), "on".to_owned());
        let settings: BTreeMap<String, String> = TOLD.iter().map(on).collect();
        setup.postgres = Some(PostgresSetup { settings, ..PostgresSetup::default() });
        assert!(setup.not_durable(true).is_empty());
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            let mut broken = setup.clone();
            let settings = &mut broken.postgres.as_mut().unwrap().settings;
            settings.insert(name.to_owned(), "off".to_owned());
            let expected = format!("PostgreSQL: {name} is off, so a commit may be lost");
            assert_eq!(broken.not_durable(true), [expected]);
            broken.postgres.as_mut().unwrap().settings.remove(name);
            assert_eq!(broken.not_durable(true).len(), 1, "{name} is not known");
        }
    }

    #[test]
    fn a_command_line_is_told_without_its_secrets() {
        let told = |line: &str| without_secrets(line.split(' ').map(str::to_owned)).join(" ");
        assert_eq!(
            told(
                "rush --admin-key sk_1 --units 7 --database=postgres://a:b@c/d --admin-key=sk_1"
            ),
            "rush --admin-key … --units 7 --database=… --admin-key=…"
        );
    }

    #[test]
    fn the_model_of_the_cpu_is_read_or_said_to_be_unknown() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: Fast 3000\n"), "Fast 3000");
        assert_eq!(cpu_model("processor : 0"), "CPU of unknown model");
    }
}
