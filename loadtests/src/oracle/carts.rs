//! Are carts what was acknowledged?  Every acknowledged change must follow from the one before
//! it, in the order of their versions, and lead to the cart that is there in the end; changes
//! of which it is not known whether they were made may fill gaps between versions, each once.

use super::gaps::{self, Gap};
use super::{Verdict, acknowledgements, judge_replays};
use crate::basket::{Cart, Change, Units};
use crate::record::{Answer, Outcome, Record};
use crate::stored::StoredCart;
use crate::type_id;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// What the clients of one cart did and saw.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CartRun {
    /// The token of its session, which stays out of every report.
    #[serde(skip)]
    pub token: String,
    /// A name for it: `cart 7`.
    pub name: String,
    /// Its version before the first change.
    pub version: i64,
    /// The changes, in no particular order.
    pub changes: Vec<(Change, Record)>,
    /// What the instances show in the end.
    pub shown: Vec<Answer>,
}

/// Judges carts by what clients know, and by the database if it was read.
pub fn judge(
    carts: &[CartRun],
    prices: &BTreeMap<String, i64>,
    stored: Option<&HashMap<String, StoredCart>>,
) -> Verdict {
    let mut verdict = Verdict::default();
    for cart in carts {
        verdict.count("carts", 1);
        judge_cart(cart, prices, stored, &mut verdict);
    }
    verdict
}

fn judge_cart(
    cart: &CartRun,
    prices: &BTreeMap<String, i64>,
    stored: Option<&HashMap<String, StoredCart>>,
    verdict: &mut Verdict,
) {
    let mut acknowledged: BTreeMap<i64, Vec<(&Change, Cart)>> = BTreeMap::new();
    let mut unanswered = Vec::new();
    for (change, record) in &cart.changes {
        judge_replays(record, verdict);
        match record.outcome() {
            Outcome::Acknowledged => {
                verdict.count("changes", 1);
                let Some(after) = read_first(cart, record, prices, verdict) else { continue };
                acknowledged.entry(after.version).or_default().push((change, after));
            }
            // Whoever has no key is asked once, so that it was told is true.
            Outcome::Unknown if record.key.is_empty() && !record.is_in_doubt() => {
                verdict.count("not begun", 1);
            }
            Outcome::Unknown => unanswered.push(change),
            // The line may be gone already; there is no other reason to refuse.
            Outcome::Refused if is_expected(change, record) => verdict.count("line gone", 1),
            Outcome::Refused => {
                let label = record.label();
                verdict.find(&cart.name, format!("{change:?} was refused with {label}"));
            }
        }
    }
    verdict.count("unanswered", unanswered.len());
    let Some(end) = judge_end(cart, prices, verdict) else { return };
    let gaps = judge_chain(cart, &acknowledged, &end, verdict);
    for wrong in gaps::unexplained(&gaps, &unanswered) {
        verdict.find(&cart.name, wrong);
    }
    if let Some(stored) = stored {
        verdict.count("compared with the database", 1);
        judge_stored(cart, &end, stored.get(&cart.token), verdict);
    }
}

fn is_expected(change: &Change, record: &Record) -> bool {
    !matches!(change, Change::Add(_)) && record.label() == "404 not_found"
}

/// The cart of an acknowledgement; all of them are the same bytes.
fn read_first(
    cart: &CartRun,
    record: &Record,
    prices: &BTreeMap<String, i64>,
    verdict: &mut Verdict,
) -> Option<Cart> {
    let answer = acknowledgements(record).next()?;
    read(cart, answer, prices, verdict)
}

fn read(
    cart: &CartRun,
    answer: &Answer,
    prices: &BTreeMap<String, i64>,
    verdict: &mut Verdict,
) -> Option<Cart> {
    let shown = match Cart::read(&answer.body) {
        Ok(shown) if answer.status == 200 => shown,
        Ok(_) => {
            verdict.find(&cart.name, format!("a cart came with {}", answer.label()));
            return None;
        }
        Err(error) => {
            let label = answer.label();
            verdict.find(&cart.name, format!("{label} with a body that is no cart: {error}"));
            return None;
        }
    };
    let name = format!("{} version {}", cart.name, shown.version);
    for wrong in shown.wrong_amounts(prices) {
        verdict.find(&name, wrong);
    }
    if shown.units().len() != shown.items.len() {
        verdict.find(&name, "a SKU stands in several lines");
    }
    let tag = format!("\"{}\"", shown.version);
    if let Some(other) = answer.etag.as_ref().filter(|etag| **etag != tag) {
        verdict.find(&name, format!("came with the ETag {other}"));
    }
    Some(shown)
}

