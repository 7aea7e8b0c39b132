//! The figures of a run, however long it takes: counts and histograms of all requests, and a fair
//! sample of their records.

use super::mix::{Sort, Tag};
use crate::oracle::{Finding, Verdict};
use crate::record::{Answer, Outcome, Record};
use crate::report::{Latency, Report};
use bytes::Bytes;
use hdrhistogram::Histogram;
use rand::Rng;
use serde::Serialize;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::time::Duration;

/// Records that are kept; the report is made of them, unless there were more.
const SAMPLE_MAX: usize = 200_000;
/// Findings that are kept; the others are counted.
const FINDINGS_MAX: usize = 1_000;
/// A request that left later than this after its intended start was late.
const LATE_US: u64 = 10_000;

/// The figures of one sort of requests.
#[derive(Debug, Clone)]
pub struct Figures {
    /// How many there were.
    pub count: u64,
    /// How many were acknowledged.
    pub acknowledged: u64,
    /// How many were refused.
    pub refused: u64,
    /// How many had no final answer.
    pub unknown: u64,
    /// From the intended start to the acknowledgement, in microseconds.
    pub latency_us: Histogram<u64>,
}

/// The figures of a run.
#[derive(Debug)]
pub struct Tally {
    /// By sort.
    pub sorts: BTreeMap<Sort, Figures>,
    /// All requests.
    pub all: Figures,
    /// Refusals by what was said.
    pub refusals: BTreeMap<String, u64>,
    /// What the answers themselves show to be wrong.
    pub findings: Vec<Finding>,
    findings_count: u64,
    outcomes: BTreeMap<String, u64>,
    turned_away: BTreeMap<String, u64>,
    refused_us: Histogram<u64>,
    /// Acknowledged within each fifth of the run, by their intended start.
    fifths: Vec<Histogram<u64>>,
    fifth: Duration,
    by_second: Vec<u64>,
    lost: u64,
    late: u64,
    lag_max_us: u64,
    answered_last_us: u64,
    acknowledged_last_us: u64,
    sample: Vec<Record>,
    sample_max: usize,
}

impl Figures {
    fn new() -> anyhow::Result<Self> {
        let latency_us = Histogram::new(3)?;
        Ok(Self { count: 0, acknowledged: 0, refused: 0, unknown: 0, latency_us })
    }

    fn add(&mut self, record: &Record, outcome: Outcome) {
        self.count += 1;
        match outcome {
            Outcome::Acknowledged => {
                self.acknowledged += 1;
                // A histogram that grows takes any number.
                let _ = self.latency_us.record(record.timing.latency_us);
            }
            Outcome::Refused => self.refused += 1,
            Outcome::Unknown => self.unknown += 1,
        }
    }

    /// A percentile in milliseconds, 0 to 1.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        ms(self.latency_us.value_at_quantile(quantile))
    }
}

impl Tally {
    /// Nothing yet, of a run that is planned to take so long.
    pub fn new(seconds: f64) -> anyhow::Result<Self> {
        Self::sampling(seconds, SAMPLE_MAX)
    }

    /// The same, keeping so many records at most.
    pub fn sampling(seconds: f64, sample_max: usize) -> anyhow::Result<Self> {
        Ok(Self {
            sorts: BTreeMap::new(),
            all: Figures::new()?,
            refusals: BTreeMap::new(),
            findings: Vec::new(),
            findings_count: 0,
            outcomes: BTreeMap::new(),
            turned_away: BTreeMap::new(),
            refused_us: Histogram::new(3)?,
            fifths: vec![Histogram::new(3)?; 5],
            fifth: Duration::from_secs_f64(seconds.max(0.001) / 5.0),
            by_second: Vec::new(),
            lost: 0,
            late: 0,
            lag_max_us: 0,
            answered_last_us: 0,
            acknowledged_last_us: 0,
            sample: Vec::new(),
            sample_max,
        })
    }

