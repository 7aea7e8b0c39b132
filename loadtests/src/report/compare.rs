//! What differs between two runs by more than noise.
//!
//! The rule stands in [`RULE`], and on every page that applies it.

use super::{Curve, Report};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Two runs of the same thing on the same quiet machine may differ by this share.
const SHARE: f64 = 0.10;
/// Where others use the machine, only what doubles or halves is told apart.
const BUSY_SHARE: f64 = 1.0;
/// The share of the CPUs that others may use on a quiet machine.
const OTHERS_MAX: f64 = 0.10;
/// The generator's clock ticks in milliseconds, so less is not told apart.
const TICK_MS: f64 = 0.5;
/// Standard deviations on each side that hold 99 % of a normal distribution.
const DEVIATIONS: f64 = 2.58;

/// The rule in words.
pub const RULE: &str = "A figure differs if the larger one is more than 10 % above the smaller \
    one (more than twice as much, if in one of the runs others used more than 10 % of the \
    machine's CPUs, or the generator was late), and by more than chance explains at 99 %: for a \
    percentile, the confidence intervals of both runs (from the order of their latencies) do not \
    overlap and it moved by more than 0.5 ms; for \
    orders and requests, the counts lie further apart than 2.58 standard deviations of a Poisson \
    process. A percentile with too few requests beyond it, and a maximum, are shown and not \
    judged. CPU, memory, commit times and batches are judged by that share, and moved by more \
    than 0.05 cores, 5 MiB, 0.5 ms or 0.5 orders. One pair of runs shows \
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
    /// By which share of the smaller value figures of two such runs may differ.
    pub share: f64,
}

/// Which way is good.
#[derive(Clone, Copy, PartialEq)]
enum Good {
    More,
    Less,
    Neither,
}

impl Figure {
    /// Whether the larger value is by more than a share above the smaller one.
    fn moved_by(&self, share: f64) -> bool {
        let (low, high) = (self.before.min(self.after), self.before.max(self.after));
        high > low * (1.0 + share)
    }
}

