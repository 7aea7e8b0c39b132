//! What operators meet is documented: each setting where it is set, and settings, metrics and
//! error codes in the operations manual.

use super::scan::{Source, is_name};
use super::tree::{Finding, none, read};
use std::process::Command;

const MANUAL: &str = "docs/operations.md";
const SETTINGS: &str = "config/default.toml";

/// Something that has a name, where it is defined.
struct Entry {
    path: &'static str,
    line: usize,
    name: String,
}

/// The settings of a file with sections and plain keys, and whether a comment stands above each.
fn settings(text: &str) -> Vec<(Entry, bool)> {
    let (mut section, mut above, mut settings) = (String::new(), "", Vec::new());
    for (at, line) in text.lines().enumerate() {
        let key = line.split('=').next().unwrap_or_default().trim();
        let is_key = line.contains('=') && !key.is_empty() && key.bytes().all(is_name);
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{name}.");
        } else if is_key {
            let entry = Entry { path: SETTINGS, line: at + 1, name: format!("{section}{key}") };
            let comment = above.strip_prefix('#').unwrap_or_default();
            settings.push((entry, !comment.trim().is_empty()));
        }
        above = line;
    }
    settings
}

fn bare_settings(text: &str) -> Vec<Finding> {
    let bare = settings(text).into_iter().filter(|(_, is_explained)| !is_explained);
    let finding = |(entry, _): (Entry, bool)| {
        let what = format!(
            "`{}` has no comment in the line above it: say what it is, its unit and its reason",
            entry.name
        );
        Finding::new(entry.path, entry.line, what)
    };
    bare.map(finding).collect()
}

/// The names of metrics: literals that begin with the project's name.
fn metrics(text: &str) -> Vec<Entry> {
    let source = Source::new("src/metrics.rs", text);
    let literals =
        source.literals.iter().filter(|literal| literal.text.starts_with("doorbuster_"));
    let entry = |(offset, text): (usize, &str)| Entry {
        path: "src/metrics.rs",
        line: source.line(offset),
        name: text.to_owned(),
    };
    literals.map(|literal| entry((literal.offset, &literal.text))).collect()
}

/// Error codes: `NotFound = 404 "not_found" "There is nothing here";`.
fn error_codes(text: &str) -> Vec<Entry> {
    let entry = |(at, line): (usize, &str)| {
        let (_, definition) = line.split_once(" = ")?;
        let (status, rest) = definition.split_once(" \"")?;
        status.parse::<u16>().ok()?;
        let name = rest.split('"').next()?.to_owned();
        Some(Entry { path: "src/error.rs", line: at + 1, name })
    };
    text.lines().enumerate().filter_map(entry).collect()
}

/// The pieces of a Markdown document that are set as code.
fn code_of(manual: &str) -> Vec<&str> {
    let (mut pieces, mut is_fenced) = (Vec::new(), false);
    for line in manual.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if is_fenced {
            pieces.push(line);
        } else {
            pieces.extend(line.split('`').skip(1).step_by(2));
        }
    }
    pieces
}

/// Names are looked for in code only: `internal` and `conflict` are English words as well.
fn undocumented(entries: &[Entry], manual: Option<&str>) -> Vec<Finding> {
    let Some(manual) = manual else {
        let what =
            "the operations manual is missing: write it, with every setting, metric and code";
        return vec![Finding::new(MANUAL, 1, what)];
    };
    let code = code_of(manual);
    let parts = |piece: &'_ str| -> Vec<String> {
        let is_end = |letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == '.');
        piece.split(is_end).map(|part| part.trim_matches('.').to_owned()).collect()
    };
    let known: std::collections::HashSet<String> = code.into_iter().flat_map(parts).collect();
    let missing = entries.iter().filter(|entry| !known.contains(&entry.name));
    let finding = |entry: &Entry| {
        let what = format!("`{}` is not in {MANUAL}: describe it there", entry.name);
        Finding::new(entry.path, entry.line, what)
    };
    missing.map(finding).collect()
}

