//! What differs between two runs by more than noise.
//!
//! The rule stands in [`RULE`], and on every page that applies it.

use super::{Curve, Report};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Two runs of the same thing on the same machine may differ by this share.
const SHARE: f64 = 0.10;
/// The generator's clock ticks in milliseconds, so less is not told apart.
const TICK_MS: f64 = 0.5;
/// Standard deviations on each side that hold 99 % of a normal distribution.
const DEVIATIONS: f64 = 2.58;

/// The rule in words.
pub const RULE: &str = "A figure differs if it moved by more than 10 % of its earlier value, and \
    by more than chance explains at 99 %: for a percentile, the confidence intervals of both runs \
    (from the order of their latencies) do not overlap and it moved by more than 0.5 ms; for \
    orders and requests, the counts lie further apart than 2.58 standard deviations of a Poisson \
    process. A percentile with too few requests beyond it, and a maximum, are shown and not \
    judged. CPU, memory and commit times are judged by the 10 % alone. One pair of runs shows \
    no more than that: repeat it before you act on a small difference.";

/// What to think of a figure that moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// By no more than noise.
    Same,
    /// By more than noise, to the good.
    Better,
    /// By more than noise, to the bad.
    Worse,
    /// By more than noise; whether that is good is for the reader to say.
    Different,
    /// There is too little to judge it by.
    Unjudged,
}

/// A figure of both runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is of.
    pub name: String,
    /// In what it is measured.
    pub unit: String,
    /// In the earlier run.
    pub before: f64,
    /// In this run.
    pub after: f64,
    /// What to think of it.
    pub change: Change,
}

/// How a run differs from an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The scenario and the name of the earlier run.
    pub baseline: String,
    /// The figures of both.
    pub figures: Vec<Figure>,
    /// What else was not the same, and makes them hard to compare.
    pub caveats: Vec<String>,
}

/// Which way is good.
#[derive(Clone, Copy, PartialEq)]
enum Good {
    More,
    Less,
    Neither,
}

impl Comparison {
    /// Of two runs.
    pub fn of(before: &Report, after: &Report) -> Self {
        let mut figures = throughput(before, after);
        figures.extend(latencies("acknowledged", before, after, |report| {
            (&report.acknowledged_curve, report.acknowledged_latency.max_ms)
        }));
        figures.extend(latencies("refused", before, after, |report| {
            (&report.refused_curve, report.refused_latency.max_ms)
        }));
        figures.extend(monitored(before, after));
        Self {
            baseline: format!("{} {}", before.scenario, before.run),
            figures,
            caveats: caveats(before, after),
        }
    }

    /// The figures that differ by more than noise.
    pub fn different(&self) -> impl Iterator<Item = &Figure> {
        let noise = [Change::Same, Change::Unjudged];
        self.figures.iter().filter(move |figure| !noise.contains(&figure.change))
    }
}

fn throughput(before: &Report, after: &Report) -> Vec<Figure> {
    let per_second = |name: &str, of: fn(&Report) -> (f64, u64)| {
        let ((was, was_count), (is, is_count)) = (of(before), of(after));
        let counts = (was_count as f64, is_count as f64);
        // The relative deviation of a count is that of the rate made of it.
        let chance = DEVIATIONS * (1.0 / counts.0.max(1.0) + 1.0 / counts.1.max(1.0)).sqrt();
        figure(name, "/s", (was, is), was * chance, Good::More)
    };
    let count = |name: &str, good, of: &dyn Fn(&Report) -> u64| {
        let (was, is) = (of(before) as f64, of(after) as f64);
        figure(name, "", (was, is), DEVIATIONS * (was + is).sqrt(), good)
    };
    let mut figures = vec![
        per_second("acknowledged", |report| {
            (report.acknowledged_per_second, report.acknowledged)
        }),
        per_second("answered", |report| {
            (report.answered_per_second, report.outcomes.values().sum())
        }),
    ];
    let mut outcomes: Vec<&String> =
        before.outcomes.keys().chain(after.outcomes.keys()).collect();
    outcomes.sort_unstable();
    outcomes.dedup();
    for outcome in outcomes {
        let good = if outcome.starts_with("unknown") { Good::Less } else { Good::Neither };
        let of = |report: &Report| report.outcomes.get(outcome).copied().unwrap_or(0);
        figures.push(count(&format!("ended with {outcome}"), good, &of));
    }
    let came_again = |report: &Report| report.turned_away.values().sum::<u64>() + report.lost;
    figures.push(count("attempts that came again", Good::Less, &came_again));
    figures
}

fn figure(
    name: &str,
    unit: &str,
    (before, after): (f64, f64),
    chance: f64,
    good: Good,
) -> Figure {
    let noise = chance.max(SHARE * before.abs());
    let change = if (after - before).abs() <= noise {
        Change::Same
    } else {
        towards(after > before, good)
    };
    Figure { name: name.to_owned(), unit: unit.to_owned(), before, after, change }
}

