//! Imports of CSV and NDJSON files, for `doorbuster import catalog`.
//!
//! A row is a product with one variant. Rows go in batches, each a transaction of its own, so
//! that a shop can import while it sells. Importing a file again changes nothing; so what a
//! broken import has left is finished by running it once more.

mod batch;
pub mod plan;
mod report;
mod source;

pub use report::{Report, RowError};
pub use source::Format;

use crate::error::Problem;
use crate::money::Currency;
use crate::postgres::Postgres;
use batch::{Manner, run};
use deadpool_postgres::GenericClient;
use indicatif::{ProgressBar, ProgressStyle};
use plan::Row;
use sha2::{Digest, Sha256};
use source::Source;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::Read;
use std::path::Path;

/// Rows of one transaction.
const BATCH_ROWS: usize = 500;

/// The most that an import supplies of one variant.
const STOCK_MAX: i64 = 1_000_000;

/// The currency of rows that do not say, unless the options do.
const CURRENCY: &str = "GBP";

/// How to import.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImportOptions {
    /// The supply of variants whose stock has never moved; 0 to 1,000,000.
    pub stock: Option<i64>,
    /// Report what would happen, and do nothing.
    pub dry_run: bool,
    /// The currency of rows that do not say; pounds unless given.
    pub currency: Option<Currency>,
}

/// Why an import ended early. The batches before stay imported, except in a dry run.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The options make no sense.
    #[error("{0}")]
    Options(String),
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Read(#[source] std::io::Error),
    /// The file does not begin as it should.
    #[error("{0}")]
    Header(String),
    /// The database did not do its part.
    #[error("after line {line}: {problem}")]
    Storage {
        /// The last line that was read.
        line: u64,
        /// What went wrong.
        problem: Problem,
    },
}

/// Imports a file, with a progress bar if there is a terminal to see it.
pub async fn import_file(
    postgres: &Postgres,
    path: &Path,
    options: ImportOptions,
) -> Result<Report, ImportError> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let format = match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => Format::Csv,
        Some("ndjson" | "jsonl") => Format::Ndjson,
        _ => {
            let detail = "the file's name must end in .csv, .ndjson or .jsonl";
            return Err(ImportError::Options(detail.to_owned()));
        }
    };
    let file = File::open(path).map_err(ImportError::Read)?;
    let length = file.metadata().map_err(ImportError::Read)?.len();
    let style = "{wide_bar} {binary_bytes}/{binary_total_bytes} {eta} {msg}";
    // Draws on standard error, and only if that is a terminal.
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let input = bar.wrap_read(file);
    let mut show = |report: &Report| bar.set_message(format!("{} rows", report.rows));
    let report = import(postgres, input, format, options, &mut show).await;
    bar.finish_and_clear();
    report
}

/// Imports what `input` holds; tells `progress` after every batch. Reads without a break, so it
/// is not for the threads that serve.
pub async fn import(
    postgres: &Postgres,
    input: impl Read,
    format: Format,
    options: ImportOptions,
    progress: &mut dyn FnMut(&Report),
) -> Result<Report, ImportError> {
    if !(0..=STOCK_MAX).contains(&options.stock.unwrap_or(0)) {
        let detail = format!("the stock must be from 0 to {STOCK_MAX}");
        return Err(ImportError::Options(detail));
    }
    let pounds = || CURRENCY.parse().map_err(ImportError::Options);
    let mut import = Import {
        source: Source::open(input, format)?,
        currency: options.currency.map_or_else(pounds, Ok)?,
        options,
        seen: HashMap::new(),
        report: Report { dry_run: options.dry_run, ..Report::default() },
        line: 0,
    };
    let mut client = postgres.writers.get().await.map_err(|error| import.failed(error.into()))?;
    if options.dry_run {
        let whole = client.transaction().await;
        let mut whole = whole.map_err(|error| import.failed(error.into()))?;
        // One transaction for the whole input, which may take its time to come.
        let patience = whole.batch_execute("SET LOCAL idle_in_transaction_session_timeout = 0");
        patience.await.map_err(|error| import.failed(error.into()))?;
        import.run(&mut whole, progress).await?;
        whole.rollback().await.map_err(|error| import.failed(error.into()))?;
    } else {
        import.run(&mut client, progress).await?;
    }
    import.report.ignored.extend(import.source.unknown);
    Ok(import.report)
}

/// An import in progress.
struct Import<R> {
    source: Source<R>,
    currency: Currency,
    options: ImportOptions,
    /// Every SKU of the file so far, as a digest: what its row said, and on which line.
    seen: HashMap<u128, (u128, u64)>,
    report: Report,
    line: u64,
}

impl<R: Read> Import<R> {
    async fn run<C: GenericClient>(
        &mut self,
        client: &mut C,
        progress: &mut dyn FnMut(&Report),
    ) -> Result<(), ImportError> {
        let manner = Manner { stock: self.options.stock, dry_run: self.options.dry_run };
        loop {
            let (lines, rows) = self.gather()?;
            if rows.is_empty() {
                return Ok(());
            }
            let outcome = run(client, &rows, manner).await.map_err(|error| self.failed(error))?;
            self.report.add(outcome, &lines);
            progress(&self.report);
        }
    }

    /// The next batch, with the lines of its rows; empty at the end.
    fn gather(&mut self) -> Result<(Vec<u64>, Vec<Row>), ImportError> {
        let (mut lines, mut rows) = (Vec::new(), Vec::new());
        while rows.len() < BATCH_ROWS
            && let Some((line, cells)) = self.source.next()?
        {
            self.line = line;
            self.report.rows += 1;
            let row = cells.and_then(|cells| {
                self.report.note_category(&cells);
                plan::read(&cells, self.currency)
            });
            match row.and_then(|row| self.remember(line, row)) {
                Ok(Some(row)) => {
                    lines.push(line);
                    rows.push(row);
                }
                Ok(None) => self.report.repeated += 1,
                Err(detail) => self.report.refuse(line, detail),
            }
        }
        Ok((lines, rows))
    }

    /// The row, unless the file has said the same before or contradicts itself.
    fn remember(&mut self, line: u64, row: Row) -> Result<Option<Row>, String> {
        match self.seen.entry(digest(&row.sku)) {
            Entry::Vacant(entry) => {
                entry.insert((digest(&row), line));
                Ok(Some(row))
            }
            Entry::Occupied(entry) if entry.get().0 == digest(&row) => Ok(None),
            Entry::Occupied(entry) => Err(format!(
                "sku {} is also on line {}, with another row",
                row.sku,
                entry.get().1
            )),
        }
    }

    fn failed(&self, problem: Problem) -> ImportError {
        ImportError::Storage { line: self.line, problem }
    }
}

/// 128 bits that stand for a value: a file has far too few rows for two of them to agree.
fn digest(value: &impl Hash) -> u128 {
    struct Bytes(Sha256);
    impl Hasher for Bytes {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut bytes = Bytes(Sha256::new());
    value.hash(&mut bytes);
    let digest: [u8; 32] = bytes.0.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(half)
}
