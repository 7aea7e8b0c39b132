//! Pages of made-up reports: well formed, complete in themselves, and deaf to hostile text.

use super::page;
use crate::monitor::{Instance, InstanceSample, JournalSample, MachineSample};
use crate::oracle::Verdict;
use crate::record::{Answer, Record, Timing};
use crate::report::{Climb, Report, Sorted, Step};
use crate::setup::{PostgresSetup, Product};
use bytes::Bytes;

const HOSTILE: &str = "</style></title><script src=\"https://evil.example/x.js\">'\"&<img src=x>";

/// A run of some requests, in which every text from outside is the given one.
fn report(text: &str) -> Report {
    let record = |n: u64| {
        let body = serde_json::json!({ "code": text }).to_string();
        let status = [201, 409, 500, 503][(n % 4) as usize];
        Record {
            route: text.into(),
            answers: vec![Answer { status, body: Bytes::from(body), ..Answer::default() }],
            timing: Timing { lag_us: n * 10, latency_us: n * n, answered_at_us: n * 20_000 },
            taken_up_at_us: 1_700_000_000_000_000,
            ..Record::default()
        }
    };
    let records: Vec<Record> = (1..400).map(record).collect();
    let mut verdict = Verdict::default();
    verdict.count("things", 7);
    verdict.find(text, text);
    let mut report = Report::new(text, text, &records, verdict).unwrap();
    report.limits_missed.push(text.to_owned());
    report.limits_kept.push(text.to_owned());
    report.about = text.to_owned();
    report.sorts.insert(text.to_owned(), Sorted::default());
    let over = Some(text.to_owned());
    let step = Step { offered: 9.0, achieved: 8.0, over, ..Step::default() };
    report.stairs = Some(Climb { steps: vec![step], ..Climb::default() });
    let sample = InstanceSample {
        at_seconds: 1.0,
        cpu_cores: Some(0.5),
        resident_bytes: Some(9_000_000),
        orders_in_flight: Some(3.0),
        journals: [("orders".to_owned(), JournalSample::default())].into(),
        cache_reads: [("memory".to_owned(), 3.0)].into(),
        ..InstanceSample::default()
    };
    let later = InstanceSample { at_seconds: 2.0, ..InstanceSample::default() };
    let instance = Instance { url: text.to_owned(), pid: Some(7), samples: vec![sample, later] };
    report.monitor.instances.push(instance);
    report.monitor.machine.push(MachineSample { at_seconds: 1.0, ..MachineSample::default() });
    let setup = &mut report.setup;
    setup.command = vec!["rush".to_owned(), "--p99-ms-max".to_owned(), text.to_owned()];
    setup.unknown.push(text.to_owned());
    setup.machine.cpu_model = text.to_owned();
    setup.machine.cores = 2;
    let told = || text.to_owned();
    let commit = Some(told());
    setup.instances.push(Product { url: told(), name: told(), version: told(), commit });
    let settings = [(told(), told())].into();
    setup.postgres = Some(PostgresSetup { version: told(), settings, pid: None });
    report
}

/// The tags of a page, with what is inside of each; an error if they are not balanced.
fn tags(html: &str) -> Result<Vec<String>, String> {
    const VOID: &[&str] = &["meta", "!DOCTYPE"];
    let mut open: Vec<String> = Vec::new();
    let mut all = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').ok_or("a tag without an end")? + at;
        let inside = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if inside.contains('<') {
            return Err(format!("a tag within a tag: {inside}"));
        }
        let name = inside.trim_matches('/').split([' ', '\n', '/']).next().unwrap_or_default();
        if let Some(closed) = inside.strip_prefix('/') {
            match open.pop() {
                Some(opened) if opened == closed => {}
                opened => return Err(format!("{opened:?} is closed by {closed}")),
            }
        } else if !inside.ends_with('/') && !VOID.contains(&name) {
            open.push(name.to_owned());
        }
        all.push(inside.to_owned());
        // What is inside of them is no markup.
        if ["style", "script"].contains(&inside) {
            rest = &rest[rest.find("</").ok_or("never closed")?..];
        }
    }
    if open.is_empty() { Ok(all) } else { Err(format!("never closed: {open:?}")) }
}

#[test]
fn the_page_is_well_formed_whatever_the_report_says() {
    for text in ["plain", HOSTILE, "", "\u{0}\n--><!--", "]]>"] {
        let mut report = report(text);
        tags(&page(&report)).unwrap();
        report.compare_with(self::report(text));
        tags(&page(&report)).unwrap();
    }
    let empty = Report::new("rush", "rush-1", &[], Verdict::default()).unwrap();
    let html = page(&empty);
    tags(&html).unwrap();
    assert!(html.contains("Nothing was judged"), "{html}");
}

#[test]
fn the_checker_of_tags_finds_what_is_not_well_formed() {
    for wrong in ["<p>", "</p>", "<p><b></p></b>", "<p", "<p <b></p>"] {
        assert!(tags(wrong).is_err(), "{wrong}");
    }
    assert!(tags("<!DOCTYPE html><p class=\"a\">1 > 0<path d=\"M0\"/></p>").is_ok());
}

#[test]
fn hostile_text_makes_no_element_and_no_attribute() {
    let (plain, hostile) = (page(&report("plain")), page(&report(HOSTILE)));
    let elements = |html: &str| -> Vec<String> {
        let tags = tags(html).unwrap().into_iter();
        tags.map(|tag| tag.split(' ').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(elements(&plain), elements(&hostile));
    assert!(hostile.contains("&lt;img src=x&gt;") && !hostile.contains("<img"));
}

#[test]
fn the_page_loads_nothing_from_anywhere() {
    let mut report = report("plain");
    report.compare_with(self::report("plain"));
    let html = page(&report);
    for loads in ["src=", "href=", "url(", "@import", "http://", "https://", "fetch("] {
        assert!(!html.contains(loads), "{loads}");
    }
}

#[test]
fn the_verdict_says_what_is_wrong_before_anything_else() {
    let mut report = report("plain");
    let html = page(&report);
    assert!(html.find("Not true: 1 thing").unwrap() < html.find("<h2").unwrap());
    report.verdict.findings.clear();
    assert!(page(&report).contains("Failed: 1 limit was missed"));
    report.limits_missed.clear();
    let html = page(&report);
    assert!(html.contains("Passed: everything that clients were told is true"));
    assert!(html.contains("<li>✓ plain</li>"));
}

#[test]
fn what_was_saved_makes_the_same_page_again() {
    let report = report("plain");
    let path = std::env::temp_dir().join(format!("report-{:x}.json", rand::random::<u64>()));
    report.save(&path).unwrap();
    let loaded = Report::load(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(page(&loaded), page(&report));
}
