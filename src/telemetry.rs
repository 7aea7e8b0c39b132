//! Structured logs, on standard error so that standard output stays for machines.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt, registry};

/// Installs the process's logger; once only. An error is a sentence for the operator.
pub fn install(log: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|error| format!("log.filter cannot be read: {error}"))?;
    // One error line for each malformed request is a gift to whoever sends them.
    let quiet = "actix_http::h1::dispatcher=off".parse();
    let quiet = quiet.map_err(|error| format!("log.filter: {error}"))?;
    let lines =
        fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let registry = registry().with(filter.add_directive(quiet)).with(filter_fn(keeps_secrets));
    let installed = match log.format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
    installed.map_err(|error| error.to_string())
}

/// Below `info`, libraries repeat what they were sent: headers with tokens, statements with their
/// parameters. No filter makes that a line of the log.
fn keeps_secrets(metadata: &Metadata<'_>) -> bool {
    let crate_name = metadata.target().split("::").next();
    *metadata.level() <= Level::INFO || crate_name == Some("doorbuster")
}