    /// Counts a record.
    pub fn add(&mut self, tag: &Tag, record: &Record) -> anyhow::Result<()> {
        let (outcome, timing) = (record.outcome(), record.timing);
        let figures = match self.sorts.entry(tag.sort) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Figures::new()?),
        };
        figures.add(record, outcome);
        self.all.add(record, outcome);
        *self.outcomes.entry(record.label()).or_default() += 1;
        match outcome {
            Outcome::Acknowledged => self.acknowledge(tag, record)?,
            Outcome::Refused => {
                let label = format!("{} {}", tag.sort.name(), record.label());
                *self.refusals.entry(label).or_default() += 1;
                self.refused_us.record(timing.latency_us)?;
            }
            Outcome::Unknown => {}
        }
        for answer in record.answers.iter().filter(|answer| answer.asks_to_retry()) {
            *self.turned_away.entry(answer.label()).or_default() += 1;
        }
        self.lost += record.lost;
        self.late += u64::from(timing.lag_us > LATE_US);
        self.lag_max_us = self.lag_max_us.max(timing.lag_us);
        self.answered_last_us = self.answered_last_us.max(timing.answered_at_us);
        self.keep(record);
        Ok(())
    }

    fn acknowledge(&mut self, tag: &Tag, record: &Record) -> anyhow::Result<()> {
        let timing = record.timing;
        self.acknowledged_last_us = self.acknowledged_last_us.max(timing.answered_at_us);
        let fifth = (tag.start.as_secs_f64() / self.fifth.as_secs_f64()) as usize;
        self.fifths[fifth.min(4)].record(timing.latency_us)?;
        let second = (timing.answered_at_us / 1_000_000) as usize;
        if self.by_second.len() <= second {
            self.by_second.resize(second + 1, 0);
        }
        self.by_second[second] += 1;
        Ok(())
    }

    /// A fair sample: each record has the same chance to stay in the end.
    fn keep(&mut self, record: &Record) {
        if self.sample.len() < self.sample_max {
            self.sample.push(thin(record));
        } else {
            let place = rand::rng().random_range(0..self.all.count) as usize;
            if let Some(kept) = self.sample.get_mut(place) {
                *kept = thin(record);
            }
        }
    }

    /// Keeps what is wrong with an answer.
    pub fn find(&mut self, subject: String, wrong: String) {
        self.findings_count += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { subject, wrong });
        }
    }

    /// The share of requests that left late, 0 to 1.
    pub fn late_share(&self) -> f64 {
        self.late as f64 / self.all.count.max(1) as f64
    }

    /// How many times the 99th percentile of the first fifth that of the last one is.
    pub fn p99_drift(&self) -> f64 {
        let p99 = |n: usize| self.fifths[n].value_at_quantile(0.99) as f64;
        p99(4) / p99(0).max(1.0)
    }

    /// The report of all requests.
    pub fn report(
        &mut self,
        scenario: &'static str,
        run: &str,
        mut verdict: Verdict,
    ) -> anyhow::Result<Report> {
        for (sort, figures) in &self.sorts {
            verdict.count(sort.name(), figures.count as usize);
        }
        verdict.findings.append(&mut self.findings);
        let more = self.findings_count.saturating_sub(FINDINGS_MAX as u64);
        if more > 0 {
            verdict.find("answers", format!("{more} more were not what was asked for"));
        }
        let mut report = Report::new(scenario, run, &self.sample, verdict)?;
        if self.all.count > self.sample.len() as u64 {
            self.correct(&mut report);
        }
        Ok(report)
    }

    /// Puts the figures of all requests in the place of the sample's.
    fn correct(&self, report: &mut Report) {
        let per_second = |count: u64, last_us: u64| count as f64 * 1e6 / last_us.max(1) as f64;
        report.outcomes = self.outcomes.clone();
        report.acknowledged = self.all.acknowledged;
        report.seconds = self.answered_last_us as f64 / 1e6;
        report.acknowledged_per_second =
            per_second(self.all.acknowledged, self.acknowledged_last_us);
        report.answered_per_second = per_second(self.all.count, self.answered_last_us);
        report.acknowledged_by_second = self.by_second.clone();
        report.acknowledged_latency = latency(&self.all.latency_us);
        report.refused_latency = latency(&self.refused_us);
        report.turned_away = self.turned_away.clone();
        report.lost = self.lost;
        report.lag.max_ms = ms(self.lag_max_us);
        report.lag.late_share = self.late_share();
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  by sort          requests    refused    unknown     p50, ms     p99, ms   p99.9, ms"
        )?;
        for (sort, figures) in &self.sorts {
            let Figures { count, refused, unknown, .. } = figures;
            write!(f, "  {:12} {count:>12}{refused:>11}{unknown:>11}", sort.name())?;
            for quantile in [0.5, 0.99, 0.999] {
                write!(f, "{:>12.2}", figures.quantile_ms(quantile))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The figures of one sort, for machines.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub count: u64,
    pub refused: u64,
    pub unknown: u64,
    pub acknowledged_latency: Latency,
}

impl From<&Figures> for Summary {
    fn from(figures: &Figures) -> Self {
        let Figures { count, refused, unknown, .. } = *figures;
        Self { count, refused, unknown, acknowledged_latency: latency(&figures.latency_us) }
    }
}

/// What the report needs of a record: not the bodies, which are most of it.
fn thin(record: &Record) -> Record {
    let answer = |answer: &Answer| {
        // A problem's body says which one it is.
        let body = if answer.acknowledges() { Bytes::new() } else { answer.body.clone() };
        Answer { body, etag: None, ..answer.clone() }
    };
    let answers = record.answers.iter().map(answer).collect();
    Record { key: String::new(), sent: Bytes::new(), answers, ..record.clone() }
}

fn latency(us: &Histogram<u64>) -> Latency {
    let quantile_ms = |quantile| ms(us.value_at_quantile(quantile));
    Latency {
        count: us.len(),
        p50_ms: quantile_ms(0.5),
        p90_ms: quantile_ms(0.9),
        p99_ms: quantile_ms(0.99),
        p999_ms: quantile_ms(0.999),
        max_ms: ms(us.max()),
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}
