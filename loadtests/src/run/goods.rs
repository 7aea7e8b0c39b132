//! What a run sells and reads: products made for it, or those that the shop has.

use crate::browse::{list_paths, page_paths};
use crate::caller::{Caller, dice};
use crate::catalog::{self, Product};
use crate::scenario::Scenario;
use crate::supply::{self, Office};
use anyhow::{Context, ensure};
use rand::seq::SliceRandom;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Minor units of GBP.
const PRICE: i64 = 1_299;

/// Titles are made of them, so that there is something to search for.
const WORDS: &[[&str; 8]] = &[
    ["Copper", "Wooden", "Striped", "Vintage", "Woollen", "Ceramic", "Folding", "Garden"],
    ["Lantern", "Basket", "Cushion", "Teapot", "Blanket", "Notebook", "Umbrella", "Candle"],
];

/// What is sold and read.
#[derive(Debug, Default)]
pub struct Goods {
    /// SKUs, the most wanted ones first.
    pub skus: Vec<String>,
    /// The products of these SKUs, if the scenario reads them.
    pub products: Vec<Product>,
    /// Two addresses of each product.
    pub pages: Vec<Arc<str>>,
    /// Lists and categories.
    pub lists: Vec<String>,
    /// What each SKU was supplied with; nothing of goods that the shop had before.
    pub supplied: BTreeMap<String, i64>,
}

impl Goods {
    /// Makes or reads them.
    pub async fn prepare(
        scenario: &Scenario,
        name: &str,
        office: anyhow::Result<Office<'_>>,
        caller: &mut Caller,
    ) -> anyhow::Result<Self> {
        let mut goods = Self::default();
        let mix = scenario.mix();
        let reads = mix.products + mix.lists + mix.searches > 0.0;
        if scenario.goods.fresh > 0 {
            let office = office.context("goods.fresh")?;
            goods.make(scenario, name, &office).await?;
            if reads {
                for sku in &goods.skus {
                    let product = catalog::read_product(caller, &sku.to_lowercase()).await?;
                    goods.products.push(product);
                }
            }
        } else {
            let max = scenario.goods.products_max;
            goods.products = catalog::read_products(caller, max).await?;
            // Else the oldest products would be the most wanted ones.
            goods.products.shuffle(&mut dice(scenario.seed, 0));
            let in_stock = goods.products.iter().flat_map(|product| product.variants.first());
            let in_stock = in_stock.filter(|variant| variant.in_stock);
            goods.skus = in_stock.map(|variant| variant.sku.clone()).collect();
        }
        let sells = mix.orders + mix.carts > 0.0;
        ensure!(!sells || !goods.skus.is_empty(), "the shop has nothing in stock");
        if reads {
            let categories = catalog::read_categories(caller).await?;
            goods.lists = list_paths(&goods.products, &categories);
            goods.pages = goods.products.iter().flat_map(page_paths).collect();
        }
        Ok(goods)
    }

    async fn make(
        &mut self,
        scenario: &Scenario,
        name: &str,
        office: &Office<'_>,
    ) -> anyhow::Result<()> {
        let titles: Vec<(String, String)> = (0..scenario.goods.fresh)
            .map(|n| (format!("{}-{}", name.to_uppercase(), n + 1), title(n)))
            .collect();
        supply::create_titled(office, name, &titles, PRICE).await?;
        // A Poisson process brings a few more than are expected.
        let everybody = (scenario.expected()? * 1.2).ceil() as i64 + 1_000;
        let units = scenario.goods.units.unwrap_or(everybody * scenario.goods.quantity.max(1));
        self.skus = titles.into_iter().map(|(sku, _)| sku).collect();
        self.supplied = self.skus.iter().map(|sku| (sku.clone(), units)).collect();
        supply::receive(office, name, &self.supplied).await?;
        supply::until_known_everywhere().await;
        Ok(())
    }
}

fn title(n: usize) -> String {
    let word = |words: &[&'static str; 8], n: usize| words[n % words.len()];
    format!("{} {} {}", word(&WORDS[0], n), word(&WORDS[1], n / 8), n + 1)
}
