//! What instances and PostgreSQL did meanwhile, on the time axis of the run.

use super::chart::{Chart, Series, Spot, Style};
use super::markup::{esc, folded, number, table};
use super::plots::{GREY, end_seconds};
use super::scale::Scale;
use crate::monitor::{Instance, InstanceSample};
use crate::report::Report;
use std::fmt::Write;

/// The line that the others are a part of.
const MACHINE: &str = "whole machine";

type Points = Vec<(f64, Option<f64>)>;

/// The section, if anything was seen.
pub fn section(report: &Report) -> String {
    let end = end_seconds(report);
    let panels = [
        ("CPU", "cores", cpu(report)),
        (
            "Memory held",
            "MiB",
            of_instances(report, "", |sample| {
                sample.resident_bytes.map(|bytes| bytes as f64 / 1_048_576.0)
            }),
        ),
        ("In flight and waiting", "requests", waiting(report)),
        ("Entries in a batch", "entries", journals(report, |journal| journal.batch_entries)),
        ("Time of a commit", "ms", journals(report, |journal| journal.commit_ms)),
        ("Cached values found, by tier", "a second", cache_reads(report)),
    ];
    let panels = panels.into_iter().filter_map(|(title, unit, lines)| {
        panel(title, unit, end, lines)
            .map(|panel| format!("<figure><h3>{title}</h3>{panel}</figure>"))
    });
    let panels: String = panels.collect();
    if panels.is_empty() {
        return String::new();
    }
    let mut html =
        format!("<section><h2>What the server did</h2><div class=\"panels\">{panels}</div>");
    let names = report.monitor.instances.iter().enumerate().map(|(n, instance)| {
        let pid = instance.pid.map(|pid| format!(", process {pid}")).unwrap_or_default();
        format!("{} is {}{pid}", name_of(report, n), esc(&instance.url))
    });
    let _ = write!(html, "<p class=\"note\">{}.</p>", names.collect::<Vec<_>>().join("; "));
    html.push_str("</section>");
    html
}

fn name_of(report: &Report, n: usize) -> String {
    if report.monitor.instances.len() == 1 {
        "instance".to_owned()
    } else {
        format!("instance {}", n + 1)
    }
}

fn of_instances(
    report: &Report,
    suffix: &str,
    of: impl Fn(&InstanceSample) -> Option<f64>,
) -> Vec<(String, Points)> {
    let line = |(n, instance): (usize, &Instance)| {
        let points = instance.samples.iter().map(|sample| (sample.at_seconds, of(sample)));
        (format!("{}{suffix}", name_of(report, n)), points.collect())
    };
    report.monitor.instances.iter().enumerate().map(line).collect()
}

fn cpu(report: &Report) -> Vec<(String, Points)> {
    let mut lines = of_instances(report, "", |sample| sample.cpu_cores);
    let machine = &report.monitor.machine;
    let mut line = |name: &str, points: Points| lines.push((name.to_owned(), points));
    line("PostgreSQL", machine.iter().map(|m| (m.at_seconds, m.postgres_cpu_cores)).collect());
    line("generator", machine.iter().map(|m| (m.at_seconds, m.generator_cpu_cores)).collect());
    line(MACHINE, machine.iter().map(|m| (m.at_seconds, m.cpu_cores)).collect());
    lines
}

fn waiting(report: &Report) -> Vec<(String, Points)> {
    let mut lines = of_instances(report, ": orders", |sample| sample.orders_in_flight);
    lines.extend(of_instances(report, ": carts", |sample| sample.carts_in_flight));
    lines.extend(of_instances(report, ": queue of the journals", |sample| {
        let queues = sample.journals.values().filter_map(|journal| journal.queue_entries);
        queues.fold(None, |sum: Option<f64>, queue| Some(sum.unwrap_or(0.0) + queue))
    }));
    lines.extend(of_instances(report, ": wait for a pool", |sample| sample.pool_waiting));
    // What is zero all the time would only lie on the axis.
    lines.retain(|(_, points)| points.iter().any(|(_, value)| value.is_some_and(|v| v > 0.0)));
    lines
}

