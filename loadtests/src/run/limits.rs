//! What a run must keep to: the thresholds of its file, and what a run must do to show anything.

use super::tally::{Figures, Tally};
use crate::report::{Climb, Report};
use crate::scenario::{Percentiles, Scenario, Stairs, Thresholds};

/// Compares a report with the thresholds that any scenario may have.
pub fn general(limits: &Thresholds, report: &mut Report) {
    let all = report.outcomes.values().sum::<u64>();
    let refused = report.refused_latency.count;
    if let Some(max) = limits.unknown_max {
        report.limit_unknown(report.unknown(), max);
    }
    let share = refused as f64 / all.max(1) as f64;
    if let Some(max) = limits.refused_share_max {
        report.limit(share <= max, format!("{share:.4} refused, {max} at most"));
    }
    let latency = report.acknowledged_latency;
    report.limit_ms("p99", latency.p99_ms, limits.p99_ms_max);
    report.limit_ms("p99.9", latency.p999_ms, limits.p999_ms_max);
    report.limit_rate(limits.acknowledged_per_second_min);
    let late = report.lag.late_share;
    if let Some(max) = limits.late_share_max {
        report.limit(late <= max, format!("{late:.4} left late, {max} at most"));
    }
}

/// Compares what instances held with what they may hold, once the monitor has told it.
pub fn memory(limits: &Thresholds, report: &mut Report) {
    let Some(max) = limits.memory_mib_max else { return };
    match report.monitor.memory_mib_max(report.seconds) {
        Some(mib) => {
            report.limit(mib <= max, format!("{mib:.0} MiB in an instance, {max} at most"));
        }
        None => report.limits_missed.push("nobody knows what an instance held".to_owned()),
    }
}

/// Compares a run of the generator with its scenario.
pub fn judge(scenario: &Scenario, tally: &Tally, report: &mut Report) {
    for (sort, weight) in scenario.mix().weights() {
        let of_it = tally.sorts.iter().find(|(known, _)| known.name() == sort);
        if weight > 0.0 && of_it.is_none_or(|(_, figures)| figures.acknowledged == 0) {
            // It shows nothing.
            report.limits_missed.push(format!("{sort}: none was acknowledged"));
        }
    }
    let limits = &scenario.thresholds;
    general(limits, report);
    match report.stairs.clone() {
        Some(climb) => {
            knee(limits, &climb, report);
            beyond(limits, &climb, report);
            if let Some(stairs) = &scenario.stairs {
                below(stairs, &climb, report);
            }
        }
        None => counts(scenario, tally, report),
    }
    for (sort, figures) in &tally.sorts {
        if let Some(limits) = limits.each.get(sort.name()) {
            percentiles(sort.name(), *limits, figures, report);
        }
    }
}

fn knee(limits: &Thresholds, climb: &Climb, report: &mut Report) {
    match (climb.knee, limits.knee_per_second_min) {
        (None, _) => report.limits_missed.push("the first step was over the knee".to_owned()),
        (Some(knee), Some(min)) => {
            report.limit(knee >= min, format!("the knee is above {knee}/s, {min}/s at least"));
        }
        _ => {}
    }
}

/// What comes after the last step, at shares of the knee.
fn below(stairs: &Stairs, climb: &Climb, report: &mut Report) {
    for (limit, (share, step)) in stairs.below.iter().zip(&climb.below) {
        let words = format!("p99 at {share} of the knee");
        report.limit_ms(&words, step.p99_ms, limit.p99_ms_max);
        let (goodput, min) = (step.goodput, stairs.goodput_min);
        let words = format!(
            "{:.1} % acknowledged in time at {share} of the knee, {:.0} % at least",
            goodput * 100.0,
            min * 100.0
        );
        report.limit(goodput >= min, words);
    }
}

/// What a server still does when more is asked of it than it can do.
fn beyond(limits: &Thresholds, climb: &Climb, report: &mut Report) {
    let best = climb.best_and_worst_beyond();
    if let (Some(min), Some((best, worst))) = (limits.achieved_of_best_min, best) {
        let best = best.achieved;
        let words = format!(
            "{:.0} % of the best step's {best:.0}/s where more was offered, {:.0} % at least",
            worst * 100.0,
            min * 100.0
        );
        let was_too_much = climb.steps.last().is_some_and(|step| step.over.is_some());
        report.limit(worst >= min && was_too_much, words);
    }
    let last = climb.steps.last().map_or(0.0, |last| last.offered);
    if let (Some(min), Some((best, _))) = (limits.offered_of_best_min, best) {
        let times = last / best.achieved.max(0.001);
        report.limit(times >= min, format!("{times:.1} times the best offered, {min} at least"));
    }
    if let Some(max) = limits.in_doubt_max {
        let in_doubt: u64 = climb.steps.iter().map(|step| step.in_doubt).sum();
        report.limit(in_doubt <= max, format!("{in_doubt} may have been done, {max} at most"));
    }
    let turned_away = climb.turned_away_p99_ms();
    if limits.turned_away_p99_ms_max.is_some() && turned_away == 0.0 {
        report.limits_missed.push("nobody was turned away".to_owned());
    }
    report.limit_ms("p99 of who was turned away", turned_away, limits.turned_away_p99_ms_max);
}

/// Stairs go on until something is refused or late; other runs must not.
fn counts(scenario: &Scenario, tally: &Tally, report: &mut Report) {
    let limits = &scenario.thresholds;
    // Where not everybody can have one, "no" has a good reason.
    let is_scarce = scenario.goods.units.is_some() || scenario.goods.fresh == 0;
    for (label, count) in &tally.refusals {
        let is_expected = is_scarce && label.ends_with(" 409 out_of_stock");
        if !is_expected && limits.refused_share_max.is_none() {
            report.limits_missed.push(format!("{count} ended with {label}"));
        }
    }
    if limits.unknown_max.is_none() {
        report.limit_unknown(report.unknown(), 0);
    }
    if let Some(max) = limits.p99_drift_max {
        let drift = tally.p99_drift();
        let words = format!("p99 of the last fifth {drift:.2} times the first's, {max} at most");
        report.limit(drift <= max, words);
    }
}

fn percentiles(sort: &str, limits: Percentiles, of: &Figures, report: &mut Report) {
    let quantile_ms = |quantile| of.latency.quantile_ms(quantile);
    report.limit_ms(&format!("{sort}: p99"), quantile_ms(0.99), limits.p99_ms_max);
    report.limit_ms(&format!("{sort}: p99.9"), quantile_ms(0.999), limits.p999_ms_max);
}
