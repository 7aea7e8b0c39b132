//! Every error code is produced by a test over HTTP.

use super::scan::{Source, words};
use super::tree::{Finding, none, read, rust};

const CODES: &str = "src/error.rs";

/// The codes with their statuses and where they stand: `NotFound = 404 "not_found" "…";`.
fn listed(codes: &Source) -> Vec<(usize, u16, &str)> {
    let text = &codes.text;
    let code = |(at, _): (usize, &str)| {
        let (status, rest) = text[at + " = ".len()..].split_once(" \"")?;
        let (code, _) = rest.split_once('"')?;
        Some((at, status.parse().ok()?, code))
    };
    text.match_indices(" = ").filter_map(code).collect()
}

/// Whether the file says `.problem(404, "not_found")`, on one line or on several.
fn asserts(test: &Source, status: u16, code: &str) -> bool {
    let call = ".problem(";
    words(&test.code, "problem(").into_iter().any(|at| {
        let from = at + call.len() - 1;
        let Some((given, rest)) = test.text[from..].split_once(',') else { return false };
        let quoted = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
        given.trim().parse() == Ok(status) && quoted.is_some_and(|(given, _)| given == code)
    })
}

fn unproven(codes: &Source, tests: &[Source]) -> Vec<Finding> {
    let missing = listed(codes)
        .into_iter()
        .filter(|(_, status, code)| !tests.iter().any(|test| asserts(test, *status, code)));
    let finding = |(at, status, code)| {
        let what = format!(
            "`{code}` is in no test's answer: add one to tests/api or tests/faults that says \
             `.problem({status}, \"{code}\")`"
        );
        codes.finding(at, what)
    };
    missing.map(finding).collect()
}

#[test]
fn every_error_code_is_the_answer_in_some_test() {
    let codes = Source::new(CODES, &read(CODES).expect("the codes"));
    assert!(listed(&codes).len() > 20, "hardly a code was found in {CODES}");
    none(&unproven(&codes, &rust(&["tests/api", "tests/faults"])));
}

#[test]
fn a_planted_code_that_no_test_meets_is_found() {
    let text = "codes! {\n    NotFound = 404 \"not_found\" \"Nothing\";\n    \
                Gone = 410 \"gone\" \"Gone\";\n    Busy = 503 \"busy\" \"Busy\";\n}";
    let codes = Source::new(CODES, text);
    let test = "async fn a() {\n    a.problem(404, \"not_found\");\n    \
                a.problem(\n        503,\n        \"busy\",\n    );\n    \
                a.problem(409, \"gone\");\n    // a.problem(410, \"gone\");\n}";
    let tests = [Source::new("tests/api/a.rs", test)];
    let lines: Vec<usize> = unproven(&codes, &tests).iter().map(|found| found.line).collect();
    assert_eq!(lines, [3]);
}
