//! What clients sent and the bytes that they received: the evidence that the oracle judges.

use crate::client::{Failure, Request};
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// One answer of an instance.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Answer {
    /// The URL of the instance.
    pub from: Arc<str>,
    /// The HTTP status.
    pub status: u16,
    /// Whether it carried `Idempotent-Replayed: true`.
    pub replayed: bool,
    /// `Retry-After`, if it carried one.
    pub retry_after_seconds: Option<u64>,
    /// `ETag`, if it carried one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Whether it carried `Doorbuster-Stale: true`.
    #[serde(default)]
    pub stale: bool,
    /// The body, byte for byte.
    #[serde(with = "exact")]
    pub body: Bytes,
}

impl Answer {
    /// Whether it says that the request took effect, or that what the client has is current.
    pub fn acknowledges(&self) -> bool {
        matches!(self.status, 200..=299 | 304)
    }

    /// The stable `code` of a problem body; empty if there is none.
    pub fn code(&self) -> String {
        #[derive(Deserialize)]
        struct Problem {
            code: String,
        }
        if self.acknowledges() {
            return String::new();
        }
        let problem = serde_json::from_slice::<Problem>(&self.body);
        problem.map(|problem| problem.code).unwrap_or_default()
    }

    /// Status and code, for tallies.
    pub fn label(&self) -> String {
        format!("{} {}", self.status, self.code()).trim_end().to_owned()
    }

    /// Whether it leaves open what became of the request: a proxy lost its instance, the instance
    /// does not know, or somebody else is at it.
    pub fn leaves_it_open(&self) -> bool {
        match self.status {
            500 | 502 | 504 => true,
            // Of the instance; or of a balancer, which does not say what became of it.
            503 => {
                let is_told = String::from_utf8_lossy(&self.body).contains("It is not known");
                is_told || self.code().is_empty()
            }
            _ => self.code() == "request_in_progress",
        }
    }

    /// Whether it is the last word: whoever asks again hears the same.
    pub fn is_final(&self) -> bool {
        !self.leaves_it_open() && !self.asks_to_retry()
    }

    /// Whether a client should come again with the same key.
    pub fn asks_to_retry(&self) -> bool {
        match self.status {
            // 502 and 504 come from a proxy that lost its instance.
            429 | 502 | 503 | 504 => true,
            409 => self.code() == "request_in_progress",
            _ => false,
        }
    }
}

/// When things happened to one request.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Timing {
    /// Microseconds from the intended start to the first departure.
    pub lag_us: u64,
    /// Microseconds from the intended start to the last answer, retries included.
    pub latency_us: u64,
    /// Microseconds from the start of the run to the last answer.
    pub answered_at_us: u64,
}

impl Timing {
    /// Microseconds from the start of the run to the departure of a request that left once.
    pub fn departed_at_us(&self) -> u64 {
        (self.answered_at_us + self.lag_us).saturating_sub(self.latency_us)
    }
}

/// One request: what was sent under its key, as often as it took, and every answer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Record {
    /// The `Idempotency-Key`.
    pub key: String,
    /// The request's body, byte for byte.
    #[serde(with = "exact")]
    pub sent: Bytes,
    /// Which route was asked, as in `GET /v1/products/{id}`.
    #[serde(default)]
    pub route: Arc<str>,
    /// When the client took it up, in microseconds since 1970: that places the run on the clock.
    #[serde(default)]
    pub taken_up_at_us: u64,
    /// All answers, in the order in which they came.
    pub answers: Vec<Answer>,
    /// Attempts that ended without an answer.
    pub lost: u64,
    /// Those of them for which no connection could be opened, so that nobody has seen them.
    #[serde(default)]
    pub unsent: u64,
    /// When.
    pub timing: Timing,
}

/// What a client knows in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An instance said that it is done.
    Acknowledged,
    /// The last answer was a final no.
    Refused,
    /// No final answer, or one that leaves it open (5xx).
    Unknown,
}

