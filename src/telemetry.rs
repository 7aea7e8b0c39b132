//! Structured logs, on standard error so that standard output stays for machines.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Installs the process's logger; once only. An error is a sentence for the operator.
pub fn install(log: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|error| format!("log.filter cannot be read: {error}"))?;
    // One error line for each malformed request is a gift to whoever sends them.
    let quiet = "actix_http::h1::dispatcher=off".parse();
    let quiet = quiet.map_err(|error| format!("log.filter: {error}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter.add_directive(quiet))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let installed = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    installed.map_err(|error| error.to_string())
}
