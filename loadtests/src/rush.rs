//! The rush: far more buyers than units, all within seconds, on one SKU or a few.

use crate::client::Request;
use crate::generator::{Arrivals, Settings, run};
use crate::kill;
use crate::live::Live;
use crate::oracle;
use crate::order::{Item, NewOrder, Provider};
use crate::record::{Outcome, Record, Run};
use crate::report::Report;
use crate::supply;
use crate::target::{Target, progress, run_name};
use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

/// Minor units of GBP.
const PRICE: i64 = 1_299;

/// The options of the rush.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// Show it as it happens, on this terminal
    #[arg(long)]
    live: bool,
    /// Buyers, each with one order of one unit
    #[arg(long, default_value_t = 20_000)]
    buyers: usize,
    /// Units supplied of each SKU [default: 1000, with several SKUs enough for everybody]
    #[arg(long)]
    units: Option<u32>,
    /// SKUs that the buyers spread over
    #[arg(long, alias = "spread", default_value_t = 1)]
    skus: usize,
    /// Everybody arrives within this time
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    ramp_seconds: f64,
    /// The same number, the same moments [default: others each time]
    #[arg(long)]
    seed: Option<u64>,
    /// How orders are paid
    #[arg(long, value_enum, default_value = "manual")]
    provider: Provider,
    /// Acknowledged orders that are asked for again afterwards, to compare the replays
    #[arg(long, default_value_t = 200, value_name = "COUNT")]
    ask_again: usize,
    #[command(flatten)]
    kill: kill::Options,
    /// Fail if more buyers than this have no final answer after a minute
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    unknown_max: u64,
    /// Fail if the 99th percentile of acknowledged orders is above this
    #[arg(long, value_name = "MILLISECONDS")]
    p99_ms_max: Option<f64>,
    /// Fail if fewer orders a second are acknowledged
    #[arg(long, value_name = "COUNT")]
    per_second_min: Option<f64>,
}

/// Prepares the sale, lets everybody in, and judges what came of it.
pub async fn rush(options: &Options) -> anyhow::Result<Report> {
    let settings = options.settings()?;
    let kill = settings.kill.clone();
    let name = run_name("rush");
    let supplied = options.prepare(&name).await?;

    let orders = options.orders(&name, &supplied)?;
    let live = options.live(&name, &supplied)?;
    let bar = match live {
        Some(_) => ProgressBar::hidden(),
        None => progress("buyers", orders.len()),
    };
    let shown = Settings { live: live.as_ref().map(Live::feed), ..settings.clone() };
    let mut records = run(orders, Arrivals::Window(options.ramp()?), &shown, &bar).await;
    bar.finish_and_clear();
    if let Some(live) = live {
        live.finish().await;
    }
    ask_again(&mut records, options.ask_again, &settings).await;

    let evidence = Run { supplied, records, since_us: None };
    keep(&evidence, options.target.record.as_deref())?;
    let verdict = oracle::examine(&evidence, options.target.source()?).await?;
    let mut report = Report::new("rush", &name, &evidence.records, verdict)?;
    options.limit(&mut report);
    report.attach_kill(kill.as_deref());
    Ok(report)
}

/// Writes the evidence, if asked to.
pub fn keep(evidence: &Run, file: Option<&Path>) -> anyhow::Result<()> {
    file.map_or(Ok(()), |file| evidence.save(file))
}

