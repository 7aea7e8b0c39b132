//! The figures of a run, however long it takes: counts and histograms, and no records.

use super::mix::{Sort, Tag};
use crate::oracle::{Finding, Verdict};
use crate::record::{Outcome, Record};
use crate::report::latency::Latencies;
use crate::report::{Builder, Report, Sorted};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

/// Findings that are kept; the others are counted.
const FINDINGS_MAX: usize = 1_000;

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
    /// From the intended start to the acknowledgement.
    pub latency: Latencies,
}

/// The figures of a run.
#[derive(Debug)]
pub struct Tally {
    /// By sort.
    pub sorts: BTreeMap<Sort, Figures>,
    /// Refusals by what was said.
    pub refusals: BTreeMap<String, u64>,
    /// What the answers themselves show to be wrong.
    pub findings: Vec<Finding>,
    findings_count: u64,
    /// Acknowledged within each fifth of the run, by their intended start.
    fifths: Vec<Latencies>,
    fifth: Duration,
    builder: Builder,
}

impl Figures {
    fn new() -> anyhow::Result<Self> {
        let latency = Latencies::new()?;
        Ok(Self { count: 0, acknowledged: 0, refused: 0, unknown: 0, latency })
    }

    fn add(&mut self, record: &Record, outcome: Outcome) -> anyhow::Result<()> {
        self.count += 1;
        match outcome {
            Outcome::Acknowledged => {
                self.acknowledged += 1;
                self.latency.add(record.timing.latency_us)?;
            }
            Outcome::Refused => self.refused += 1,
            Outcome::Unknown => self.unknown += 1,
        }
        Ok(())
    }
}

impl Tally {
    /// Nothing yet, of a run that is planned to take so long.
    pub fn new(seconds: f64) -> anyhow::Result<Self> {
        Ok(Self {
            sorts: BTreeMap::new(),
            refusals: BTreeMap::new(),
            findings: Vec::new(),
            findings_count: 0,
            fifths: vec![Latencies::new()?; 5],
            fifth: Duration::from_secs_f64(seconds.max(0.001) / 5.0),
            builder: Builder::new()?,
        })
    }

    /// Counts a record.
    pub fn add(&mut self, tag: &Tag, record: &Record) -> anyhow::Result<()> {
        let ending = record.ending();
        let figures = match self.sorts.entry(tag.sort) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Figures::new()?),
        };
        figures.add(record, ending.outcome)?;
        match ending.outcome {
            Outcome::Acknowledged => {
                let fifth = (tag.start.as_secs_f64() / self.fifth.as_secs_f64()) as usize;
                self.fifths[fifth.min(4)].add(record.timing.latency_us)?;
            }
            Outcome::Refused => {
                let label = format!("{} {}", tag.sort.name(), ending.label);
                *self.refusals.entry(label).or_default() += 1;
            }
            Outcome::Unknown => {}
        }
        self.builder.add(record, &ending)
    }

    /// Keeps what is wrong with an answer.
    pub fn find(&mut self, subject: String, wrong: String) {
        self.findings_count += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { subject, wrong });
        }
    }

    /// The figures of all requests so far.
    pub fn so_far(&self) -> &Builder {
        &self.builder
    }

    /// How many times the 99th percentile of the first fifth that of the last one is.
    pub fn p99_drift(&self) -> f64 {
        let p99_ms = |n: usize| self.fifths[n].quantile_ms(0.99);
        p99_ms(4) / p99_ms(0).max(0.001)
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
        let mut report = self.builder.report(scenario, run, verdict)?;
        let sorts = self.sorts.iter();
        report.sorts = sorts.map(|(sort, of)| (sort.name().to_owned(), of.into())).collect();
        Ok(report)
    }
}

impl From<&Figures> for Sorted {
    fn from(figures: &Figures) -> Self {
        let Figures { count, refused, unknown, .. } = *figures;
        Self { count, refused, unknown, acknowledged_latency: figures.latency.percentiles() }
    }
}
