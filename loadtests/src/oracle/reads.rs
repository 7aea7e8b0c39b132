//! Is what readers see true?  Judged from the bytes that they received and from what a writer
//! was told about its changes: nothing goes back in time, nothing is out of date for longer than
//! the contract grants, and a list shows products as they are.

use super::Verdict;
use super::seen::{See, Seen, show};
use crate::record::{Answer, Record};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How long after the acknowledgement of a change an instance may show what was before.
const FRESH_WITHIN_US: u64 = 1_000_000;

/// One read of one reader.
#[derive(Debug, Clone)]
pub struct Read {
    /// Who read.
    pub reader: usize,
    /// What was asked for, path and query.
    pub path: Arc<str>,
    /// The ETag and body at hand, if the request was conditional.
    pub had: Option<(String, Bytes)>,
    /// What came.
    pub record: Record,
}

/// One acknowledged change of a product by the only one who changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The product's id.
    pub product: String,
    /// The variant's id.
    pub variant: String,
    /// What it became.
    pub to: Became,
    /// Microseconds from the start of the run to the acknowledgement.
    pub acknowledged_at_us: u64,
}

/// What a change was acknowledged with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// The price in minor units, in this version of the product.
    #[expect(missing_docs, reason = "said above")]
    Price { version: i64, amount: i64 },
    /// Units that are available.  They only ever grow, so that older counts are told from newer.
    Available(i64),
}

/// Judges reads in the light of changes.
pub fn judge(reads: &[Read], changes: &[Changed]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut judge = Judge {
        seen: Seen::default(),
        newest: HashMap::new(),
        tags: HashMap::new(),
        acknowledged: Acknowledged::of(changes),
        refused: HashSet::new(),
    };
    let mut in_order: Vec<&Read> = reads.iter().collect();
    in_order.sort_by_key(|read| (read.reader, read.record.timing.departed_at_us()));
    for read in in_order {
        if let Some(answer) = read.record.answers.last() {
            judge.read(read, answer, &mut verdict);
        }
    }
    verdict.count("changes", changes.len());
    judge.seen.judge_prices(changes, &mut verdict);
    judge.seen.judge_lists(&mut verdict);
    verdict
}

/// A reader, an instance and a product.
type Place = (usize, Arc<str>, Arc<str>);

struct Judge {
    /// All bodies, each once.
    seen: Seen,
    /// The newest version that each reader saw of a product at an instance, and where.
    newest: HashMap<Place, (i64, Arc<str>)>,
    /// The body of each path's ETags.
    tags: HashMap<(Arc<str>, String), Bytes>,
    acknowledged: Acknowledged,
    /// Paths and their refusals.
    refused: HashSet<(Arc<str>, String)>,
}

impl Judge {
    fn read(&mut self, read: &Read, answer: &Answer, verdict: &mut Verdict) {
        verdict.count("reads", 1);
        verdict.count("stale answers", usize::from(answer.stale));
        let body = match answer.status {
            200 => {
                self.judge_tag(read, answer, verdict);
                &answer.body
            }
            304 => {
                verdict.count("not modified", 1);
                match judge_not_modified(read, answer, verdict) {
                    Some(body) => body,
                    None => return,
                }
            }
            // Refused for the moment; the report counts them.
            429 | 502 | 503 | 504 => return,
            _ => return self.judge_refused(read, answer, verdict),
        };
        let asked = read.path.strip_prefix("/v1/products/");
        for see in self.seen.products(&read.path, body, verdict).iter() {
            if asked.is_some_and(|asked| asked != &*see.id && asked != &*see.slug) {
                verdict.find(&read.path, format!("shows {}", show(&see.id)));
            }
            self.judge_order(read, answer, see, verdict);
            if !answer.stale {
                self.judge_freshness(read, answer, see, verdict);
            }
        }
    }

    /// There is no good reason for it.  Named once for each path: it may be all of its reads.
    fn judge_refused(&mut self, read: &Read, answer: &Answer, verdict: &mut Verdict) {
        let label = answer.label();
        if self.refused.insert((read.path.clone(), label.clone())) {
            verdict.find(&read.path, format!("was answered {label}"));
        }
        verdict.count("wrongly refused", 1);
    }

