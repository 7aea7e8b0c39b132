//! The result of a run, for people (as a summary and as a page) and for machines.

pub mod compare;
pub mod html;
pub mod latency;
mod text;
pub mod timeline;

pub use latency::{Curve, Lag, Latency};
pub use text::write_verdict;

use crate::kill::{KillSwitch, Shot};
use crate::monitor::Monitored;
use crate::oracle::Verdict;
use crate::record::{Answer, Outcome, Record};
use crate::setup::Setup;
use anyhow::Context;
use compare::Comparison;
use latency::Latencies;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use timeline::{Route, Second};

/// The result of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Which scenario.
    pub scenario: String,
    /// The name of the run, as it stands in keys and SKUs.
    pub run: String,
    /// Requests by how they ended.
    pub outcomes: BTreeMap<String, u64>,
    /// Requests acknowledged.
    pub acknowledged: u64,
    /// Seconds from the start to the last final answer.
    pub seconds: f64,
    /// Requests acknowledged a second, until the last acknowledgement.
    pub acknowledged_per_second: f64,
    /// Final answers a second.
    pub answered_per_second: f64,
    /// Requests acknowledged in each second of the run.
    pub acknowledged_by_second: Vec<u64>,
    /// From the intended start to the acknowledgement, retries included.
    pub acknowledged_latency: Latency,
    /// From the intended start to the final refusal, retries included.
    pub refused_latency: Latency,
    /// Answers that asked to come again, such as 503 overloaded.
    pub turned_away: BTreeMap<String, u64>,
    /// Attempts that ended without an answer.
    pub lost: u64,
    /// Whether the generator itself was late.
    pub lag: Lag,
    /// The instance that was killed on the way.
    pub killed: Option<Shot>,
    /// What the oracle says.
    pub verdict: Verdict,
    /// Limits given on the command line that were not kept.
    pub limits_missed: Vec<String>,
    /// When the run began, in microseconds since 1970; 0 if nobody knows.
    #[serde(default)]
    pub started_at_us: u64,
    /// Latency by percentile of what was acknowledged.
    #[serde(default)]
    pub acknowledged_curve: Curve,
    /// Latency by percentile of what was refused.
    #[serde(default)]
    pub refused_curve: Curve,
    /// Second by second.
    #[serde(default)]
    pub timeline: Vec<Second>,
    /// The same by route.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// What the instances and their database did meanwhile.
    #[serde(default)]
    pub monitor: Monitored,
    /// What it ran on.
    #[serde(default)]
    pub setup: Setup,
    /// How it differs from an earlier run.
    #[serde(default)]
    pub comparison: Option<Comparison>,
    /// That run, for its curves.
    #[serde(skip)]
    pub baseline: Option<Box<Report>>,
}

impl AsMut<Self> for Report {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl Report {
    /// Sums up the records of a run.
    pub fn new<'r>(
        scenario: &str,
        run: &str,
        records: impl IntoIterator<Item = &'r Record>,
        verdict: Verdict,
    ) -> anyhow::Result<Self> {
        let records: Vec<&Record> = records.into_iter().collect();
        let acknowledged = of(&records, Outcome::Acknowledged);
        let acknowledged_latencies = latencies(&acknowledged)?;
        let refused_latencies = latencies(&of(&records, Outcome::Refused))?;
        let retried = records
            .iter()
            .flat_map(|record| &record.answers)
            .filter(|answer| answer.asks_to_retry());
        let seconds = last_answer_seconds(&records);
        let acknowledged_seconds = last_answer_seconds(&acknowledged);
        Ok(Self {
            scenario: scenario.to_owned(),
            run: run.to_owned(),
            outcomes: tally(records.iter().map(|record| record.label())),
            acknowledged: acknowledged.len() as u64,
            seconds,
            acknowledged_per_second: per_second(acknowledged.len(), acknowledged_seconds),
            answered_per_second: per_second(records.len(), seconds),
            acknowledged_by_second: by_second(&acknowledged),
            acknowledged_latency: acknowledged_latencies.percentiles(),
            refused_latency: refused_latencies.percentiles(),
            turned_away: tally(retried.map(Answer::label)),
            lost: records.iter().map(|record| record.lost).sum(),
            lag: Lag::of(&records),
            killed: None,
            verdict,
            limits_missed: Vec::new(),
            started_at_us: started_at_us(&records),
            acknowledged_curve: acknowledged_latencies.curve(),
            refused_curve: refused_latencies.curve(),
            timeline: timeline::seconds(&records)?,
            routes: timeline::routes(&records)?,
            monitor: Monitored::default(),
            setup: Setup::default(),
            comparison: None,
            baseline: None,
        })
    }

    /// Adds what was killed.  That it never came to the kill is an error, because then nothing
    /// was shown; the figures are still worth reading.
    pub fn attach_kill(&mut self, kill: Option<&KillSwitch>) -> anyhow::Result<()> {
        if let Some(kill) = kill {
            self.killed = Some(kill.shot().inspect_err(|_| eprintln!("{self}"))?);
        }
        Ok(())
    }

    /// Whether everything was true and within the given limits.
    pub fn is_clean(&self) -> bool {
        self.verdict.is_clean() && self.limits_missed.is_empty()
    }

    /// Says how it differs from an earlier run.
    pub fn compare_with(&mut self, baseline: Self) {
        self.comparison = Some(Comparison::of(&baseline, self));
        self.baseline = Some(Box::new(baseline));
    }

    /// Reads what [`Report::save`] wrote, by this version or an earlier one.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let json = std::fs::read(path).with_context(|| format!("cannot read {path:?}"))?;
        serde_json::from_slice(&json)
            .with_context(|| format!("{path:?} is not what --json writes"))
    }

    /// Writes it as a page.
    pub fn save_html(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, html::page(self)).with_context(|| format!("cannot write {path:?}"))
    }

    /// Writes it as JSON.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(self)?;
        std::fs::write(path, json + "\n").with_context(|| format!("cannot write {path:?}"))
    }
}

fn of<'r>(records: &[&'r Record], outcome: Outcome) -> Vec<&'r Record> {
    records.iter().copied().filter(|record| record.outcome() == outcome).collect()
}

fn tally(labels: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    labels.for_each(|label| *counts.entry(label).or_default() += 1);
    counts
}

fn latencies(records: &[&Record]) -> anyhow::Result<Latencies> {
    Latencies::of(records.iter().map(|record| record.timing.latency_us))
}

/// When the run began: the first request was taken up when it was meant to start, or at once.
fn started_at_us(records: &[&Record]) -> u64 {
    let known = records.iter().filter(|record| record.taken_up_at_us > 0);
    let first = known.min_by_key(|record| record.timing.departed_at_us());
    first.map_or(0, |record| {
        let timing = record.timing;
        let intended_us = timing.answered_at_us.saturating_sub(timing.latency_us);
        record.taken_up_at_us.saturating_sub(intended_us)
    })
}

fn last_answer_seconds(records: &[&Record]) -> f64 {
    let last_us = records.iter().map(|record| record.timing.answered_at_us).max().unwrap_or(0);
    last_us as f64 / 1_000_000.0
}

fn per_second(count: usize, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

fn by_second(records: &[&Record]) -> Vec<u64> {
    let mut counts = Vec::new();
    for record in records {
        let second = (record.timing.answered_at_us / 1_000_000) as usize;
        if counts.len() <= second {
            counts.resize(second + 1, 0);
        }
        counts[second] += 1;
    }
    counts
}
