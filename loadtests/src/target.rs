//! What a scenario runs against: instances, their database and the credential of an admin.

use crate::client::Base;
use crate::generator::Settings;
use anyhow::ensure;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;

/// The options that all scenarios share.
#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    /// An instance, such as http://127.0.0.1:8080; several times for several instances
    #[arg(long = "url", required = true, value_name = "URL")]
    pub urls: Vec<Base>,
    /// Their database, read by the oracle
    #[arg(long, env = "DOORBUSTER__POSTGRES__URL", value_name = "URL", hide_env_values = true)]
    pub database: String,
    /// The secret key of an admin, sk_…
    #[arg(
        long,
        env = "DOORBUSTER__ADMIN__SECRET_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    pub admin_key: String,
    /// Keep-alive connections in all
    #[arg(long, default_value_t = 256)]
    pub connections: usize,
    /// Write the result as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write what was sent and received, to be judged again by `loadtests oracle`
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

impl Target {
    /// Clients of these instances.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        ensure!(!self.urls.is_empty(), "no --url");
        ensure!((1..=20_000).contains(&self.connections), "--connections: 1 to 20000");
        Ok(Settings::new(self.urls.clone(), self.connections))
    }
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
