//! Do searches find what they must, without showing anything twice, and do the counts add up?

use super::Verdict;
use crate::catalog::Product;
use crate::record::Record;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};

/// Values of a facet, at most.
const VALUES_MAX: usize = 100;

/// What was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole title: its product must be found.
    Title,
    /// A word of a title.
    Word,
    /// The first letters of a word.
    Beginning,
    /// A word with one slip of the fingers.
    Typo,
}

/// One search with the pages that were read of it.
#[derive(Debug, Clone)]
pub struct Search {
    /// What was typed.
    pub kind: Kind,
    /// Path and query of the first page.
    pub query: String,
    /// The id of the product whose title it was made of.
    pub wanted: String,
    /// Whether facets were asked for, and all pages read.
    pub is_counted: bool,
    /// The pages, in order.
    pub pages: Vec<Record>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Product>,
    next_cursor: Option<String>,
    #[serde(default)]
    facets: Facets,
}

/// The facets that are asked for.  Those that a shop does not count are not judged.
#[derive(Default, Deserialize)]
struct Facets {
    tag: Option<Vec<Count>>,
    in_stock: Option<Vec<Count>>,
}

#[derive(Deserialize)]
struct Count {
    value: String,
    count: u64,
}

impl Search {
    /// Whether its product is on one of its pages.
    pub fn finds_it(&self) -> bool {
        let pages = self.pages.iter().filter_map(|record| read(record)?.ok());
        pages.flat_map(|page| page.items).any(|product| product.id == self.wanted)
    }

    fn is_read_to_its_end(&self) -> bool {
        let last = self.pages.last().and_then(|record| read(record)?.ok());
        last.is_some_and(|page| page.next_cursor.is_none())
    }
}

/// The page in a record; `None` if it was not answered with one.
fn read(record: &Record) -> Option<serde_json::Result<Page>> {
    let answer = record.answers.last().filter(|answer| answer.status == 200)?;
    Some(serde_json::from_slice(&answer.body))
}

/// The share of the searches of a kind that found their product; `None` without any.
pub fn share_found(searches: &[Search], kind: Kind) -> Option<f64> {
    let of_kind: Vec<&Search> = searches.iter().filter(|search| search.kind == kind).collect();
    let found = of_kind.iter().filter(|search| search.finds_it()).count();
    (!of_kind.is_empty()).then(|| found as f64 / of_kind.len() as f64)
}

/// Judges searches of a catalog that did not change meanwhile.
pub fn judge(searches: &[Search]) -> Verdict {
    let mut verdict = Verdict::default();
    for search in searches {
        let (all, found) = match search.kind {
            Kind::Title => ("titles", "titles found"),
            Kind::Word => ("words", "words found"),
            Kind::Beginning => ("beginnings", "beginnings found"),
            Kind::Typo => ("typos", "typos found"),
        };
        verdict.count(all, 1);
        verdict.count(found, usize::from(search.finds_it()));
        judge_search(search, &mut verdict);
    }
    verdict
}

fn judge_search(search: &Search, verdict: &mut Verdict) {
    let mut pages = Vec::new();
    for record in &search.pages {
        match read(record) {
            Some(Ok(page)) => pages.push(page),
            Some(Err(error)) => {
                return verdict.find(&search.query, format!("came with no page: {error}"));
            }
            None => return judge_refused(search, record, verdict),
        }
    }
    verdict.count("pages", pages.len());
    let items: Vec<&Product> = pages.iter().flat_map(|page| &page.items).collect();
    let mut seen = HashSet::new();
    for item in &items {
        if !seen.insert(&item.id) {
            verdict.find(&search.query, format!("shows {} twice", item.id));
        }
    }
    let is_complete = search.is_read_to_its_end();
    if search.kind == Kind::Title && is_complete && !seen.contains(&search.wanted) {
        verdict.find(&search.query, format!("is its title, but does not find {}", search.wanted));
    }
    if search.is_counted && is_complete {
        judge_counts(search, &pages, &items, verdict);
    }
}

/// Too many at once is no lie; anything else is wrong, because every query was a fair one.
fn judge_refused(search: &Search, record: &Record, verdict: &mut Verdict) {
    if let Some(answer) = record.answers.last().filter(|answer| !answer.asks_to_retry()) {
        verdict.find(&search.query, format!("was answered {}", answer.label()));
    }
}

/// Every page counts alike, and as many as there are on all of them.
fn judge_counts(search: &Search, pages: &[Page], items: &[&Product], verdict: &mut Verdict) {
    let mut tags: BTreeMap<String, u64> = BTreeMap::new();
    let mut in_stock: BTreeMap<String, u64> = BTreeMap::new();
    for item in items {
        let there = item.variants.iter().any(|variant| variant.in_stock);
        *in_stock.entry(there.to_string()).or_default() += 1;
        for tag in &item.tags {
            *tags.entry(tag.clone()).or_default() += 1;
        }
    }
    for page in pages {
        let facets =
            [("tag", &page.facets.tag, &tags), ("in_stock", &page.facets.in_stock, &in_stock)];
        for (facet, counted, true_counts) in facets {
            let Some(counted) = counted else { continue };
            verdict.count("facets", 1);
            for wrong in wrong_counts(counted, true_counts) {
                verdict.find(&search.query, format!("counts {facet} {wrong}"));
            }
        }
    }
}

/// A full facet may leave out the values that are rarer than all that it counts.
fn wrong_counts(counted: &[Count], truth: &BTreeMap<String, u64>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut said = HashSet::new();
    for Count { value, count } in counted {
        let is = truth.get(value).copied().unwrap_or(0);
        if is != *count {
            wrong.push(format!("{value:?} {count} times, but there are {is}"));
        }
        if !said.insert(value.as_str()) {
            wrong.push(format!("{value:?} twice"));
        }
    }
    let least = counted.iter().map(|counted| counted.count).min().unwrap_or(0);
    let is_full = counted.len() >= VALUES_MAX;
    for (value, is) in truth.iter().filter(|(value, _)| !said.contains(value.as_str())) {
        if !is_full || *is > least {
            wrong.push(format!("not {value:?}, of which there are {is}"));
        }
    }
    wrong
}
