//! The command line of the load tests.
//!
//! Exit codes: 0 everything was true, 1 something was not or a limit was missed, 2 could not
//! run.

use clap::Parser;
use loadtests::present::{self, Compare, show};
use loadtests::record::Run;
use loadtests::report::Report;
use loadtests::target::Target;
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
    /// What differs between two runs by more than noise
    Compare(Compare),
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
        Command::Rush(options) => on(rush::rush(&options), options.target()).await,
        Command::Replay(options) => on(replay::replay(&options), options.target()).await,
        Command::Browse(options) => {
            show(browse::browse(&options), options.instances(), None).await
        }
        Command::Search(options) => {
            show(search::search(&options), options.instances(), None).await
        }
        Command::Cart(options) => {
            show(cart::cart(&options), options.instances(), options.database.as_deref()).await
        }
        Command::Checkout(options) => {
            let run = checkout::checkout(&options);
            show(run, options.instances(), Some(&options.database)).await
        }
        Command::Seed(options) => seed::seed(&options).await.map(|()| true),
        Command::Retention(options) => {
            on(retention::retention(&options), options.rush.target()).await
        }
        Command::SearchLatency(options) => search_latency::measure(&options).await,
        Command::Compare(options) => present::compare(&options),
        Command::Run(options) => present::show_file(&options).await,
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

async fn on(
    run: impl Future<Output = anyhow::Result<Report>>,
    target: &Target,
) -> anyhow::Result<bool> {
    show(run, &target.instances, Some(&target.database)).await
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