impl Options {
    /// The options shared by all scenarios.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The clients, or why there cannot be such a rush.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        ensure!(self.buyers > 0, "--buyers: at least one");
        ensure!((1..=10_000).contains(&self.skus), "--skus: 1 to 10000");
        ensure!(self.units != Some(0), "--units: at least one");
        self.ramp()?;
        self.target.office()?;
        let settings = self.target.settings(self.seed.unwrap_or_else(rand::random))?;
        let urls = &self.target.instances.urls;
        let kill = self.kill.switch(urls, self.target.connections / urls.len())?;
        Ok(Settings { kill, ..settings })
    }

    fn ramp(&self) -> anyhow::Result<Duration> {
        Duration::try_from_secs_f64(self.ramp_seconds).context("--ramp-seconds: zero or more")
    }

    /// Fresh SKUs with stock; what was supplied of each.
    async fn prepare(&self, name: &str) -> anyhow::Result<BTreeMap<String, i64>> {
        let plenty = u32::try_from(self.buyers.div_ceil(self.skus)).context("--buyers")?;
        let units = self.units.unwrap_or(if self.skus == 1 { 1_000 } else { plenty });
        let skus: Vec<String> =
            (1..=self.skus).map(|n| format!("{}-{n}", name.to_uppercase())).collect();
        let office = self.target.office()?;
        supply::create_products(&office, name, &skus, PRICE).await?;
        let supplied = skus.into_iter().map(|sku| (sku, i64::from(units))).collect();
        supply::receive(&office, name, &supplied).await?;
        supply::until_known_everywhere().await;
        Ok(supplied)
    }

    /// The picture, if somebody wants to see it.
    fn live(&self, name: &str, supplied: &BTreeMap<String, i64>) -> anyhow::Result<Option<Live>> {
        if !self.live {
            return Ok(None);
        }
        let live = Live::start(name, self.buyers);
        let live =
            live.inspect_err(|error| eprintln!("--live: {error:#}; a progress bar instead"));
        let Ok(mut live) = live else { return Ok(None) };
        if let (1, Some((sku, units))) = (supplied.len(), supplied.first_key_value()) {
            live.watch_stock(self.target.office()?, sku, *units);
        }
        Ok(Some(live))
    }

    fn orders(
        &self,
        name: &str,
        supplied: &BTreeMap<String, i64>,
    ) -> anyhow::Result<Vec<Request>> {
        let order = |(n, sku): (usize, &String)| {
            let items = vec![Item { sku: sku.clone(), quantity: 1 }];
            let order = NewOrder::of_buyer(n, name, items, self.provider.payment());
            Ok(Request::post("/v1/orders", format!("{name}-buyer-{n}"), order.to_body()?))
        };
        (1..=self.buyers).zip(supplied.keys().cycle()).map(order).collect()
    }

    fn limit(&self, report: &mut Report) {
        report.limits_missed = unexpected(&report.outcomes);
        report.limit_unknown(report.verdict.checked.unknown, self.unknown_max);
        report.limit_p99(self.p99_ms_max);
        report.limit_rate(self.per_second_min);
    }
}

/// A rush in which nobody could buy shows nothing, and "no" has only one good reason.
fn unexpected(outcomes: &BTreeMap<String, u64>) -> Vec<String> {
    let mut unexpected = Vec::new();
    if !outcomes.contains_key("201") {
        unexpected.push("no order was acknowledged".to_owned());
    }
    for (outcome, count) in outcomes {
        let expected = outcome == "201" || outcome == "409 out_of_stock";
        // Those without a final answer have a limit of their own.
        if !expected && !outcome.starts_with("unknown") {
            unexpected.push(format!("{count} orders ended with {outcome}"));
        }
    }
    unexpected
}

/// Sends some of the acknowledged orders once more, under the same keys, and adds the answers
/// to their records.
pub async fn ask_again(records: &mut [Record], count: usize, settings: &Settings) {
    let acknowledged =
        || records.iter().filter(|record| record.outcome() == Outcome::Acknowledged);
    // Evenly from all of them, so that there are some from before and after a kill.
    let step = acknowledged().count().div_ceil(count.max(1)).max(1);
    let again: Vec<Request> = acknowledged()
        .step_by(step)
        .take(count)
        .map(|record| Request::post("/v1/orders", record.key.clone(), record.sent.clone()))
        .collect();
    let bar = progress("replays", again.len());
    // The sale is over: a kill now would show nothing.
    let settings = Settings { kill: None, ..settings.clone() };
    let replayed = run(again, Arrivals::Unpaced, &settings, &bar).await;
    bar.finish_and_clear();
    let mut replayed: HashMap<String, Record> =
        replayed.into_iter().map(|record| (record.key.clone(), record)).collect();
    for record in records {
        if let Some(replayed) = replayed.remove(&record.key) {
            record.add(replayed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rush_that_sells_nothing_does_not_pass() {
        let missed = |outcomes: &[(&str, u64)]| {
            unexpected(&outcomes.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect())
        };
        assert!(missed(&[("201", 1), ("409 out_of_stock", 9)]).is_empty());
        assert!(missed(&[("201", 1), ("unknown after 500 internal", 9)]).is_empty());
        assert_eq!(missed(&[("409 out_of_stock", 9)]), ["no order was acknowledged"]);
        let invalid = missed(&[("201", 1), ("422 validation_failed", 3)]);
        assert_eq!(invalid, ["3 orders ended with 422 validation_failed"]);
    }
}
