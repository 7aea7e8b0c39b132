//! Sums up a run record by record: what it holds grows with seconds and routes, and by a few bytes
//! a request, so that a run may be long.

use super::latency::{Lag, Latencies, ms};
use super::timeline::Timeline;
use super::{Report, Route};
use crate::oracle::Verdict;
use crate::record::{Ending, Outcome, Record};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A report on its way.
#[derive(Debug)]
pub struct Builder {
    acknowledged: Latencies,
    refused: Latencies,
    /// Microseconds from the start of the run to the last acknowledgement.
    acknowledged_last_us: u64,
    turned_away: BTreeMap<String, u64>,
    lost: u64,
    lag: Lag,
    /// The first departure, and when the run must have begun for it.
    first: Option<(u64, u64)>,
    all: Timeline,
    routes: BTreeMap<Arc<str>, Timeline>,
}

impl Builder {
    /// Of nothing yet.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            acknowledged: Latencies::new()?,
            refused: Latencies::new()?,
            acknowledged_last_us: 0,
            turned_away: BTreeMap::new(),
            lost: 0,
            lag: Lag::default(),
            first: None,
            all: Timeline::default(),
            routes: BTreeMap::new(),
        })
    }

    /// Adds a request.
    pub fn add(&mut self, record: &Record, ending: &Ending) -> anyhow::Result<()> {
        let timing = record.timing;
        match ending.outcome {
            Outcome::Acknowledged => {
                self.acknowledged.add(timing.latency_us)?;
                self.acknowledged_last_us = self.acknowledged_last_us.max(timing.answered_at_us);
            }
            Outcome::Refused => self.refused.add(timing.latency_us)?,
            Outcome::Unknown => {}
        }
        for answer in record.answers.iter().filter(|answer| answer.asks_to_retry()) {
            *self.turned_away.entry(answer.label()).or_default() += 1;
        }
        self.lost += record.lost;
        self.lag.add(timing.lag_us);
        self.place(record);
        self.all.add(timing, ending);
        self.routes.entry(record.route.clone()).or_default().add(timing, ending);
        Ok(())
    }

    /// When the run began: the first request was taken up when it was meant to start, or at once.
    fn place(&mut self, record: &Record) {
        let timing = record.timing;
        let departed = timing.departed_at_us();
        let is_first = self.first.is_none_or(|(first, _)| departed < first);
        if record.taken_up_at_us > 0 && is_first {
            let intended_us = timing.answered_at_us.saturating_sub(timing.latency_us);
            self.first = Some((departed, record.taken_up_at_us.saturating_sub(intended_us)));
        }
    }

    /// How many requests there were so far.
    pub fn count(&self) -> usize {
        self.all.count()
    }

    /// How long the acknowledged ones took so far.
    pub fn acknowledged(&self) -> &Latencies {
        &self.acknowledged
    }

    /// How late the generator was so far.
    pub fn lag(&self) -> Lag {
        self.lag
    }

    /// The report.
    pub fn report(&self, scenario: &str, run: &str, verdict: Verdict) -> anyhow::Result<Report> {
        let all = Route::of("", &self.all)?;
        let last_us = self.all.last_us();
        let routes = self.routes.iter().map(|(route, timeline)| Route::of(route, timeline));
        Ok(Report {
            scenario: scenario.to_owned(),
            run: run.to_owned(),
            outcomes: all.outcomes,
            acknowledged: all.acknowledged,
            seconds: ms(last_us) / 1_000.0,
            acknowledged_per_second: per_second(all.acknowledged, self.acknowledged_last_us),
            answered_per_second: per_second(all.latency.count, last_us),
            acknowledged_by_second: all.timeline.iter().map(|at| at.acknowledged).collect(),
            acknowledged_latency: self.acknowledged.percentiles(),
            refused_latency: self.refused.percentiles(),
            turned_away: self.turned_away.clone(),
            lost: self.lost,
            lag: self.lag,
            verdict,
            started_at_us: self.first.map_or(0, |(_, began)| began),
            acknowledged_curve: self.acknowledged.curve(),
            refused_curve: self.refused.curve(),
            timeline: all.timeline,
            routes: routes.collect::<anyhow::Result<_>>()?,
            ..Report::default()
        })
    }
}

fn per_second(count: u64, last_us: u64) -> f64 {
    if last_us > 0 { count as f64 * 1e6 / last_us as f64 } else { 0.0 }
}
