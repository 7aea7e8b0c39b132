//! What a run ran on, and how the page is to be read.

use super::markup::{esc, number};
use crate::report::Report;
use std::fmt::Write;

/// How figures were measured.
pub const READING: &str = "<ul class=\"reading\">\
    <li><b>Latency</b> counts from the moment at which a request was meant to start to its last \
    answer, with retries and with the wait for a free connection, so a server that stalls cannot \
    hide it. In closed loops, where the next request waits for the answer to the one before, it \
    counts from the departure.</li>\
    <li>In the charts, latency stands at the second in which a request was <b>meant to start</b>, \
    and answers stand at the second in which they <b>came</b>.</li>\
    <li>Percentiles are those of all requests (HDR histograms of three digits), never means of \
    percentiles.</li>\
    <li>What instances and PostgreSQL did is sampled once a second; each point is the mean of \
    the second before it, and memory, queues and requests in flight are as they were at that \
    moment. A gap means that nobody knows.</li></ul>";

/// Everything that is known of the setup.
pub fn setup(report: &Report) -> String {
    let setup = &report.setup;
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            facts.push((esc(name).to_string(), value));
        }
    };
    for product in &setup.instances {
        let line = format!("{} at {}", product.version_line(), product.url);
        fact("instance", esc(line).to_string());
    }
    fact("load tests", esc(&setup.loadtests).to_string());
    let machine = &setup.machine;
    if machine.cores > 0 {
        fact("CPUs", format!("{} × {}", machine.cores, esc(&machine.cpu_model)));
        fact("memory", format!("{} GiB", number(machine.memory_bytes as f64 / 1_073_741_824.0)));
        fact("kernel", esc(&machine.kernel).to_string());
        let load: Vec<String> = machine.load_average.iter().map(|load| number(*load)).collect();
        fact("load before (1, 5, 15 min)", load.join(", "));
    }
    if let Some(postgres) = &setup.postgres {
        fact("PostgreSQL", esc(&postgres.version).to_string());
        for (name, value) in &postgres.settings {
            fact(name, format!("<code>{}</code>", esc(value)));
        }
    }
    for unknown in &setup.unknown {
        fact("not known", esc(unknown).to_string());
    }
    let mut html = "<dl class=\"setup\">".to_owned();
    for (name, value) in facts {
        let _ = write!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    if !setup.command.is_empty() {
        let command = esc(setup.command.join(" "));
        let _ = write!(
            html,
            "<div class=\"whole\"><dt>command</dt><dd><code>loadtests {command}</code></dd></div>"
        );
    }
    html.push_str("</dl>");
    let busy =
        machine.load_average.first().is_some_and(|load| *load > machine.cores as f64 / 2.0);
    if busy && machine.cores > 0 {
        html.push_str(
            "<p class=\"note\">The machine was already busy when the run began: the figures may \
             be worse than on a quiet one.</p>",
        );
    }
    html
}
