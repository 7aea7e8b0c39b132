//! The command line of the load tests.
//!
//! Exit codes: 0 everything was true, 1 something was not or a limit was missed, 2 could not
//! run.

use clap::Parser;
use loadtests::client::Base;
use loadtests::journey::Journey;
use loadtests::present::{self, Compare, show};
use loadtests::record::Run;
use loadtests::stored::Source;
use loadtests::supply::Office;
use loadtests::target::Instances;
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
        /// The database of the instances [default: what the API of --url exports]
        #[arg(
            long,
            env = "DOORBUSTER__POSTGRES__URL",
            value_name = "URL",
            hide_env_values = true
        )]
        database: Option<String>,
        /// An instance, if there is no database
        #[arg(long, value_name = "URL", requires = "admin_key")]
        url: Option<Base>,
        /// The secret key of an admin, sk_…; only with --url
        #[arg(
            long,
            env = "DOORBUSTER__ADMIN__SECRET_KEY",
            value_name = "KEY",
            hide_env_values = true
        )]
        admin_key: Option<String>,
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
        Command::Oracle { record, database, url, admin_key } => {
            let instances = Instances::of(url.into_iter().collect());
            let source = match &database {
                Some(database) => Source::Database(database),
                None => Source::Api(Office {
                    instances: &instances,
                    admin_key: admin_key.as_deref().unwrap_or_default(),
                }),
            };
            judge(&record, source).await
        }
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

async fn judge(record: &Path, source: Source<'_>) -> anyhow::Result<bool> {
    let verdict = oracle::examine(&Run::load(record)?, source).await?;
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
