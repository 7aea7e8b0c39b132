//! Migrations are numbered without gaps, registered, never change once they are merged, and take
//! nothing away from binaries that may still run.

use super::tree::{File, Finding, file_name, files, none, read};
use crate::CHECKSUMS;

/// FNV-1a: enough to notice a change, and small enough to stand here.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The number and the words of `0001_first_sale.sql`.
fn parts(name: &str) -> Option<(usize, &str)> {
    let (number, words) = name.strip_suffix(".sql")?.split_once('_')?;
    let is_number = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let is_named = is_number && words.split('_').all(is_word);
    is_named.then(|| number.parse().ok()).flatten().map(|number| (number, words))
}

fn misnamed(migrations: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, File { path, .. }) in migrations.iter().enumerate() {
        let what = match parts(file_name(path)) {
            None => "a migration is named `NNNN_snake_case.sql`: rename it".to_owned(),
            Some((number, _)) if number != at + 1 => {
                format!("number {number} stands where {:04} belongs: close the gap", at + 1)
            }
            Some(_) => continue,
        };
        findings.push(Finding::new(path, 1, what));
    }
    findings
}

/// `register` is the text of `src/migrate.rs`, `MIGRATIONS` therein.
fn unregistered(migrations: &[File], register: &str) -> Vec<Finding> {
    let register: String = register.split_whitespace().collect();
    let finding = |File { path, .. }: &File| {
        let (number, words) = parts(file_name(path))?;
        let entry = format!("(\"V{number}__{words}\", include_str!(\"../{path}\"))");
        let is_listed = register.contains(&*entry.split_whitespace().collect::<String>());
        let what = format!("it is not applied: add `{entry}` to MIGRATIONS in src/migrate.rs");
        (!is_listed).then(|| Finding::new(path, 1, what))
    };
    migrations.iter().filter_map(finding).collect()
}

fn changed(migrations: &[File], checksums: &[(&str, u64)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for File { path, text } in migrations {
        let (name, sum) = (file_name(path), checksum(text));
        let what = match checksums.iter().find(|(known, _)| *known == name) {
            Some((_, known)) if *known == sum => continue,
            Some(_) => format!(
                "a merged migration never changes, databases have run it: restore it, and add a \
                 new one for the change (only before its first release: {sum:#018x})"
            ),
            None => format!("add `(\"{name}\", {sum:#018x})` to CHECKSUMS in tests/tidy.rs"),
        };
        findings.push(Finding::new(path, 1, what));
    }
    for (name, _) in checksums {
        if !migrations.iter().any(|File { path, .. }| file_name(path) == *name) {
            let what = format!("`{name}` is gone, but databases have run it: restore it");
            findings.push(Finding::new("tests/tidy.rs", 1, what));
        }
    }
    findings
}

/// The first schema that names its oldest binary; before it, all instances were stopped.
const ROLLED_OUT_SINCE: usize = 9;

/// What older binaries may stumble over in a table that they know: it is gone, it has another name
/// or type, or it refuses what they write.
const CHANGES: [&str; 7] =
    [" drop ", " rename ", " type ", " set not null", " check (", " unique ", " primary key "];

/// The statements of a migration, in small letters, without comments, with single blanks.
fn statements(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split("--").next().unwrap_or_default());
    let folded = lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
    folded.to_lowercase().split(';').map(|statement| statement.trim().to_owned()).collect()
}

/// `new` are the tables that the migration itself makes.
fn takes_away(statement: &str, new: &[&str]) -> bool {
    let refuses = statement.contains(" not null") && !statement.contains(" default ");
    let words: Vec<&str> = statement.split([' ', '(']).filter(|word| !word.is_empty()).collect();
    let behind = |word: &str| {
        let table = words.iter().position(|other| *other == word).map(|at| words.get(at + 1));
        table.flatten().is_some_and(|table| *table != "oldest_binary" && !new.contains(table))
    };
    match words[..] {
        ["drop" | "revoke" | "do", ..] | ["create", "or", "replace", ..] => true,
        ["alter", ..] => refuses || CHANGES.iter().any(|change| statement.contains(change)),
        // An index that is built keeps everybody from writing, and a unique one or a trigger may
        // refuse what older binaries write.
        ["create", "unique" | "index" | "trigger" | "constraint" | "rule", ..] => behind("on"),
        ["update", ..] => behind("update"),
        ["delete", ..] => behind("from"),
        _ => false,
    }
}

/// The table that the statement makes.
fn made(statement: &str) -> Option<&str> {
    statement.strip_prefix("create table ")?.split([' ', '(']).next()
}

fn taking_away(migrations: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for File { path, text } in migrations {
        let number = parts(file_name(path)).map_or(0, |(number, _)| number);
        let statements = statements(text);
        let oldest = |statement: &String| {
            statement.strip_prefix("update oldest_binary set migration = ")?.parse().ok()
        };
        let is_raised = statements
            .iter()
            .filter_map(oldest)
            .any(|oldest: usize| (ROLLED_OUT_SINCE + 1..=number).contains(&oldest));
        if number < ROLLED_OUT_SINCE || is_raised {
            continue;
        }
        let new: Vec<&str> = statements.iter().filter_map(|statement| made(statement)).collect();
        for statement in statements.iter().filter(|statement| takes_away(statement, &new)) {
            let what = format!(
                "`{statement}` takes away what older binaries use, or holds them up: let a later \
                 release do it, with `UPDATE oldest_binary SET migration = …;`: the newest one \
                 that the first binary without that use knows"
            );
            findings.push(Finding::new(path, 1, what));
        }
    }
    findings
}

