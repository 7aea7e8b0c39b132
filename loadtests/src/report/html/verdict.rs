//! What comes first: was everything true, and were the limits kept? And what the oracle found.

use super::markup::{count, esc, table};
use super::plural;
use crate::oracle::Checked;
use crate::report::Report;
use std::fmt::Write;

/// Findings on the page; the JSON has them all.
const FINDINGS_SHOWN: usize = 200;

/// The verdict in words, a sign and a colour.
pub fn banner(report: &Report) -> String {
    let findings = report.verdict.findings.len();
    let missed = report.limits_missed.len();
    let (class, sign, title) = if findings > 0 {
        let noun = plural(findings, "thing", "things");
        ("bad", "✕", format!("Not true: {findings} {noun} that clients were told"))
    } else if missed > 0 {
        let noun = plural(missed, "limit was", "limits were");
        ("bad", "✕", format!("Failed: {missed} {noun} missed"))
    } else if !was_judged(report) {
        ("open", "?", "Nothing was judged".to_owned())
    } else {
        ("good", "✓", "Passed: everything that clients were told is true".to_owned())
    };
    let mut lines = Vec::new();
    if findings == 0 && missed > 0 && was_judged(report) {
        lines.push("Everything that clients were told is true.".to_owned());
    }
    lines.push(durability(report));
    if let Some(shot) = report.killed {
        lines.push(format!(
            "An instance (process {}) was killed on the way, with {} acknowledged and {} \
             in flight.",
            shot.pid, shot.acknowledged, shot.in_flight
        ));
    }
    if report.lag.is_too_much() {
        lines.push("The generator itself was late: latencies measure it too.".to_owned());
    }
    let missed = report.limits_missed.iter().map(|missed| format!("<li>{}</li>", esc(missed)));
    let kept = report.limits_kept.iter().map(|kept| format!("<li>✓ {}</li>", esc(kept)));
    let limits: String = missed.chain(kept).collect();
    let limits = if limits.is_empty() { limits } else { format!("<ul>{limits}</ul>") };
    format!(
        "<div class=\"verdict {class}\"><span class=\"sign\" aria-hidden=\"true\">{sign}</span>\
         <div><p class=\"title\">{title}</p>{limits}<p>{}</p></div></div>",
        lines.join(" ")
    )
}

fn was_judged(report: &Report) -> bool {
    report.verdict.checked != Checked::default() || !report.verdict.judged.is_empty()
}

fn durability(report: &Report) -> String {
    match &report.setup.postgres {
        None => "The settings of PostgreSQL were not looked at.".to_owned(),
        Some(_) if report.setup.not_durable(true).is_empty() => {
            "PostgreSQL keeps what it commits: fsync, synchronous_commit and full_page_writes are \
             on."
                .to_owned()
        }
        Some(_) => "PostgreSQL may lose what it commits.".to_owned(),
    }
}

/// What was judged, and everything that was found.
pub fn oracle(report: &Report) -> String {
    let verdict = &report.verdict;
    let checked = &verdict.checked;
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, value: u64| rows.push(vec![esc(name).to_string(), count(value)]);
    if *checked != Checked::default() {
        row("orders acknowledged, compared with what is stored", checked.acknowledged);
        row("their lines", checked.lines);
        row("replays, compared byte for byte", checked.replays);
        row("refusals, none of which may leave anything", checked.refused);
        row("requests without a final answer", checked.unknown);
        row("of these, with an order", checked.unknown_with_order);
        row("SKUs whose stock must add up", checked.skus);
    }
    verdict.judged.iter().for_each(|(what, count)| row(what, *count));
    let mut html = String::new();
    if rows.is_empty() {
        html.push_str("<p>Nothing: this scenario has no oracle, or nothing came to it.</p>");
    } else {
        html.push_str(&table("facts", &["Judged", "Count"], &rows));
    }
    if let Some(unseen) = &verdict.unseen {
        let _ = write!(html, "<p class=\"note\">Not judged: {}.</p>", esc(unseen));
    }
    if verdict.findings.is_empty() {
        if !rows.is_empty() {
            html.push_str("<p class=\"fine\">✓ Nothing is wrong with any of them.</p>");
        }
        return html;
    }
    let found = verdict.findings.iter().take(FINDINGS_SHOWN);
    let found: Vec<Vec<String>> = found
        .map(|finding| {
            let subject = format!("<code>{}</code>", esc(&finding.subject));
            vec![subject, esc(&finding.wrong).to_string()]
        })
        .collect();
    html.push_str(&table("findings", &["Of", "What is wrong"], &found));
    if verdict.findings.len() > FINDINGS_SHOWN {
        let all = count(verdict.findings.len() as u64);
        let _ = write!(
            html,
            "<p class=\"note\">The first {FINDINGS_SHOWN} of {all} findings; the JSON has all.</p>"
        );
    }
    html
}
