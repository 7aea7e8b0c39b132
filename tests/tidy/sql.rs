//! SQL stands in stores, so that every statement on a table can be found and changed with it.

use super::scan::Source;
use super::tree::{Finding, hold, planted, shipped};
use crate::{MAY_BEGIN_AND_COMMIT, MAY_HOLD_SQL};

/// `src/order/store.rs` and `src/order/store/read.rs` are stores.
fn is_store(path: &str) -> bool {
    path.split('/').any(|part| part == "store" || part == "store.rs")
}

fn is_statement(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match first {
        "SELECT" | "COPY" | "TRUNCATE" => !second.is_empty(),
        "INSERT" | "MERGE" => second == "INTO",
        "DELETE" => second == "FROM",
        "UPDATE" => words.any(|word| word == "SET"),
        "WITH" => second == "RECURSIVE" || words.any(|word| word == "AS") || second == "AS",
        "CREATE" | "ALTER" | "DROP" | "LOCK" => {
            second == "TABLE" || second == "INDEX" || second == "DATABASE"
        }
        _ => is_transaction_control(text),
    }
}

fn is_transaction_control(text: &str) -> bool {
    let first = text.split([' ', ';', '\n']).find(|word| !word.is_empty());
    matches!(first, Some("BEGIN" | "COMMIT" | "ROLLBACK" | "SAVEPOINT"))
}

fn stray_sql(source: &Source) -> Vec<Finding> {
    if is_store(&source.path) || source.is_among(MAY_HOLD_SQL) {
        return Vec::new();
    }
    let is_journal = source.path.starts_with(MAY_BEGIN_AND_COMMIT);
    let stray = source.literals.iter().filter(|literal| {
        is_statement(&literal.text) && !(is_journal && is_transaction_control(&literal.text))
    });
    let what = "SQL outside of a store: move the statement into the feature's `store.rs`";
    stray.map(|literal| source.finding(literal.offset, what)).collect()
}

#[test]
fn sql_stands_only_in_stores_and_a_few_named_files() {
    let sources = shipped();
    let has_sql = |source: &&Source| source.literals.iter().any(|text| is_statement(&text.text));
    let holders: Vec<&str> = sources.iter().filter(has_sql).map(|source| &*source.path).collect();
    assert!(holders.iter().any(|path| is_store(path)), "no SQL was found in {holders:?}");
    let begins = holders.iter().any(|holder| holder.starts_with(MAY_BEGIN_AND_COMMIT));
    assert!(begins, "the journal holds no BEGIN any more");
    hold(&sources, stray_sql);
}

#[test]
fn planted_statements_are_found_outside_of_stores() {
    let text = r##"
        const A: &str = "SELECT 1";
        const B: &str = r#"
            WITH found (id) AS (SELECT 1) SELECT * FROM found"#;
        const C: &str = "UPDATE stock\n SET available = 0";
        const D: [&str; 5] = ["SELECT", "DELETE", "UPDATE", "With love AS ever", "INSERTED"];
        const E: &str = "BEGIN; SET LOCAL a.b = '{}'";
        // "SELECT 2"
        #[cfg(test)]
        const F: &str = "DELETE FROM stock";
    "##;
    assert_eq!(planted(stray_sql, "src/order/routes.rs", text), [2, 3, 5, 7]);
    assert_eq!(planted(stray_sql, "src/journal/mod.rs", text), [2, 3, 5]);
    for path in ["src/order/store.rs", "src/order/store/read.rs", "src/verify.rs"] {
        assert_eq!(planted(stray_sql, path, text), [], "{path}");
    }
}
