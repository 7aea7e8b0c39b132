//! Stairs: the rate goes up step by step until a step is over the knee.

use super::tally::Tally;
use crate::report::{Climb, Step};
use crate::scenario::Stairs;

/// Adds a step at this rate, of whose requests so many were acknowledged in time; whether it is
/// over the knee.
pub fn climb(climb: &mut Climb, stairs: &Stairs, rate: f64, tally: &Tally, in_time: u64) -> bool {
    let so_far = tally.so_far();
    let (count, latencies) = (so_far.count(), so_far.acknowledged());
    let p99_ms = latencies.quantile_ms(0.99);
    let goodput = in_time as f64 / count.max(1) as f64;
    let (p99_ms_max, goodput_min) = (stairs.p99_ms_max, stairs.goodput_min);
    let over = if goodput < goodput_min {
        Some(format!("{:.1} % acknowledged in time", goodput * 100.0))
    } else if p99_ms > p99_ms_max {
        Some(format!("p99 above {p99_ms_max} ms"))
    } else {
        climb.knee = Some(rate);
        None
    };
    let is_over = over.is_some();
    climb.steps.push(Step {
        offered: count as f64 / stairs.seconds,
        achieved: in_time as f64 / stairs.seconds,
        p50_ms: latencies.quantile_ms(0.5),
        p99_ms,
        p999_ms: latencies.quantile_ms(0.999),
        late_share: so_far.lag().late_share,
        over,
    });
    is_over
}
