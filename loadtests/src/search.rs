//! Searches made of the shop's own titles: whole ones, words, beginnings of words and words with
//! a slip of the fingers, every answer judged.  The catalog must not change meanwhile.

use crate::caller::{Caller, dice};
use crate::catalog::{self, Product, encode};
use crate::client::Request;
use crate::generator::Settings;
use crate::oracle::search::{self as oracle, Kind, Search};
use crate::record::Answer;
use crate::report::Report;
use crate::target::{Instances, progress, run_name};
use anyhow::{Context, ensure};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Pages of one search that are read, at most.
const PAGES_MAX: usize = 20;
/// What shops take as a query; longer titles are asked for by their words only.
const QUERY_CHARS_MAX: usize = 200;
/// See above.
const QUERY_WORDS_MAX: usize = 12;
/// Words shorter than this are neither cut nor misspelt: anything is near to them.
const WORD_CHARS_MIN: usize = 5;

/// The options of the scenario.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    #[command(flatten)]
    pub(crate) instances: Instances,
    /// Searches in all
    #[arg(long, default_value_t = 2_000, value_name = "COUNT")]
    searches: usize,
    /// Searches at once
    #[arg(long, default_value_t = 16, value_name = "COUNT")]
    searchers: usize,
    /// Products whose titles are searched for, at most
    #[arg(long, default_value_t = 5_000, value_name = "COUNT")]
    products: usize,
    /// Fail if a smaller share of the searches with a typo find their product, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    typos_found_min: f64,
    /// Fail if the 99th percentile of pages is above this
    #[arg(long, value_name = "MILLISECONDS")]
    p99_ms_max: Option<f64>,
    /// The same number, the same searches
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Options {
    /// The clients, or why there cannot be such a run.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        ensure!(self.searches > 0, "--searches: at least one");
        ensure!((0.0..=1.0).contains(&self.typos_found_min), "--typos-found-min: 0 to 1");
        self.instances.settings(self.searchers, self.seed).context("--searchers")
    }
}

/// Searches, and judges every answer.
pub async fn search(options: &Options) -> anyhow::Result<Report> {
    let settings = Arc::new(options.settings()?);
    let mut caller = Caller::new(&settings, 0, Instant::now());
    let products = Arc::new(catalog::read_products(&mut caller, options.products).await?);

    let bar = progress("searches", options.searches);
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for n in 0..options.searchers {
        let mut caller = Caller::new(&settings, n, started);
        let (products, bar, options) = (products.clone(), bar.clone(), options.clone());
        tasks.spawn(async move {
            let mut dice = dice(options.seed, n);
            let mut searches = Vec::new();
            for count in (n..options.searches).step_by(options.searchers) {
                caller.turn_to(count);
                let search = plan(&products, &mut dice);
                searches.push(follow(search, &mut caller).await);
                bar.inc(1);
            }
            searches
        });
    }
    let mut searches = Vec::with_capacity(options.searches);
    while let Some(done) = tasks.join_next().await {
        searches.extend(done.context("a searcher stopped")?);
    }
    bar.finish_and_clear();

    let verdict = oracle::judge(&searches);
    let typos_found = oracle::share_found(&searches, Kind::Typo);
    let records = searches.iter().flat_map(|search| &search.pages);
    let mut report = Report::new("search", &run_name("search"), records, verdict)?;
    options.limit(&mut report, typos_found);
    Ok(report)
}

impl Options {
    fn limit(&self, report: &mut Report, typos_found: Option<f64>) {
        report.must_acknowledge("nothing could be searched for");
        report.limit_p99(self.p99_ms_max);
        if let Some(found) = typos_found {
            let min = self.typos_found_min;
            report.limit(found >= min, format!("{found:.3} of the typos found, {min} at least"));
        }
    }
}

/// Chooses a product, and what somebody types who wants it.
pub fn plan(products: &[Product], dice: &mut StdRng) -> Search {
    let product = products.choose(dice);
    let title = product.map_or("", |product| &product.title);
    let words: Vec<&str> = title.split(|c: char| !c.is_alphanumeric()).collect();
    let long = |word: &&&str| word.chars().count() >= WORD_CHARS_MIN;
    let long: Vec<&str> = words.iter().filter(long).copied().collect();
    let fits = title.chars().count() <= QUERY_CHARS_MAX && words.len() <= QUERY_WORDS_MAX;
    let (kind, query) = match (dice.random_range(0..4), long.choose(dice)) {
        (0, Some(word)) => (Kind::Word, (*word).to_owned()),
        (1, Some(word)) => (Kind::Beginning, beginning(word, dice)),
        (2, Some(word)) => (Kind::Typo, slip(word, dice)),
        _ if fits => (Kind::Title, title.to_owned()),
        (_, word) => (Kind::Word, word.copied().unwrap_or("gift").to_owned()),
    };
    let mut query = format!("/v1/products?q={}", encode(&query));
    let is_counted = dice.random_bool(0.3);
    if is_counted {
        query += "&limit=100&facets=tag,in_stock";
    }
    let wanted = product.map(|product| product.id.clone()).unwrap_or_default();
    Search { kind, query, wanted, is_counted, pages: Vec::new() }
}

/// What is there of a word after three or more letters.
fn beginning(word: &str, dice: &mut StdRng) -> String {
    let length = dice.random_range(3..word.chars().count());
    word.chars().take(length).collect()
}

/// One slip of the fingers after the first letter: swapped, left out, doubled or another one.
fn slip(word: &str, dice: &mut StdRng) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let at = dice.random_range(1..letters.len() - 1);
    match dice.random_range(0..4) {
        0 => letters.swap(at, at + 1),
        1 => drop(letters.remove(at)),
        2 => letters.insert(at, letters[at]),
        _ => letters[at] = char::from(dice.random_range(b'a'..=b'z')),
    }
    letters.into_iter().collect()
}

/// Reads the pages: all of them to count, else until the product is there.
async fn follow(mut search: Search, caller: &mut Caller) -> Search {
    let mut path = search.query.clone();
    while search.pages.len() < PAGES_MAX {
        let record = caller.call(&Request::get(&*path)).await;
        let answer = record.answers.last().filter(|answer| answer.status == 200).cloned();
        search.pages.push(record);
        let Some(cursor) = answer.as_ref().and_then(next_cursor) else { break };
        if !search.is_counted && (search.kind != Kind::Title || search.finds_it()) {
            break;
        }
        path = format!("{}&cursor={}", search.query, encode(&cursor));
    }
    search
}

fn next_cursor(answer: &Answer) -> Option<String> {
    let page: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    page["next_cursor"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_depends_on_the_seed_alone() {
        let typed = |seed| {
            let mut dice = dice(seed, 0);
            (0..50).map(|_| slip("lantern", &mut dice)).collect::<Vec<_>>()
        };
        assert_eq!(typed(1), typed(1));
        assert_ne!(typed(1), typed(2));
        assert!(typed(1).iter().all(|word| word.starts_with('l') && word.len() >= 6));
        let mut dice = dice(1, 0);
        assert!((0..50).all(|_| "lantern".starts_with(&beginning("lantern", &mut dice))));
    }
}
