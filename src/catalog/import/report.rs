//! What an import did.

use super::batch::Outcome;
use super::source::{Cells, Column};
use std::collections::BTreeSet;
use std::fmt;

/// Errors that are shown; all are counted.
const SHOWN_MAX: usize = 100;

/// A row that was not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The line of the file, from 1; a CSV file's header is the first.
    pub line: u64,
    /// What is wrong with it.
    pub detail: String,
}

/// What an import did, or a dry run would have done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows of the file, without the header.
    pub rows: u64,
    /// Products that were made.
    pub created: u64,
    /// Rows that changed a product.
    pub changed: u64,
    /// Rows that the catalog agreed with already.
    pub unchanged: u64,
    /// Rows that said again what an earlier one had said.
    pub repeated: u64,
    /// Variants that got their first stock.
    pub stocked: u64,
    /// Rows that were not imported.
    pub errors: u64,
    /// The first of them.
    pub shown: Vec<RowError>,
    /// Columns that were not used.
    pub ignored: BTreeSet<String>,
    /// Whether nothing was really done.
    pub dry_run: bool,
}

impl Report {
    /// Adds a batch whose rows were on `lines`.
    pub(super) fn add(&mut self, outcome: Outcome, lines: &[u64]) {
        self.created += outcome.created;
        self.changed += outcome.changed;
        self.unchanged += outcome.unchanged;
        self.stocked += outcome.stocked;
        for (index, detail) in outcome.refused {
            self.refuse(lines[index], detail.to_owned());
        }
    }

    pub(super) fn refuse(&mut self, line: u64, detail: String) {
        self.errors += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(RowError { line, detail });
        }
    }

    /// The category is known, but nothing is done with it yet.
    pub(super) fn note_category(&mut self, cells: &Cells) {
        let name = Column::Category.name();
        if cells.get(Column::Category).is_some() && !self.ignored.contains(name) {
            self.ignored.insert(name.to_owned());
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for RowError { line, detail } in &self.shown {
            writeln!(f, "line {line}: {detail}")?;
        }
        let hidden = self.errors.saturating_sub(self.shown.len() as u64);
        if hidden > 0 {
            writeln!(f, "… and {hidden} more errors")?;
        }
        if !self.ignored.is_empty() {
            let names: Vec<&str> = self.ignored.iter().map(String::as_str).collect();
            writeln!(f, "ignored columns: {}", names.join(", "))?;
        }
        let Self { rows, created, changed, unchanged, repeated, stocked, errors, .. } = self;
        write!(f, "{rows} rows: {created} created, {changed} changed, {unchanged} unchanged")?;
        write!(f, ", {repeated} repeated, {errors} with errors; {stocked} variants stocked")?;
        if self.dry_run {
            f.write_str(" (dry run: nothing was written)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_errors_are_counted_and_the_first_hundred_shown() {
        let mut report = Report::default();
        (1..=150).for_each(|line| report.refuse(line, "is bad".to_owned()));
        let text = report.to_string();
        assert!(text.starts_with("line 1: is bad\n"));
        assert!(text.contains("line 100: is bad\n… and 50 more errors\n"));
        assert!(text.ends_with("150 with errors; 0 variants stocked"));
    }
}
