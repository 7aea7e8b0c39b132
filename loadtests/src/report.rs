//! The result of a run, for people and for machines.

use crate::kill::{KillSwitch, Shot};
use crate::oracle::{Checked, Verdict};
use crate::record::{Answer, Outcome, Record};
use anyhow::Context;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A request that left later than this after its intended start was late.
const LATE_MS: f64 = 10.0;
/// Above this share of late requests the figures say more about the generator.
const LATE_SHARE_MAX: f64 = 0.01;
/// Findings that are printed; the JSON has them all.
const FINDINGS_SHOWN: usize = 20;

/// The result of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which scenario.
    pub scenario: &'static str,
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
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[expect(missing_docs, reason = "percentiles are named by their number")]
pub struct Latency {
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// How late requests left, for want of a free connection or of CPU.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Lag {
    /// The latest one, in milliseconds after its intended start.
    pub max_ms: f64,
    /// The share of requests that were more than 10 ms late, 0 to 1.
    pub late_share: f64,
}

impl Lag {
    /// Whether so many were late that latencies measure the generator too.
    pub fn is_too_much(&self) -> bool {
        self.late_share > LATE_SHARE_MAX
    }
}

impl Report {
    /// Sums up the records of a run.
    pub fn new<'r>(
        scenario: &'static str,
        run: &str,
        records: impl IntoIterator<Item = &'r Record>,
        verdict: Verdict,
    ) -> anyhow::Result<Self> {
        let records: Vec<&Record> = records.into_iter().collect();
        let acknowledged = of(&records, Outcome::Acknowledged);
        let retried = records
            .iter()
            .flat_map(|record| &record.answers)
            .filter(|answer| answer.asks_to_retry());
        let seconds = last_answer_seconds(&records);
        let acknowledged_seconds = last_answer_seconds(&acknowledged);
        Ok(Self {
            scenario,
            run: run.to_owned(),
            outcomes: tally(records.iter().map(|record| record.label())),
            acknowledged: acknowledged.len() as u64,
            seconds,
            acknowledged_per_second: per_second(acknowledged.len(), acknowledged_seconds),
            answered_per_second: per_second(records.len(), seconds),
            acknowledged_by_second: by_second(&acknowledged),
            acknowledged_latency: Latency::of(&acknowledged)?,
            refused_latency: Latency::of(&of(&records, Outcome::Refused))?,
            turned_away: tally(retried.map(Answer::label)),
            lost: records.iter().map(|record| record.lost).sum(),
            lag: Lag::of(&records),
            killed: None,
            verdict,
            limits_missed: Vec::new(),
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

    /// Writes it as JSON.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(self)?;
        std::fs::write(path, json + "\n").with_context(|| format!("cannot write {path:?}"))
    }
}

impl Latency {
    fn of(records: &[&Record]) -> anyhow::Result<Self> {
        let mut histogram = Histogram::<u64>::new(3)?;
        for record in records {
            histogram.record(record.timing.latency_us)?;
        }
        let quantile_ms = |quantile| ms(histogram.value_at_quantile(quantile));
        Ok(Self {
            count: histogram.len(),
            p50_ms: quantile_ms(0.5),
            p90_ms: quantile_ms(0.9),
            p99_ms: quantile_ms(0.99),
            p999_ms: quantile_ms(0.999),
            max_ms: ms(histogram.max()),
        })
    }
}

impl Lag {
    fn of(records: &[&Record]) -> Self {
        let lags = || records.iter().map(|record| ms(record.timing.lag_us));
        let late = lags().filter(|lag| *lag > LATE_MS).count();
        Self {
            max_ms: lags().fold(0.0, f64::max),
            late_share: late as f64 / records.len().max(1) as f64,
        }
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

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
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

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.scenario, self.run)?;
        if let Some(shot) = self.killed {
            writeln!(
                f,
                "  killed        process {} with {} requests acknowledged and {} in flight",
                shot.pid, shot.acknowledged, shot.in_flight
            )?;
        }
        for (outcome, count) in &self.outcomes {
            writeln!(f, "  {count:>12}  {outcome}")?;
        }
        writeln!(
            f,
            "  throughput    {:.0} acknowledged/s, {:.0} answered/s over {:.2} s",
            self.acknowledged_per_second, self.answered_per_second, self.seconds
        )?;
        for (label, count) in &self.turned_away {
            writeln!(f, "  came again    after {count} × {label}")?;
        }
        if self.lost > 0 {
            writeln!(f, "  came again    after {} × no answer", self.lost)?;
        }
        let columns = ["p50", "p90", "p99", "p99.9", "max"];
        write!(f, "  latency, ms ")?;
        columns.iter().try_for_each(|column| write!(f, "{column:>11}"))?;
        writeln!(f)?;
        self.acknowledged_latency.write_row(f, "acknowledged")?;
        self.refused_latency.write_row(f, "refused")?;
        self.lag.write(f)?;
        write_verdict(f, &self.verdict)?;
        self.limits_missed.iter().try_for_each(|missed| writeln!(f, "  MISSED        {missed}"))
    }
}

impl Latency {
    fn write_row(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        if self.count == 0 {
            return Ok(());
        }
        write!(f, "  {name:12}")?;
        for value in [self.p50_ms, self.p90_ms, self.p99_ms, self.p999_ms, self.max_ms] {
            write!(f, "{value:>11.2}")?;
        }
        writeln!(f)
    }
}

impl Lag {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (max, share) = (self.max_ms, self.late_share * 100.0);
        write!(f, "  lag           {max:.1} ms at most, {share:.1} % later than {LATE_MS} ms")?;
        if self.is_too_much() {
            write!(f, "  GENERATOR LATE: no connection or CPU was free")?;
        }
        writeln!(f)
    }
}

/// The oracle's part of the summary.
pub fn write_verdict(f: &mut fmt::Formatter<'_>, verdict: &Verdict) -> fmt::Result {
    write_judged(f, verdict)?;
    for finding in verdict.findings.iter().take(FINDINGS_SHOWN) {
        writeln!(f, "  WRONG         {finding}")?;
    }
    match verdict.findings.len() {
        0 => writeln!(f, "                everything that was acknowledged is true"),
        all if all > FINDINGS_SHOWN => {
            writeln!(f, "                … {all} findings in all")
        }
        _ => Ok(()),
    }
}

/// How much was judged, of orders and of everything else.
fn write_judged(f: &mut fmt::Formatter<'_>, verdict: &Verdict) -> fmt::Result {
    let judged: Vec<String> =
        verdict.judged.iter().map(|(what, count)| format!("{count} {what}")).collect();
    if !judged.is_empty() {
        writeln!(f, "  judged        {}", judged.join(", "))?;
    }
    let checked = &verdict.checked;
    if *checked == Checked::default() {
        return Ok(());
    }
    writeln!(
        f,
        "  oracle        {} acknowledged with {} lines and {} replays, {} refused, {} unknown \
         ({} with an order), {} SKUs",
        checked.acknowledged,
        checked.lines,
        checked.replays,
        checked.refused,
        checked.unknown,
        checked.unknown_with_order,
        checked.skus
    )
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_verdict(f, self)
    }
}