impl Record {
    /// Of a request that the client takes up now.
    pub fn of(request: &Request) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            key: request.key.clone().unwrap_or_default(),
            sent: request.body.clone(),
            route: request.route.clone(),
            taken_up_at_us: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
            ..Self::default()
        }
    }

    /// An attempt has ended without an answer.
    pub fn fail(&mut self, failure: Failure) {
        self.lost += 1;
        self.unsent += u64::from(failure == Failure::Connect);
    }

    /// It was sent again, under the same key.
    pub fn add(&mut self, again: Self) {
        self.answers.extend(again.answers);
        self.lost += again.lost;
        self.unsent += again.unsent;
    }

    /// What the client knows in the end.
    pub fn outcome(&self) -> Outcome {
        if self.answers.iter().any(Answer::acknowledges) {
            return Outcome::Acknowledged;
        }
        match self.answers.last() {
            Some(answer) if (400..500).contains(&answer.status) && !answer.asks_to_retry() => {
                Outcome::Refused
            }
            _ => Outcome::Unknown,
        }
    }

    /// Whether it may have taken effect without an acknowledgement, for all that the client was
    /// told: other answers say that nothing was begun.
    pub fn is_in_doubt(&self) -> bool {
        self.was_left_open() && self.outcome() == Outcome::Unknown
    }

    /// Whether an attempt had no answer, or one that leaves it open; others may have told since.
    pub fn was_left_open(&self) -> bool {
        self.lost > self.unsent || self.answers.iter().any(Answer::leaves_it_open)
    }

    /// Whether the first acknowledgement is one of an earlier attempt, which nobody had answered.
    pub fn was_made_unanswered(&self) -> bool {
        self.answers.iter().find(|answer| answer.acknowledges()).is_some_and(|one| one.replayed)
    }

    /// The outcome for tallies: `201`, `409 out_of_stock`, `unknown after 503 overloaded`.
    pub fn label(&self) -> String {
        self.ending().label
    }

    /// How it ended, for all who count it: a refusal's body has to be read for it.
    pub fn ending(&self) -> Ending {
        let outcome = self.outcome();
        let last = self.answers.last().map_or_else(|| "no answer".to_owned(), Answer::label);
        let label = match outcome {
            Outcome::Unknown => format!("unknown after {last}"),
            _ => last,
        };
        Ending { outcome, label }
    }
}

/// How a request ended.
#[derive(Debug)]
pub struct Ending {
    /// What the client knows.
    pub outcome: Outcome,
    /// The outcome for tallies.
    pub label: String,
}

/// Everything that a run leaves to the oracle.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// Units that each SKU of the run must have been supplied with in all, no more, no less.
    pub supplied: BTreeMap<String, i64>,
    /// The orders, in no particular order.
    pub records: Vec<Record>,
    /// Nothing of the run is older, in microseconds since 1970; `None`: than these orders.
    pub since_us: Option<u64>,
}

/// A file of NDJSON that is being written.
#[derive(Debug)]
pub(crate) struct LineFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl LineFile {
    /// Begins it.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write {path:?}"))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Adds a line.
    pub fn add(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        let written = serde_json::to_writer(&mut self.file, line).map_err(io::Error::from);
        let written = written.and_then(|()| self.file.write_all(b"\n"));
        written.with_context(|| format!("cannot write {:?}", self.path))
    }

    /// Until now all can be read.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        self.file.flush().with_context(|| format!("cannot write {:?}", self.path))
    }
}

/// A run as a file: a line with what was supplied, a line for each request, and a line that says
/// how many those are, so that a part of it is not taken for the whole.
#[derive(Debug)]
pub struct RunFile {
    lines: LineFile,
    records: usize,
}

#[derive(Serialize, Deserialize)]
struct Header {
    supplied: BTreeMap<String, i64>,
}

#[derive(Serialize, Deserialize)]
struct Footer {
    records: usize,
}

impl RunFile {
    /// Begins it.
    pub fn create(path: &Path, supplied: &BTreeMap<String, i64>) -> anyhow::Result<Self> {
        let mut lines = LineFile::create(path)?;
        lines.add(&Header { supplied: supplied.clone() })?;
        Ok(Self { lines, records: 0 })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.lines.path
    }

    /// Adds a request.
    pub fn add(&mut self, record: &Record) -> anyhow::Result<()> {
        self.records += 1;
        self.lines.add(record)
    }

    /// Until now all can be read.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        self.lines.flush()
    }

    /// Ends it.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.lines.add(&Footer { records: self.records })?;
        self.flush()
    }

    /// The requests of the file so far, one after the other.
    pub fn records(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Record>>> {
        let lines = BufReader::new(File::open(path)?).lines().skip(1);
        Ok(lines.map(|line| Ok(serde_json::from_str(&line?)?)))
    }
}

