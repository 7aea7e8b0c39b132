//! What each request of a run is, decided by the seed alone, and what its answer must look like.

use super::goods::Goods;
use crate::arrivals::Starts;
use crate::caller::dice;
use crate::client::Request;
use crate::generator::Departure;
use crate::order::{Item, NewOrder, Provider};
use crate::record::{Outcome, Record};
use crate::scenario::Scenario;
use crate::search;
use anyhow::Context;
use rand::Rng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// SKUs that one session fills its cart with, so that carts do not grow for ever.
const FAVOURITES: usize = 5;

/// A sort of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    Products,
    Lists,
    Searches,
    Carts,
    Orders,
}

impl Sort {
    /// All, in the order of the mix's weights.
    pub const ALL: [Self; 5] =
        [Self::Products, Self::Lists, Self::Searches, Self::Carts, Self::Orders];

    /// As it stands in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Lists => "lists",
            Self::Searches => "searches",
            Self::Carts => "carts",
            Self::Orders => "orders",
        }
    }
}

/// What a record is known by.
#[derive(Debug, Clone)]
pub struct Tag {
    /// The sort.
    pub sort: Sort,
    /// When it was to leave.
    pub start: Duration,
    /// The page's address, the SKU that was added, or the search.
    pub about: Arc<str>,
}

/// Everything that requests are made of.
#[derive(Debug)]
pub struct Plan {
    name: String,
    seed: u64,
    lines: usize,
    quantity: i64,
    sorts: WeightedIndex<f64>,
    /// Of products and SKUs: the first are the most wanted ones.
    wanted_pages: Option<WeightedIndex<f64>>,
    wanted_skus: Option<WeightedIndex<f64>>,
    goods: Goods,
    /// The tokens of sessions.
    guests: Vec<String>,
}

impl Plan {
    /// For this scenario.
    pub fn new(
        scenario: &Scenario,
        name: &str,
        goods: Goods,
        guests: Vec<String>,
    ) -> anyhow::Result<Self> {
        let weights = scenario.mix().weights().map(|(_, weight)| weight);
        let zipf = |count: usize| {
            let weights = (1..=count).map(|rank| (rank as f64).powf(-scenario.goods.zipf));
            (count > 0).then(|| WeightedIndex::new(weights)).transpose().context("goods.zipf")
        };
        Ok(Self {
            name: name.to_owned(),
            seed: scenario.seed,
            lines: scenario.goods.lines,
            quantity: scenario.goods.quantity,
            sorts: WeightedIndex::new(weights).context("mix")?,
            wanted_pages: zipf(goods.products.len())?,
            wanted_skus: zipf(goods.skus.len())?,
            goods,
            guests,
        })
    }

    /// Requests at these moments, numbered from `first` on.
    pub fn departures(self: &Arc<Self>, starts: Starts, first: usize) -> Departures {
        let dice = dice(self.seed.wrapping_add(1), first);
        Departures { plan: self.clone(), starts, dice, n: first }
    }

    fn request(&self, n: usize, dice: &mut StdRng) -> (Sort, Arc<str>, Request) {
        let sort = Sort::ALL[self.sorts.sample(dice)];
        let (about, request) = match sort {
            Sort::Products => {
                let product = self.wanted_pages.as_ref().map_or(0, |pages| pages.sample(dice));
                let page = &self.goods.pages[2 * product + dice.random_range(0..2)];
                (page.clone(), Request::get(page.to_string()))
            }
            Sort::Lists => {
                let path = self.goods.lists.choose(dice).cloned().unwrap_or_default();
                (path.as_str().into(), Request::get(path))
            }
            Sort::Searches => {
                let path = search::plan(&self.goods.products, dice).query;
                (path.as_str().into(), Request::get(path))
            }
            Sort::Carts => self.addition(n),
            Sort::Orders => {
                let order = self.order(n, dice);
                // An empty body would be refused, and the refusal be counted.
                let body = order.to_body().unwrap_or_default();
                ("".into(), Request::post("/v1/orders", format!("{}-buyer-{n}", self.name), body))
            }
        };
        (sort, about, request)
    }

    fn addition(&self, n: usize) -> (Arc<str>, Request) {
        let (guest, round) = (n % self.guests.len(), n / self.guests.len());
        let sku = (guest * 7 + round % FAVOURITES) % self.goods.skus.len();
        let sku = &self.goods.skus[sku];
        let body = json!({"sku": sku, "quantity": 1}).to_string();
        let key = format!("{}-add-{n}", self.name);
        let request = Request::post("/v1/cart/items", key, body).by(&self.guests[guest]);
        (sku.as_str().into(), request)
    }

    fn order(&self, n: usize, dice: &mut StdRng) -> NewOrder {
        let skus = &self.goods.skus;
        let mut chosen: Vec<usize> = Vec::with_capacity(self.lines);
        let draw = |dice: &mut StdRng| self.wanted_skus.as_ref().map_or(0, |w| w.sample(dice));
        for _ in 0..self.lines {
            let sku = draw(dice);
            // One SKU stands in one line; who has it takes the next one.
            let next = (0..skus.len()).map(|more| (sku + more) % skus.len());
            chosen.extend(next.into_iter().find(|sku| !chosen.contains(sku)));
        }
        let item = |n: usize| Item { sku: skus[n].clone(), quantity: self.quantity };
        let items = chosen.into_iter().map(item).collect();
        NewOrder::of_buyer(n, &self.name, items, Provider::Manual.payment())
    }
}

/// The requests of a run, made one by one.
#[derive(Debug)]
pub struct Departures {
    plan: Arc<Plan>,
    starts: Starts,
    dice: StdRng,
    n: usize,
}

impl Iterator for Departures {
    type Item = Departure<Tag>;

    fn next(&mut self) -> Option<Departure<Tag>> {
        let start = self.starts.next()?;
        let (sort, about, request) = self.plan.request(self.n, &mut self.dice);
        self.n += 1;
        Some(Departure { start: Some(start), request, tag: Tag { sort, start, about } })
    }
}

/// What is wrong with what was answered, as far as an answer shows it by itself.  Refusals and
/// what was never answered are counted elsewhere.
pub fn wrong(tag: &Tag, record: &Record) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
        slug: String,
    }
    if record.outcome() != Outcome::Acknowledged || tag.sort == Sort::Orders {
        return None;
    }
    let answer = record.answers.iter().find(|answer| answer.acknowledges())?;
    if answer.status != 200 {
        return Some(format!("answered {}, not 200", answer.status));
    }
    let is_right = match tag.sort {
        Sort::Products => serde_json::from_slice::<Named>(&answer.body).is_ok_and(|product| {
            tag.about.ends_with(&format!("/{}", product.id))
                || tag.about.ends_with(&format!("/{}", product.slug))
        }),
        Sort::Carts => serde_json::from_slice::<Value>(&answer.body).is_ok_and(|cart| {
            let lines = cart["items"].as_array();
            lines.is_some_and(|lines| lines.iter().any(|line| line["sku"] == *tag.about))
        }),
        _ => serde_json::from_slice::<Value>(&answer.body)
            .is_ok_and(|page| page["items"].is_array() || page["slug"].is_string()),
    };
    let body = || String::from_utf8_lossy(&answer.body[..answer.body.len().min(60)]).into_owned();
    (!is_right).then(|| format!("not what was asked for: {:?}", body()))
}
