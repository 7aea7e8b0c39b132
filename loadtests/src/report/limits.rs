//! The limits of a run: what was kept, and what was missed.

use super::Report;

impl Report {
    /// Notes a limit, in words that hold the measured value and what it was measured by.
    pub fn limit(&mut self, is_kept: bool, words: String) {
        match is_kept {
            true => self.limits_kept.push(words),
            false => self.limits_missed.push(words),
        }
    }

    /// Limits the 99th percentile of what was acknowledged, in milliseconds.
    pub fn limit_p99(&mut self, max: Option<f64>) {
        self.limit_ms("p99", self.acknowledged_latency.p99_ms, max);
    }

    /// Limits a latency.
    pub fn limit_ms(&mut self, what: &str, ms: f64, max: Option<f64>) {
        if let Some(max) = max {
            self.limit(ms <= max, format!("{what} {ms:.2} ms, {max} ms at most"));
        }
    }

    /// Limits requests without a final answer.
    pub fn limit_unknown(&mut self, unknown: u64, max: u64) {
        let words = format!("{unknown} without a final answer, {max} at most");
        self.limit(unknown <= max, words);
    }

    /// Limits acknowledged requests a second.
    pub fn limit_rate(&mut self, min: Option<f64>) {
        let per_second = self.acknowledged_per_second;
        if let Some(min) = min {
            let words = format!("{per_second:.0} acknowledged/s, {min} at least");
            self.limit(per_second >= min, words);
        }
    }

    /// A run in which nothing succeeded shows nothing.
    pub fn must_acknowledge(&mut self, otherwise: &str) {
        if self.acknowledged == 0 {
            self.limits_missed.push(otherwise.to_owned());
        }
    }
}
