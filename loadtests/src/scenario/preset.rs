//! A scenario of the command line whose options stand in a file.

use super::Thresholds;
use crate::client::Base;
use crate::journey::Journey;
use crate::target::Access;
use anyhow::{Context, bail, ensure};
use clap::{Command, FromArgMatches, Subcommand};
use serde::Deserialize;
use std::path::Path;
use toml::{Table, Value};

/// Options that say where, and belong to the command line.
const ELSEWHERE: &[&str] = &[
    "url",
    "database",
    "admin-key",
    "json",
    "html",
    "baseline",
    "live",
    "pid",
    "record",
    "new-connections",
    "kill-pid",
    "kill-url",
];

/// A scenario and its options.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// What it shows, for people.
    pub about: String,
    /// Which scenario.
    kind: String,
    /// Its options as on the command line, without the dashes in front.
    #[serde(default)]
    options: Table,
    /// The instance that is killed in the middle, counted from 1.
    kill: Option<usize>,
    /// What fails the run, besides the limits among the options.
    #[serde(default)]
    pub thresholds: Thresholds,
}

/// What it runs against.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "as on the command line")]
pub struct Against<'a> {
    pub urls: &'a [Base],
    pub pids: &'a [u32],
    pub new_connections: f64,
    pub live: bool,
    pub access: &'a Access,
    pub record: Option<&'a Path>,
}

impl Journey {
    fn command() -> Command {
        Self::augment_subcommands(Command::new("loadtests").no_binary_name(true))
    }

    /// What they are called.
    pub fn names() -> Vec<String> {
        Self::command().get_subcommands().map(|one| one.get_name().to_owned()).collect()
    }
}

impl Preset {
    /// An error if the options cannot be.
    pub fn check(&self) -> anyhow::Result<()> {
        let limits = &self.thresholds;
        ensure!(limits.each.is_empty(), "thresholds.each: for mixes, and this is none");
        let alone = limits.p99_drift_max.is_none() && limits.knee_per_second_min.is_none();
        ensure!(alone, "thresholds: p99_drift_max is of soaks, knee_per_second_min of stairs");
        limits.check_values()?;
        ensure!(self.kill.is_none_or(|kill| (1..=32).contains(&kill)), "kill: 1 to 32");
        let has_its_own = limits.unknown_max.is_some() || limits.refused_share_max.is_some();
        ensure!(!has_its_own, "thresholds: what may be refused or unknown is said by options");
        self.rehearse(self.kill.unwrap_or(1), false, None)
    }

    /// An error if it cannot run against so many instances, whose processes are known.
    pub fn rehearse(
        &self,
        instances: usize,
        live: bool,
        record: Option<&Path>,
    ) -> anyhow::Result<()> {
        let bases = (1..=instances).map(|port| format!("http://127.0.0.1:{port}").parse());
        let told = Some("told".to_owned());
        let journey = self.journey(&Against {
            urls: &bases.collect::<anyhow::Result<Vec<Base>>>()?,
            pids: &vec![std::process::id(); instances],
            new_connections: 0.0,
            live,
            access: &Access { database: told.clone(), admin_key: told },
            record,
        })?;
        journey.check()
    }

    /// The scenario with its options, against these instances.
    pub fn journey(&self, against: &Against<'_>) -> anyhow::Result<Journey> {
        let mut arguments = vec![self.kind.clone()];
        for (name, value) in &self.options {
            let name = name.replace('_', "-");
            ensure!(!ELSEWHERE.contains(&name.as_str()), "options.{name}: on the command line");
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Integer(_) | Value::Float(_) => value.to_string(),
                _ => bail!("options.{name}: expected a number or a text"),
            };
            arguments.push(format!("--{name}={text}"));
        }
        let command = Journey::command();
        let command = command.find_subcommand(&self.kind).context("kind")?;
        let takes = |name| command.get_arguments().any(|known| known.get_long() == Some(name));
        if against.live {
            ensure!(takes("live"), "--live: not of kind = {:?}", self.kind);
            arguments.push("--live".to_owned());
        }
        let mut tell = |name, value: Option<String>| {
            if let Some(value) = value.filter(|_| takes(name)) {
                arguments.push(format!("--{name}={value}"));
            }
        };
        for url in against.urls {
            tell("url", Some(url.to_string()));
        }
        tell("new-connections", Some(against.new_connections.to_string()));
        for pid in against.pids {
            tell("pid", Some(pid.to_string()));
        }
        tell("database", against.access.database.clone());
        tell("admin-key", against.access.admin_key.clone());
        let keeps = against.record.is_none() || takes("record");
        ensure!(keeps, "--record: not of kind = {:?}", self.kind);
        tell("record", against.record.map(|file| file.display().to_string()));
        if let Some(place) = self.kill {
            let at = place.checked_sub(1).context("kill: counted from 1")?;
            let url = against.urls.get(at).with_context(|| format!("kill = {place}: too few"))?;
            let pid = against.pids.get(at).context("kill: whose process? --pid, or --start")?;
            ensure!(takes("kill-pid"), "kill: not of kind = {:?}", self.kind);
            tell("kill-pid", Some(pid.to_string()));
            tell("kill-url", Some(url.to_string()));
        }
        let matches = Journey::command().try_get_matches_from(arguments).map_err(in_words)?;
        Journey::from_arg_matches(&matches).map_err(in_words)
    }
}

/// The first line says it; the others are about a command line that nobody typed.
fn in_words(error: clap::Error) -> anyhow::Error {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    anyhow::anyhow!("options: {}", first.strip_prefix("error: ").unwrap_or(first))
}
