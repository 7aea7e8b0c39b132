//! What is asked of the list of products: the query string, checked and normalised.

use super::product::{AMOUNT_MAX, word};
use super::search;
use super::slug::is_slug;
use crate::auth::hex;
use crate::error::Problem;
use crate::id::{CategoryId, CollectionId, ProductId};
use crate::money::Currency;
use crate::page::{PageQuery, decode_cursor, encode_cursor};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;
use uuid::Uuid;

/// Parameters that filter, at most.
const FILTERS_MAX: usize = 20;
/// Facets, at most.
const FACETS_MAX: usize = 20;
/// The prefix of the parameters and facets of options.
const OPTION: &str = "option.";

/// A checked query; equal queries are equal values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// What a product must be.
    pub filter: Filter,
    /// The order of the products.
    pub sort: Sort,
    /// The currency of prices, if any of the query is about prices.
    pub currency: Option<Currency>,
    /// What is counted.
    pub facets: BTreeSet<Facet>,
    /// Products on the page, at most.
    pub limit: u32,
    /// The last product of the page before.
    pub after: Option<Position>,
}

/// What a product must be, all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// Described by these words, in lower case with single spaces.
    pub words: Option<String>,
    /// In this category or below it.
    pub category: Option<Address<CategoryId>>,
    /// In this collection.
    pub collection: Option<Address<CollectionId>>,
    /// Tagged with all of these.
    pub tags: BTreeSet<String>,
    /// Sold from this price.
    pub price_min: Option<i64>,
    /// Sold up to this price.
    pub price_max: Option<i64>,
    /// There, or sold out.
    pub in_stock: Option<bool>,
    /// With any of these values of each option.
    pub options: BTreeMap<String, BTreeSet<String>>,
}

/// An id, or a slug.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Address<I> {
    /// The id.
    Id(I),
    /// The slug.
    Slug(String),
}

/// The order of the products; ties are resolved by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// The last made first.
    Newest,
    /// The first made first.
    Oldest,
    /// By the lowest price.
    Price,
    /// By the lowest price, the highest first.
    PriceDown,
    /// By title.
    Title,
    /// By title, backwards.
    TitleDown,
    /// The best match first.
    Relevance,
}

impl Sort {
    /// As the parameter spells them.
    const ALL: [(&str, Sort); 7] = [
        ("newest", Sort::Newest),
        ("oldest", Sort::Oldest),
        ("price", Sort::Price),
        ("-price", Sort::PriceDown),
        ("title", Sort::Title),
        ("-title", Sort::TitleDown),
        ("relevance", Sort::Relevance),
    ];

    /// Whether larger values come first.
    pub fn is_descending(self) -> bool {
        matches!(self, Sort::Newest | Sort::PriceDown | Sort::TitleDown)
    }

    /// Whether it is by price.
    pub fn is_by_price(self) -> bool {
        matches!(self, Sort::Price | Sort::PriceDown)
    }
}

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Facet {
    /// Products in each category and below.
    Category,
    /// Products in each collection.
    Collection,
    /// Products with each tag.
    Tag,
    /// The lowest and the highest price.
    Price,
    /// Products that are there, and those that are sold out.
    InStock,
    /// Products with each value of an option.
    Option(String),
}

impl Facet {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "category" => Facet::Category,
            "collection" => Facet::Collection,
            "tag" => Facet::Tag,
            "price" => Facet::Price,
            "in_stock" => Facet::InStock,
            other => Facet::Option(word(other.strip_prefix(OPTION)?).ok()?.to_owned()),
        })
    }

    /// As the parameter and the answer spell it.
    pub fn name(&self) -> String {
        match self {
            Facet::Category => "category".to_owned(),
            Facet::Collection => "collection".to_owned(),
            Facet::Tag => "tag".to_owned(),
            Facet::Price => "price".to_owned(),
            Facet::InStock => "in_stock".to_owned(),
            Facet::Option(name) => format!("{OPTION}{name}"),
        }
    }
}

/// Characters of a title's words, as many as `product_search` holds.
const TITLE_MAX: usize = 500;

/// Where a page ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The query that the position is one of.
    of: String,
    /// The sort's value of the last product.
    pub value: SortValue,
    /// Its id.
    pub id: Uuid,
}

