//! Runs a scenario while the monitor looks on, and shows what came of it: the summary, the page
//! and the file for machines.

use crate::monitor::{Monitor, Watched};
use crate::report::Report;
use crate::setup::Setup;
use crate::target::{Instances, new_file};
use anyhow::ensure;
use std::path::PathBuf;

/// The environment variable that names the database, also for scenarios that need none.
const DATABASE: &str = "DOORBUSTER__POSTGRES__URL";

/// Two runs, to be compared.
#[derive(Debug, Clone, clap::Args)]
pub struct Compare {
    /// What --json wrote in the earlier run
    #[arg(value_name = "EARLIER.json")]
    before: PathBuf,
    /// What --json wrote in the later run
    #[arg(value_name = "LATER.json")]
    after: PathBuf,
    /// Write the page of the later run, with what differs
    #[arg(long, value_name = "FILE", value_parser = new_file)]
    html: Option<PathBuf>,
}

/// Runs a scenario and shows its report; whether everything was true and within its limits.
pub async fn show(
    run: impl Future<Output = anyhow::Result<Report>>,
    instances: &Instances,
) -> anyhow::Result<bool> {
    // Read first: a wrong name shall not be found out after the run.
    let baseline = instances.baseline.as_deref().map(Report::load).transpose()?;
    let mut report = run.await?;
    if let Some(baseline) = baseline {
        report.compare_with(baseline);
    }
    print!("{report}");
    if let Some(file) = &instances.json {
        report.save(file)?;
    }
    if let Some(file) = &instances.html {
        report.save_html(file)?;
    }
    Ok(report.is_clean())
}

/// Runs a scenario while the monitor looks on.
pub async fn watched(
    run: impl Future<Output = anyhow::Result<Report>>,
    instances: &Instances,
    database: Option<&str>,
) -> anyhow::Result<Report> {
    let from_environment = std::env::var(DATABASE).ok().filter(|url| !url.is_empty());
    let database = database.or(from_environment.as_deref());
    let setup = Setup::look(&instances.urls, database).await;
    let is_known = database.is_none() || setup.postgres.is_some();
    ensure!(is_known, "--database: {}", setup.unknown.join("; "));
    let monitor = Monitor::start(Watched {
        bases: instances.urls.clone(),
        pids: instances.pids.clone(),
        postgres: setup.postgres.as_ref().and_then(|postgres| postgres.pid),
    });
    let mut report = run.await?;
    report.monitor = monitor.stop(report.started_at_us).await;
    report.limits_missed.extend(setup.not_durable(database.is_some()));
    report.setup = setup;
    Ok(report)
}

/// Shows how two runs differ; whether the later one was true and within its limits.
pub fn compare(options: &Compare) -> anyhow::Result<bool> {
    let (before, mut report) = (Report::load(&options.before)?, Report::load(&options.after)?);
    let (was, is) = (&before.scenario, &report.scenario);
    ensure!(was == is, "a {was} and a {is}: only runs of one scenario can be compared");
    report.compare_with(before);
    print!("{report}");
    if let Some(file) = &options.html {
        report.save_html(file)?;
    }
    Ok(report.is_clean())
}
