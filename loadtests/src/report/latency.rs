//! Latencies: percentiles, the curve of all of them, and how late the generator was.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A request that left later than this after its intended start was late.
pub const LATE_MS: f64 = 10.0;
/// Above this share of late requests the figures say more about the generator.
const LATE_SHARE_MAX: f64 = 0.01;
/// Points of a curve from one nine to the next.
const POINTS_PER_NINE: i32 = 12;

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Lag {
    /// The latest one, in milliseconds after its intended start.
    pub max_ms: f64,
    /// The share of requests that were more than 10 ms late, 0 to 1.
    pub late_share: f64,
    #[serde(skip)]
    late: u64,
    #[serde(skip)]
    count: u64,
}

/// Latency by percentile: how long the fastest 50 %, 90 %, 99 % … took at most.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// How many requests it is of.
    pub count: u64,
    /// Quantile (0 to 1, ascending) and milliseconds.
    pub points: Vec<(f64, f64)>,
}

/// Latencies that are summed up together.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// Of no request yet.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new(3)?))
    }

    /// Of these requests, in microseconds.
    pub fn of(latencies_us: impl IntoIterator<Item = u64>) -> anyhow::Result<Self> {
        let mut latencies = Self::new()?;
        latencies_us.into_iter().try_for_each(|latency_us| latencies.add(latency_us))?;
        Ok(latencies)
    }

    /// Of no request yet, and ready for as long ones.
    pub fn empty(&self) -> Self {
        Self(Histogram::new_from(&self.0))
    }

    /// Adds a request.
    pub fn add(&mut self, latency_us: u64) -> anyhow::Result<()> {
        Ok(self.0.record(latency_us)?)
    }

    /// A percentile in milliseconds, 0 to 1.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        ms(self.0.value_at_quantile(quantile))
    }

    /// Their percentiles.
    pub fn percentiles(&self) -> Latency {
        Latency {
            count: self.0.len(),
            p50_ms: self.quantile_ms(0.5),
            p90_ms: self.quantile_ms(0.9),
            p99_ms: self.quantile_ms(0.99),
            p999_ms: self.quantile_ms(0.999),
            max_ms: ms(self.0.max()),
        }
    }

    /// Their curve, as far as there are requests to tell one percentile from the next.
    pub fn curve(&self) -> Curve {
        let count = self.0.len();
        let mut points = Vec::new();
        if count > 0 {
            points.push((0.0, ms(self.0.min())));
        }
        for n in 1.. {
            let beyond = 10_f64.powf(-f64::from(n) / f64::from(POINTS_PER_NINE));
            if beyond * (count as f64) < 1.0 {
                break;
            }
            let quantile = 1.0 - beyond;
            points.push((quantile, self.quantile_ms(quantile)));
        }
        if count > 1 {
            points.push((1.0 - 1.0 / count as f64, ms(self.0.max())));
        }
        Curve { count, points }
    }
}

impl Curve {
    /// Milliseconds at a quantile, between the points as on the straight line through them;
    /// `None` beyond the last one.
    pub fn at(&self, quantile: f64) -> Option<f64> {
        let after = self.points.iter().position(|(at, _)| *at >= quantile)?;
        let (to, high) = self.points[after];
        let (from, low) = self.points[after.saturating_sub(1)];
        let part = if to > from { (quantile - from) / (to - from) } else { 1.0 };
        Some(low + (high - low) * part)
    }
}

impl Lag {
    /// Adds a request that left so late.
    pub fn add(&mut self, lag_us: u64) {
        self.count += 1;
        self.late += u64::from(ms(lag_us) > LATE_MS);
        self.late_share = self.late as f64 / self.count as f64;
        self.max_ms = self.max_ms.max(ms(lag_us));
    }

    /// Whether so many were late that latencies measure the generator too.
    pub fn is_too_much(&self) -> bool {
        self.late_share > LATE_SHARE_MAX
    }
}

/// Milliseconds.
pub fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_passes_through_the_percentiles() {
        let latencies = Latencies::of((1..=10_000).map(|n| n * 1_000)).unwrap();
        let (percentiles, curve) = (latencies.percentiles(), latencies.curve());
        let near = |a: f64, b: f64| (a - b).abs() <= 0.01 * b;
        assert!(near(curve.at(0.5).unwrap(), percentiles.p50_ms));
        assert!(near(curve.at(0.99).unwrap(), percentiles.p99_ms));
        assert!(near(curve.points.last().unwrap().1, 10_000.0), "{curve:?}");
        assert!(curve.points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1), "{curve:?}");
        assert_eq!(curve.at(0.999_999), None);
    }

    #[test]
    fn no_requests_have_no_curve_and_one_has_a_point() {
        let curve = |us: &[u64]| Latencies::of(us.iter().copied()).unwrap().curve();
        assert_eq!(curve(&[]), Curve::default());
        assert_eq!(curve(&[2_000]).points, [(0.0, 2.0)]);
    }
}
