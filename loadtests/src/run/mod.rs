//! Runs a scenario file: prepares what it needs, sends what it says when it says it, judges the
//! answers, and compares the figures with its thresholds.

mod evidence;
mod goods;
mod limits;
mod mix;
mod stairs;
mod tally;

use crate::arrivals::Schedule;
use crate::caller::{Caller, dice};
use crate::cart::open_sessions;
use crate::fleet::Fleet;
use crate::generator::{Settings, drive, micros};
use crate::oracle::Verdict;
use crate::present::watched;
use crate::record::Record;
use crate::report::{Climb, Report, Step};
use crate::rush::ask_again;
use crate::scenario::{Against, File, Scenario, Stairs};
use crate::target::{Access, Instances, new_file, progress, run_name};
use anyhow::{Context, bail, ensure};
use evidence::Evidence;
use goods::Goods;
use indicatif::ProgressBar;
use mix::{Plan, Sort, Tag, wrong};
use stairs::Stage;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tally::Tally;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// The options of a run.
#[derive(Debug, Clone, clap::Args)]
#[command(mut_arg("urls", |urls| urls.required(false)))]
#[command(mut_arg("pids", |pids| pids.conflicts_with("start")))]
pub struct Options {
    /// A file, or the name of a scenario that is built in
    #[arg(value_name = "FILE|NAME")]
    scenario: String,
    #[command(flatten)]
    instances: Instances,
    /// Start so many instances, with a private PostgreSQL and Redis, for the time of the run
    #[arg(long, value_name = "COUNT", conflicts_with = "urls")]
    start: Option<usize>,
    /// The program that is started [default: doorbuster beside this one]
    #[arg(long, value_name = "FILE", requires = "start")]
    binary: Option<PathBuf>,
    /// The catalog that they sell, from CSV or NDJSON [default: the demo catalog]
    #[arg(long, value_name = "FILE", requires = "start")]
    catalog: Option<PathBuf>,
    /// Another value for a key of the file, such as goods.units=5 or arrivals.0.rate=200
    #[arg(long = "set", value_name = "KEY=VALUE")]
    changes: Vec<String>,
    #[command(flatten)]
    access: Access,
    /// Show a rush as it happens, on this terminal
    #[arg(long)]
    live: bool,
    /// Write the orders that were sent and received, to be judged again by `loadtests oracle`
    #[arg(long, value_name = "FILE", value_parser = new_file)]
    record: Option<PathBuf>,
}

impl Options {
    /// The options shared by all scenarios.
    pub fn instances(&self) -> &Instances {
        &self.instances
    }

    /// What cannot be is said before anything is started.
    fn check(&self, file: &File) -> anyhow::Result<()> {
        let urls = self.instances.urls.len();
        let instances = self.start.unwrap_or(urls);
        ensure!(instances > 0, "against what? --url URL, or --start COUNT");
        match file {
            File::Mixed(scenario) => {
                ensure!(!self.live, "--live: not of kind = {:?}", scenario.kind.name());
                Ok(())
            }
            File::Preset(preset) => preset.rehearse(instances, self.live, self.record.as_deref()),
        }
    }
}

/// Runs the scenario, beside instances of its own if that is asked for.
pub async fn run(options: &Options) -> anyhow::Result<Report> {
    let file = File::load(&options.scenario, &options.changes)?;
    options.check(&file)?;
    tokio::select! {
        report = start_and_run(options, &file) => report,
        // What was started stops when this returns.
        signal = interrupted() => bail!("interrupted by {}", signal?),
    }
}