/// All instances show the same cart in the end.
fn judge_end(
    cart: &CartRun,
    prices: &BTreeMap<String, i64>,
    verdict: &mut Verdict,
) -> Option<Cart> {
    let mut shown: Vec<Cart> = Vec::new();
    for answer in &cart.shown {
        shown.push(read(cart, answer, prices, verdict)?);
    }
    let Some(first) = shown.first() else {
        verdict.find(&cart.name, "no instance shows it in the end");
        return None;
    };
    for other in &shown[1..] {
        if (other.version, other.units()) != (first.version, first.units()) {
            let (a, b) = (first.version, other.version);
            verdict.find(&cart.name, format!("instances show versions {a} and {b} of it"));
        }
    }
    Some(first.clone())
}

/// Follows the versions that were acknowledged; how one led to the next is left to be explained.
fn judge_chain<'c>(
    cart: &CartRun,
    acknowledged: &BTreeMap<i64, Vec<(&'c Change, Cart)>>,
    end: &Cart,
    verdict: &mut Verdict,
) -> Vec<Gap<'c>> {
    let mut gaps = Vec::new();
    let (mut version, mut units) = (cart.version, Units::new());
    for (&next, changes) in acknowledged {
        if next < cart.version {
            let wrong = format!("version {next} is older than the first, {}", cart.version);
            verdict.find(&cart.name, wrong);
            continue;
        }
        let made = judge_version(cart, next, changes, &units, verdict);
        let after = changes[0].1.units();
        gaps.push(Gap { from: version, to: next, before: units, made, after: after.clone() });
        (version, units) = (next, after);
    }
    let (to, after) = (end.version, end.units());
    if to < version {
        let wrong = format!("version {version} was acknowledged, but the last one is {to}");
        verdict.find(&cart.name, wrong);
    } else if to == version && after != units {
        let wrong = format!("version {to} is {after:?}, but was acknowledged as {units:?}");
        verdict.find(&cart.name, wrong);
    } else if to > version {
        gaps.push(Gap { from: version, to, before: units, made: Vec::new(), after });
    }
    gaps
}

/// The changes that may have made a version.  Others are answered with it if they have nothing
/// left to change; which of them it was cannot always be told from this version alone.
fn judge_version<'c>(
    cart: &CartRun,
    version: i64,
    changes: &[(&'c Change, Cart)],
    before: &Units,
    verdict: &mut Verdict,
) -> Vec<&'c Change> {
    let name = format!("{} version {version}", cart.name);
    let after = changes[0].1.units();
    if let Some((_, other)) = changes.iter().find(|(_, other)| other.units() != after) {
        let wrong = format!("was acknowledged as {after:?} and as {:?}", other.units());
        verdict.find(&name, wrong);
    }
    for (change, shown) in changes {
        if let Change::Set { line, sku, quantity } = change
            && *quantity > 0
            && !shown.items.iter().any(|item| item.id == *line && item.sku == *sku)
        {
            verdict.find(&name, format!("{line} was set, and is not in it"));
        }
    }
    let changes_nothing =
        |change: &Change| change.apply(&after).is_none_or(|again| again == after);
    let makes_it = |change: &Change| change.apply(before).as_ref() == Some(&after);
    let mut makers: Vec<&Change> = changes.iter().map(|(change, _)| *change).collect();
    // One that leads there comes first, then those that must have changed something.
    makers.sort_by_key(|change| (!makes_it(change), changes_nothing(change)));
    let given_twice = makers[1..].iter().any(|change| !changes_nothing(change));
    if given_twice {
        verdict.find(&name, format!("was given twice: {makers:?}"));
    }
    if !changes_nothing(makers[0]) {
        makers.truncate(1);
    }
    makers
}

/// The database holds what the instances show.
fn judge_stored(cart: &CartRun, end: &Cart, stored: Option<&StoredCart>, verdict: &mut Verdict) {
    let nothing = StoredCart::default();
    let stored = match stored {
        Some(stored) => stored,
        // A cart that was never changed has no row.
        None if end.version == 0 => &nothing,
        None => return verdict.find(&cart.name, "is not in the database"),
    };
    if stored.version != end.version {
        let (shown, stored) = (end.version, stored.version);
        verdict.find(&cart.name, format!("shown in version {shown}, stored in {stored}"));
    }
    let mut shown: BTreeMap<Option<Uuid>, i64> = BTreeMap::new();
    for line in &end.items {
        *shown.entry(type_id::decode("var", &line.variant_id)).or_default() += line.quantity;
    }
    let mut found: BTreeMap<Option<Uuid>, i64> = BTreeMap::new();
    for (variant, quantity) in &stored.items {
        *found.entry(Some(*variant)).or_default() += quantity;
    }
    if shown != found {
        verdict.find(&cart.name, format!("shown with {shown:?}, stored with {found:?}"));
    }
}
