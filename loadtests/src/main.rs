//! The command line of the load tests.
//!
//! Exit codes: 0 everything was true, 1 something was not or a limit was missed, 2 could not
//! run.

use clap::Parser;
use loadtests::client::Base;
use loadtests::journey::Journey;
use loadtests::present::{self, Compare, show};
use loadtests::record::Run;
use loadtests::target::{Access, Instances};
use loadtests::{oracle, run, search_latency, seed};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Load tests for doorbuster, and the oracle that judges them.
///
/// Exit codes: 0 everything was true, 1 something was not or a limit was missed, 2 could not
/// run.
#[derive(Parser)]
#[command(version)]
enum Command {
    #[command(flatten)]
    Journey(Journey),
    /// A catalog of any size, made by the database itself
    Seed(seed::Options),
    /// Different searches, one after the other: how long they take without a cache
    SearchLatency(search_latency::Options),
    /// What differs between two runs by more than noise
    Compare(Compare),
    /// A scenario from a file
    Run(Box<run::Options>),
    /// Judge the record of an earlier run again
    Oracle {
        /// What --record wrote
        #[arg(long, value_name = "FILE")]
        record: PathBuf,
        /// An instance, if there is no database
        #[arg(long, value_name = "URL")]
        url: Option<Base>,
        #[command(flatten)]
        access: Access,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let clean = match Command::parse() {
        Command::Journey(journey) => show(journey.run(), journey.instances()).await,
        Command::Seed(options) => seed::seed(&options).await.map(|()| true),
        Command::SearchLatency(options) => search_latency::measure(&options).await,
        Command::Compare(options) => present::compare(&options),
        Command::Run(options) => show(run::run(&options), options.instances()).await,
        Command::Oracle { record, url, access } => judge(&record, url, &access).await,
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

async fn judge(record: &Path, url: Option<Base>, access: &Access) -> anyhow::Result<bool> {
    let instances = Instances::of(url.into_iter().collect());
    let verdict = oracle::examine(&Run::load(record)?, access.source(&instances)?).await?;
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