fn journals(
    report: &Report,
    of: impl Fn(&crate::monitor::JournalSample) -> Option<f64> + Copy,
) -> Vec<(String, Points)> {
    let mut lines = Vec::new();
    for journal in ["orders", "carts"] {
        lines.extend(of_instances(report, &format!(": {journal}"), move |sample| {
            of(sample.journals.get(journal)?)
        }));
    }
    lines
}

fn cache_reads(report: &Report) -> Vec<(String, Points)> {
    let mut lines = Vec::new();
    for tier in ["memory", "redis", "database", "stale"] {
        let suffix = format!(": {tier}");
        lines.extend(of_instances(report, &suffix, |sample| {
            sample.cache_reads.get(tier).copied()
        }));
    }
    lines.retain(|(_, points)| points.iter().any(|(_, value)| value.is_some_and(|v| v > 0.0)));
    lines
}

/// A chart of what is known within the run, with its table; `None` if nothing is.
fn panel(
    title: &str,
    unit: &'static str,
    end: f64,
    lines: Vec<(String, Points)>,
) -> Option<String> {
    let during = |(at, _): &(f64, Option<f64>)| *at >= 0.0 && *at <= end;
    let mut lines: Vec<(String, Points)> = lines
        .into_iter()
        .map(|(name, points)| (name, points.into_iter().filter(during).collect()))
        .collect();
    lines
        .retain(|(_, points): &(String, Points)| points.iter().any(|(_, value)| value.is_some()));
    let times: Vec<f64> = lines.first()?.1.iter().map(|(at, _)| *at).collect();
    let values = lines.iter().flat_map(|(_, points)| points).filter_map(|(_, value)| *value);
    let max = values.fold(0.0, f64::max);
    let texts: Vec<Vec<String>> = times
        .iter()
        .map(|at| {
            let value = |points: &Points| {
                let near = points.iter().find(|(time, _)| (time - at).abs() < 0.5);
                near.and_then(|(_, value)| *value).map_or("–".to_owned(), number)
            };
            lines.iter().map(|(_, points)| value(points)).collect()
        })
        .collect();
    let spots = times.iter().zip(&texts).map(|(at, texts)| {
        let values: Vec<String> =
            lines.iter().zip(texts).map(|((name, _), text)| format!("{name}  {text}")).collect();
        let text = format!("{at:.1} s, {unit}\n{}", values.join("\n"));
        Spot { from: at - 0.5, to: at + 0.5, text }
    });
    let spots: Vec<Spot> = spots.collect();
    let header: Vec<String> = lines.iter().map(|(name, _)| esc(name).to_string()).collect();
    let header: Vec<&str> =
        std::iter::once("s").chain(header.iter().map(String::as_str)).collect();
    let rows = times
        .iter()
        .zip(texts)
        .map(|(at, texts)| std::iter::once(format!("{at:.1}")).chain(texts).collect::<Vec<_>>());
    let numbers = folded("Table", &table("numbers", &header, &rows.collect::<Vec<_>>()));
    let series = lines.into_iter().enumerate().map(|(n, (name, points))| {
        if name == MACHINE {
            return Series { name, colour: GREY, style: Style::Dashed, points };
        }
        let style = if n < COLOURS.len() { Style::Line } else { Style::Dashed };
        Series { name, colour: COLOURS[n % COLOURS.len()], style, points }
    });
    let chart = Chart {
        label: format!("{title} by second, in {unit}, up to {}", number(max)),
        x: (Scale::Seconds(end), "seconds from the start"),
        y: (Scale::up_to(max), unit),
        size: (508.0, 226.0),
        series: series.collect(),
        spots,
    };
    Some(format!("{}{numbers}", chart.draw()))
}

/// Those that are told apart best come first.
const COLOURS: [usize; 6] = [0, 4, 2, 3, 1, 5];