/// What a product is sorted by, besides its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortValue {
    /// Nothing.
    Id,
    /// Its lowest price.
    Price(i64),
    /// The words of its title.
    Title(String),
    /// How far it is from what was meant, and the length of its title.
    Relevance(i64, i32),
}

impl SortValue {
    fn is_of(&self, sort: Sort) -> bool {
        match self {
            SortValue::Id => matches!(sort, Sort::Newest | Sort::Oldest),
            SortValue::Price(_) => sort.is_by_price(),
            SortValue::Title(title) => {
                let is_one = !title.contains('\0') && title.chars().count() <= TITLE_MAX;
                matches!(sort, Sort::Title | Sort::TitleDown) && is_one
            }
            SortValue::Relevance(..) => sort == Sort::Relevance,
        }
    }
}

/// What a listing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The products, in order.
    pub ids: Vec<ProductId>,
    /// The next page's cursor, if there is one.
    pub next_cursor: Option<String>,
    /// What was counted, if anything was asked for.
    pub facets: Option<Facets>,
}

/// Counts over all products that the query finds, not only those on the page. By facet:
/// `category`, `collection`, `tag`, `price`, `in_stock`, `option.<name>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "tag": [{"value": "gift", "count": 12}],
    "category": [{"value": "mugs", "title": "Mugs", "count": 3}],
    "price": {"min": 250, "max": 1299},
}))]
pub struct Facets(pub BTreeMap<String, FacetCounts>);

/// The counts of one facet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum FacetCounts {
    /// The most frequent values first, at most 100.
    Values(Vec<FacetCount>),
    /// The lowest and the highest of the products' lowest prices.
    Range {
        /// The lowest; none if no product has a price in the currency.
        min: Option<i64>,
        /// The highest.
        max: Option<i64>,
    },
}

/// How many products have a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FacetCount {
    /// The value; a slug for categories and collections.
    pub value: String,
    /// The title, for categories and collections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Products.
    pub count: i64,
}

impl Listing {
    /// Reads a query string; an error names the parameter.
    pub fn parse(query: &str, shop_currency: Currency) -> Result<Self, Problem> {
        let mut draft = Draft::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let unreadable = "must be percent-encoded UTF-8 without NUL";
            let name = decode(name).ok_or_else(|| {
                Problem::invalid("", format!("a parameter's name {unreadable}"))
            })?;
            let value = decode(value).ok_or_else(|| Problem::invalid(&*name, unreadable))?;
            draft.add(&name, &value).map_err(|detail| Problem::invalid(&*name, detail))?;
        }
        draft.finish(shop_currency)
    }

    /// The same for equal queries, another one for each other query.
    pub fn cache_key(&self) -> String {
        // Serialising plain structs into memory has no way to fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether the answer changes when stock does, besides what each product shows of its own.
    pub fn depends_on_stock(&self) -> bool {
        self.filter.in_stock.is_some() || self.facets.contains(&Facet::InStock)
    }

    /// The cursor behind a product.
    pub fn cursor(&self, value: SortValue, id: Uuid) -> String {
        encode_cursor(&Position { of: self.fingerprint(), value, id })
    }

    /// The same on all pages of a query.
    fn fingerprint(&self) -> String {
        let pages = (&self.filter, self.sort, self.currency);
        let bytes = serde_json::to_vec(&pages).unwrap_or_default();
        hex(&Sha256::digest(bytes)[..8])
    }
}

/// Parameters as they come.
#[derive(Default)]
struct Draft {
    seen: BTreeSet<String>,
    filters: usize,
    filter: Filter,
    sort: Option<Sort>,
    currency: Option<Currency>,
    facets: BTreeSet<Facet>,
    page: PageQuery,
}

