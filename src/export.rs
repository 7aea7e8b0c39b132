//! Exports: tables of any size as CSV or NDJSON, page by page.
//!
//! A page is read when the client has taken the one before, so a slow client costs neither memory
//! nor a connection, and no snapshot is held from one page to the next. A failure breaks the
//! answer off, so that nobody takes a part for the whole.

use crate::error::{Code, Problem};
use crate::metrics;
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::{Serialize, Serializer};
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Semaphore, mpsc};

/// Rows of one page.
pub const PAGE_ROWS: i64 = 1_000;

/// What an export is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, with a header.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl Format {
    /// How names of files end.
    pub fn ending(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Ndjson => "ndjson",
        }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::Ndjson => "application/x-ndjson",
        }
    }
}

impl FromStr for Format {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Format::Csv, Format::Ndjson].into_iter().find(|f| f.ending() == text).ok_or(())
    }
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Cell {
    /// Nothing: `null`, an empty cell.
    None,
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

impl Cell {
    /// A text that something shows itself as: an id, a word.
    pub fn text(value: impl ToString) -> Self {
        Cell::Text(value.to_string())
    }

    /// A time, RFC 3339.
    pub fn time(time: OffsetDateTime) -> Self {
        time.format(&Rfc3339).map_or(Cell::None, Cell::Text)
    }

    /// As CSV shows it. Spreadsheets run what begins like a formula, so it gets an apostrophe
    /// (OWASP, "CSV injection"); numbers are what they are.
    fn csv(&self) -> String {
        const STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
        match self {
            Cell::None => String::new(),
            Cell::Number(number) => number.to_string(),
            // Some programs skip blanks before they look.
            Cell::Text(text)
                if [text, text.trim_start()].iter().any(|text| text.starts_with(STARTS))
                    && !is_number(text) =>
            {
                format!("'{text}")
            }
            Cell::Text(text) => text.clone(),
        }
    }
}

impl<T: ToString> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::None, Cell::text)
    }
}

/// `-12.50`: a sign, digits, perhaps a point and more digits.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, decimals) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(decimals)
}

/// Some rows, and where the next page begins.
#[derive(Debug)]
pub struct Page<K> {
    /// As many cells in each as the export has columns.
    pub rows: Vec<Vec<Cell>>,
    /// The key of the last row that was read; none at the end.
    pub last: Option<K>,
}

impl<K> Page<K> {
    /// The page of the rows that were read; `cells` leaves out what was not asked for.
    pub fn of<T>(
        read: &[T],
        key: impl Fn(&T) -> K,
        cells: impl Fn(&T) -> Option<Vec<Cell>>,
    ) -> Self {
        Self { rows: read.iter().filter_map(cells).collect(), last: read.last().map(key) }
    }
}

/// How many exports may run at the same time.
pub struct Exports {
    turns: Arc<Semaphore>,
    stall_max: Duration,
}

impl Exports {
    /// At most `max`; one whose client takes nothing for `stall_max` ends.
    pub fn new(max: usize, stall_max: Duration) -> Self {
        Self { turns: Arc::new(Semaphore::new(max)), stall_max }
    }

    /// A turn, if there is one.
    pub fn begin(&self) -> Result<Turn, Problem> {
        let busy = |_| Problem::new(Code::Overloaded, "Too many exports are running.");
        let permit = self.turns.clone().try_acquire_owned().map_err(busy)?;
        let (signs, mut heard) = mpsc::channel(1);
        let stall_max = self.stall_max;
        tokio::spawn(async move {
            let _permit = permit;
            while let Ok(Some(())) = tokio::time::timeout(stall_max, heard.recv()).await {}
        });
        Ok(Turn(signs))
    }
}

/// The right to run an export, until it is dropped or gives no sign of life for too long.
pub struct Turn(mpsc::Sender<()>);

impl Turn {
    fn go_on(&self) -> Result<(), Problem> {
        match self.0.try_send(()) {
            Err(mpsc::error::TrySendError::Closed(())) => {
                Err(Problem::new(Code::Overloaded, "The client took nothing for too long."))
            }
            _ => Ok(()),
        }
    }
}

