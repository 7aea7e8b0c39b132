//! The oracles of browsing, searching, carts and checkouts can fail: every way of breaking a
//! promise is named, and what is right is not.
#![expect(clippy::unwrap_used, reason = "tests")]

mod carts;
mod checkout;
#[path = "../postgres/mod.rs"]
mod postgres;
mod reads;
mod search;

use loadtests::oracle::Verdict;
use loadtests::record::{Answer, Record, Timing};
use serde_json::{Value, json};

/// Nothing expected: that it is clean.
fn expect(verdict: &Verdict, expected: &[&str], deed: &str) {
    assert_eq!(verdict.is_clean(), expected.is_empty(), "after {deed}:\n{verdict}");
    let said: Vec<String> = verdict.findings.iter().map(ToString::to_string).collect();
    for expected in expected {
        assert!(said.iter().any(|said| said.contains(expected)), "{deed}: {expected}\n{said:#?}");
    }
}

fn answer(status: u16, body: Value) -> Answer {
    Answer {
        from: "http://a:1".into(),
        status,
        body: body.to_string().into(),
        ..Answer::default()
    }
}

fn problem(status: u16, code: &str) -> Answer {
    answer(status, json!({ "code": code }))
}

fn record(key: &str, answers: Vec<Answer>) -> Record {
    Record { key: key.to_owned(), answers, ..Record::default() }
}

/// Departed and answered at once.
fn at(us: u64) -> Timing {
    Timing { answered_at_us: us, ..Timing::default() }
}

fn money(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}
