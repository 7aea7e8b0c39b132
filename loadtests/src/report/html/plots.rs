//! The charts of requests: throughput, latency over time and by percentile, and the generator's
//! own lateness, each with its numbers.

use super::chart::{Chart, Series, Spot, Style};
use super::markup::{count, duration, folded, number, table};
use super::scale::Scale;
use crate::report::timeline::Second;
use crate::report::{Climb, Curve, Report, Step};

/// Places to point at, and rows of a table, at most: a longer run shows every n-th second.
const ROWS_MAX: usize = 300;
/// The colour of what is only a background to the rest.
pub const GREY: usize = 6;
const WIDE: (f64, f64) = (1_040.0, 280.0);
const AXIS: &str = "seconds from the start";

/// Its name, its colour, and how it is read.
type Percentile = (&'static str, usize, fn(&Second) -> f64);

/// The end of the time axis that all charts share.
pub fn end_seconds(report: &Report) -> f64 {
    report.timeline.len().max(1) as f64
}

/// Columns of answers in each second, and how many requests were meant to start.
pub fn throughput(report: &Report) -> String {
    let seconds = &report.timeline;
    if seconds.is_empty() {
        return String::new();
    }
    let points = |of: fn(&Second) -> u64| {
        seconds.iter().map(|second| (second.second as f64, Some(of(second) as f64))).collect()
    };
    let any = |of: fn(&Second) -> u64| seconds.iter().any(|second| of(second) > 0);
    let mut series = Vec::new();
    let mut add = |name: &str, colour, style, points| {
        series.push(Series { name: name.to_owned(), colour, style, points });
    };
    // Each lies in front of the sum that it is a part of.
    if any(|second| second.unknown) {
        add("no final answer", 1, Style::Columns, points(|second| second.answered));
    }
    if any(|second| second.refused) {
        let both = |second: &Second| second.acknowledged + second.refused;
        add("refused", 4, Style::Columns, points(both));
    }
    add("acknowledged", 0, Style::Columns, points(|second| second.acknowledged));
    add("meant to start", GREY, Style::Steps, points(|second| second.intended));
    let max = seconds.iter().map(|second| second.answered.max(second.intended)).max();
    let chart = Chart {
        label: format!(
            "Answers in each second, {} a second on the average",
            number(report.answered_per_second)
        ),
        x: (Scale::Seconds(end_seconds(report)), AXIS),
        y: (Scale::up_to(max.unwrap_or(0) as f64), "requests a second"),
        size: WIDE,
        series,
        spots: spots(seconds, |second| {
            format!(
                "acknowledged  {}\nrefused  {}\nno final answer  {}\nmeant to start  {}",
                count(second.acknowledged),
                count(second.refused),
                count(second.unknown),
                count(second.intended)
            )
        }),
    };
    let mut codes: Vec<&String> =
        seconds.iter().flat_map(|second| second.outcomes.keys()).collect();
    codes.sort_unstable();
    codes.dedup();
    let names: Vec<String> =
        codes.iter().map(|code| super::markup::esc(code).to_string()).collect();
    let mut header = vec!["s", "meant to start", "answered"];
    header.extend(names.iter().map(String::as_str));
    let table = numbers(seconds, &header, |second| {
        let mut cells = vec![count(second.intended), count(second.answered)];
        let of_code = |code: &&String| second.outcomes.get(*code).copied().unwrap_or(0);
        cells.extend(codes.iter().map(|code| count(of_code(code))));
        cells
    });
    chart.draw() + &table
}

/// Percentiles of those that were meant to start in each second.
pub fn latency_over_time(report: &Report) -> String {
    let seconds = &report.timeline;
    let percentiles: [Percentile; 5] = [
        ("max", GREY, |second| second.latency.max_ms),
        ("p99.9", 1, |second| second.latency.p999_ms),
        ("p99", 4, |second| second.latency.p99_ms),
        ("p90", 5, |second| second.latency.p90_ms),
        ("p50", 0, |second| second.latency.p50_ms),
    ];
    let known = |second: &&Second| second.latency.count > 0;
    if !seconds.iter().any(|second| known(&second)) {
        return String::new();
    }
    let series = percentiles.iter().map(|(name, colour, of)| Series {
        name: (*name).to_owned(),
        colour: *colour,
        style: if *colour == GREY { Style::Dashed } else { Style::Line },
        // In the middle of its second.
        points: seconds
            .iter()
            .map(|second| (second.second as f64 + 0.5, known(&second).then(|| of(second))))
            .collect(),
    });
    let values = seconds.iter().filter(known).flat_map(|second| percentiles.map(|p| p.2(second)));
    let chart = Chart {
        label: "Percentiles of the latency in each second, on a logarithmic axis".to_owned(),
        x: (Scale::Seconds(end_seconds(report)), AXIS),
        y: (Scale::log_around(values), "latency"),
        size: WIDE,
        series: series.collect(),
        spots: spots(seconds, |second| {
            let line = |(name, _, of): &Percentile| format!("{name}  {}", duration(of(second)));
            percentiles.iter().map(line).collect::<Vec<_>>().join("\n")
        }),
    };
    let header = ["s", "requests", "p50, ms", "p90, ms", "p99, ms", "p99.9, ms", "max, ms"];
    let table = numbers(seconds, &header, |second| {
        let mut cells = vec![count(second.latency.count)];
        cells.extend(percentiles.iter().rev().map(|(_, _, of)| number(of(second))));
        cells
    });
    chart.draw() + &table
}

/// How long the fastest of all requests took at most, for each share of them.
pub fn latency_by_percentile(report: &Report) -> String {
    let mut curves = vec![
        ("acknowledged", 0, Style::Line, &report.acknowledged_curve),
        ("refused", 4, Style::Line, &report.refused_curve),
    ];
    if let Some(baseline) = &report.baseline {
        let earlier = &baseline.acknowledged_curve;
        curves.push(("acknowledged, before", 0, Style::Dashed, earlier));
        curves.push(("refused, before", 4, Style::Dashed, &baseline.refused_curve));
    }
    curves.retain(|(_, _, _, curve)| !curve.points.is_empty());
    if curves.is_empty() {
        return String::new();
    }
    let points = || curves.iter().flat_map(|(_, _, _, curve)| &curve.points);
    let end = points().map(|(quantile, _)| *quantile).fold(0.9, f64::max);
    let quantiles = [0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999];
    let quantiles: Vec<f64> = quantiles.into_iter().filter(|quantile| *quantile <= end).collect();
    let at = |curve: &Curve, quantile| curve.at(quantile).map_or("–".to_owned(), duration);
    let spots = quantiles.iter().enumerate().map(|(n, quantile)| Spot {
        from: n.checked_sub(1).map_or(0.0, |before| between(quantiles[before], *quantile)),
        to: quantiles.get(n + 1).map_or(end, |next| between(*quantile, *next)),
        text: std::iter::once(format!("{} of the requests", share(*quantile)))
            .chain(
                curves
                    .iter()
                    .map(|(name, _, _, curve)| format!("{name}  {}", at(curve, *quantile))),
            )
            .collect::<Vec<_>>()
            .join("\n"),
    });
    let chart = Chart {
        label: "Latency by percentile, both axes logarithmic".to_owned(),
        x: (Scale::Nines(end), "share of the requests that took no longer"),
        y: (Scale::log_around(points().map(|(_, ms)| *ms)), "latency"),
        size: WIDE,
        spots: spots.collect(),
        series: curves
            .iter()
            .map(|(name, colour, style, curve)| Series {
                name: (*name).to_owned(),
                colour: *colour,
                style: *style,
                points: curve.points.iter().map(|(at, ms)| (*at, Some(*ms))).collect(),
            })
            .collect(),
    };
    let header: Vec<&str> =
        std::iter::once("Share").chain(curves.iter().map(|(name, _, _, _)| *name)).collect();
    let rows = quantiles.iter().map(|quantile| {
        let cells = curves.iter().map(|(_, _, _, curve)| at(curve, *quantile));
        std::iter::once(share(*quantile)).chain(cells).collect::<Vec<_>>()
    });
    chart.draw() + &folded("Table", &table("numbers", &header, &rows.collect::<Vec<_>>()))
}

/// The middle of two quantiles on the axis of nines.
fn between(low: f64, high: f64) -> f64 {
    1.0 - ((1.0 - low) * (1.0 - high)).sqrt()
}

fn share(quantile: f64) -> String {
    let text = format!("{:.3}", quantile * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What was achieved, and who was turned away, by what was offered.
pub fn stairs(climb: &Climb) -> String {
    let steps = &climb.steps;
    // A single step is no line.
    if steps.len() < 2 {
        return String::new();
    }
    let max = steps.iter().map(|step| step.offered).fold(0.0, f64::max);
    let mut series = Vec::new();
    let mut add = |name: &str, colour, style, of: fn(&Step) -> f64| {
        let points = steps.iter().map(|step| (step.offered, Some(of(step)))).collect();
        series.push(Series { name: name.to_owned(), colour, style, points });
    };
    add("offered", GREY, Style::Dashed, |step| step.offered);
    add("told to come later", 4, Style::Line, |step| step.turned_away);
    add("acknowledged in time", 0, Style::Line, |step| step.achieved);
    let ends = steps.iter().skip(1).map(|step| step.offered).chain([max]);
    let spots = steps.iter().zip(ends).map(|(step, to)| Spot {
        from: step.offered,
        to,
        text: format!(
            "offered  {}/s\nacknowledged in time  {}/s\ntold to come later  {}/s",
            number(step.offered),
            number(step.achieved),
            number(step.turned_away)
        ),
    });
    Chart {
        label: "What was acknowledged in time, by what was offered".to_owned(),
        x: (Scale::up_to(max), "offered, requests a second"),
        y: (Scale::up_to(max), "requests a second"),
        size: WIDE,
        spots: spots.collect(),
        series,
    }
    .draw()
}

/// How late requests left in each second.
pub fn lag(report: &Report) -> String {
    let seconds = &report.timeline;
    if seconds.is_empty() {
        return String::new();
    }
    let max = report.lag.max_ms;
    let chart = Chart {
        label: format!("The generator's lateness in each second, {} at most", duration(max)),
        x: (Scale::Seconds(end_seconds(report)), AXIS),
        y: (Scale::up_to(max), "latest, ms"),
        size: (1_040.0, 180.0),
        series: vec![Series {
            name: "latest departure".to_owned(),
            colour: GREY,
            style: Style::Columns,
            points: seconds
                .iter()
                .map(|second| (second.second as f64, Some(second.lag_max_ms)))
                .collect(),
        }],
        spots: spots(seconds, |second| {
            format!("the latest left {} after its time", duration(second.lag_max_ms))
        }),
    };
    let verdict = if report.lag.is_too_much() {
        "No: so many left late, for want of a free connection or of CPU, that latencies measure \
         the generator too. Take more connections, fewer clients, or another machine for it."
    } else {
        "Yes: too few left late to matter."
    };
    let (late, latest) = (super::percent(report.lag.late_share), duration(max));
    let header = ["s", "meant to start", "latest, ms"];
    let table = numbers(seconds, &header, |second| {
        vec![count(second.intended), number(second.lag_max_ms)]
    });
    format!(
        "<p>{verdict} {late} of the requests left more than 10 ms after they were meant to; the \
         latest one {latest}.</p>{}{table}",
        chart.draw()
    )
}

/// Every n-th second, so that there are not too many.
fn shown(seconds: &[Second]) -> (usize, impl Iterator<Item = &Second>) {
    let step = seconds.len().div_ceil(ROWS_MAX).max(1);
    (step, seconds.iter().step_by(step))
}

fn spots(seconds: &[Second], text: impl Fn(&Second) -> String) -> Vec<Spot> {
    let (step, shown) = shown(seconds);
    let spot = |second: &Second| {
        let from = second.second as f64;
        let text = format!("second {}\n{}", second.second, text(second));
        Spot { from, to: from + step as f64, text }
    };
    shown.map(spot).collect()
}

fn numbers(
    seconds: &[Second],
    header: &[&str],
    cells: impl Fn(&Second) -> Vec<String>,
) -> String {
    let (step, shown) = shown(seconds);
    let row = |second: &Second| {
        let mut row = vec![second.second.to_string()];
        row.extend(cells(second));
        row
    };
    let rows: Vec<Vec<String>> = shown.map(row).collect();
    let title = match step {
        1 => "Table".to_owned(),
        step => format!("Table of every {step}th second; the JSON has all"),
    };
    folded(&title, &table("numbers", header, &rows))
}
