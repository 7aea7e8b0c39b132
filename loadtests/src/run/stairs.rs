//! Stairs: the rate goes up step by step until a step is over the knee.

use super::tally::Tally;
use crate::scenario::Stairs;
use serde::Serialize;
use std::fmt;

/// What one step came to.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Requests a second that were to leave.
    pub offered: f64,
    /// Requests a second that were acknowledged in good time.
    pub achieved: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    /// The share of requests that the generator sent late itself, or found no connection for.
    pub late_share: f64,
    /// Why it is over the knee, if it is.
    pub over: Option<String>,
}

/// What a flight of stairs came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Climb {
    /// The steps, the last one over the knee, if any is.
    pub steps: Vec<Step>,
    /// The highest rate below the knee that was reached, requests a second.
    pub knee: Option<f64>,
}

impl Climb {
    /// Adds a step; whether it is over the knee.
    pub fn add(&mut self, stairs: &Stairs, rate: f64, tally: &Tally, in_time: u64) -> bool {
        let figures = &tally.all;
        let p99_ms = figures.quantile_ms(0.99);
        let goodput = in_time as f64 / figures.count.max(1) as f64;
        let (p99_ms_max, goodput_min) = (stairs.p99_ms_max, stairs.goodput_min);
        let over = if goodput < goodput_min {
            Some(format!("{:.1} % acknowledged in time", goodput * 100.0))
        } else if p99_ms > p99_ms_max {
            Some(format!("p99 above {p99_ms_max} ms"))
        } else {
            self.knee = Some(rate);
            None
        };
        let is_over = over.is_some();
        self.steps.push(Step {
            offered: figures.count as f64 / stairs.seconds,
            achieved: in_time as f64 / stairs.seconds,
            p50_ms: figures.quantile_ms(0.5),
            p99_ms,
            p999_ms: figures.quantile_ms(0.999),
            late_share: tally.late_share(),
            over,
        });
        is_over
    }

    /// Whether the last step was over the knee.
    pub fn found_it(&self) -> bool {
        self.steps.last().is_some_and(|step| step.over.is_some())
    }
}

impl fmt::Display for Climb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  steps      offered/s  achieved/s     p50, ms     p99, ms   p99.9, ms     late, %"
        )?;
        for Step { offered, achieved, p50_ms, p99_ms, p999_ms, late_share, over } in &self.steps {
            write!(f, "  {offered:>20.1}{achieved:>12.1}{p50_ms:>12.2}{p99_ms:>12.2}")?;
            write!(f, "{p999_ms:>12.2}{:>12.1}", late_share * 100.0)?;
            writeln!(
                f,
                "{}",
                over.iter().map(|why| format!("  OVER: {why}")).collect::<String>()
            )?;
        }
        match self.knee {
            Some(knee) if self.found_it() => writeln!(f, "  knee          above {knee}/s"),
            Some(knee) => writeln!(f, "  knee          not reached at {knee}/s"),
            None => writeln!(f, "  knee          below the first step"),
        }
    }
}
