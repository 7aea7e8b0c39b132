//! Files, lines and functions are short enough to be read as a whole.

use super::scan::{Source, body, functions, name_at};
use super::tree::{Finding, all_rust, hold, planted};
use crate::{COLUMNS_MAX, FILE_LINES_MAX, FUNCTION_LINES_MAX};

fn long_files(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let what = format!(
        "the file has {lines} lines, at most {FILE_LINES_MAX} are allowed: move what belongs \
         together into a module of its own"
    );
    let is_long = lines > FILE_LINES_MAX;
    is_long.then(|| Finding::new(&source.path, lines, what)).into_iter().collect()
}

fn long_lines(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().enumerate().map(|(at, line)| (at + 1, line.chars().count()));
    let long = lines.filter(|(_, columns)| *columns > COLUMNS_MAX);
    let finding = |(line, columns)| {
        let what =
            format!("{columns} columns, at most {COLUMNS_MAX} are allowed: break the line");
        Finding::new(&source.path, line, what)
    };
    long.map(finding).collect()
}

fn long_functions(source: &Source) -> Vec<Finding> {
    let code = &source.code;
    let finding = |at: usize| {
        let lines = source.line(body(code, at)?.end) - source.line(at) + 1;
        let name = name_at(code, at + 2);
        let what = format!(
            "`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX} are allowed: give one of \
             its steps a name and a function"
        );
        (lines > FUNCTION_LINES_MAX).then(|| source.finding(at, what))
    };
    functions(code).into_iter().filter_map(finding).collect()
}

#[test]
fn files_are_short_enough_to_keep_in_mind() {
    hold(&all_rust(), long_files);
}

#[test]
fn lines_are_short_enough_to_stand_side_by_side() {
    hold(&all_rust(), long_lines);
}

#[test]
fn functions_are_short_enough_for_one_screen() {
    let sources = all_rust();
    let count: usize = sources.iter().map(|source| functions(&source.code).len()).sum();
    assert!(count > sources.len(), "only {count} functions were found");
    hold(&sources, long_functions);
}

#[test]
fn a_planted_file_one_line_too_long_is_found() {
    let text = "//\n".repeat(FILE_LINES_MAX);
    assert_eq!(planted(long_files, "src/a.rs", &text), []);
    assert_eq!(planted(long_files, "src/a.rs", &format!("{text}//\n")), [FILE_LINES_MAX + 1]);
}

#[test]
fn a_planted_line_one_column_too_long_is_found() {
    let fits = "é".repeat(COLUMNS_MAX);
    assert_eq!(planted(long_lines, "src/a.rs", &format!("{fits}\n{fits}x\n{fits}")), [2]);
}

#[test]
fn a_planted_function_one_line_too_long_is_found() {
    let function = |lines: usize| {
        let filling = "    let brace = \"}\"; // }\n".repeat(lines - 2);
        format!("\ntrait T {{ fn none(&self) -> [u8; 2]; }}\nfn long(f: fn()) {{\n{filling}}}\n")
    };
    assert_eq!(planted(long_functions, "src/a.rs", &function(FUNCTION_LINES_MAX)), []);
    assert_eq!(planted(long_functions, "src/a.rs", &function(FUNCTION_LINES_MAX + 1)), [3]);
}