async fn start_and_run(options: &Options, file: &File) -> anyhow::Result<Report> {
    let target = Target {
        instances: options.instances.clone(),
        access: options.access.clone(),
        record: options.record.clone(),
        live: options.live,
    };
    let Some(count) = options.start else { return run_file(file, &target).await };
    eprintln!("starting {count} of doorbuster, with a PostgreSQL and a Redis of their own …");
    let (binary, catalog) = (options.binary.clone(), options.catalog.clone());
    let start = move || Fleet::start(count, binary.as_deref(), catalog.as_deref());
    let fleet = tokio::task::spawn_blocking(start).await.context("--start")??;
    let (urls, pids) = (fleet.urls.clone(), fleet.pids());
    let target = Target {
        instances: Instances { urls, pids, ..target.instances },
        access: Access {
            database: Some(fleet.database.clone()),
            admin_key: Some(fleet.admin_key.clone()),
        },
        ..target
    };
    let mut report = run_file(file, &target).await?;
    for violated in fleet.verify()? {
        report.verdict.find("doorbuster verify", violated);
    }
    Ok(report)
}

async fn run_file(file: &File, target: &Target) -> anyhow::Result<Report> {
    let database = target.access.database.as_deref();
    let (mut report, thresholds) = match file {
        File::Mixed(scenario) => {
            let run = run_mixed(scenario, target);
            (watched(run, &target.instances, database).await?, &scenario.thresholds)
        }
        File::Preset(preset) => {
            let journey = preset.journey(&target.against())?;
            let mut report = watched(journey.send(), &target.instances, database).await?;
            report.about.clone_from(&preset.about);
            limits::general(&preset.thresholds, &mut report);
            (report, &preset.thresholds)
        }
    };
    limits::memory(thresholds, &mut report);
    Ok(report)
}

async fn interrupted() -> anyhow::Result<&'static str> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut quit = signal(SignalKind::quit())?;
    tokio::select! {
        _ = interrupt.recv() => Ok("SIGINT"),
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = hangup.recv() => Ok("SIGHUP"),
        _ = quit.recv() => Ok("SIGQUIT"),
    }
}

/// Instances, and what is known of them.
struct Target {
    instances: Instances,
    access: Access,
    record: Option<PathBuf>,
    live: bool,
}

impl Target {
    fn against(&self) -> Against<'_> {
        Against {
            urls: &self.instances.urls,
            pids: &self.instances.pids,
            new_connections: self.instances.new_connections,
            live: self.live,
            access: &self.access,
            record: self.record.as_deref(),
        }
    }

    fn settings(&self, scenario: &Scenario) -> anyhow::Result<Settings> {
        let clients = &scenario.clients;
        let settings = self.instances.settings(clients.connections, scenario.seed)?;
        let patience = Duration::try_from_secs_f64(clients.patience_seconds)
            .context("clients.patience_seconds")?;
        Ok(Settings {
            // What the command line says goes.
            new_connections: match settings.new_connections {
                0.0 => clients.new_connections,
                share => share,
            },
            attempt_timeout: Duration::try_from_secs_f64(clients.timeout_seconds)
                .context("clients.timeout_seconds")?,
            deadline: patience,
            patience: Some(patience),
            ..settings
        })
    }
}

async fn run_mixed(scenario: &Scenario, target: &Target) -> anyhow::Result<Report> {
    let sells = scenario.mix().orders > 0.0;
    let source = target.access.source(&target.instances);
    let source = if sells { Some(source.context("orders are judged")?) } else { None };
    let settings = Arc::new(target.settings(scenario)?);
    let name = run_name(scenario.kind.name());
    let mut caller = Caller::new(&settings, 0, Instant::now());
    let goods =
        Goods::prepare(scenario, &name, target.access.office(&target.instances), &mut caller)
            .await?;
    let guests = match scenario.mix().carts > 0.0 {
        true => open_sessions(&settings, scenario.sessions.count).await?,
        false => Vec::new(),
    };
    let guests = guests.into_iter().map(|guest| guest.token).collect();
    let mut run = Running {
        evidence: Evidence::new(goods.supplied.clone(), target.record.as_deref()),
        plan: Arc::new(Plan::new(scenario, &name, goods, guests)?),
        tally: Tally::new(scenario.schedule()?.seconds())?,
        bar: progress("requests", scenario.expected()? as usize),
        next: 0,
        elapsed: Duration::ZERO,
    };
    let climb = match &scenario.stairs {
        Some(stairs) => run.climb(stairs, scenario.seed, &settings).await?,
        None => {
            let whole = run.stage(scenario.schedule()?, scenario.seed, &settings).await;
            whole.map(|_| Climb::default())?
        }
    };
    run.bar.finish_and_clear();

    let Running { mut evidence, mut tally, .. } = run;
    let verdict = match source {
        Some(source) if !evidence.is_empty() => {
            ask_again(evidence.held(), scenario.clients.ask_again, &settings).await;
            evidence.judge(source).await?
        }
        _ => Verdict::default(),
    };
    let mut report = tally.report(scenario.kind.name(), &name, verdict)?;
    report.about.clone_from(&scenario.about);
    report.stairs = scenario.stairs.is_some().then_some(climb);
    limits::judge(scenario, &tally, &mut report);
    Ok(report)
}

