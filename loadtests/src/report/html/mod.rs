//! The page of a run: one file, complete without a network and without scripts.

mod chart;
mod differences;
mod facts;
mod markup;
mod plots;
mod scale;
mod server;
#[cfg(test)]
mod tests;
mod verdict;

use super::timeline::Route;
use super::{Report, Sorted, Step};
use markup::{count, duration, esc, moment, number, percent, table};
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("hover.js");

/// The page.
pub fn page(report: &Report) -> String {
    let title = esc(format!("{} {}", report.scenario, report.run)).to_string();
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title} – doorbuster load test</title><style>{STYLE}</style></head><body><main>"
    );
    html.push_str(&header(report));
    html.push_str(&verdict::banner(report));
    html.push_str(&key_figures(report));
    html.push_str(&differences::section(report));
    html.push_str(&section("How requests ended", &outcomes(report)));
    html.push_str(&section("Throughput", &plots::throughput(report)));
    html.push_str(&section("Latency over time", &plots::latency_over_time(report)));
    html.push_str(&section("Latency by percentile", &plots::latency_by_percentile(report)));
    html.push_str(&section("Step by step", &stairs(report)));
    html.push_str(&section("By sort", &sorts(report)));
    html.push_str(&section("By route", &routes(&report.routes)));
    html.push_str(&server::section(report));
    html.push_str(&section("Was the generator on time?", &plots::lag(report)));
    html.push_str(&section("What the oracle judged", &verdict::oracle(report)));
    html.push_str(&section("What it ran on", &facts::setup(report)));
    html.push_str(&section("How to read this", facts::READING));
    let _ = writeln!(html, "</main><script>{SCRIPT}</script></body></html>");
    html
}

fn section(title: &str, inside: &str) -> String {
    if inside.is_empty() {
        return String::new();
    }
    format!("<section><h2>{title}</h2>{inside}</section>")
}

fn header(report: &Report) -> String {
    let mut facts = Vec::new();
    if report.started_at_us > 0 {
        facts.push(moment(report.started_at_us));
    }
    facts.push(format!("{} s", number(report.seconds)));
    let instances = report.setup.instances.len();
    if instances > 0 {
        facts.push(format!("{instances} {}", plural(instances, "instance", "instances")));
    }
    if let Some(product) = report.setup.instances.first() {
        facts.push(esc(product.version_line()).to_string());
    }
    let (scenario, run) = (esc(&report.scenario), esc(&report.run));
    let about = match report.about.as_str() {
        "" => String::new(),
        about => format!("<p>{}</p>", esc(about)),
    };
    let facts = facts.join("<span aria-hidden=\"true\"> · </span>");
    format!(
        "<header><p class=\"over\">Load test · {scenario}</p><h1>{run}</h1>{about}\
         <p class=\"under\">{facts}</p></header>"
    )
}

fn plural<'w>(count: usize, one: &'w str, more: &'w str) -> &'w str {
    if count == 1 { one } else { more }
}

/// A large number with what it is of, and what it was before.
fn tile(name: &str, value: String, note: String, before: Option<String>) -> String {
    let before = before.map(|before| format!("<span class=\"before\">before: {before}</span>"));
    format!(
        "<div class=\"tile\"><dt>{name}</dt><dd><strong>{value}</strong>\
         <span>{note}</span>{}</dd></div>",
        before.unwrap_or_default()
    )
}

fn key_figures(report: &Report) -> String {
    let earlier = report.baseline.as_deref();
    let before = |of: &dyn Fn(&Report) -> String| earlier.map(of);
    let requests = |report: &Report| report.outcomes.values().sum::<u64>();
    let acknowledged_share = report.acknowledged as f64 / requests(report).max(1) as f64;
    let latency = &report.acknowledged_latency;
    let milliseconds = |of: fn(&Report) -> f64| {
        let known = report.acknowledged_latency.count > 0;
        let value = if known { duration(of(report)) } else { "–".to_owned() };
        (value, before(&|report| duration(of(report))))
    };
    let (p50, p50_before) = milliseconds(|report| report.acknowledged_latency.p50_ms);
    let (p99, p99_before) = milliseconds(|report| report.acknowledged_latency.p99_ms);
    let (max, max_before) = milliseconds(|report| report.acknowledged_latency.max_ms);
    let late = if report.lag.is_too_much() { "too many, see below" } else { "by the generator" };
    let tiles = [
        tile(
            "Throughput",
            format!("{} /s", number(report.acknowledged_per_second)),
            "acknowledged".to_owned(),
            before(&|report| format!("{} /s", number(report.acknowledged_per_second))),
        ),
        tile(
            "Acknowledged",
            count(report.acknowledged),
            format!("{} of {}", percent(acknowledged_share), count(requests(report))),
            before(&|report| count(report.acknowledged)),
        ),
        tile("Median latency", p50, "acknowledged".to_owned(), p50_before),
        tile(
            "99th percentile",
            p99,
            format!("99.9th: {}", duration(latency.p999_ms)),
            p99_before,
        ),
        tile("Slowest", max, "retries included".to_owned(), max_before),
        tile(
            "Left late",
            percent(report.lag.late_share),
            late.to_owned(),
            before(&|report| percent(report.lag.late_share)),
        ),
    ];
    format!("<dl class=\"tiles\">{}</dl>", tiles.concat())
}