impl Run {
    /// Writes the run to a file.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = RunFile::create(path, &self.supplied)?;
        self.records.iter().try_for_each(|record| file.add(record))?;
        file.finish()
    }

    /// Reads a file that holds a whole run.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {path:?}"))?;
        let lines: Result<Vec<String>, _> = BufReader::new(file).lines().collect();
        let lines = lines.with_context(|| format!("cannot read {path:?}"))?;
        let [header, records @ .., footer] = &lines[..] else { bail!("{path:?} is empty") };
        let header: Header = serde_json::from_str(header)
            .with_context(|| format!("{path:?} does not begin with what was supplied"))?;
        let counted = serde_json::from_str::<Footer>(footer).ok().map(|footer| footer.records);
        ensure!(counted == Some(records.len()), "{path:?} is only a part of a run");
        let read = |(number, line): (usize, &String)| {
            serde_json::from_str(line)
                .with_context(|| format!("{path:?} line {}: not a record", number + 2))
        };
        let records = records.iter().enumerate().map(read).collect::<anyhow::Result<_>>()?;
        Ok(Self { supplied: header.supplied, records, since_us: None })
    }
}

/// Bytes in JSON: as a string where they are UTF-8, else as an array of numbers.
mod exact {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.serialize(serializer),
            Err(_) => bytes.as_ref().serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::Text(text) => text.into(),
            Form::Bytes(bytes) => bytes.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static [u8]) -> Answer {
        Answer {
            from: "http://a:1".into(),
            status,
            body: Bytes::from_static(body),
            ..Answer::default()
        }
    }

    fn record(answers: Vec<Answer>) -> Record {
        Record { key: "k".to_owned(), answers, ..Record::default() }
    }

    #[test]
    fn the_outcome_is_what_the_client_knows_in_the_end() {
        let busy = || answer(503, br#"{"code":"overloaded"}"#);
        let sold_out = || answer(409, br#"{"code":"out_of_stock"}"#);
        let cases = [
            (vec![], Outcome::Unknown, "unknown after no answer"),
            (vec![answer(201, b"{}")], Outcome::Acknowledged, "201"),
            (vec![busy(), answer(201, b"{}")], Outcome::Acknowledged, "201"),
            (vec![busy(), sold_out()], Outcome::Refused, "409 out_of_stock"),
            (vec![sold_out(), busy()], Outcome::Unknown, "unknown after 503 overloaded"),
            (vec![answer(500, b"oops")], Outcome::Unknown, "unknown after 500"),
            (
                vec![answer(409, br#"{"code":"request_in_progress"}"#)],
                Outcome::Unknown,
                "unknown after 409 request_in_progress",
            ),
        ];
        for (answers, outcome, label) in cases {
            let record = record(answers);
            assert_eq!((record.outcome(), record.label().as_str()), (outcome, label));
        }
    }

    #[test]
    fn what_may_have_been_done_is_in_doubt_and_what_was_turned_away_is_not() {
        let away = || answer(503, br#"{"code":"overloaded"}"#);
        let open = || {
            let told = br#"{"code":"storage_unavailable","detail":"It is not known whether"}"#;
            answer(503, told)
        };
        let made = || answer(201, b"{}");
        let again = || Answer { replayed: true, ..made() };
        let lost = |answers| Record { lost: 1, ..record(answers) };
        for (record, in_doubt, unanswered) in [
            (record(vec![away()]), false, false),
            (record(vec![open(), away()]), true, false),
            (record(vec![answer(502, b"")]), true, false),
            (record(vec![answer(503, b"<html>")]), true, false),
            (Record { unsent: 1, ..lost(vec![]) }, false, false),
            (lost(vec![]), true, false),
            (lost(vec![away()]), true, false),
            (lost(vec![made()]), false, false),
            (lost(vec![again()]), false, true),
            (record(vec![made(), again()]), false, false),
        ] {
            assert_eq!(record.is_in_doubt(), in_doubt, "{record:?}");
            assert_eq!(record.was_made_unanswered(), unanswered, "{record:?}");
        }
    }

    #[test]
    fn a_saved_run_loads_byte_for_byte() {
        let mut run = Run::default();
        run.supplied.insert("MUG-1".to_owned(), 7);
        let bodies: [&[u8]; 3] = [br#"{ "a" : "\u00e9" }"#, "é\n".as_bytes(), b"\xff\x00"];
        for body in bodies {
            run.records.push(record(vec![answer(201, b"")]));
            run.records.last_mut().unwrap().answers[0].body = Bytes::from_static(body);
        }
        let path = std::env::temp_dir().join(format!("run-{:x}.ndjson", rand::random::<u64>()));
        run.save(&path).unwrap();
        let loaded = Run::load(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(loaded.supplied, run.supplied);
        for (record, body) in loaded.records.iter().zip(bodies) {
            assert_eq!(record.answers[0].body, body);
        }
    }
}
