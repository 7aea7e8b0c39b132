//! `search-latency`: how long searches take that nobody has asked before.
//!
//! Each query is made of words of a random title: one to three, some unfinished, some misspelt,
//! some with filters. All differ, so no cache knows them. One after the other: this is the time
//! of a search, not the rate of many.

use crate::client::{Base, Connection, Request};
use crate::stored::connect;
use anyhow::{anyhow, ensure};
use hdrhistogram::Histogram;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// What to ask, and whom.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// An instance, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    url: Base,
    /// Its database, which the words are taken from
    #[arg(long, env = "DOORBUSTER__POSTGRES__URL", value_name = "URL", hide_env_values = true)]
    database: String,
    /// Different searches
    #[arg(long, default_value_t = 1_000)]
    searches: usize,
    /// The same seed asks the same queries of the same catalog
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Milliseconds within which 99 % must be answered
    #[arg(long, default_value_t = 100)]
    p99_max: u64,
}

/// Asks and prints the times; whether 99 % were answered in time.
pub async fn measure(options: &Options) -> anyhow::Result<bool> {
    let titles = titles(&options.database).await?;
    ensure!(titles.len() >= 100, "the catalog is too small: seed it");
    let mut random = StdRng::seed_from_u64(options.seed);
    let mut queries = BTreeSet::new();
    let mut connection = Connection::new(options.url.clone());
    let mut times = Histogram::<u64>::new(3)?;
    let (mut slowest, mut refused, mut empty) = (Vec::new(), 0, 0);
    while queries.len() < options.searches {
        let query = query(&titles, &mut random);
        if !queries.insert(query.clone()) {
            continue;
        }
        let request = Request::get(format!("/v1/products?{query}"));
        let start = Instant::now();
        let answer = connection.send(&request, DEADLINE).await;
        let micros = u64::try_from(start.elapsed().as_micros())?;
        let answer = answer.map_err(|failure| anyhow!("{query}: {failure:?}"))?;
        refused += usize::from(answer.status != 200);
        empty += usize::from(answer.body.starts_with(b"{\"items\":[]"));
        times.record(micros)?;
        slowest.push((micros, query));
    }
    let ms = |micros: u64| micros as f64 / 1_000.0;
    let at = |quantile| ms(times.value_at_quantile(quantile));
    let (p50, p99, max) = (at(0.5), at(0.99), ms(times.max()));
    println!("{} searches: p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms", queries.len());
    println!("{empty} found nothing, {refused} were not answered with 200; the slowest:");
    slowest.sort_unstable();
    slowest.iter().rev().take(5).for_each(|(micros, query)| {
        println!("  {:8.1} ms  {query}", ms(*micros));
    });
    Ok(refused == 0 && p99 <= options.p99_max as f64)
}

/// Words of titles from all over the catalog.
async fn titles(database: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let sql = "SELECT lower(title) FROM products ORDER BY md5(id::text) LIMIT 5000";
    let rows = connect(database).await?.query(sql, &[]).await?;
    let words = |title: &str| {
        let words = title.split(|c: char| !c.is_ascii_alphanumeric());
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    Ok(rows.iter().map(|row| words(row.get(0))).filter(|words| !words.is_empty()).collect())
}

fn query(titles: &[Vec<String>], random: &mut StdRng) -> String {
    let title: &[String] = titles.choose(random).map_or(&[], Vec::as_slice);
    let count = random.random_range(1..=3usize).min(title.len());
    let mut words: Vec<String> = title.choose_multiple(random, count).cloned().collect();
    match random.random_range(0..4) {
        0 => {
            let length = random.random_range(2..=4);
            words.iter_mut().rev().take(1).for_each(|last| last.truncate(length));
        }
        1 => {
            let at = random.random_range(0..words.len());
            words[at] = misspelt(&words[at], random);
        }
        _ => {}
    }
    let filter = match random.random_range(0..12) {
        0 => "&tag=gift".to_owned(),
        1 => "&in_stock=true".to_owned(),
        2 => format!("&price_max={}", random.random_range(500..9_000)),
        3 => "&option.size=L".to_owned(),
        4 => "&sort=price".to_owned(),
        _ => String::new(),
    };
    format!("q={}{filter}", words.join("+"))
}

/// A letter missing, doubled, swapped or wrong.
fn misspelt(word: &str, random: &mut StdRng) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    if letters.len() < 4 {
        return word.to_owned();
    }
    let at = random.random_range(1..letters.len() - 1);
    match random.random_range(0..4) {
        0 => drop(letters.remove(at)),
        1 => letters.insert(at, letters[at]),
        2 => letters.swap(at, at + 1),
        _ => letters[at] = random.random_range('a'..='z'),
    }
    letters.into_iter().collect()
}
