//! The tree as it lies on the disk, and how findings are reported.

use super::scan::Source;
use std::fmt;
use std::path::{Path, PathBuf};

/// A place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    /// What is wrong, and how to mend it.
    pub what: String,
}

impl Finding {
    pub fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// A file's path from the root of the tree, and its text.
#[derive(Debug, Clone)]
pub struct File {
    pub path: String,
    pub text: String,
}

/// The name after the last slash.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn root() -> PathBuf {
    std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR").into()
}

/// The text of one file, if it exists.
pub fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(root().join(path)).ok()
}

/// Every text file below a folder ("" is the root) with one of these endings, sorted.
pub fn files(folder: &str, endings: &[&str]) -> Vec<File> {
    let mut files = Vec::new();
    collect(&root(), &root().join(folder), endings, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(root: &Path, folder: &Path, endings: &[&str], files: &mut Vec<File>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let is_built = name.starts_with('.') || name == "target";
        if path.is_dir() && !is_built {
            collect(root, &path, endings, files);
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let below = path.strip_prefix(root).expect("it is below the root");
            let text = std::fs::read_to_string(&path).expect("sources are UTF-8");
            files.push(File { path: below.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

/// Every Rust file below these folders.
pub fn rust(folders: &[&str]) -> Vec<Source> {
    let files = folders.iter().flat_map(|folder| files(folder, &[".rs"]));
    files.map(|file| Source::new(&file.path, &file.text)).collect()
}

/// Every Rust file of the project.
pub fn all_rust() -> Vec<Source> {
    rust(&["src", "tests", "benches", "loadtests"])
}

/// Every Rust file of the server that is not a test.
pub fn shipped() -> Vec<Source> {
    rust(&["src"]).into_iter().filter(|source| !source.is_test()).collect()
}

/// Fails unless every subject keeps the rule, and if there is none: such a rule checks nothing.
#[track_caller]
pub fn hold<S>(subjects: &[S], rule: impl Fn(&S) -> Vec<Finding>) {
    assert!(!subjects.is_empty(), "the rule found nothing to look at");
    none(&subjects.iter().flat_map(rule).collect::<Vec<_>>());
}

/// Fails with all findings, if there are any.
#[track_caller]
pub fn none(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(lines.is_empty(), "{} findings:\n{}", lines.len(), lines.join("\n"));
}

/// The lines that a rule finds in a planted sample.
pub fn planted(rule: impl Fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
    rule(&Source::new(path, text)).into_iter().map(|finding| finding.line).collect()
}

#[test]
fn a_rule_without_subjects_and_one_with_findings_both_fail() {
    let fails = |subjects: &'static [u8], finding: Option<Finding>| {
        std::panic::catch_unwind(|| hold(subjects, |_| finding.clone().into_iter().collect()))
            .is_err()
    };
    assert!(fails(&[], None));
    assert!(fails(&[1], Some(Finding::new("src/lib.rs", 1, "wrong"))));
    assert!(!fails(&[1], None));
}

#[test]
fn the_tree_is_read_as_a_whole() {
    let sources = all_rust();
    for path in ["src/lib.rs", "src/http/mod.rs", "tests/tidy.rs", "loadtests/src/lib.rs"] {
        assert!(sources.iter().any(|source| source.path == path), "{path} was not read");
    }
    assert!(sources.iter().all(|source| !source.path.contains("target/")));
}
