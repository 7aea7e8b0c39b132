//! A small shop to look at: what `doorbuster dev` sells before anything was imported. Anybody
//! may use it for anything. What is in it stands in `shop.json`.

use super::category::Category;
use super::collection::CollectionDraft;
use super::product::{self, Media, NewProduct, NewVariant};
use super::store::write::{self, Insertion, Made};
use super::store::{self, categories, collections};
use crate::error::Problem;
use crate::id::{CategoryId, CollectionId, ProductId};
use crate::money::{Currency, Money};
use crate::postgres::Postgres;
use deadpool_postgres::Transaction;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

const SHOP: &str = include_str!("shop.json");

/// Of every variant that does not say otherwise.
const STOCK: i64 = 1_000;

/// What the prices of a variant are in.
const CURRENCIES: [&str; 3] = ["GBP", "EUR", "USD"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shop {
    /// Parents before their children.
    categories: Vec<Shelf>,
    products: Vec<Article>,
    collections: Vec<Window>,
}

/// A category.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shelf {
    slug: String,
    title: String,
    description: String,
    parent: Option<String>,
}

/// A product.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Article {
    slug: String,
    title: String,
    status: Option<String>,
    description: String,
    categories: Vec<String>,
    tags: Vec<String>,
    #[serde(default)]
    options: Vec<String>,
    variants: Vec<Line>,
}

/// A variant: its values of the product's options, and its prices in [`CURRENCIES`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sku: String,
    #[serde(default)]
    values: Vec<String>,
    prices: [i64; 3],
    stock: Option<i64>,
}

/// A collection.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    slug: String,
    title: String,
    description: String,
    products: Vec<String>,
}

/// Fills an empty catalog with the demo; returns how many products were made, 0 if there was any
/// product before.
pub async fn load_demo(postgres: &Postgres) -> Result<usize, Problem> {
    let shop: Shop = serde_json::from_str(SHOP).map_err(Problem::internal)?;
    let mut client = postgres.writers.get().await?;
    let transaction = client.transaction().await?;
    // Of two instances that begin together the second waits, and finds products.
    let known = categories::lock_all(&transaction).await?;
    if !known.is_empty() || store::has_products(&transaction).await? {
        return Ok(0);
    }
    let shelves = shop.shelves();
    categories::insert(&transaction, &shelves).await?;
    let shelves = shelves.into_iter().map(|shelf| (shelf.slug, shelf.id)).collect();
    let products = shop.products(&shelves).map_err(Problem::internal)?;
    let made = match write::insert(&transaction, &products).await? {
        Insertion::Done(made) => made,
        // Somebody filled the catalog in between.
        Insertion::Taken(_) => return Ok(0),
    };
    shop.dress(&transaction, &made).await?;
    shop.stock(&transaction, &made).await?;
    write::bump_epoch(&transaction).await?;
    transaction.commit().await?;
    Ok(made.len())
}

impl Shop {
    fn shelves(&self) -> Vec<Category> {
        let mut ids: HashMap<&str, CategoryId> = HashMap::new();
        let mut shelves = Vec::new();
        for (position, shelf) in (0..).zip(&self.categories) {
            let id = CategoryId::new();
            ids.insert(&shelf.slug, id);
            shelves.push(Category {
                id,
                parent_id: shelf.parent.as_deref().and_then(|parent| ids.get(parent).copied()),
                slug: shelf.slug.clone(),
                title: shelf.title.clone(),
                description: shelf.description.clone(),
                position,
                version: 1,
            });
        }
        shelves
    }

    fn products(&self, shelves: &HashMap<String, CategoryId>) -> Result<Vec<NewProduct>, String> {
        let currencies: Vec<Currency> =
            CURRENCIES.iter().map(|code| code.parse()).collect::<Result<_, _>>()?;
        self.products.iter().map(|article| article.product(shelves, &currencies)).collect()
    }

    /// Makes the collections.
    async fn dress(&self, transaction: &Transaction<'_>, made: &[Made]) -> Result<(), Problem> {
        let slugs = self.products.iter().map(|article| article.slug.as_str());
        let ids: HashMap<&str, ProductId> = slugs.zip(made.iter().map(|made| made.id)).collect();
        for window in &self.collections {
            let shown = window.products.iter().filter_map(|slug| ids.get(slug.as_str()).copied());
            let draft = CollectionDraft {
                title: window.title.clone(),
                slug: Some(window.slug.clone()),
                description: window.description.clone(),
                product_ids: shown.collect(),
            };
            collections::insert(transaction, CollectionId::new(), &draft).await?;
        }
        Ok(())
    }

