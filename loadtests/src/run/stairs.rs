//! Stairs: the rate goes up step by step until a step is over the knee, or beyond it.

use super::tally::Tally;
use crate::record::{Answer, Outcome, Record};
use crate::report::latency::Latencies;
use crate::report::{Climb, Step};
use crate::scenario::Stairs;

/// What became of a stage of stairs so far.
pub struct Stage {
    seconds: f64,
    /// What takes no longer is in good time.
    latency_us_max: u64,
    in_time: u64,
    /// In good time, and before the stage was over: what is answered behind it would count for more
    /// seconds than the stage has.
    achieved: u64,
    in_doubt: u64,
    turned_away: Latencies,
}

impl Stage {
    /// Nothing yet.
    pub fn new(stairs: &Stairs) -> anyhow::Result<Self> {
        let latency_us_max = (stairs.p99_ms_max * 1_000.0) as u64;
        let (seconds, turned_away) = (stairs.seconds, Latencies::new()?);
        Ok(Self { seconds, latency_us_max, in_time: 0, achieved: 0, in_doubt: 0, turned_away })
    }

    /// Counts a record.
    pub fn add(&mut self, record: &Record) -> anyhow::Result<()> {
        let is_in_time = record.outcome() == Outcome::Acknowledged
            && record.timing.latency_us <= self.latency_us_max;
        let is_within = record.timing.answered_at_us as f64 <= self.seconds * 1e6;
        self.in_time += u64::from(is_in_time);
        self.achieved += u64::from(is_in_time && is_within);
        self.in_doubt += u64::from(record.is_in_doubt());
        match record.answers.last() {
            Some(last) if Answer::asks_to_retry(last) => {
                self.turned_away.add(record.timing.latency_us)
            }
            _ => Ok(()),
        }
    }

    /// The figures of the whole stage.
    pub fn step(&self, tally: &Tally) -> Step {
        let so_far = tally.so_far();
        let (count, latencies) = (so_far.count(), so_far.acknowledged());
        let turned_away = self.turned_away.percentiles();
        Step {
            offered: count as f64 / self.seconds,
            achieved: self.achieved as f64 / self.seconds,
            p50_ms: latencies.quantile_ms(0.5),
            p99_ms: latencies.quantile_ms(0.99),
            p999_ms: latencies.quantile_ms(0.999),
            late_share: so_far.lag().late_share,
            goodput: self.in_time as f64 / count.max(1) as f64,
            turned_away: turned_away.count as f64 / self.seconds,
            turned_away_p99_ms: turned_away.p99_ms,
            in_doubt: self.in_doubt,
            over: None,
        }
    }
}

/// Adds the step at this rate; whether it was the last one.
pub fn climb(climb: &mut Climb, stairs: &Stairs, rate: f64, step: Step) -> bool {
    let (p99_ms_max, goodput_min) = (stairs.p99_ms_max, stairs.goodput_min);
    let over = if step.goodput < goodput_min {
        Some(format!("{:.1} % acknowledged in time", step.goodput * 100.0))
    } else if step.p99_ms > p99_ms_max {
        Some(format!("p99 above {p99_ms_max} ms"))
    } else {
        None
    };
    if over.is_none() && !climb.found_it() {
        climb.knee = Some(rate);
    }
    let is_last = over.is_some() && !stairs.goes_on;
    climb.steps.push(Step { over, ..step });
    is_last
}
