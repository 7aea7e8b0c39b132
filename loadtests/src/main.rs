//! The command line of the load tests.
//!
//! Exit codes: 0 everything was true, 1 something was not or a limit was missed, 2 could not
//! run.

use clap::Parser;
use loadtests::record::Run;
use loadtests::report::Report;
use loadtests::target::Target;
use loadtests::{oracle, replay, retention, rush, search_latency, seed};
use std::path::PathBuf;
use std::process::ExitCode;

/// Load tests for doorbuster, and the oracle that judges them.
///
/// Exit codes: 0 everything was true, 1 something was not or a limit was missed, 2 could not
/// run.
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Far more buyers than units, all within seconds
    Rush(Box<rush::Options>),
    /// A year of real baskets
    Replay(Box<replay::Options>),
    /// A catalog of any size, made by the database itself
    Seed(seed::Options),
    /// A rush while millions of old rows wait to be removed
    Retention(Box<retention::Options>),
    /// Different searches, one after the other: how long they take without a cache
    SearchLatency(search_latency::Options),
    /// Judge the record of an earlier run again
    Oracle {
        /// What --record wrote
        #[arg(long, value_name = "FILE")]
        record: PathBuf,
        /// The database of the instances
        #[arg(
            long,
            env = "DOORBUSTER__POSTGRES__URL",
            value_name = "URL",
            hide_env_values = true
        )]
        database: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let clean = match Command::parse() {
        Command::Rush(options) => {
            rush::rush(&options).await.and_then(|report| show(&report, options.target()))
        }
        Command::Replay(options) => {
            replay::replay(&options).await.and_then(|report| show(&report, options.target()))
        }
        Command::Seed(options) => seed::seed(&options).await.map(|()| true),
        Command::Retention(options) => retention::retention(&options)
            .await
            .and_then(|report| show(&report, options.rush.target())),
        Command::SearchLatency(options) => search_latency::measure(&options).await,
        Command::Oracle { record, database } => judge(record, database).await,
    };
    match clean {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn show(report: &Report, target: &Target) -> anyhow::Result<bool> {
    print!("{report}");
    if let Some(file) = &target.json {
        report.save(file)?;
    }
    Ok(report.is_clean())
}

async fn judge(record: PathBuf, database: String) -> anyhow::Result<bool> {
    let verdict = oracle::examine(&Run::load(&record)?, &database).await?;
    print!("{verdict}");
    Ok(verdict.is_clean())
}
