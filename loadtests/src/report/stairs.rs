//! What a flight of stairs came to.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What one step came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Step {
    /// Requests a second that were to leave.
    pub offered: f64,
    /// Requests a second that were acknowledged in good time, and before the step was over.
    pub achieved: f64,
    /// Percentiles of what was acknowledged.
    pub p50_ms: f64,
    /// See above.
    pub p99_ms: f64,
    /// See above.
    pub p999_ms: f64,
    /// The share of requests that the generator sent late itself, or found no connection for.
    pub late_share: f64,
    /// The share of requests that were acknowledged in good time.
    #[serde(default)]
    pub goodput: f64,
    /// Requests a second that were told to come later.
    #[serde(default)]
    pub turned_away: f64,
    /// How long 99 % of those waited for that, at most.
    #[serde(default)]
    pub turned_away_p99_ms: f64,
    /// Requests that may have been done, for all that their clients were told.
    #[serde(default)]
    pub in_doubt: u64,
    /// Why it is over the knee, if it is.
    pub over: Option<String>,
}

/// What a flight of stairs came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Climb {
    /// The steps, the last one over the knee, if any is.
    pub steps: Vec<Step>,
    /// The highest rate below the knee that was reached, requests a second.
    pub knee: Option<f64>,
    /// What came afterwards, at shares of that rate.
    #[serde(default)]
    pub below: Vec<(f64, Step)>,
}

impl Climb {
    /// Whether a step was over the knee.
    pub fn found_it(&self) -> bool {
        self.steps.iter().any(|step| step.over.is_some())
    }

    /// The best of the steps, and what the worst of those that offered as much as that achieved, or
    /// more, achieved of it, 0 to 1.
    pub fn best_and_worst_beyond(&self) -> Option<(&Step, f64)> {
        let best = self.steps.iter().max_by(|a, b| a.achieved.total_cmp(&b.achieved))?;
        let beyond = self.steps.iter().filter(|step| step.offered >= best.achieved);
        let worst = beyond.map(|step| step.achieved).fold(best.achieved, f64::min);
        Some((best, worst / best.achieved.max(0.001)))
    }

    /// How long those waited who were told to come later: the 99th percentile of the worst step.
    pub fn turned_away_p99_ms(&self) -> f64 {
        self.steps.iter().map(|step| step.turned_away_p99_ms).fold(0.0, f64::max)
    }

    /// Where the knee is, in words.
    pub fn knee_in_words(&self) -> String {
        match self.knee {
            Some(knee) if self.found_it() => format!("above {knee}/s"),
            Some(knee) => format!("not reached at {knee}/s"),
            None => "below the first step".to_owned(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offered, achieved, p50_ms, p99_ms, p999_ms, late_share, .. } = self;
        let Self { turned_away, turned_away_p99_ms, .. } = self;
        write!(f, "  {offered:>20.1}{achieved:>12.1}{p50_ms:>12.2}{p99_ms:>12.2}")?;
        write!(f, "{p999_ms:>12.2}{:>12.1}", late_share * 100.0)?;
        write!(f, "{turned_away:>12.1}{turned_away_p99_ms:>12.2}")
    }
}

impl fmt::Display for Climb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  steps      offered/s  achieved/s     p50, ms     p99, ms   p99.9, ms     late, %\
             \u{20}     away/s away p99, ms"
        )?;
        for step in &self.steps {
            write!(f, "{step}")?;
            match &step.over {
                Some(why) => writeln!(f, "  OVER: {why}")?,
                None => writeln!(f)?,
            }
        }
        writeln!(f, "  knee          {}", self.knee_in_words())?;
        self.below.iter().try_for_each(|(share, step)| writeln!(f, "{step}  {share} of the knee"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_step_offers_more_than_the_best_achieves_is_compared_with_it() {
        let step = |(offered, achieved)| Step { offered, achieved, ..Step::default() };
        let of_best = |steps: &[(f64, f64)]| {
            let steps = steps.iter().copied().map(step).collect();
            let climb = Climb { steps, ..Climb::default() };
            climb.best_and_worst_beyond().map(|(best, worst)| (best.offered, worst))
        };
        assert_eq!(of_best(&[]), None);
        let before = [(500.0, 100.0), (1_500.0, 600.0), (2_000.0, 1_000.0), (3_000.0, 900.0)];
        assert_eq!(of_best(&before), Some((2_000.0, 0.6)));
        assert_eq!(of_best(&before[2..]), Some((2_000.0, 0.9)));
    }
}
