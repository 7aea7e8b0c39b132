//! A request goes out as it is, and what comes back is read as HTTP.

use super::corpus::Case;
use crate::harness::App;
use std::fmt;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an open connection may be silent before nothing more is expected.
const SILENCE: Duration = Duration::from_millis(700);
/// How long a connection that is expected to be closed, or an answer, may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came back.
pub struct Outcome {
    answers: Vec<Answer>,
    is_closed: bool,
    /// What is no HTTP.
    rest: usize,
}

struct Answer {
    status: u16,
    is_problem: bool,
    body: Vec<u8>,
    head: String,
}

/// Sends a case and reads until the server closes, or is silent where it may stay.
pub async fn send(app: &App, case: &Case) -> Outcome {
    let mut stream = TcpStream::connect(app.url.strip_prefix("http://").unwrap()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let write = async {
        // The server may close before it has read everything.
        let _ = writer.write_all(&case.bytes).await;
        if case.ends {
            let _ = writer.shutdown().await;
        }
    };
    let is_head = case.bytes.starts_with(b"HEAD ");
    let expects_close = case.expected.contains("closed");
    let read = async {
        let (mut bytes, mut is_closed) = (Vec::new(), false);
        loop {
            let has_answer =
                Outcome::of(&bytes, is_head, false).answers.iter().any(Answer::is_last);
            let patience = if has_answer && !expects_close { SILENCE } else { PATIENCE };
            let mut chunk = [0; 65_536];
            match timeout(patience, reader.read(&mut chunk)).await {
                Err(_) => break,
                Ok(Ok(0) | Err(_)) => {
                    is_closed = true;
                    break;
                }
                Ok(Ok(length)) => bytes.extend(&chunk[..length]),
            }
        }
        Outcome::of(&bytes, is_head, is_closed && expects_close)
    };
    tokio::join!(write, read).1
}

impl Answer {
    fn is_last(&self) -> bool {
        self.status >= 200
    }
}

impl Outcome {
    fn of(mut bytes: &[u8], is_head: bool, is_closed: bool) -> Self {
        let mut answers = Vec::new();
        while let Some((answer, rest)) = answer(bytes, is_head) {
            answers.push(answer);
            bytes = rest;
        }
        Self { answers, is_closed, rest: bytes.len() }
    }

    /// What no answer may be, whatever is expected.
    pub fn faults(&self, case: &Case) -> String {
        let mut faults = String::new();
        if self.rest > 0 {
            faults += "[what came back is no HTTP] ";
        }
        for answer in &self.answers {
            if answer.status >= 500 {
                faults += "[a defect] ";
            }
            let body = String::from_utf8_lossy(&answer.body);
            for inner in ["serde", "src/", "SQL", "panicked", "struct ", "root:"] {
                if body.contains(inner) && answer.status >= 400 {
                    faults += &format!("[says {inner}] ");
                }
            }
            let head = answer.head.to_ascii_lowercase();
            if answer.status >= 400 && !answer.is_bare() && !head.contains("nosniff") {
                faults += "[without the security headers] ";
            }
            if head.contains("evil.example") || head.contains("a=b") {
                faults += "[repeats what was injected] ";
            }
        }
        let is_head = case.bytes.starts_with(b"HEAD ");
        let not_problem = |a: &&Answer| a.status >= 400 && !a.is_problem && !a.is_bare();
        if !is_head && self.answers.iter().any(|answer| not_problem(&answer)) {
            faults += "[an error that is no problem] ";
        }
        faults
    }
}

impl Answer {
    /// The framework refused it before any of our code ran.
    fn is_bare(&self) -> bool {
        self.status >= 400 && self.body.is_empty() && !self.is_problem
    }
}

/// `400 bare, closed`: the statuses in order, and whether the server closed, where that counts.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        for answer in &self.answers {
            let bare = if answer.is_bare() { " bare" } else { "" };
            parts.push(format!("{}{bare}", answer.status));
        }
        if self.is_closed {
            parts.push("closed".to_owned());
        }
        f.write_str(&parts.join(", "))
    }
}

/// The first answer in the bytes, if it is whole, and what is behind it.
fn answer(bytes: &[u8], is_head: bool) -> Option<(Answer, &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let rest = &bytes[end + 4..];
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|found| found.1)
    };
    let (body, rest) = match field("transfer-encoding") {
        _ if is_head || status < 200 || status == 204 || status == 304 => (Vec::new(), rest),
        Some(_) => chunks(rest)?,
        None => {
            let length: usize = field("content-length").and_then(|text| text.parse().ok())?;
            (rest.get(..length)?.to_vec(), &rest[length..])
        }
    };
    let is_problem = field("content-type") == Some("application/problem+json");
    Some((Answer { status, is_problem, body, head }, rest))
}

fn chunks(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[..end]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        body.extend(bytes.get(end + 2..end + 2 + size)?);
        bytes = bytes.get(end + 2 + size + 2..)?;
        if size == 0 {
            return Some((body, bytes));
        }
    }
}
