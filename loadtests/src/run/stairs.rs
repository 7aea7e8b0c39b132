//! Stairs: the rate goes up step by step until a step is over the knee.

use super::tally::Tally;
use crate::report::{Climb, Step};
use crate::scenario::Stairs;

/// What became of a stage of so many seconds, of whose requests so many were acknowledged in time.
pub fn step(seconds: f64, tally: &Tally, in_time: u64) -> Step {
    let so_far = tally.so_far();
    let (count, latencies) = (so_far.count(), so_far.acknowledged());
    Step {
        offered: count as f64 / seconds,
        achieved: in_time as f64 / seconds,
        p50_ms: latencies.quantile_ms(0.5),
        p99_ms: latencies.quantile_ms(0.99),
        p999_ms: latencies.quantile_ms(0.999),
        late_share: so_far.lag().late_share,
        goodput: in_time as f64 / count.max(1) as f64,
        over: None,
    }
}

/// Adds the step at this rate; whether it is over the knee.
pub fn climb(climb: &mut Climb, stairs: &Stairs, rate: f64, step: Step) -> bool {
    let (p99_ms_max, goodput_min) = (stairs.p99_ms_max, stairs.goodput_min);
    let over = if step.goodput < goodput_min {
        Some(format!("{:.1} % acknowledged in time", step.goodput * 100.0))
    } else if step.p99_ms > p99_ms_max {
        Some(format!("p99 above {p99_ms_max} ms"))
    } else {
        climb.knee = Some(rate);
        None
    };
    let is_over = over.is_some();
    climb.steps.push(Step { over, ..step });
    is_over
}