    /// Supplies the variants. Nobody else knows their rows yet, so there is nothing to lock.
    async fn stock(&self, transaction: &Transaction<'_>, made: &[Made]) -> Result<(), Problem> {
        let mut supplies: BTreeMap<i64, Vec<Uuid>> = BTreeMap::new();
        for (article, made) in self.products.iter().zip(made) {
            for (line, id) in article.variants.iter().zip(&made.variants) {
                supplies.entry(line.stock.unwrap_or(STOCK)).or_default().push(id.uuid());
            }
        }
        for (quantity, variants) in supplies.iter().filter(|(quantity, _)| **quantity > 0) {
            write::supply(transaction, variants, *quantity, "demo").await?;
        }
        Ok(())
    }
}

impl Article {
    fn product(
        &self,
        shelves: &HashMap<String, CategoryId>,
        currencies: &[Currency],
    ) -> Result<NewProduct, String> {
        let picture = Media { url: format!("/media/{}.svg", self.slug), alt: self.title.clone() };
        let shelf = |slug: &String| shelves.get(slug).copied().ok_or(format!("no shelf {slug}"));
        Ok(NewProduct {
            slug: Some(self.slug.clone()),
            title: self.title.clone(),
            status: product::status(self.status.as_deref().unwrap_or("active"))?,
            description: self.description.clone(),
            media: vec![picture],
            tags: self.tags.clone(),
            options: self.options.clone(),
            category_ids: self.categories.iter().map(shelf).collect::<Result<_, _>>()?,
            variants: self.variants.iter().map(|line| self.variant(line, currencies)).collect(),
        })
    }

    fn variant(&self, line: &Line, currencies: &[Currency]) -> NewVariant {
        let prices = line.prices.iter().zip(currencies);
        let options = self.options.iter().cloned().zip(line.values.iter().cloned());
        NewVariant {
            sku: line.sku.clone(),
            prices: prices.map(|(amount, code)| Money::new(*amount, *code)).collect(),
            options: options.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::product::Status;
    use super::*;
    use std::collections::{BTreeSet, HashSet};

    #[test]
    fn the_demo_keeps_to_the_rules_of_products() {
        let shop: Shop = serde_json::from_str(SHOP).unwrap();
        let shelves = shop.shelves();
        let known = shelves.iter().map(|shelf| (shelf.slug.clone(), shelf.id)).collect();
        let products = shop.products(&known).unwrap();
        let variants = || products.iter().flat_map(|product| &product.variants);
        let skus: BTreeSet<&str> = variants().map(|variant| variant.sku.as_str()).collect();
        assert_eq!(skus.len(), variants().count());
        assert!(skus.iter().all(|sku| product::sku(sku).is_ok()));
        for made in &products {
            let title = &made.title;
            assert!(product::title(title).is_ok(), "{title}");
            assert!(product::slug(made.slug.as_deref().unwrap()).is_ok(), "{title}");
            assert!(product::media_url(&made.media[0].url).is_ok(), "{title}");
            let kinds: HashSet<_> =
                made.variants.iter().map(|variant| &variant.options).collect();
            assert_eq!(kinds.len(), made.variants.len(), "two variants of {title} are the same");
            let named = |variant: &NewVariant| variant.options.len() == made.options.len();
            assert!(made.variants.iter().all(named), "{title}");
        }
        let mug = products.iter().find(|product| product.variants[0].sku == "MUG-1").unwrap();
        assert_eq!((mug.variants.len(), mug.options.len()), (1, 0));
        let drafts = products.iter().filter(|product| product.status == Status::Draft).count();
        assert_eq!(drafts, 1);
    }

    #[test]
    fn the_demo_stands_on_its_shelves_and_in_its_windows() {
        let shop: Shop = serde_json::from_str(SHOP).unwrap();
        let shelves = shop.shelves();
        let tops = shelves.iter().filter(|shelf| shelf.parent_id.is_none()).count();
        let named = shop.categories.iter().filter(|shelf| shelf.parent.is_none()).count();
        assert_eq!(tops, named, "every parent stands before its children");
        let slugs: HashSet<&str> =
            shop.products.iter().map(|article| article.slug.as_str()).collect();
        for window in &shop.collections {
            assert!(window.products.iter().all(|slug| slugs.contains(slug.as_str())));
        }
    }
}