fn migrations() -> Vec<File> {
    let files = files("migrations", &[".sql"]);
    assert!(!files.is_empty(), "there are no migrations");
    files
}

#[test]
fn migrations_are_numbered_without_gaps() {
    none(&misnamed(&migrations()));
}

#[test]
fn every_migration_is_registered_under_its_name() {
    let register = read("src/migrate.rs").expect("src/migrate.rs");
    none(&unregistered(&migrations(), &register));
}

#[test]
fn a_merged_migration_never_changes_again() {
    none(&changed(&migrations(), CHECKSUMS));
}

#[test]
fn what_older_binaries_use_is_taken_away_only_where_they_may_run_no_longer() {
    none(&taking_away(&migrations()));
}

#[test]
fn a_planted_migration_that_takes_away_is_found() {
    let found = |number: u32, text: &str| {
        let (path, text) = (format!("migrations/{number:04}_a.sql"), text.to_owned());
        taking_away(&[File { path, text }]).len()
    };
    let raised = |oldest: u32| format!("UPDATE oldest_binary SET migration = {oldest};");
    for taken in [
        "ALTER TABLE a DROP b;",
        "ALTER TABLE a\n    RENAME COLUMN b TO c;",
        "ALTER TABLE a ALTER b TYPE text;",
        "ALTER TABLE a ADD b text NOT NULL;",
        "ALTER TABLE a ADD CHECK (b > 0);",
        "DROP INDEX a_b;",
        "CREATE OR REPLACE VIEW a AS SELECT 1;",
        "CREATE UNIQUE INDEX a_b ON a (b);",
        "CREATE INDEX a_b ON a(b);",
        "CREATE TRIGGER a_b BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION c();",
        "DO $$ BEGIN PERFORM 1 END $$;",
        "UPDATE a SET b = 1 WHERE b = 2;",
        "DELETE FROM a WHERE b = 2;",
    ] {
        assert_eq!(found(11, taken), 1, "{taken}");
        assert_eq!(found(8, taken), 0, "{taken}: before rollouts");
        assert_eq!(
            found(12, &format!("{taken}\n{}", raised(11))),
            0,
            "{taken}: two releases later"
        );
        assert_eq!(found(11, &format!("{taken}\n-- {}", raised(11))), 1, "{taken}: only said");
        assert_eq!(found(11, &format!("{taken}\n{}", raised(9))), 1, "{taken}: not raised");
    }
    for added in [
        "ALTER TABLE a ADD b text; -- DROP TABLE a;",
        "ALTER TABLE a ADD b text NOT NULL DEFAULT '';",
        "CREATE TABLE a (\n    type text NOT NULL CHECK (type <> '')\n);",
        "CREATE TABLE a (b text); CREATE UNIQUE INDEX a_b ON a (b); UPDATE a SET b = '';",
    ] {
        assert_eq!(found(11, added), 0, "{added}");
    }
}

fn sample(names: &[&str]) -> Vec<File> {
    let file = |name: &&str| File { path: format!("migrations/{name}"), text: "a".to_owned() };
    names.iter().map(file).collect()
}

#[test]
fn planted_gaps_and_bad_names_are_found() {
    let paths = |names: &[&str]| misnamed(&sample(names)).len();
    assert_eq!(paths(&["0001_first.sql", "0002_second_2.sql"]), 0);
    assert_eq!(paths(&["0001_first.sql", "0003_third.sql"]), 1);
    for name in ["1_first.sql", "0001_First.sql", "0001-first.sql", "0001_a__b.sql"] {
        assert_eq!(paths(&[name]), 1, "{name}");
    }
}

#[test]
fn a_planted_migration_that_is_not_registered_is_found() {
    let register = "&[(\n    \"V1__a\",\n    include_str!(\"../migrations/0001_a.sql\"))]";
    let found = unregistered(&sample(&["0001_a.sql", "0002_b.sql"]), register);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].path, "migrations/0002_b.sql");
}

#[test]
fn planted_changes_new_files_and_lost_files_are_found() {
    // FNV-1a's published test vector for "a".
    const A: u64 = 0xaf63_dc4c_8601_ec8c;
    assert_eq!(changed(&sample(&["0001_a.sql"]), &[("0001_a.sql", A)]), []);
    let found = changed(&sample(&["0001_a.sql"]), &[("0001_a.sql", 1)]);
    assert!(found[0].what.contains("never changes") && found[0].what.contains("0xaf63dc4c"));
    let found = changed(&sample(&["0001_a.sql"]), &[]);
    assert!(found[0].what.contains("add `(\"0001_a.sql\", 0xaf63dc4c8601ec8c)`"));
    let found = changed(&sample(&[]), &[("0001_a.sql", A)]);
    assert!(found[0].what.contains("gone"));
}