    /// A strong ETag belongs to one body.
    fn judge_tag(&mut self, read: &Read, answer: &Answer, verdict: &mut Verdict) {
        let Some(tag) = &answer.etag else {
            return verdict.find(&read.path, "came without an ETag");
        };
        let known = self
            .tags
            .entry((read.path.clone(), tag.clone()))
            .or_insert_with(|| answer.body.clone());
        if *known != answer.body {
            verdict.find(&read.path, format!("two bodies came with the ETag {tag}"));
        }
    }

    /// At one instance a reader sees no older version after a newer one.
    fn judge_order(&mut self, read: &Read, answer: &Answer, see: &See, verdict: &mut Verdict) {
        let key = (read.reader, answer.from.clone(), see.id.clone());
        let first = || (see.version, read.path.clone());
        let (newest, at) = self.newest.entry(key).or_insert_with(first);
        if see.version < *newest {
            let wrong = format!(
                "reader {} saw version {newest} at {at}, then version {} at {} of {}",
                read.reader, see.version, read.path, answer.from
            );
            verdict.find(show(&see.id), wrong);
        } else if see.version > *newest {
            (*newest, *at) = first();
        }
    }

    /// What left a second after an acknowledgement shows the change.
    fn judge_freshness(&self, read: &Read, answer: &Answer, see: &See, verdict: &mut Verdict) {
        let departed = read.record.timing.departed_at_us();
        let mut find = |what: &str, is: i64, due: Due| {
            let late_ms = (departed - due.at_us) / 1_000;
            let wrong = format!(
                "{what} {is} at {} of {}, {late_ms} ms after {} was acknowledged",
                read.path, answer.from, due.value
            );
            verdict.find(show(&see.id), wrong);
        };
        let due = self.acknowledged.due(&see.id, departed);
        if let Some(due) = due.filter(|due| see.version < due.value) {
            find("version", see.version, due);
        }
        for (variant, available) in &see.available {
            let due = self.acknowledged.due(variant, departed);
            if let Some(due) = due.filter(|due| *available < due.value) {
                find("available", *available, due);
            }
        }
    }
}

/// 304 only for the ETag that was sent; the body at hand is what was seen then.
fn judge_not_modified<'r>(
    read: &'r Read,
    answer: &Answer,
    verdict: &mut Verdict,
) -> Option<&'r Bytes> {
    let Some((sent, body)) = &read.had else {
        verdict.find(&read.path, "304, though no ETag was sent");
        return None;
    };
    match &answer.etag {
        Some(tag) if tag == sent => return Some(body),
        Some(tag) => verdict.find(&read.path, format!("304 for {tag}, but {sent} was sent")),
        None => verdict.find(&read.path, "304 came without an ETag"),
    }
    None
}

/// By product the versions, by variant the units: what was acknowledged when, ascending.
struct Acknowledged(HashMap<String, Vec<Due>>);

/// What readers are due to see.
#[derive(Debug, Clone, Copy)]
struct Due {
    at_us: u64,
    value: i64,
}

impl Acknowledged {
    fn of(changes: &[Changed]) -> Self {
        let mut by_subject: HashMap<String, Vec<Due>> = HashMap::new();
        for Changed { product, variant, to, acknowledged_at_us } in changes {
            let (subject, value) = match to {
                Became::Price { version, .. } => (product, *version),
                Became::Available(units) => (variant, *units),
            };
            let due = Due { at_us: *acknowledged_at_us, value };
            by_subject.entry(subject.clone()).or_default().push(due);
        }
        for dues in by_subject.values_mut() {
            dues.sort_by_key(|due| due.at_us);
        }
        Self(by_subject)
    }

    /// What a read that departed then must show at least.
    fn due(&self, subject: &str, departed_at_us: u64) -> Option<Due> {
        let dues = self.0.get(subject)?;
        let count = dues.partition_point(|due| due.at_us + FRESH_WITHIN_US < departed_at_us);
        dues[..count].iter().copied().max_by_key(|due| due.value)
    }
}
