//! Rows from CSV and NDJSON, one at a time, never the whole file in memory.

use super::ImportError;
use csv::ByteRecord;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};

/// The longest row. Without a limit one stray quote would read the rest of a CSV file into one.
pub const ROW_BYTES_MAX: usize = 1024 * 1024;

/// Names of unknown columns that are remembered.
const UNKNOWN_MAX: usize = 50;

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Commas, RFC 4180 quotes, a header.
    Csv,
    /// One JSON object per line.
    Ndjson,
}

/// The columns that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// What is imported; everything else belongs to it.
    Sku,
    /// The product's title.
    Title,
    /// The price in minor units.
    PriceMinor,
    /// The price's currency.
    Currency,
    /// The product's description.
    Description,
    /// The product's slug.
    Slug,
    /// `draft`, `active` or `archived`.
    Status,
    /// Not used: there are no categories yet.
    Category,
}

impl Column {
    const ALL: [Column; 8] = [
        Column::Sku,
        Column::Title,
        Column::PriceMinor,
        Column::Currency,
        Column::Description,
        Column::Slug,
        Column::Status,
        Column::Category,
    ];

    /// As files spell it.
    pub fn name(self) -> &'static str {
        match self {
            Column::Sku => "sku",
            Column::Title => "title",
            Column::PriceMinor => "price_minor",
            Column::Currency => "currency",
            Column::Description => "description",
            Column::Slug => "slug",
            Column::Status => "status",
            Column::Category => "category",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }
}

/// The known cells of one row; an empty cell is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cells([Option<String>; Column::ALL.len()]);

impl Cells {
    /// A cell that says something.
    pub fn get(&self, column: Column) -> Option<&str> {
        self.0[column as usize].as_deref().filter(|text| !text.trim().is_empty())
    }

    /// Sets a cell.
    pub fn set(&mut self, column: Column, text: String) {
        self.0[column as usize] = Some(text);
    }
}

/// A row of the file: its line, and its cells or what is wrong with them.
pub type Line = (u64, Result<Cells, String>);

/// The rows of a file.
pub struct Source<R> {
    lines: Lines<R>,
    /// What the columns of a CSV file are; none for NDJSON.
    columns: Option<Vec<Option<Column>>>,
    /// Columns that are not known.
    pub unknown: BTreeSet<String>,
}

impl<R: Read> Source<R> {
    /// Reads the header, if the format has one.
    pub fn open(input: R, format: Format) -> Result<Self, ImportError> {
        let mut lines = Lines { reader: BufReader::new(input), last: 0 };
        if format == Format::Ndjson {
            return Ok(Self { lines, columns: None, unknown: BTreeSet::new() });
        }
        let header = lines.next(true)?.map_or(Vec::new(), |(_, text)| text);
        let header = header.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&header);
        let header = read_record(header).map_err(ImportError::Header)?;
        let header = csv::StringRecord::from_byte_record_lossy(header);
        let names: Vec<&str> = header.iter().map(str::trim).collect();
        let columns: Vec<Option<Column>> = names.iter().map(|name| Column::of(name)).collect();
        check_columns(&columns)?;
        let unknown = names.iter().zip(&columns).filter(|(_, column)| column.is_none());
        let unknown = unknown.map(|(name, _)| (*name).to_owned()).take(UNKNOWN_MAX).collect();
        Ok(Self { lines, columns: Some(columns), unknown })
    }

    /// The next row; none at the end of the file.
    pub fn next(&mut self) -> Result<Option<Line>, ImportError> {
        let Some((line, text)) = self.lines.next(self.columns.is_some())? else {
            return Ok(None);
        };
        let cells = match &self.columns {
            Some(columns) => read_record(&text).and_then(|record| read_cells(&record, columns)),
            None => read_object(&text, &mut self.unknown),
        };
        Ok(Some((line, cells)))
    }
}

fn check_columns(columns: &[Option<Column>]) -> Result<(), ImportError> {
    for column in Column::ALL {
        let found = columns.iter().filter(|known| **known == Some(column)).count();
        let is_required = matches!(column, Column::Sku | Column::Title | Column::PriceMinor);
        if found > 1 || found == 0 && is_required {
            let what = if found == 0 { "no column" } else { "more than one column" };
            let detail = format!("the header has {what} {}", column.name());
            return Err(ImportError::Header(detail));
        }
    }
    Ok(())
}