/// A run on its way.
struct Running {
    plan: Arc<Plan>,
    evidence: Evidence,
    /// Of all stages.
    tally: Tally,
    bar: ProgressBar,
    /// The number of the next request.
    next: usize,
    /// When the next stage begins, from the start of the run.
    elapsed: Duration,
}

impl Running {
    /// Sends what a schedule says, and counts and keeps what comes back.
    async fn stage(
        &mut self,
        schedule: Schedule,
        seed: u64,
        settings: &Settings,
    ) -> anyhow::Result<()> {
        self.watched_stage(schedule, seed, settings, |_, _| Ok(())).await
    }

    /// The same, and shows each record to somebody else, timed from the start of the stage.
    async fn watched_stage(
        &mut self,
        schedule: Schedule,
        seed: u64,
        settings: &Settings,
        mut watch: impl FnMut(&Tag, &Record) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let starts = schedule.starts(dice(seed, self.next));
        let departures = self.plan.departures(starts, self.next);
        let (begun, before) = (Instant::now(), self.elapsed);
        let mut failed = None;
        drive(departures, settings, |tag, mut record| {
            self.next += 1;
            self.bar.inc(1);
            if let Some(wrong) = wrong(&tag, &record) {
                self.tally.find(format!("{} {}", tag.sort.name(), tag.about), wrong);
            }
            let watched = watch(&tag, &record);
            record.timing.answered_at_us += micros(before);
            let counted = watched.and_then(|()| self.tally.add(&tag, &record));
            failed = failed.take().or(counted.err());
            if tag.sort == Sort::Orders {
                self.evidence.add(record);
            }
        })
        .await;
        self.elapsed += begun.elapsed();
        failed.map_or(Ok(()), Err)
    }

    async fn climb(
        &mut self,
        stairs: &Stairs,
        seed: u64,
        settings: &Settings,
    ) -> anyhow::Result<Climb> {
        let mut climb = Climb::default();
        // Whoever is not served within a step does not belong to the next one.
        let patience = Duration::from_secs_f64(stairs.seconds).min(settings.deadline);
        let deadline = if stairs.goes_on { Duration::ZERO } else { patience };
        let settings = Settings { patience: Some(patience), deadline, ..settings.clone() };
        for rate in stairs.rates() {
            let step = self.step(rate, stairs, seed, &settings).await?;
            if stairs::climb(&mut climb, stairs, rate, step) {
                break;
            }
        }
        if let Some(knee) = climb.knee {
            for share in &stairs.below {
                let step = self.step(knee * share.of_knee, stairs, seed, &settings).await?;
                climb.below.push((share.of_knee, step));
            }
        }
        Ok(climb)
    }

    /// A stage at one rate.
    async fn step(
        &mut self,
        rate: f64,
        stairs: &Stairs,
        seed: u64,
        settings: &Settings,
    ) -> anyhow::Result<Step> {
        let (mut tally, mut stage) = (Tally::new(stairs.seconds)?, Stage::new(stairs)?);
        let schedule = Schedule::constant(rate, stairs.seconds, true);
        self.watched_stage(schedule, seed, settings, |tag, record| {
            stage.add(record)?;
            tally.add(tag, record)
        })
        .await?;
        Ok(stage.step(&tally))
    }
}

#[cfg(test)]
mod tests;
