//! Was everything true that clients were told?  Compares what they sent and received with what
//! the database holds, and names every order, key and SKU for which it does not fit.

pub mod carts;
pub mod checkout;
mod content;
mod gaps;
pub mod reads;
pub mod search;
mod seen;
mod stock;

use crate::order::{Acknowledged, NewOrder};
use crate::record::{Answer, Outcome, Record, Run};
use crate::stored::{Order, Source, Stored, Wanted};
use crate::type_id;
use anyhow::ensure;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use uuid::Uuid;

/// Something that is not true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The order, key or SKU.
    pub subject: String,
    /// What is wrong with it.
    pub wrong: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.wrong)
    }
}

/// How much was judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "counts of what the names say")]
pub struct Checked {
    pub acknowledged: u64,
    pub refused: u64,
    pub unknown: u64,
    /// Unknown ones whose order turned out to be there.
    pub unknown_with_order: u64,
    /// Those of them that were told each time that nothing was begun. An instance is not wrong if a
    /// balancer has asked another one before, and shown the last answer alone.
    #[serde(default)]
    pub turned_away_with_order: u64,
    /// Acknowledgements beyond the first, compared byte for byte.
    pub replays: u64,
    pub lines: u64,
    pub skus: u64,
}

/// The judgement of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// How much was judged of orders and stock.
    pub checked: Checked,
    /// How much was judged of anything else, by what it is called.
    pub judged: BTreeMap<Cow<'static, str>, u64>,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
    /// What could not be judged, and why.
    #[serde(default)]
    pub unseen: Option<Cow<'static, str>>,
}

impl Verdict {
    /// Nothing yet, of what is stored.
    pub fn of(stored: &Stored) -> Self {
        let unseen = stored.keys.is_none().then_some(
            "the rows of idempotency keys: only the database shows them, and this is from the API",
        );
        Self { unseen: unseen.map(Cow::Borrowed), ..Self::default() }
    }

    /// Whether everything was true.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Counts something that was judged.
    pub fn count(&mut self, what: &'static str, more: usize) {
        *self.judged.entry(Cow::Borrowed(what)).or_default() += more as u64;
    }

    /// Adds something that is wrong.
    pub fn find(&mut self, subject: impl fmt::Display, wrong: impl fmt::Display) {
        self.findings.push(Finding { subject: subject.to_string(), wrong: wrong.to_string() });
    }
}

/// Reads what the shop holds of a run, and judges it.
pub async fn examine(run: &Run, source: impl Into<Source<'_>>) -> anyhow::Result<Verdict> {
    ensure!(!run.records.is_empty(), "there is nothing to judge");
    let records = || run.records.iter();
    let wanted = Wanted {
        emails: records().filter_map(|record| Some(asked(record)?.email)).collect(),
        ids: records().flat_map(acknowledged_ids).collect(),
        keys: records().map(|record| record.key.clone()).collect(),
        skus: run.supplied.keys().cloned().collect(),
        since_us: run.since_us.unwrap_or_else(|| since_us(records())),
    };
    Ok(judge(run, &Stored::read(source.into(), &wanted).await?))
}

/// Nothing of these requests is older, in microseconds since 1970; clocks may differ by a minute.
pub fn since_us<'r>(records: impl Iterator<Item = &'r Record>) -> u64 {
    let first = records.map(|record| record.taken_up_at_us).min().unwrap_or(0);
    first.saturating_sub(60_000_000)
}

/// Judges a run.
pub fn judge(run: &Run, stored: &Stored) -> Verdict {
    let mut by_email: HashMap<&str, Vec<&Order>> = HashMap::new();
    for order in stored.orders.values() {
        by_email.entry(&order.email).or_default().push(order);
    }
    let mut verdict = Verdict::of(stored);
    for record in &run.records {
        let Some(sent) = asked(record) else {
            verdict.find(key_name(record), "the record holds no order that was sent");
            continue;
        };
        let orders = by_email.get(sent.email.as_str()).map_or(&[][..], Vec::as_slice);
        judge_key(record, orders, stored, &mut verdict);
        match record.outcome() {
            Outcome::Acknowledged => judge_acknowledged(record, &sent, stored, &mut verdict),
            Outcome::Refused => judge_refused(record, orders, stored, &mut verdict),
            Outcome::Unknown => judge_unknown(record, orders, &mut verdict),
        }
    }
    let disappointed = stock::refused_for_stock(run);
    stock::judge(&run.supplied, &disappointed, stored, &mut verdict);
    verdict
}

fn asked(record: &Record) -> Option<NewOrder> {
    serde_json::from_slice(&record.sent).ok()
}

fn key_name(record: &Record) -> String {
    format!("key {}", record.key)
}

fn acknowledgements(record: &Record) -> impl Iterator<Item = &Answer> {
    record.answers.iter().filter(|answer| answer.acknowledges())
}

fn acknowledged_ids(record: &Record) -> Vec<Uuid> {
    #[derive(serde::Deserialize)]
    struct OnlyId {
        id: String,
    }
    acknowledgements(record)
        .filter_map(|answer| serde_json::from_slice::<OnlyId>(&answer.body).ok())
        .filter_map(|order| type_id::decode("ord", &order.id))
        .collect()
}