impl Draft {
    /// Takes a parameter; an error says what is wrong with it.
    fn add(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        let option = name.strip_prefix(OPTION);
        let is_new = self.seen.insert(name.to_owned());
        if !is_new && option.is_none() && name != "tag" {
            return Err("must be given once");
        }
        if !matches!(name, "sort" | "facets" | "limit" | "cursor" | "currency") {
            self.filters += 1;
            if self.filters > FILTERS_MAX {
                return Err("is one filter too many: at most 20 are allowed");
            }
        }
        if let Some(option) = option {
            let values = self.filter.options.entry(word(option)?.to_owned()).or_default();
            values.insert(word(value)?.to_owned());
            return Ok(());
        }
        let filter = &mut self.filter;
        match name {
            "q" => filter.words = words(value)?,
            "category" => filter.category = Some(address(value)?),
            "collection" => filter.collection = Some(address(value)?),
            "tag" => drop(filter.tags.insert(word(value)?.to_owned())),
            "price_min" => filter.price_min = Some(amount(value)?),
            "price_max" => filter.price_max = Some(amount(value)?),
            "in_stock" => filter.in_stock = Some(boolean(value)?),
            "currency" => self.currency = Some(super::product::currency(value)?),
            "sort" => self.sort = Some(sort(value)?),
            "facets" => self.facets = facets(value)?,
            "limit" => self.page.limit = Some(number(value).ok_or("must be from 1 to 100")?),
            "cursor" => self.page.cursor = Some(value.to_owned()),
            _ => return Err("is not a parameter of this list"),
        }
        Ok(())
    }

    fn finish(self, shop_currency: Currency) -> Result<Listing, Problem> {
        let filter = self.filter;
        let default = if filter.words.is_some() { Sort::Relevance } else { Sort::Newest };
        let sort = self.sort.unwrap_or(default);
        if sort == Sort::Relevance && filter.words.is_none() {
            return Err(Problem::invalid("sort", "relevance is for searches: give q"));
        }
        if filter.price_min > filter.price_max && filter.price_max.is_some() {
            return Err(Problem::invalid("price_max", "must not be below price_min"));
        }
        let is_about_prices = filter.price_min.is_some()
            || filter.price_max.is_some()
            || sort.is_by_price()
            || self.facets.contains(&Facet::Price);
        let currency = is_about_prices.then_some(self.currency.unwrap_or(shop_currency));
        let limit = PageQuery { limit: self.page.limit, cursor: None }.page()?.limit;
        let listing = Listing { filter, sort, currency, facets: self.facets, limit, after: None };
        let Some(cursor) = self.page.cursor else { return Ok(listing) };
        let after: Position = decode_cursor(&cursor)?;
        if after.of != listing.fingerprint() || !after.value.is_of(sort) {
            let detail = "belongs to another query: change nothing but the limit between pages";
            return Err(Problem::invalid("cursor", detail));
        }
        Ok(Listing { after: Some(after), ..listing })
    }
}

/// Strict percent-decoding, with `+` for a space.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

fn words(text: &str) -> Result<Option<String>, &'static str> {
    let words = search::words(text);
    if text.chars().count() > search::CHARS_MAX || words.len() > search::WORDS_MAX {
        return Err("must be at most 200 characters and 12 words");
    }
    if words.is_empty() && !text.trim().is_empty() {
        return Err("must have a letter or digit");
    }
    Ok((!words.is_empty()).then(|| words.join(" ")))
}

fn address<I: std::str::FromStr>(text: &str) -> Result<Address<I>, &'static str> {
    match text.parse() {
        Ok(id) => Ok(Address::Id(id)),
        Err(_) if is_slug(text) => Ok(Address::Slug(text.to_owned())),
        Err(_) => Err("must be an id or a slug"),
    }
}

fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn amount(text: &str) -> Result<i64, &'static str> {
    let amount = number(text).filter(|amount| *amount <= AMOUNT_MAX);
    amount.ok_or("must be minor units, from 0 to 1,000,000,000,000")
}

fn boolean(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(|_| "must be true or false")
}

fn sort(text: &str) -> Result<Sort, &'static str> {
    let found = Sort::ALL.iter().find(|(name, _)| *name == text);
    found
        .map(|(_, sort)| *sort)
        .ok_or("must be newest, oldest, price, -price, title, -title or relevance")
}

fn facets(text: &str) -> Result<BTreeSet<Facet>, &'static str> {
    let facets: Option<BTreeSet<Facet>> = text.split(',').map(Facet::parse).collect();
    let facets = facets.filter(|facets| facets.len() <= FACETS_MAX);
    facets.ok_or(
        "must be at most 20 of category, collection, tag, price, in_stock, option.<name>, \
         with commas between",
    )
}

#[cfg(test)]
mod tests;