#[track_caller]
fn hold_documented(entries: &[Entry]) {
    assert!(entries.len() > 5, "only {} names were found to look for", entries.len());
    none(&undocumented(entries, read(MANUAL).as_deref()));
}

fn read_settings() -> String {
    read(SETTINGS).expect("config/default.toml")
}

#[test]
fn every_setting_is_explained_where_it_is_set() {
    let text = read_settings();
    assert!(settings(&text).len() > 5, "hardly a setting was found");
    none(&bare_settings(&text));
}

#[test]
fn every_setting_stands_in_the_manual() {
    let entries = settings(&read_settings()).into_iter().map(|(entry, _)| entry);
    hold_documented(&entries.collect::<Vec<_>>());
}

#[test]
fn every_metric_stands_in_the_manual() {
    hold_documented(&metrics(&read("src/metrics.rs").expect("src/metrics.rs")));
}

#[test]
fn every_error_code_stands_in_the_manual() {
    hold_documented(&error_codes(&read("src/error.rs").expect("src/error.rs")));
}

#[test]
fn the_tables_of_what_a_larger_shop_needs_are_what_the_model_says() {
    let document = read("docs/capacity.md").expect("docs/capacity.md");
    let spans = document.split('`').skip(1).step_by(2);
    let is_options =
        |span: &&str| span.starts_with("--") && span.ends_with(|end: char| end.is_ascii_digit());
    let mut tables = 0;
    for options in spans.filter(is_options).chain([""]) {
        let mut model = Command::new("python3");
        model.current_dir(env!("CARGO_MANIFEST_DIR")).arg("scripts/capacity.py");
        let said = model.args(options.split_whitespace()).output().expect("python3");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let said = String::from_utf8(said.stdout).expect("UTF-8");
        let stands = |row: &&str| document.lines().any(|line| line == *row);
        assert_eq!(said.lines().filter(stands).count(), 5, "with {options}: {said}");
        tables += 1;
    }
    assert_eq!(tables, 3);
}

fn names(entries: &[Entry]) -> Vec<(usize, &str)> {
    entries.iter().map(|entry| (entry.line, &*entry.name)).collect()
}

#[test]
fn a_planted_setting_without_a_comment_is_found() {
    let text = "# Which.\nenv = \"a\"\n\n[server]\nbind = \"b\"\n# How many.\nworkers = 0\n\n\
                # Far above.\n\nlast = [\"c\"]\n#\nempty = 1\n";
    let entries: Vec<Entry> = settings(text).into_iter().map(|(entry, _)| entry).collect();
    let expected = [
        (2, "env"),
        (5, "server.bind"),
        (7, "server.workers"),
        (11, "server.last"),
        (13, "server.empty"),
    ];
    assert_eq!(names(&entries), expected);
    let lines: Vec<usize> = bare_settings(text).iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [5, 11, 13]);
}

#[test]
fn planted_metrics_and_codes_are_read_from_the_source() {
    let text = "const A: &str = \"doorbuster_a_total\";\nconst B: &str = \"other\";\n";
    assert_eq!(names(&metrics(text)), [(1, "doorbuster_a_total")]);
    let text =
        "    /// Unknown.\n    NotFound = 404 \"not_found\" \"Nothing\";\nlet a = \"b\";\n";
    assert_eq!(names(&error_codes(text)), [(2, "not_found")]);
}

#[test]
fn a_planted_name_that_the_manual_lacks_is_found() {
    let entry = |name: &str| Entry { path: SETTINGS, line: 7, name: name.to_owned() };
    let entries = [entry("server.bind"), entry("internal"), entry("log.format")];
    let manual = "An internal note on `server.bind_all`.\n\n```\nlog.format = \"json\"\n```\n";
    let found = undocumented(&entries, Some(manual));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].what.contains("server.bind") && found[1].what.contains("internal"));
    let manual = format!("{manual}`internal` (500), `server.bind`.");
    assert_eq!(undocumented(&entries, Some(&manual)), []);
    assert_eq!(undocumented(&entries, None)[0].path, MANUAL);
}