/// One key, at most one effect; and no key without its effect, no effect without its key.
fn judge_key(record: &Record, orders: &[&Order], stored: &Stored, verdict: &mut Verdict) {
    let key = key_name(record);
    if orders.len() > 1 {
        let ids: Vec<_> = orders.iter().map(|order| order_name(order.id)).collect();
        verdict.find(&key, format!("{} orders: {}", orders.len(), ids.join(", ")));
    }
    let Some(rows) = stored.rows_of(&record.key) else { return };
    match (rows, orders) {
        ([], [order, ..]) => {
            let order = order_name(order.id);
            verdict.find(&key, format!("{order} is there without its idempotency key"));
        }
        ([_, ..], []) => verdict.find(&key, "the idempotency key is there without an order"),
        ([Some(made)], [order]) if *made != order.id => {
            let (made, found) = (order_name(*made), order_name(order.id));
            verdict.find(&key, format!("the key made {made}, but {found} is there"));
        }
        ([_, _, ..], _) => verdict.find(&key, format!("{} rows of this key", rows.len())),
        _ => {}
    }
}

fn judge_refused(record: &Record, orders: &[&Order], stored: &Stored, verdict: &mut Verdict) {
    verdict.checked.refused += 1;
    let key = key_name(record);
    let label = record.label();
    for order in orders {
        let order = order_name(order.id);
        verdict.find(&key, format!("refused with {label}, but {order} is there"));
    }
    if stored.holds_key(&record.key) {
        verdict.find(&key, format!("refused with {label}, but its idempotency key is there"));
    }
}

fn judge_unknown(record: &Record, orders: &[&Order], verdict: &mut Verdict) {
    verdict.checked.unknown += 1;
    verdict.checked.unknown_with_order += u64::from(!orders.is_empty());
    let is_turned_away = !orders.is_empty() && !record.is_in_doubt();
    verdict.checked.turned_away_with_order += u64::from(is_turned_away);
    for answer in record.answers.iter().filter(|answer| answer.status < 400) {
        let status = answer.status;
        verdict.find(key_name(record), format!("answered {status}, which promises nothing"));
    }
}

fn judge_acknowledged(record: &Record, sent: &NewOrder, stored: &Stored, verdict: &mut Verdict) {
    verdict.checked.acknowledged += 1;
    judge_replays(record, verdict);
    // All earlier answers said that nothing was begun.
    let is_misled = record.was_made_unanswered() && !record.was_left_open();
    verdict.checked.turned_away_with_order += u64::from(is_misled);
    // Bodies that differ were found just now; each of them is a promise.
    let mut bodies: Vec<&[u8]> =
        acknowledgements(record).map(|answer| answer.body.as_ref()).collect();
    bodies.sort_unstable();
    bodies.dedup();
    for body in bodies {
        let order: Acknowledged = match serde_json::from_slice(body) {
            Ok(order) => order,
            Err(error) => {
                let wrong = format!("acknowledged with a body that is no order: {error}");
                verdict.find(key_name(record), wrong);
                continue;
            }
        };
        let name = format!("order {} (key {})", order.id, record.key);
        let found = type_id::decode("ord", &order.id).and_then(|id| stored.orders.get(&id));
        let Some(found) = found else {
            verdict.find(name, "acknowledged, but not there");
            continue;
        };
        verdict.checked.lines += found.lines.len() as u64;
        let mut wrong = content::differences(&order, found);
        wrong.extend(content::not_as_asked(&order, sent));
        for wrong in wrong {
            verdict.find(&name, wrong);
        }
    }
}

/// All acknowledgements of a key are the same bytes, and all but one call themselves replays.
/// Nothing that came later takes one back.
fn judge_replays(record: &Record, verdict: &mut Verdict) {
    let key = key_name(record);
    let mut answers = acknowledgements(record);
    let Some(first) = answers.next() else { return };
    for answer in answers {
        verdict.checked.replays += 1;
        if (answer.status, &answer.body) != (first.status, &first.body) {
            verdict.find(&key, format!("a replay differs: {}", difference(first, answer)));
        }
    }
    let later = record.answers.iter().skip_while(|answer| !answer.acknowledges());
    let is_no = |answer: &&Answer| !answer.acknowledges() && answer.is_final();
    for answer in later.filter(is_no) {
        verdict.find(&key, format!("acknowledged, and then answered {}", answer.label()));
    }
    let fresh = acknowledgements(record).filter(|answer| !answer.replayed).count();
    if fresh > 1 {
        verdict.find(&key, format!("{fresh} acknowledgements that are no replays"));
    }
    let mut ids = acknowledged_ids(record);
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > 1 {
        let ids: Vec<_> = ids.into_iter().map(order_name).collect();
        verdict.find(&key, format!("several orders acknowledged: {}", ids.join(", ")));
    }
}

/// Where two answers part, with a little of what follows.
fn difference(first: &Answer, then: &Answer) -> String {
    let same = first.body.iter().zip(&then.body).take_while(|(a, b)| a == b).count();
    let rest = |answer: &Answer| {
        let rest = &answer.body[same..];
        String::from_utf8_lossy(&rest[..rest.len().min(60)]).into_owned()
    };
    let (was, is) = (rest(first), rest(then));
    format!("{} then {}, from byte {same} on {was:?} then {is:?}", first.status, then.status)
}

fn order_name(id: Uuid) -> String {
    type_id::encode("ord", id)
}