fn towards(rises: bool, good: Good) -> Change {
    match (good, rises) {
        (Good::Neither, _) => Change::Different,
        (Good::More, true) | (Good::Less, false) => Change::Better,
        _ => Change::Worse,
    }
}

fn latencies(
    name: &str,
    before: &Report,
    after: &Report,
    of: impl Fn(&Report) -> (&Curve, f64),
) -> Vec<Figure> {
    let ((was, was_max), (is, is_max)) = (of(before), of(after));
    if was.count == 0 || is.count == 0 {
        return Vec::new();
    }
    let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
    let mut figures: Vec<Figure> = quantiles
        .into_iter()
        .filter_map(|(label, quantile)| {
            Some(Figure {
                name: format!("{label}, {name}"),
                unit: "ms".to_owned(),
                before: was.at(quantile)?,
                after: is.at(quantile)?,
                change: percentile_change(was, is, quantile),
            })
        })
        .collect();
    let (before, after, change) = (was_max, is_max, Change::Unjudged);
    let (name, unit) = (format!("max, {name}"), "ms".to_owned());
    figures.push(Figure { name, unit, before, after, change });
    figures
}

fn percentile_change(was: &Curve, is: &Curve, quantile: f64) -> Change {
    let bounds = (interval(was, quantile), interval(is, quantile));
    let (Some((was_low, was_high)), Some((is_low, is_high))) = bounds else {
        return Change::Unjudged;
    };
    let (Some(before), Some(after)) = (was.at(quantile), is.at(quantile)) else {
        return Change::Unjudged;
    };
    let apart = is_low > was_high || was_low > is_high;
    if apart && (after - before).abs() > (SHARE * before).max(TICK_MS) {
        towards(after > before, Good::Less)
    } else {
        Change::Same
    }
}

/// Between which latencies the true percentile lies in 99 of 100 runs; `None` if there are too
/// few requests beyond it to say.
fn interval(curve: &Curve, quantile: f64) -> Option<(f64, f64)> {
    let deviation = DEVIATIONS * (quantile * (1.0 - quantile) / curve.count as f64).sqrt();
    Some((curve.at((quantile - deviation).max(0.0))?, curve.at(quantile + deviation)?))
}

fn monitored(before: &Report, after: &Report) -> Vec<Figure> {
    let (was, is) = (before.monitor.means(before.seconds), after.monitor.means(after.seconds));
    let both = was.into_iter().zip(is);
    both.filter_map(|(was, is)| {
        let values = (was.value?, is.value?);
        let good = if was.less_is_better { Good::Less } else { Good::Neither };
        Some(figure(was.name, was.unit, values, 0.0, good))
    })
    .collect()
}

/// Conditions that were not the same.
fn caveats(before: &Report, after: &Report) -> Vec<String> {
    let mut caveats = Vec::new();
    let mut same = |what: &str, was: String, is: String| {
        if was != is {
            caveats.push(format!("{what}: {was} before, {is} now"));
        }
    };
    same("scenario", before.scenario.clone(), after.scenario.clone());
    let instances = |report: &Report| report.setup.instances.len().to_string();
    same("instances", instances(before), instances(after));
    let versions = |report: &Report| {
        let mut versions: Vec<String> =
            report.setup.instances.iter().map(|instance| instance.version_line()).collect();
        versions.dedup();
        if versions.is_empty() { "unknown".to_owned() } else { versions.join(", ") }
    };
    same("product", versions(before), versions(after));
    let machine = |report: &Report| report.setup.machine.line();
    same("machine of the generator", machine(before), machine(after));
    let postgres = |report: &Report| report.setup.postgres_line();
    same("PostgreSQL", postgres(before), postgres(after));
    for (name, report) in [("The earlier run", before), ("This run", after)] {
        if report.lag.is_too_much() {
            let share = report.lag.late_share * 100.0;
            caveats.push(format!("{name}: the generator itself was late, {share:.1} %"));
        }
        if !report.is_clean() {
            caveats.push(format!("{name}: not everything was true and within its limits"));
        }
    }
    caveats
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  compared with {}", self.baseline)?;
        for figure in self.different() {
            let word = match figure.change {
                Change::Better => "better",
                Change::Worse => "WORSE",
                _ => "different",
            };
            let Figure { name, unit, before, after, .. } = figure;
            writeln!(f, "  {word:13} {name}: {before:.2} {unit} before, {after:.2} {unit} now")?;
        }
        if self.different().next().is_none() {
            writeln!(f, "                nothing differs by more than noise")?;
        }
        self.caveats.iter().try_for_each(|caveat| writeln!(f, "  not the same  {caveat}"))
    }
}
