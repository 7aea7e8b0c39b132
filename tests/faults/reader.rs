//! A reader of the catalog beside the sale, at any instance: what it is shown is cached in Redis,
//! and must be right without it, too.

use crate::strikes::{Period, Strikes};
use loadtests::client::Base;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What has been shown may be shown by no instance any more, after so long.
const STALE: Duration = Duration::from_secs(1);

/// Looks at one product after the other, without a pause: something is always under way.
pub struct Reader {
    dice: StdRng,
    http: reqwest::Client,
    looks: Vec<Look>,
}

/// What a product's page has shown.
struct Look {
    slug: String,
    period: Period,
    available: i64,
}

impl Reader {
    /// The same seed makes the same choices.
    pub fn new(seed: u64) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        Self { dice: StdRng::seed_from_u64(seed), http, looks: Vec::new() }
    }

    /// Looks at these products at these instances until it is over; fails if one is not shown.
    pub async fn read(&mut self, bases: &[Base], slugs: &[String], is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            let base = bases[self.dice.random_range(0..bases.len())].to_string();
            let slug = &slugs[self.dice.random_range(0..slugs.len())];
            let asked = Instant::now();
            let answer =
                self.http.get(format!("{base}/v1/products/{slug}")).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{slug} at {base}");
            let product: Value = answer.json().await.unwrap();
            let available = product["variants"][0]["available"].as_i64().unwrap();
            let period = (asked, Instant::now());
            self.looks.push(Look { slug: slug.clone(), period, available });
        }
    }
}

/// How many looks there were, of which some were under way when it struck; in a sale from which
/// units only leave, nobody saw what was gone a second before.
pub fn judge(readers: &[Reader], strikes: &Strikes) -> Result<usize, String> {
    let mut looks: Vec<&Look> = readers.iter().flat_map(|reader| &reader.looks).collect();
    let periods: Vec<Period> = looks.iter().map(|look| look.period).collect();
    if !strikes.under_way(&periods).iter().any(|&looks| looks > 0) {
        return Err("nobody was looking when it struck".to_owned());
    }
    let mut known = looks.clone();
    known.sort_by_key(|look| look.period.1);
    looks.sort_by_key(|look| look.period.0);
    let (mut known, mut fewest) = (known.into_iter().peekable(), BTreeMap::new());
    for Look { slug, period, available } in &looks {
        while let Some(earlier) = known.next_if(|one| one.period.1 + STALE <= period.0) {
            let fewest = fewest.entry(&earlier.slug).or_insert(earlier.available);
            *fewest = earlier.available.min(*fewest);
        }
        match fewest.get(slug) {
            Some(fewest) if fewest < available => {
                return Err(format!("{available} of {slug}, though {fewest} a second before"));
            }
            _ => {}
        }
    }
    Ok(looks.len())
}

#[test]
fn a_count_from_before_a_second_is_found_and_a_younger_one_is_not() {
    let begun = Instant::now();
    let look = |millis: u64, available| {
        let at = begun + Duration::from_millis(millis);
        Look { slug: "a".to_owned(), period: (at, at), available }
    };
    let strikes = Strikes::default();
    let judged = |looks| judge(&[Reader { looks, ..Reader::new(1) }], &strikes);
    let looks = |last| vec![look(0, 5), look(100, 3), look(last, 5)];
    strikes.at(begun + Duration::from_millis(50));
    assert!(judged(looks(900)).is_err(), "nobody was looking");
    strikes.at(begun + Duration::from_millis(100));
    assert_eq!(judged(looks(900)), Ok(3));
    assert!(judged(looks(1_100)).is_err());
}
