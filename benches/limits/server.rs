//! The server as a process of its own, and what its metrics tell.

use super::database::Database;
use super::presumed;
use anyhow::{Context, ensure};
use loadtests::client::{Connection, Request};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What becomes of the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {
    /// They are committed: the `doorbuster` binary.
    Real,
    /// They are answered at once: this executable.
    Presumed,
}

/// A running server with the default settings.
pub struct Server {
    pub url: String,
    child: Child,
}

impl Server {
    /// Starts it on a database.
    pub fn start(journal: Journal, database: &Database) -> anyhow::Result<Self> {
        let mut command = match journal {
            Journal::Real => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
                command.arg("serve");
                command
            }
            Journal::Presumed => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg(presumed::ARGUMENT);
                command
            }
        };
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("DOORBUSTER__")) {
            command.env_remove(key);
        }
        command.env("DOORBUSTER__SERVER__BIND", "127.0.0.1:0");
        command.env("DOORBUSTER__POSTGRES__URL", &database.url);
        command.envs(database.redis.iter().map(|r| ("DOORBUSTER__REDIS__URL", &r.url)));
        command.env("DOORBUSTER__LOG__FILTER", "error");
        // One address asks for everything.
        for limit in
            ["PER_ADDRESS", "PER_CREDENTIAL", "SESSIONS_PER_ADDRESS", "ORDERS_PER_ADDRESS"]
        {
            let limit = format!("DOORBUSTER__LIMITS__{limit}");
            command.env(limit, "1000000/second burst 1000000");
        }
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("a server without an output")?;
        let mut server = Self { url: String::new(), child };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let url = line.trim().strip_prefix("doorbuster: serving ");
        url.context("the server did not start")?.clone_into(&mut server.url);
        Ok(server)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The journal's batches until now.
    pub async fn batches(&self) -> anyhow::Result<Batches> {
        let mut connection = Connection::new(self.url.parse()?);
        let answer = connection.send(&Request::get("/metrics"), Duration::from_secs(5)).await;
        let answer = answer.ok().context("the server shows no metrics")?;
        ensure!(answer.status == 200, "the metrics were answered with {}", answer.status);
        Ok(Batches::read(&String::from_utf8_lossy(&answer.body)))
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many batches of which size the journal committed.
#[derive(Debug, Clone, Default)]
pub struct Batches {
    /// Upper bounds with the batches of at most that size, as Prometheus counts them.
    pub up_to: Vec<(f64, f64)>,
    pub count: f64,
    pub entries: f64,
    /// Those in the optimistic form.
    pub optimistic: f64,
    /// From the BEGIN of each to the answer of its COMMIT, together.
    pub seconds: f64,
}

impl Batches {
    fn read(metrics: &str) -> Self {
        let mut batches = Self::default();
        for line in metrics.lines() {
            let Some(rest) = line.strip_prefix("doorbuster_journal_") else { continue };
            let Some((name, value)) = rest.rsplit_once(' ') else { continue };
            let value = value.parse().unwrap_or(0.0);
            if name.starts_with("commit_seconds_sum") {
                batches.seconds += value;
            }
            let Some(name) = name.strip_prefix("batch_entries_") else { continue };
            if name.starts_with("sum") {
                batches.entries += value;
            } else if name.starts_with("count") {
                batches.count += value;
                batches.optimistic += if name.contains("optimistic") { value } else { 0.0 };
            } else if let Some((_, bound)) = name.split_once("le=\"") {
                let bound = bound.split('"').next().and_then(|bound| bound.parse().ok());
                bound.into_iter().for_each(|bound| batches.add(bound, value));
            }
        }
        batches
    }

    /// Adds the bucket of one form to those of the others.
    fn add(&mut self, bound: f64, value: f64) {
        match self.up_to.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, count)) => *count += value,
            None => self.up_to.push((bound, value)),
        }
    }

    /// The batches since an earlier look.
    pub fn since(mut self, earlier: &Self) -> Self {
        earlier.up_to.iter().for_each(|(bound, count)| self.add(*bound, -count));
        self.count -= earlier.count;
        self.entries -= earlier.entries;
        self.optimistic -= earlier.optimistic;
        self.seconds -= earlier.seconds;
        self
    }

    /// The share of the batches with at most so many entries.
    pub fn share_up_to(&self, entries: f64) -> f64 {
        let bucket = self.up_to.iter().find(|(bound, _)| *bound == entries);
        bucket.map_or(0.0, |(_, count)| count / self.count.max(1.0))
    }
}