/// The lines of a file with their numbers. The csv crate's reader would count otherwise: it is
/// wrong after blank lines and with Windows line ends, and would read a row without an end into
/// memory.
struct Lines<R> {
    reader: BufReader<R>,
    last: u64,
}

impl<R: Read> Lines<R> {
    /// The next line that is not blank, with those that continue it inside quotes.
    fn next(&mut self, has_quotes: bool) -> Result<Option<(u64, Vec<u8>)>, ImportError> {
        let (mut text, mut first, mut place) = (Vec::new(), 0, Place::Start);
        loop {
            let known = text.len();
            let most = (ROW_BYTES_MAX + 1 - known) as u64;
            let read = self.reader.by_ref().take(most).read_until(b'\n', &mut text);
            if read.map_err(ImportError::Read)? == 0 {
                return Ok((known > 0).then_some((first, text)));
            }
            if text.len() > ROW_BYTES_MAX {
                return Err(ImportError::Read(too_long()));
            }
            self.last += 1;
            if known == 0 {
                first = self.last;
            }
            if text.trim_ascii().is_empty() {
                text.clear();
                continue;
            }
            place = text[known..].iter().fold(place, |place, byte| place.after(*byte));
            if !has_quotes || place != Place::Quoted {
                return Ok(Some((first, text)));
            }
        }
    }
}

/// Where in a CSV row a byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start of a field; only here a quote opens.
    Start,
    /// In a field.
    Plain,
    /// Inside quotes.
    Quoted,
    /// After a quote inside quotes: the end of them, or half of a quote.
    Closing,
}

impl Place {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Place::Start | Place::Closing, b'"') => Place::Quoted,
            (Place::Quoted, b'"') => Place::Closing,
            (Place::Quoted, _) => Place::Quoted,
            (_, b',') => Place::Start,
            _ => Place::Plain,
        }
    }
}

/// The one record in `text`.
fn read_record(text: &[u8]) -> Result<ByteRecord, String> {
    let mut builder = csv::ReaderBuilder::new();
    let reader = builder.has_headers(false).flexible(true).from_reader(text);
    let mut records = reader.into_byte_records();
    match (records.next(), records.next()) {
        (Some(Ok(record)), None) => Ok(record),
        (None, _) => Ok(ByteRecord::new()),
        _ => Err("has a line break of another kind than the file".to_owned()),
    }
}

fn read_cells(record: &ByteRecord, columns: &[Option<Column>]) -> Result<Cells, String> {
    if record.len() != columns.len() {
        return Err(format!("has {} fields, the header {}", record.len(), columns.len()));
    }
    let mut cells = Cells::default();
    for (bytes, column) in record.iter().zip(columns) {
        let Some(column) = *column else { continue };
        let text =
            std::str::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", column.name()));
        set(&mut cells, column, text?)?;
    }
    Ok(cells)
}

fn set(cells: &mut Cells, column: Column, text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err(format!("{} contains NUL", column.name()));
    }
    cells.set(column, text.to_owned());
    Ok(())
}

fn read_object(text: &[u8], unknown: &mut BTreeSet<String>) -> Result<Cells, String> {
    let text = std::str::from_utf8(text).map_err(|_| "is not UTF-8")?;
    let value = serde_json::from_str(text.trim_start_matches('\u{feff}'));
    let Value::Object(object) = value.map_err(|_| "is not JSON")? else {
        return Err("is not a JSON object".to_owned());
    };
    let mut cells = Cells::default();
    for (name, value) in object {
        let Some(column) = Column::of(&name) else {
            if unknown.len() < UNKNOWN_MAX {
                unknown.insert(name);
            }
            continue;
        };
        match (value, column) {
            (Value::Null, _) => {}
            (Value::Number(number), Column::PriceMinor) => cells.set(column, number.to_string()),
            (_, Column::PriceMinor) => {
                return Err("price_minor must be an integer, in minor units".to_owned());
            }
            (Value::String(text), _) => set(&mut cells, column, &text)?,
            _ => return Err(format!("{name} must be a string")),
        }
    }
    Ok(cells)
}

