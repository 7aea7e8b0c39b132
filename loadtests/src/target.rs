//! What a scenario runs against: instances, their database and the credential of an admin.

use crate::client::Base;
use crate::generator::Settings;
use crate::stored::Source;
use crate::supply::Office;
use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

/// The options that all scenarios share.
#[derive(Debug, Clone, clap::Args)]
pub struct Instances {
    /// An instance, such as http://127.0.0.1:8080; several times for several instances
    #[arg(long = "url", required = true, value_name = "URL")]
    pub urls: Vec<Base>,
    /// The share of requests that come on a new connection, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub new_connections: f64,
    /// Write the result as JSON
    #[arg(long, value_name = "FILE", value_parser = new_file)]
    pub json: Option<PathBuf>,
    /// Write the result as a page, complete in one file
    #[arg(long, value_name = "FILE", value_parser = new_file)]
    pub html: Option<PathBuf>,
    /// Compare with an earlier run: what its --json wrote
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// The instances' processes, in the order of their URLs, for CPU and memory [default: those
    /// that listen on the ports, if they are on this machine]
    #[arg(long = "pid", value_name = "PID")]
    pub pids: Vec<u32>,
}

impl Instances {
    /// These, and nothing to be written about them.
    pub fn of(urls: Vec<Base>) -> Self {
        Self {
            urls,
            new_connections: 0.0,
            json: None,
            html: None,
            baseline: None,
            pids: Vec::new(),
        }
    }

    /// Clients of these instances; the seed decides when they send, and when they come again.
    pub fn settings(&self, connections: usize, seed: u64) -> anyhow::Result<Settings> {
        ensure!(!self.urls.is_empty(), "no --url");
        ensure!((1..=20_000).contains(&connections), "1 to 20000 connections");
        ensure!((0.0..=1.0).contains(&self.new_connections), "--new-connections: 0 to 1");
        let new_connections = self.new_connections;
        let settings = Settings::new(self.urls.clone(), connections, seed);
        Ok(Settings { new_connections, ..settings })
    }
}

/// What opens more of the instances than shoppers see.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Access {
    /// Their database; without it the oracle reads what the API exports
    #[arg(long, env = "DOORBUSTER__POSTGRES__URL", value_name = "URL", hide_env_values = true)]
    pub database: Option<String>,
    /// The secret key of an admin, sk_…
    #[arg(
        long,
        env = "DOORBUSTER__ADMIN__SECRET_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    pub admin_key: Option<String>,
}

impl Access {
    /// Their back office.
    pub fn office<'a>(&'a self, instances: &'a Instances) -> anyhow::Result<Office<'a>> {
        let admin_key = self.admin_key.as_deref().filter(|key| !key.is_empty());
        let admin_key = admin_key.context("this needs --admin-key")?;
        Ok(Office { instances, admin_key })
    }

    /// Where the oracle looks.
    pub fn source<'a>(&'a self, instances: &'a Instances) -> anyhow::Result<Source<'a>> {
        match self.database() {
            Ok(database) => Ok(Source::Database(database)),
            Err(_) => self.office(instances).map(Source::Api).context("or --database"),
        }
    }

    /// Their database, for what the API does not show.
    pub fn database(&self) -> anyhow::Result<&str> {
        // An empty variable of the environment is as good as none.
        let database = self.database.as_deref().filter(|database| !database.is_empty());
        database.context("this needs --database")
    }
}

/// The options of the scenarios that place orders alone.
#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    #[command(flatten)]
    #[expect(missing_docs, reason = "options of their own")]
    pub instances: Instances,
    #[command(flatten)]
    #[expect(missing_docs, reason = "options of their own")]
    pub access: Access,
    /// Keep-alive connections in all
    #[arg(long, default_value_t = 256)]
    pub connections: usize,
    /// Write what was sent and received, to be judged again by `loadtests oracle`
    #[arg(long, value_name = "FILE", value_parser = new_file)]
    pub record: Option<PathBuf>,
}

impl Target {
    /// Clients of these instances; the seed decides when they send, and when they come again.
    pub fn settings(&self, seed: u64) -> anyhow::Result<Settings> {
        self.instances.settings(self.connections, seed).context("--connections")
    }

    /// Where the oracle looks.
    pub fn source(&self) -> anyhow::Result<Source<'_>> {
        self.access.source(&self.instances)
    }

    /// Its back office.
    pub fn office(&self) -> anyhow::Result<Office<'_>> {
        self.access.office(&self.instances)
    }
}

/// Parses where a file shall be written, so that a missing folder is not found out after the run.
pub fn new_file(file: &str) -> anyhow::Result<PathBuf> {
    let file = PathBuf::from(file);
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    ensure!(folder.is_none_or(Path::is_dir), "there is no such folder");
    ensure!(!file.is_dir(), "it is a folder");
    Ok(file)
}

/// A name that no other run has, good in SKUs, keys and host names: `rush-1f9c22d07a`.
pub fn run_name(scenario: &str) -> String {
    format!("{scenario}-{:010x}", rand::random::<u64>() >> 24)
}

/// A progress bar on standard error, if that is a terminal.
pub fn progress(label: &'static str, count: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:12} {bar:40} {pos}/{len} {per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count as u64).with_style(style).with_message(label)
}
