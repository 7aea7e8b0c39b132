//! Words that do not belong: shortcuts that end a request or the process, output past the log,
//! notes to ourselves, names that say nothing.

use super::scan::{Source, words};
use super::tree::{File, Finding, all_rust, files, hold, planted, shipped};
use crate::{EMPTY_NAMES, MAY_PRINT};

/// Found in whichever mask of the file, with what to do instead.
fn find(source: &Source, mask: &str, unwanted: &[&str], mend: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for word in unwanted {
        let what = format!("`{word}`: {mend}");
        let found = words(mask, word).into_iter();
        findings.extend(found.map(|at| source.finding(at, what.clone())));
    }
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// `assert!` is not among them: an invariant that does not hold must stop the work.
fn shortcuts(source: &Source) -> Vec<Finding> {
    let unwanted = [
        ".unwrap()",
        ".expect(",
        ".unwrap_err()",
        ".expect_err(",
        "panic!",
        "todo!",
        "unimplemented!",
        "unreachable!",
        "dbg!",
    ];
    let mend =
        "return a `Problem` or an error; for what must be true use `assert!` with a reason";
    find(source, &source.shipped, &unwanted, mend)
}

fn prints(source: &Source) -> Vec<Finding> {
    if source.is_among(MAY_PRINT) {
        return Vec::new();
    }
    let mend = "log with `tracing`; only the command line prints";
    find(source, &source.shipped, &["println!", "eprintln!", "print!", "eprint!"], mend)
}

fn unsafe_code(source: &Source) -> Vec<Finding> {
    find(source, &source.code, &["unsafe"], "leave it to the libraries")
}

/// In Rust a literal is not a note: one of the words is ISO 4217's code for no currency.
fn notes_to_ourselves(file: &File) -> Vec<Finding> {
    let source = Source::new(&file.path, &file.text);
    let mask = if file.path.ends_with(".rs") { &source.notes } else { &source.text };
    let mut findings = Vec::new();
    for word in ["TODO", "FIXME", "XXX"] {
        // A document may speak about the word, in backticks.
        let is_quoted = |at: usize| at > 0 && mask.as_bytes()[at - 1] == b'`';
        let found = words(mask, word).into_iter().filter(|at| !is_quoted(*at));
        let what = format!("`{word}`: do it now, or write down where it is planned");
        findings.extend(found.map(|at| source.finding(at, what.clone())));
    }
    findings
}

fn empty_names(source: &Source) -> Vec<Finding> {
    let mut parts = source.path.split('/').map(|part| part.trim_end_matches(".rs"));
    let found = parts.find(|part| EMPTY_NAMES.contains(part));
    let finding = |name: &str| {
        let what = format!("`{name}` says nothing about what is inside: name it after its noun");
        Finding::new(&source.path, 1, what)
    };
    found.map(finding).into_iter().collect()
}

#[test]
fn nothing_but_an_invariant_ends_the_work() {
    hold(&shipped(), shortcuts);
}

#[test]
fn only_the_command_line_prints_to_the_terminal() {
    hold(&shipped(), prints);
}

#[test]
fn there_is_no_unsafe_code_anywhere() {
    hold(&all_rust(), unsafe_code);
}

#[test]
fn there_are_no_notes_to_ourselves() {
    let endings = [".rs", ".toml", ".sql", ".md", ".sh", ".yml", ".yaml", "Makefile"];
    hold(&files("", &endings), notes_to_ourselves);
}

#[test]
fn folders_and_modules_are_named_after_nouns() {
    hold(&shipped(), empty_names);
}

#[test]
fn planted_shortcuts_are_found_and_tests_may_take_them() {
    let text = "fn a() {\n    b.unwrap();\n    c\n        .expect(\"d\");\n    unreachable!()\n}\n\
                // panic!\n/// .unwrap()\nfn e() { assert!(f.unwrap_or(1) > 0, \"todo!\") }\n\
                #[cfg(test)]\nmod tests {\n    fn g() { panic!() }\n}\n";
    assert_eq!(planted(shortcuts, "src/a.rs", text), [2, 4, 5]);
    assert_eq!(planted(shortcuts, "src/a/tests.rs", text), []);
}

#[test]
fn planted_output_is_found_outside_of_the_command_line() {
    let text =
        "fn a() {\n    println!(\"{}\", 1);\n    writeln!(f, \"println!\");\n    eprint!();\n}";
    assert_eq!(planted(prints, "src/journal/mod.rs", text), [2, 4]);
    assert_eq!(planted(prints, "src/cli/dev.rs", text), []);
    assert_eq!(planted(prints, "src/cli.rs", text), [2, 4]);
}

#[test]
fn planted_unsafe_code_is_found_even_in_tests() {
    let text = "#![forbid(unsafe_code)]\n// unsafe\n#[cfg(test)]\nfn a() { unsafe { b() } }\n";
    assert_eq!(planted(unsafe_code, "src/a/tests.rs", text), [4]);
}

#[test]
fn planted_notes_are_found_in_any_kind_of_file() {
    let lines = |path: &str, text: &str| {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        notes_to_ourselves(&file).iter().map(|finding| finding.line).collect::<Vec<_>>()
    };
    assert_eq!(lines("src/a.rs", "// TODO: b\n\"XXX\";\n/* FIXME */\nlet TODOS = 1;"), [1, 3]);
    assert_eq!(lines("docs/a.md", "`TODO` is refused.\n\nXXX\n"), [3]);
    assert_eq!(lines("migrations/0001_a.sql", "SELECT 1; -- TODO"), [1]);
}

#[test]
fn planted_empty_names_are_found_as_folders_and_files() {
    for path in ["src/utils/mod.rs", "src/order/helpers.rs", "src/core/a/b.rs"] {
        assert_eq!(planted(empty_names, path, ""), [1], "{path}");
    }
    assert_eq!(planted(empty_names, "src/order/score.rs", ""), []);
}