impl Comparison {
    /// Of two runs.
    pub fn of(before: &Report, after: &Report) -> Self {
        let busy = [before, after].into_iter().any(|run| is_busy(run) || run.lag.is_too_much());
        let share = if busy { BUSY_SHARE } else { SHARE };
        let mut figures = throughput(before, after);
        figures.extend(latencies("acknowledged", before, after, |report| {
            (&report.acknowledged_curve, report.acknowledged_latency.max_ms)
        }));
        figures.extend(latencies("refused", before, after, |report| {
            (&report.refused_curve, report.refused_latency.max_ms)
        }));
        figures.extend(monitored(before, after));
        for figure in &mut figures {
            if figure.change != Change::Unjudged && !figure.moved_by(share) {
                figure.change = Change::Same;
            }
        }
        Self {
            baseline: format!("{} {}", before.scenario, before.run),
            figures,
            caveats: caveats(before, after),
            share,
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
    let change = if (after - before).abs() <= chance {
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
    if apart && (after - before).abs() > TICK_MS {
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
        let least = match was.unit {
            "cores" => 0.05,
            "MiB" => 5.0,
            _ => 0.5,
        };
        let good = if was.less_is_better { Good::Less } else { Good::Neither };
        Some(figure(was.name, was.unit, values, least, good))
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
    let options = |report: &Report| options(&report.setup.command);
    same("options", options(before), options(after));
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
        if let Some(cores) = others(report).filter(|_| is_busy(report)) {
            let all = report.setup.machine.cores;
            caveats.push(format!("{name}: others used {cores:.1} of {all} CPUs meanwhile"));
        }
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

fn others(report: &Report) -> Option<f64> {
    report.monitor.others_cpu_cores(report.seconds)
}

fn is_busy(report: &Report) -> bool {
    let cores = report.setup.machine.cores as f64;
    others(report).is_some_and(|others| cores > 0.0 && others > OTHERS_MAX * cores)
}

/// The command line without what may differ from run to run: addresses and files.
fn options(command: &[String]) -> String {
    const ANY: &[&str] =
        &["--url", "--json", "--html", "--baseline", "--record", "--pid", "--database"];
    let mut options = Vec::new();
    let mut skip = false;
    for argument in command.iter().skip(1) {
        let name = argument.split('=').next().unwrap_or(argument);
        if std::mem::take(&mut skip) {
            continue;
        }
        if ANY.contains(&name) {
            skip = !argument.contains('=');
            continue;
        }
        options.push(argument.as_str());
    }
    if options.is_empty() { "none".to_owned() } else { options.join(" ") }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Verdict;
    use crate::record::{Answer, Record, Timing};
    use crate::report::latency::Latencies;

    /// So many acknowledged requests, evenly from one latency to another, within ten seconds.
    fn report(count: u64, from_us: u64, to_us: u64) -> Report {
        let record = |n: u64| Record {
            answers: vec![Answer { status: 201, ..Answer::default() }],
            timing: Timing {
                lag_us: 0,
                latency_us: from_us + (to_us - from_us) * n / count,
                answered_at_us: 10_000_000 * (n + 1) / count,
            },
            ..Record::default()
        };
        let records: Vec<Record> = (0..count).map(record).collect();
        Report::new("rush", "rush-1", &records, Verdict::default()).unwrap()
    }

    fn change(comparison: &Comparison, name: &str) -> Change {
        comparison.figures.iter().find(|figure| figure.name == name).unwrap().change
    }

    #[test]
    fn a_run_does_not_differ_from_itself() {
        let run = report(5_000, 1_000, 50_000);
        let comparison = Comparison::of(&run, &run);
        assert!(comparison.figures.len() > 6 && comparison.caveats.is_empty(), "{comparison}");
        assert_eq!(comparison.different().count(), 0, "{comparison}");
        assert!(comparison.to_string().contains("nothing differs"));
    }

    #[test]
    fn a_large_difference_of_many_requests_is_more_than_noise() {
        let (fast, slow) = (report(5_000, 1_000, 50_000), report(4_000, 2_000, 90_000));
        let comparison = Comparison::of(&fast, &slow);
        assert_eq!(change(&comparison, "p50, acknowledged"), Change::Worse);
        assert_eq!(change(&comparison, "p99, acknowledged"), Change::Worse);
        assert_eq!(change(&comparison, "acknowledged"), Change::Worse);
        assert_eq!(change(&comparison, "ended with 201"), Change::Different);
        let back = Comparison::of(&slow, &fast);
        assert_eq!(change(&back, "p99, acknowledged"), Change::Better);
        assert_eq!(change(&back, "acknowledged"), Change::Better);
    }

    #[test]
    fn a_difference_that_few_requests_may_make_by_chance_is_noise_or_not_judged() {
        let (one, other) = (report(60, 1_000, 50_000), report(60, 1_000, 62_000));
        let comparison = Comparison::of(&one, &other);
        assert_eq!(change(&comparison, "p50, acknowledged"), Change::Same);
        assert_eq!(change(&comparison, "p90, acknowledged"), Change::Unjudged);
        assert_eq!(change(&comparison, "max, acknowledged"), Change::Unjudged);
        // Ten of a hundred fewer is within what a Poisson process does.
        let counts = Comparison::of(&report(100, 1, 2), &report(85, 1, 2));
        assert_eq!(change(&counts, "acknowledged"), Change::Same);
    }

    #[test]
    fn on_a_busy_machine_only_what_doubles_is_told_apart() {
        let (fast, mut slow) = (report(5_000, 1_000, 50_000), report(5_000, 2_000, 80_000));
        let judge = |slow: &Report| Comparison::of(&fast, slow);
        assert_eq!(change(&judge(&slow), "p50, acknowledged"), Change::Worse);
        slow.setup.machine.cores = 2;
        slow.monitor.machine.push(crate::monitor::MachineSample {
            at_seconds: 1.0,
            cpu_cores: Some(1.5),
            ..Default::default()
        });
        let busy = judge(&slow);
        assert_eq!(change(&busy, "p50, acknowledged"), Change::Same);
        assert!(
            busy.caveats.contains(&"This run: others used 1.5 of 2 CPUs meanwhile".to_owned())
        );
        let slower = Report { monitor: slow.monitor, ..report(5_000, 5_000, 180_000) };
        assert_eq!(change(&judge(&slower), "p50, acknowledged"), Change::Worse);
    }

    #[test]
    fn less_than_a_tick_of_the_clock_is_no_difference() {
        let comparison = Comparison::of(&report(9_000, 100, 110), &report(9_000, 300, 310));
        assert_eq!(change(&comparison, "p50, acknowledged"), Change::Same);
        let curve = Latencies::of([1_000, 2_000]).unwrap().curve();
        assert_eq!(interval(&curve, 0.99), None);
    }

    #[test]
    fn runs_that_were_made_otherwise_say_so() {
        let (mut before, mut after) = (report(50, 1, 2), report(50, 1, 2));
        let line = |line: &str| line.split(' ').map(str::to_owned).collect();
        before.setup.command = line("rush --url http://a --json a.json --buyers 50");
        after.setup.command = line("rush --json=b.json --buyers 60 --url http://b");
        after.limits_missed.push("p99".to_owned());
        let caveats = Comparison::of(&before, &after).caveats;
        assert_eq!(caveats[0], "options: --buyers 50 before, --buyers 60 now");
        assert!(caveats[1].starts_with("This run: not everything"), "{caveats:?}");
    }
}
