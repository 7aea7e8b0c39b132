//! The command line of the load tests.
//!
//! Exit codes: 0 everything was true, 1 something was not or a limit was missed, 2 could not
//! run.

use clap::Parser;
use loadtests::record::Run;
use loadtests::report::Report;
use loadtests::target::Instances;
use loadtests::{
    browse, cart, checkout, oracle, replay, retention, run, rush, search, search_latency, seed,
};
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
    /// Many readers, while prices and stock change
    Browse(Box<browse::Options>),
    /// Searches made of the shop's own titles
    Search(Box<search::Options>),
    /// Carts that several workers change at once
    Cart(Box<cart::Options>),
    /// Whole journeys, with several checkouts of the same cart at once
    Checkout(Box<checkout::Options>),
    /// A scenario from a file
    Run(Box<run::Options>),
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
        Command::Rush(options) => show(rush::rush(&options).await, &options.target().instances),
        Command::Replay(options) => {
            show(replay::replay(&options).await, &options.target().instances)
        }
        Command::Browse(options) => show(browse::browse(&options).await, options.instances()),
        Command::Search(options) => show(search::search(&options).await, options.instances()),
        Command::Cart(options) => show(cart::cart(&options).await, options.instances()),
        Command::Checkout(options) => {
            show(checkout::checkout(&options).await, options.instances())
        }
        Command::Seed(options) => seed::seed(&options).await.map(|()| true),
        Command::Retention(options) => {
            show(retention::retention(&options).await, &options.rush.target().instances)
        }
        Command::SearchLatency(options) => search_latency::measure(&options).await,
        Command::Run(options) => run_file(&options).await,
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

fn show(report: anyhow::Result<Report>, instances: &Instances) -> anyhow::Result<bool> {
    let report = report?;
    print!("{report}");
    if let Some(file) = &instances.json {
        report.save(file)?;
    }
    Ok(report.is_clean())
}

async fn run_file(options: &run::Options) -> anyhow::Result<bool> {
    let finished = run::run(options).await?;
    print!("{finished}{}", finished.report);
    if let Some(file) = options.json() {
        finished.save(file)?;
    }
    Ok(finished.report.is_clean())
}

async fn judge(record: PathBuf, database: String) -> anyhow::Result<bool> {
    let verdict = oracle::examine(&Run::load(&record)?, &database).await?;
    print!("{verdict}");
    Ok(verdict.is_clean())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_free_of_contradictions() {
        Command::command().debug_assert();
    }
}
