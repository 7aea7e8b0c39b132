//! Promises and claims about security name what holds them: tests and files that exist.

use super::tree::{Finding, all_rust, none, read};
use std::path::Path;

const CLAIMS: [&str; 3] = ["docs/asvs.md", "docs/guarantees.md", "SECURITY.md"];

/// What stands in backticks, with its line.
fn quoted(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(at, line)| line.split('`').skip(1).step_by(2).map(move |word| (at + 1, word)))
}

/// Four words with underscores between them.
fn is_test(word: &str) -> bool {
    let is_word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    word.split('_').count() >= 4 && word.split('_').all(is_word)
}

fn is_path(word: &str) -> bool {
    ["src/", "tests/", "docs/", "scripts/", "config/"]
        .iter()
        .any(|folder| word.starts_with(folder))
}

fn unfounded(
    path: &str,
    text: &str,
    has_test: impl Fn(&str) -> bool,
    has_file: impl Fn(&str) -> bool,
) -> Vec<Finding> {
    let missing = quoted(text)
        .filter(|(_, word)| is_test(word) && !has_test(word) || is_path(word) && !has_file(word));
    let finding = |(line, word): (usize, &str)| {
        Finding::new(path, line, format!("`{word}` does not exist: name what holds the claim"))
    };
    missing.map(finding).collect()
}

#[test]
fn every_claim_names_what_exists() {
    let sources = all_rust();
    let has_test = |name: &str| {
        let head = format!("fn {name}(");
        sources.iter().any(|source| source.text.contains(&head))
    };
    let has_file = |path: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists();
    let texts = CLAIMS.map(|path| (path, read(path).unwrap_or_default()));
    let tests = texts.iter().flat_map(|(_, text)| quoted(text)).filter(|(_, w)| is_test(w));
    assert!(tests.count() > 30, "hardly a test is named");
    let findings =
        texts.iter().flat_map(|(path, text)| unfounded(path, text, has_test, has_file));
    none(&findings.collect::<Vec<_>>());
}

#[test]
fn planted_claims_without_a_test_or_a_file_are_found() {
    let text = "`a_test_that_is` `a_test_that_is_not`, `x_y`\n`src/is.rs` and `src/is_not.rs`";
    let findings = unfounded("a.md", text, |n| n == "a_test_that_is", |p| p == "src/is.rs");
    let lines: Vec<usize> = findings.iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [1, 2], "{findings:?}");
}
