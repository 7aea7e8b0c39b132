//! What of a scenario's thresholds a run did not keep to.

use super::stairs::Climb;
use super::tally::{Figures, Tally};
use crate::report::Report;
use crate::scenario::{Kind, Percentiles, Scenario};

/// The limits that were missed.
pub fn missed(scenario: &Scenario, report: &Report, tally: &Tally, climb: &Climb) -> Vec<String> {
    let mut missed = Vec::new();
    for (sort, weight) in scenario.mix().weights() {
        let of_it = tally.sorts.iter().find(|(known, _)| known.name() == sort);
        if weight > 0.0 && of_it.is_none_or(|(_, figures)| figures.acknowledged == 0) {
            // It shows nothing.
            missed.push(format!("{sort}: none was acknowledged"));
        }
    }
    if scenario.kind == Kind::Stairs {
        stairs(scenario, climb, &mut missed);
    } else {
        counts(scenario, report, tally, &mut missed);
    }
    let limits = &scenario.thresholds;
    let (p99_ms_max, p999_ms_max) = (limits.p99_ms_max, limits.p999_ms_max);
    percentiles("", Percentiles { p99_ms_max, p999_ms_max }, &tally.all, &mut missed);
    for (sort, figures) in &tally.sorts {
        if let Some(limits) = limits.each.get(sort.name()) {
            percentiles(&format!("{}: ", sort.name()), *limits, figures, &mut missed);
        }
    }
    missed
}

fn stairs(scenario: &Scenario, climb: &Climb, missed: &mut Vec<String>) {
    match (climb.knee, scenario.thresholds.knee_per_second_min) {
        (None, _) => missed.push("the first step was over the knee".to_owned()),
        (Some(knee), Some(min)) if knee < min => {
            missed.push(format!("the knee is above {knee}/s, {min}/s at least"));
        }
        _ => {}
    }
}

/// Stairs go on until something is refused or late; other runs must not.
fn counts(scenario: &Scenario, report: &Report, tally: &Tally, missed: &mut Vec<String>) {
    let limits = &scenario.thresholds;
    // Where not everybody can have one, "no" has a good reason.
    let is_scarce = scenario.goods.units.is_some() || scenario.goods.fresh == 0;
    for (label, count) in &tally.refusals {
        let is_expected = is_scarce && label.ends_with(" 409 out_of_stock");
        if !is_expected && limits.refused_share_max.is_none() {
            missed.push(format!("{count} ended with {label}"));
        }
    }
    let all = tally.all.count.max(1) as f64;
    let refused = tally.all.refused as f64 / all;
    if let Some(max) = limits.refused_share_max.filter(|max| refused > *max) {
        missed.push(format!("{refused:.4} refused, {max} at most"));
    }
    if tally.all.unknown > limits.unknown_max {
        let (unknown, max) = (tally.all.unknown, limits.unknown_max);
        missed.push(format!("{unknown} without a final answer, {max} at most"));
    }
    let per_second = report.acknowledged_per_second;
    if let Some(min) = limits.acknowledged_per_second_min.filter(|min| per_second < *min) {
        missed.push(format!("{per_second:.0} acknowledged/s, {min} at least"));
    }
    let late = tally.late_share();
    if let Some(max) = limits.late_share_max.filter(|max| late > *max) {
        missed.push(format!("{late:.4} left late, {max} at most"));
    }
    let drift = tally.p99_drift();
    if let Some(max) = limits.p99_drift_max.filter(|max| drift > *max) {
        missed.push(format!("p99 of the last fifth {drift:.2} times the first's, {max} at most"));
    }
}

fn percentiles(name: &str, limits: Percentiles, of: &Figures, missed: &mut Vec<String>) {
    for (percentile, quantile, max) in
        [("p99", 0.99, limits.p99_ms_max), ("p99.9", 0.999, limits.p999_ms_max)]
    {
        let ms = of.quantile_ms(quantile);
        if let Some(max) = max.filter(|max| ms > *max) {
            missed.push(format!("{name}{percentile} {ms:.2} ms, {max} ms at most"));
        }
    }
}
