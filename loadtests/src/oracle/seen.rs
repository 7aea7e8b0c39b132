//! The products in the bodies of reads: each body is parsed once, and every version of a product
//! looks the same wherever it is shown.

use super::Verdict;
use super::reads::{Became, Changed};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// A product as one body shows it.
#[derive(Debug, Clone)]
pub struct See {
    /// Its id.
    pub id: Arc<str>,
    /// Its name in addresses.
    pub slug: Arc<str>,
    /// Its version.
    pub version: i64,
    /// Units by variant id, which may change without the version.
    pub available: Vec<(String, i64)>,
}

/// A product's id and version.
type Version = (Arc<str>, i64);

/// All bodies that were seen.
#[derive(Default)]
pub struct Seen {
    /// By address and length: bodies that look alike are one.
    bodies: HashMap<(usize, usize), Arc<[See]>>,
    /// Each version of a product on its own page.
    pages: HashMap<Version, Map<String, Value>>,
    /// Each version in lists, and where.
    listed: HashMap<Version, (Map<String, Value>, Arc<str>)>,
}

impl Seen {
    /// The products in a body.  What is no product and no list of them shows none.
    pub fn products(
        &mut self,
        path: &Arc<str>,
        body: &Bytes,
        verdict: &mut Verdict,
    ) -> Arc<[See]> {
        let place = (body.as_ptr() as usize, body.len());
        if let Some(known) = self.bodies.get(&place) {
            return known.clone();
        }
        let see: Arc<[See]> = match serde_json::from_slice(body) {
            Ok(Value::Object(body)) => self.read(path, body, verdict).into(),
            _ => {
                verdict.find(path, "came with a body that is no JSON object");
                Arc::new([])
            }
        };
        self.bodies.insert(place, see.clone());
        see
    }

    fn read(
        &mut self,
        path: &Arc<str>,
        mut body: Map<String, Value>,
        verdict: &mut Verdict,
    ) -> Vec<See> {
        if path.starts_with("/v1/products/") {
            return self.keep_page(path, body, verdict).into_iter().collect();
        }
        if !path.starts_with("/v1/products") {
            return Vec::new();
        }
        let Some(Value::Array(items)) = body.remove("items") else {
            verdict.find(path, "came with a list without items");
            return Vec::new();
        };
        verdict.count("items of lists", items.len());
        let items = items.into_iter().filter_map(|item| match item {
            Value::Object(item) => self.keep_item(path, item, verdict),
            _ => None,
        });
        items.collect()
    }

    fn keep_page(
        &mut self,
        path: &Arc<str>,
        mut page: Map<String, Value>,
        verdict: &mut Verdict,
    ) -> Option<See> {
        let see = take_see(&mut page).or_else(|| {
            verdict.find(path, "came with a product that does not read");
            None
        })?;
        let key = (see.id.clone(), see.version);
        match self.pages.get(&key) {
            None => drop(self.pages.insert(key, page)),
            Some(known) if *known == page => {}
            Some(known) => {
                let parts = differing(known, &page);
                let wrong = format!("version {} looks different each time: {parts}", see.version);
                verdict.find(show(&see.id), wrong);
            }
        }
        Some(see)
    }

    fn keep_item(
        &mut self,
        path: &Arc<str>,
        mut item: Map<String, Value>,
        verdict: &mut Verdict,
    ) -> Option<See> {
        let see = take_see(&mut item).or_else(|| {
            verdict.find(path, "lists a product that does not read");
            None
        })?;
        let key = (see.id.clone(), see.version);
        let (known, at) = self.listed.entry(key).or_insert_with(|| (item.clone(), path.clone()));
        if *known != item {
            let (version, parts) = (see.version, differing(known, &item));
            let wrong = format!("version {version} differs at {at} and at {path}: {parts}");
            verdict.find(show(&see.id), wrong);
        }
        Some(see)
    }

    /// A list may leave members out; those that it shows are those of the product's own page.
    pub fn judge_lists(&self, verdict: &mut Verdict) {
        let mut compared = 0;
        for ((id, version), (item, at)) in &self.listed {
            let Some(page) = self.pages.get(&(id.clone(), *version)) else { continue };
            compared += 1;
            let shown: Map<String, Value> = page
                .iter()
                .filter(|(name, _)| item.contains_key(*name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            if shown != *item {
                let parts = differing(&shown, item);
                let wrong = format!("version {version} differs at {at} from its page: {parts}");
                verdict.find(show(id), wrong);
            }
        }
        verdict.count("listed versions compared with their page", compared);
        verdict.count("without a page to compare", self.listed.len() - compared);
    }

    /// A version has the price that it was acknowledged with.
    pub fn judge_prices(&self, changes: &[Changed], verdict: &mut Verdict) {
        for change in changes {
            let Became::Price { version, amount } = change.to else { continue };
            let key = (Arc::from(change.product.as_str()), version);
            let listed = self.listed.get(&key).map(|(item, _)| item);
            for shown in self.pages.get(&key).into_iter().chain(listed) {
                verdict.count("prices", 1);
                if !has_price(shown, &change.variant, amount) {
                    let wrong = format!(
                        "version {version} does not show the price {amount} it began with"
                    );
                    verdict.find(show(&change.product), wrong);
                }
            }
        }
    }
}

/// Takes what may change within a version out of a product; `None` if that contradicts itself.
fn take_see(product: &mut Map<String, Value>) -> Option<See> {
    let id: Arc<str> = product.get("id")?.as_str()?.into();
    let slug: Arc<str> = product.get("slug")?.as_str()?.into();
    let version = product.get("version")?.as_i64()?;
    let variants = product.get_mut("variants")?.as_array_mut()?;
    let mut available = Vec::with_capacity(variants.len());
    for variant in variants {
        let variant = variant.as_object_mut()?;
        let units = variant.remove("available")?.as_i64()?;
        let in_stock = variant.remove("in_stock")?.as_bool()?;
        if in_stock != (units > 0) {
            return None;
        }
        available.push((variant.get("id")?.as_str()?.to_owned(), units));
    }
    Some(See { id, slug, version, available })
}

fn has_price(product: &Map<String, Value>, variant: &str, amount: i64) -> bool {
    let variants = product.get("variants").and_then(Value::as_array);
    let found = variants.into_iter().flatten().find(|other| other["id"] == variant);
    let prices = found.and_then(|variant| variant["prices"].as_array());
    prices.into_iter().flatten().any(|price| price["amount"] == amount)
}

fn differing(one: &Map<String, Value>, other: &Map<String, Value>) -> String {
    let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
    let parts = names.filter(|name| one.get(*name) != other.get(*name)).map(|name| {
        let text = |of: &Map<String, Value>| of.get(name).map_or_else(String::new, short);
        format!("{name} {} and {}", text(one), text(other))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(120).collect()
}

/// The name of a product in findings.
pub fn show(id: &str) -> String {
    format!("product {id}")
}
