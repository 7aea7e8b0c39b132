//! The result of a run, for people (as a summary and as a page) and for machines.

mod builder;
pub mod compare;
pub mod html;
pub mod latency;
mod limits;
mod stairs;
mod text;
pub mod timeline;

pub use builder::Builder;
pub use latency::{Curve, Lag, Latency};
pub use stairs::{Climb, Step};
pub use text::write_verdict;

use crate::kill::{KillSwitch, Shot};
use crate::monitor::Monitored;
use crate::oracle::Verdict;
use crate::record::Record;
use crate::setup::Setup;
use anyhow::Context;
use compare::Comparison;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use timeline::{Route, Second};

/// The result of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
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
    /// Limits that were not kept.
    pub limits_missed: Vec<String>,
    /// Limits that were kept.
    #[serde(default)]
    pub limits_kept: Vec<String>,
    /// What it shows, for people.
    #[serde(default)]
    pub about: String,
    /// The requests of each sort, where a scenario knows several.
    #[serde(default)]
    pub sorts: BTreeMap<String, Sorted>,
    /// The steps, of stairs.
    #[serde(default)]
    pub stairs: Option<Climb>,
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

/// Requests of one sort.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Sorted {
    /// How many there were.
    pub count: u64,
    /// How many were refused.
    pub refused: u64,
    /// How many had no final answer.
    pub unknown: u64,
    /// From the intended start to the acknowledgement.
    pub acknowledged_latency: Latency,
}

impl Report {
    /// Sums up the records of a run.
    pub fn new<'r>(
        scenario: &str,
        run: &str,
        records: impl IntoIterator<Item = &'r Record>,
        verdict: Verdict,
    ) -> anyhow::Result<Self> {
        let mut builder = Builder::new()?;
        records.into_iter().try_for_each(|record| builder.add(record, &record.ending()))?;
        builder.report(scenario, run, verdict)
    }

    /// Adds what was killed.  A run that never came to the kill has not shown what it should.
    pub fn attach_kill(&mut self, kill: Option<&KillSwitch>) {
        match kill.map(KillSwitch::shot) {
            Some(Ok(shot)) => self.killed = Some(shot),
            Some(Err(error)) => self.limits_missed.push(format!("{error:#}")),
            None => {}
        }
    }

    /// Requests without a final answer.
    pub fn unknown(&self) -> u64 {
        self.timeline.iter().map(|second| second.unknown).sum()
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