fn outcomes(report: &Report) -> String {
    let all = report.outcomes.values().sum::<u64>().max(1) as f64;
    let mut outcomes: Vec<(&String, u64)> =
        report.outcomes.iter().map(|(outcome, count)| (outcome, *count)).collect();
    outcomes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let row = |(outcome, of_it): (&String, u64)| {
        let share = of_it as f64 / all;
        let colour = if outcome.starts_with('2') || outcome.starts_with('3') {
            0
        } else if outcome.starts_with('4') {
            4
        } else {
            1
        };
        let bar = format!(
            "<svg class=\"bar\" viewBox=\"0 0 300 10\" preserveAspectRatio=\"none\" \
             aria-hidden=\"true\"><rect class=\"track\" width=\"300\" height=\"10\"/>\
             <rect class=\"fill c{colour}\" width=\"{:.1}\" height=\"10\"/></svg>",
            (300.0 * share).max(1.0)
        );
        let name = format!("<div class=\"outcome\"><span>{}</span>{bar}</div>", esc(outcome));
        vec![name, count(of_it), percent(share)]
    };
    let rows: Vec<Vec<String>> = outcomes.into_iter().map(row).collect();
    let mut html = table("outcomes", &["Outcome", "Requests", "Share"], &rows);
    let mut again: Vec<String> = report
        .turned_away
        .iter()
        .map(|(answer, times)| format!("{} × {}", count(*times), esc(answer)))
        .collect();
    if report.lost > 0 {
        again.push(format!("{} × no answer", count(report.lost)));
    }
    if !again.is_empty() {
        let again = again.join(", ");
        let _ =
            write!(html, "<p class=\"note\">On the way, clients came again after {again}.</p>");
    }
    html
}

fn stairs(report: &Report) -> String {
    let Some(climb) = &report.stairs else { return String::new() };
    let header = [
        "Offered /s",
        "In time /s",
        "p50, ms",
        "p99, ms",
        "p99.9, ms",
        "Turned away /s",
        "p99 of those, ms",
        "Left late",
        "The knee",
    ];
    let row = |(note, step): (String, &Step)| {
        let values = [step.offered, step.achieved, step.p50_ms, step.p99_ms, step.p999_ms];
        let mut row: Vec<String> = values.map(number).into();
        row.extend([step.turned_away, step.turned_away_p99_ms].map(number));
        row.push(percent(step.late_share));
        row.push(note);
        row
    };
    let over = |step: &Step| {
        step.over.as_ref().map_or_else(String::new, |why| format!("over: {}", esc(why)))
    };
    let steps = climb.steps.iter().map(|step| (over(step), step));
    let below = climb.below.iter().map(|(share, step)| (format!("at {share} of the knee"), step));
    let rows: Vec<Vec<String>> = steps.chain(below).map(row).collect();
    let knee = esc(climb.knee_in_words());
    let (chart, table) = (plots::stairs(climb), table("routes", &header, &rows));
    format!("{chart}{table}<p class=\"note\">The knee is {knee}.</p>")
}

fn sorts(report: &Report) -> String {
    let header = ["Sort", "Requests", "Refused", "Open", "p50, ms", "p99, ms", "p99.9, ms"];
    let row = |(name, sort): (&String, &Sorted)| {
        let latency = sort.acknowledged_latency;
        let mut row = vec![esc(name).to_string()];
        row.extend([sort.count, sort.refused, sort.unknown].map(count));
        row.extend([latency.p50_ms, latency.p99_ms, latency.p999_ms].map(number));
        row
    };
    if report.sorts.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = report.sorts.iter().map(row).collect();
    table("routes", &header, &rows)
}

fn routes(routes: &[Route]) -> String {
    let header = [
        "Route",
        "Requests",
        "Acknowledged",
        "Refused",
        "Open",
        "p50, ms",
        "p90, ms",
        "p99, ms",
        "p99.9, ms",
        "max, ms",
    ];
    let row = |route: &Route| {
        let latency = &route.latency;
        let mut row = vec![format!("<code>{}</code>", esc(&route.route))];
        let counts = [latency.count, route.acknowledged, route.refused, route.unknown];
        row.extend(counts.map(count));
        let values =
            [latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms, latency.max_ms];
        row.extend(values.map(number));
        row
    };
    if routes.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = routes.iter().map(row).collect();
    table("routes", &header, &rows)
}