/// The bytes of an export whose pages `read` reads, given the key of the last row before. The
/// first page is read at once, so that what fails from the start is refused in whole.
pub async fn stream<K, F, R>(
    format: Format,
    columns: &'static [&'static str],
    turn: Turn,
    read: F,
) -> Result<impl Stream<Item = Result<Bytes, Problem>>, Problem>
where
    F: Fn(Option<K>) -> R,
    R: Future<Output = Result<Page<K>, Problem>>,
{
    let first = read(None).await?;
    let head = match format {
        Format::Csv => csv([columns.iter().map(|name| (*name).to_owned())])?,
        Format::Ndjson => Vec::new(),
    };
    let start = Next::Page(head, first);
    Ok(stream::try_unfold((start, turn, read), move |(next, turn, read)| async move {
        turn.go_on()?;
        let (mut bytes, page) = match next {
            Next::Page(head, page) => (head, page),
            Next::After(key) => (Vec::new(), read(Some(key)).await?),
            Next::End => return Ok(None),
        };
        bytes.extend(written(format, columns, &page.rows)?);
        metrics::exported(page.rows.len());
        let next = page.last.map_or(Next::End, Next::After);
        Ok(Some((Bytes::from(bytes), (next, turn, read))))
    }))
}

/// What an export gives out next.
enum Next<K> {
    /// A page that was read already, behind these bytes.
    Page(Vec<u8>, Page<K>),
    /// What comes after this key.
    After(K),
    /// Nothing more.
    End,
}

fn written(
    format: Format,
    columns: &'static [&'static str],
    rows: &[Vec<Cell>],
) -> Result<Vec<u8>, Problem> {
    match format {
        Format::Csv => csv(rows.iter().map(|row| row.iter().map(Cell::csv))),
        Format::Ndjson => {
            let mut bytes = Vec::new();
            for row in rows {
                let line = serde_json::to_writer(&mut bytes, &Line { columns, row });
                line.map_err(Problem::internal)?;
                bytes.push(b'\n');
            }
            Ok(bytes)
        }
    }
}

fn csv<R>(rows: impl IntoIterator<Item = R>) -> Result<Vec<u8>, Problem>
where
    R: IntoIterator<Item = String>,
{
    let builder = &mut csv::WriterBuilder::new();
    let mut writer = builder.terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).map_err(Problem::internal)?;
    }
    writer.into_inner().map_err(Problem::internal)
}

/// A row as a JSON object, in the order of the columns.
struct Line<'r> {
    columns: &'static [&'static str],
    row: &'r [Cell],
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.columns.iter().zip(self.row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::TryStreamExt;

    const COLUMNS: &[&str] = &["id", "text"];

    fn exports() -> Exports {
        Exports::new(1, Duration::from_secs(60))
    }

    /// Two pages of one row, then the end.
    async fn read(after: Option<i64>) -> Result<Page<i64>, Problem> {
        let id = after.unwrap_or(0) + 1;
        let rows: Vec<i64> = (id..3).take(1).collect();
        let cells = |id: &i64| Some(vec![Cell::Number(*id), Cell::text("a, \"b\"")]);
        Ok(Page::of(&rows, |id| *id, cells))
    }

    async fn all(format: Format) -> Result<String, Problem> {
        let exported = stream(format, COLUMNS, exports().begin()?, read).await?;
        let bytes: Vec<Bytes> = exported.try_collect().await?;
        Ok(String::from_utf8_lossy(&bytes.concat()).into_owned())
    }

    #[tokio::test]
    async fn pages_become_one_file_with_one_header() {
        let csv = "id,text\r\n1,\"a, \"\"b\"\"\"\r\n2,\"a, \"\"b\"\"\"\r\n";
        assert_eq!(all(Format::Csv).await.as_deref(), Ok(csv));
        let line = |id| format!("{{\"id\":{id},\"text\":\"a, \\\"b\\\"\"}}\n");
        assert_eq!(all(Format::Ndjson).await, Ok(line(1) + &line(2)));
    }

    #[test]
    fn what_begins_like_a_formula_is_shown_as_text_and_a_number_as_it_is() {
        let csv = |text: &str| Cell::text(text).csv();
        for formula in [
            "=1+1", "+a", "-a", "@a", "\ta", "\ra", "-1-1", "-", "+1.", "＝1", " =1+1",
            "\u{a0}@a",
        ] {
            assert_eq!(csv(formula), format!("'{formula}"));
        }
        for plain in ["", "a=1", "-1", "+44", "-12.50", "1-1"] {
            assert_eq!(csv(plain), plain);
        }
        assert_eq!(Cell::Number(-1).csv(), "-1");
    }

    #[tokio::test]
    async fn a_turn_is_free_again_once_the_export_is_over() {
        let exports = exports();
        let turn = exports.begin();
        let refused = exports.begin().err().map(|problem| problem.code);
        assert_eq!(refused, Some(Code::Overloaded));
        drop(turn);
        while exports.begin().is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_export_whose_client_takes_nothing_loses_its_turn() {
        let exports = Exports::new(1, Duration::from_millis(20));
        let Ok(turn) = exports.begin() else { return };
        assert_eq!(turn.go_on(), Ok(()));
        while exports.begin().is_err() {
            tokio::task::yield_now().await;
        }
        assert!(turn.go_on().is_err());
    }
}
