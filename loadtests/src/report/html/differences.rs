//! What differs from an earlier run.

use super::markup::{esc, folded, number, table};
use crate::report::Report;
use crate::report::compare::{Change, Comparison, Figure, RULE};
use std::fmt::Write;

/// The section, if there is an earlier run.
pub fn section(report: &Report) -> String {
    let Some(comparison) = &report.comparison else { return String::new() };
    let inside = differences(comparison);
    let baseline = esc(&comparison.baseline);
    format!("<section><h2>Compared with {baseline}</h2>{inside}</section>")
}

fn differences(comparison: &Comparison) -> String {
    let count =
        |change| comparison.figures.iter().filter(|figure| figure.change == change).count();
    let (better, worse) = (count(Change::Better), count(Change::Worse));
    let different = count(Change::Different);
    let mut html = match (better, worse, different) {
        (0, 0, 0) => "<p class=\"lead\">Nothing differs by more than noise.</p>".to_owned(),
        _ => format!(
            "<p class=\"lead\">By more than noise, <b class=\"good\">{better} better</b>, \
             <b class=\"bad\">{worse} worse</b> and {different} otherwise different.</p>"
        ),
    };
    if comparison.share > 0.5 {
        html.push_str(
            "<p>Because a run was disturbed, only what doubled or halved is told apart.</p>",
        );
    }
    if !comparison.caveats.is_empty() {
        html.push_str("<p>To be known when comparing them:</p><ul>");
        for caveat in &comparison.caveats {
            let _ = write!(html, "<li>{}</li>", esc(caveat));
        }
        html.push_str("</ul>");
    }
    let rows: Vec<Vec<String>> = comparison.figures.iter().map(row).collect();
    let header = ["Figure", "Before", "Now", "Moved", "Verdict"];
    html.push_str(&table("differences", &header, &rows));
    html.push_str(&folded("The rule", &format!("<p>{RULE}</p>")));
    html
}

fn row(figure: &Figure) -> Vec<String> {
    let (class, word) = match figure.change {
        Change::Same => ("same", "no more than noise"),
        Change::Better => ("good", "▲ better"),
        Change::Worse => ("bad", "▼ worse"),
        Change::Different => ("other", "◆ different"),
        Change::Unjudged => ("same", "not judged"),
    };
    let value = |value: f64| format!("{} {}", number(value), esc(&figure.unit));
    let moved = (figure.after - figure.before) / figure.before * 100.0;
    let moved = match format!("{moved:+.1} %").as_str() {
        _ if figure.before == 0.0 => "–".to_owned(),
        "-0.0 %" | "+0.0 %" => "0.0 %".to_owned(),
        moved => moved.replace('-', "−"),
    };
    vec![
        esc(&figure.name).to_string(),
        value(figure.before),
        value(figure.after),
        moved,
        format!("<span class=\"{class}\">{word}</span>"),
    ]
}