fn too_long() -> std::io::Error {
    let detail = format!("a row has more than {ROW_BYTES_MAX} bytes (is a quote not closed?)");
    std::io::Error::other(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(input: &[u8], format: Format) -> (Vec<Line>, BTreeSet<String>) {
        let mut source = Source::open(input, format).unwrap();
        let mut rows = Vec::new();
        while let Some(row) = source.next().unwrap() {
            rows.push(row);
        }
        (rows, source.unknown)
    }

    fn wrong(rows: &[Line]) -> Vec<(u64, &str)> {
        let bad = rows.iter().filter_map(|(line, row)| Some((*line, row.as_ref().err()?)));
        bad.map(|(line, detail)| (line, detail.as_str())).collect()
    }

    #[test]
    fn csv_rows_have_their_lines_and_only_known_columns() {
        let text =
            b"\xef\xbb\xbfsku,title,price_minor,units_sold\nA,\"two\nlines\",1,7\n\nB,b,2,8\n";
        let (rows, unknown) = rows(text, Format::Csv);
        assert_eq!(rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(rows[0].1.as_ref().unwrap().get(Column::Title), Some("two\nlines"));
        assert_eq!(unknown.into_iter().collect::<Vec<_>>(), ["units_sold"]);
    }

    #[test]
    fn windows_lines_are_counted_the_same() {
        let text = b"sku,title,price_minor\r\nA,a,1\r\nB,\"two\r\nlines\",1\r\n\r\nC,c,1";
        let (rows, _) = rows(text, Format::Csv);
        assert_eq!(rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 6]);
    }

    #[test]
    fn a_quote_opens_only_where_a_field_begins() {
        let text =
            b"sku,title,price_minor\nA,5\" pipe,1\nB,\"5\"\" \"pipe,1\nC,\"a\nb\"\"\",1\nD,d,1\n";
        let (rows, _) = rows(text, Format::Csv);
        let titles: Vec<_> =
            rows.iter().map(|(_, row)| row.as_ref().unwrap().get(Column::Title)).collect();
        assert_eq!(titles, [Some("5\" pipe"), Some("5\" pipe"), Some("a\nb\""), Some("d")]);
        assert!(Source::open(&b"sku,title,price_minor\rA,a,1\r"[..], Format::Csv).is_err());
    }

    #[test]
    fn a_bad_csv_row_does_not_take_the_others_with_it() {
        let text = b"sku,title,price_minor\nA,a\nB,\xff,1\nC,c\0,1\nD,d,1,\nE,e,1\n";
        let (rows, _) = rows(text, Format::Csv);
        let expected = [
            (2, "has 2 fields, the header 3"),
            (3, "title is not UTF-8"),
            (4, "title contains NUL"),
            (5, "has 4 fields, the header 3"),
        ];
        assert_eq!(wrong(&rows), expected);
        assert!(rows[4].1.is_ok());
    }

    #[test]
    fn a_header_names_each_column_that_is_needed_once() {
        for (header, detail) in [
            ("", "the header has no column sku"),
            ("sku,title", "the header has no column price_minor"),
            ("sku,sku,title,price_minor", "the header has more than one column sku"),
        ] {
            let error = Source::open(header.as_bytes(), Format::Csv).err().unwrap();
            assert_eq!(error.to_string(), detail);
        }
    }

    #[test]
    fn json_rows_have_json_types() {
        let text = br#"{"sku":"A","title":"a","price_minor":1,"colour":"red","slug":null}

{"sku":"B","title":"b","price_minor":"1"}
{"sku":4}
[1]
{"sku":
{"sku":"a\u0000"}
"#;
        let (rows, unknown) = rows(text, Format::Ndjson);
        let first = rows[0].1.as_ref().unwrap();
        assert_eq!((first.get(Column::PriceMinor), first.get(Column::Slug)), (Some("1"), None));
        let expected = [
            (3, "price_minor must be an integer, in minor units"),
            (4, "sku must be a string"),
            (5, "is not a JSON object"),
            (6, "is not JSON"),
            (7, "sku contains NUL"),
        ];
        assert_eq!(wrong(&rows), expected);
        assert!(unknown.contains("colour"));
    }

    #[test]
    fn a_row_without_an_end_is_not_read_into_memory() {
        let endless = |start: &'static [u8]| start.chain(std::io::repeat(b'x'));
        let csv = endless(b"sku,title,price_minor\nA,a,1\nB,\"");
        let mut source = Source::open(csv, Format::Csv).unwrap();
        assert!(source.next().unwrap().is_some());
        assert!(matches!(source.next(), Err(ImportError::Read(_))));
        let mut source = Source::open(endless(b"{"), Format::Ndjson).unwrap();
        assert!(matches!(source.next(), Err(ImportError::Read(_))));
    }
}
