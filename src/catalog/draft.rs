//! The body that makes a product, and its way to a [`NewProduct`].

use super::product::{self, Checked, Media, NewProduct, NewVariant, Status};
use crate::error::{FieldError, Problem, Violations};
use crate::id::CategoryId;
use crate::money::{Currency, Money};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// A product to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProduct)]
pub struct ProductDraft {
    /// Its name, 1 to 500 characters.
    #[schema(
        example = "Mug",
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    pub title: String,
    /// Its name in addresses, unique; derived from the title unless given.
    #[schema(example = "mug", max_length = 200, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")]
    pub slug: Option<String>,
    /// Whether it is sold; `active` unless said.
    #[schema(value_type = Option<Status>, default = "active")]
    pub status: Option<String>,
    /// What it is, at most 20,000 characters.
    #[serde(default)]
    #[schema(max_length = 20_000)]
    pub description: String,
    /// Where it stands in the store.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub category_ids: Vec<CategoryId>,
    /// Words to find it by.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub tags: Vec<String>,
    /// In what its variants differ.
    #[serde(default)]
    #[schema(max_items = 20, example = json!(["size"]))]
    pub options: Vec<String>,
    /// Pictures and films.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub media: Vec<Media>,
    /// What can be ordered.
    #[schema(min_items = 1, max_items = 100)]
    pub variants: Vec<VariantDraft>,
}

/// A variant to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewVariant)]
pub struct VariantDraft {
    /// What orders and carts call it: unique, 1 to 100 visible characters.
    #[schema(
        example = "MUG-1",
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    pub sku: String,
    /// One per currency, at least one.
    #[schema(min_items = 1)]
    pub prices: Vec<PriceDraft>,
    /// Values of the options that the product has.
    #[serde(default)]
    #[schema(example = json!({"size": "L"}))]
    pub options: BTreeMap<String, String>,
}

/// A price.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPrice)]
pub struct PriceDraft {
    /// Minor units.
    #[schema(example = 1299, minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub amount: i64,
    /// ISO 4217.
    #[schema(value_type = Currency)]
    pub currency: String,
}

impl ProductDraft {
    /// The product, or everything that is wrong with it.
    pub fn check(self) -> Result<NewProduct, Problem> {
        let mut wrong = Wrong::default();
        let category_ids = wrong.categories(self.category_ids);
        let options = wrong.words("/options", &self.options, product::OPTIONS_MAX);
        let is_some = !self.variants.is_empty();
        wrong.unless(is_some, "/variants", "must have at least one variant");
        wrong.at_most(product::VARIANTS_MAX, self.variants.len(), "/variants");
        let mut skus = BTreeSet::new();
        let mut variants = Vec::new();
        for (index, variant) in self.variants.iter().enumerate() {
            let pointer = format!("/variants/{index}");
            let is_new = skus.insert(variant.sku.as_str());
            wrong.unless(is_new, format!("{pointer}/sku"), "is another variant's SKU");
            variants.push(wrong.variant(&pointer, variant, &options));
        }
        let status = self.status.as_deref().map_or(Ok(Status::Active), product::status);
        let description = product::description(&self.description).map(str::to_owned);
        let given = self.slug.as_deref().map(product::slug).transpose();
        let made = NewProduct {
            title: wrong
                .note("/title", product::title(&self.title))
                .unwrap_or_default()
                .to_owned(),
            slug: wrong.note("/slug", given).flatten().map(str::to_owned),
            status: wrong.note("/status", status).unwrap_or(Status::Draft),
            description: wrong.note("/description", description).unwrap_or_default(),
            tags: wrong.words("/tags", &self.tags, product::TAGS_MAX),
            media: wrong.media(self.media),
            options,
            category_ids,
            variants,
        };
        wrong.0.finish()?;
        Ok(made)
    }
}

/// Collects what is wrong; what is returned for a wrong value is never used.
#[derive(Default)]
pub struct Wrong(pub Violations);

impl Wrong {
    /// Notes `detail` unless `holds`.
    pub fn unless(&mut self, holds: bool, pointer: impl Into<String>, detail: &str) {
        self.0.require(holds, pointer, detail);
    }

    /// Notes a list that is too long.
    pub fn at_most(&mut self, most: usize, found: usize, pointer: &str) {
        self.unless(found <= most, pointer, &format!("must have at most {most} elements"));
    }

    /// The value, or what is wrong with it is noted.
    pub fn note<T>(&mut self, pointer: impl Into<String>, checked: Checked<T>) -> Option<T> {
        checked.map_err(|detail| self.0.push(FieldError::new(pointer, detail))).ok()
    }

    /// A list of different words. One that is too long is not looked through.
    pub fn words(&mut self, pointer: &str, words: &[String], most: usize) -> Vec<String> {
        self.at_most(most, words.len(), pointer);
        let words = &words[..words.len().min(most)];
        let mut kept = Vec::new();
        for (index, word) in words.iter().enumerate() {
            let pointer = format!("{pointer}/{index}");
            let Some(word) = self.note(&pointer, product::word(word)) else { continue };
            self.unless(!kept.iter().any(|other| other == word), pointer, "is given twice");
            kept.push(word.to_owned());
        }
        kept
    }

    /// Pictures and films.
    pub fn media(&mut self, media: Vec<Media>) -> Vec<Media> {
        self.at_most(product::MEDIA_MAX, media.len(), "/media");
        for (index, one) in media.iter().enumerate() {
            self.note(format!("/media/{index}/url"), product::media_url(&one.url));
            self.note(format!("/media/{index}/alt"), product::media_alt(&one.alt));
        }
        media
    }

    /// Different categories, by id.
    pub fn categories(&mut self, ids: Vec<CategoryId>) -> Vec<CategoryId> {
        self.at_most(product::CATEGORIES_MAX, ids.len(), "/category_ids");
        let mut kept = BTreeSet::new();
        for (index, id) in ids.into_iter().enumerate() {
            self.unless(kept.insert(id), format!("/category_ids/{index}"), "is given twice");
        }
        kept.into_iter().collect()
    }

    /// Prices in different currencies, by currency.
    pub fn prices(&mut self, pointer: &str, drafts: &[PriceDraft]) -> Vec<Money> {
        let is_some = !drafts.is_empty();
        self.unless(is_some, format!("{pointer}/prices"), "must have at least one price");
        let mut prices: Vec<Money> = Vec::new();
        for (index, price) in drafts.iter().enumerate() {
            let pointer = format!("{pointer}/prices/{index}");
            let amount = self.note(format!("{pointer}/amount"), product::amount(price.amount));
            let pointer = format!("{pointer}/currency");
            let currency = self.note(&pointer, product::currency(&price.currency));
            let is_new = prices.iter().all(|other| Some(other.currency) != currency);
            self.unless(is_new, pointer, "there is another price in this currency");
            prices.extend(amount.zip(currency).map(|(amount, code)| Money::new(amount, code)));
        }
        prices.sort_unstable_by_key(|price| price.currency);
        prices
    }

    /// A variant to be made, of a product with these options.
    pub fn variant(
        &mut self,
        pointer: &str,
        draft: &VariantDraft,
        options: &[String],
    ) -> NewVariant {
        self.note(format!("{pointer}/sku"), product::sku(&draft.sku));
        let prices = self.prices(pointer, &draft.prices);
        let mut values = BTreeMap::new();
        for (name, value) in &draft.options {
            let pointer = format!("{pointer}/options/{}", segment(name));
            let is_declared = options.contains(name);
            self.unless(is_declared, &pointer, "is not among the product's options");
            let value = self.note(&pointer, product::word(value)).unwrap_or_default();
            values.insert(name.clone(), value.to_owned());
        }
        NewVariant { sku: draft.sku.clone(), prices, options: values }
    }
}

/// A name as it stands in a JSON pointer.
pub fn segment(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;
    use serde_json::{Value, json};

    fn check(body: Value) -> Result<NewProduct, Problem> {
        let draft: Json<ProductDraft> = Json::parse(body.to_string().as_bytes())?;
        draft.value.check()
    }

    fn pointers(body: Value) -> Vec<String> {
        let problem = check(body).unwrap_err();
        assert_eq!(problem.code, crate::error::Code::ValidationFailed);
        problem.errors.into_iter().map(|error| error.pointer).collect()
    }

    fn variant(sku: &str) -> Value {
        json!({"sku": sku, "prices": [{"amount": 1299, "currency": "GBP"}]})
    }

    #[test]
    fn the_smallest_body_makes_a_product_that_sells() {
        let made = check(json!({"title": " Mug ", "variants": [variant("MUG-1")]})).unwrap();
        assert_eq!((made.title.as_str(), made.slug, made.status), ("Mug", None, Status::Active));
        assert_eq!(made.variants[0].prices, [Money::new(1299, "GBP".parse().unwrap())]);
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_place() {
        let category = "cat_01h455vb4pex5vsknk084sn02q";
        let mut wrong = pointers(json!({
            "title": "  ", "slug": "A b", "status": "sold",
            "category_ids": [category, category],
            "description": "x".repeat(20_001), "tags": ["a", " a", ""], "options": ["a/b"],
            "media": [{"url": "ftp://a"}],
            "variants": [
                {"sku": "A", "prices": [], "options": {"a/b": "", "color~": "red"}},
                {"sku": "A", "prices": [
                    {"amount": -1, "currency": "GBP"}, {"amount": 1, "currency": "EUR"},
                    {"amount": 2, "currency": "EUR"}, {"amount": 1, "currency": "gbp"},
                ]},
                {"sku": " B", "prices": [{"amount": 1_000_000_000_001i64, "currency": "GBP"}]},
            ],
        }));
        wrong.sort();
        assert_eq!(
            wrong,
            [
                "/category_ids/1",
                "/description",
                "/media/0/url",
                "/slug",
                "/status",
                "/tags/1",
                "/tags/2",
                "/title",
                "/variants/0/options/a~1b",
                "/variants/0/options/color~0",
                "/variants/0/prices",
                "/variants/1/prices/0/amount",
                "/variants/1/prices/2/currency",
                "/variants/1/prices/3/currency",
                "/variants/1/sku",
                "/variants/2/prices/0/amount",
                "/variants/2/sku",
            ]
        );
    }

    #[test]
    fn a_product_has_between_one_and_a_hundred_variants() {
        assert_eq!(pointers(json!({"title": "Mug", "variants": []})), ["/variants"]);
        let many: Vec<Value> = (0..101).map(|number| variant(&format!("M-{number}"))).collect();
        assert!(check(json!({"title": "Mug", "variants": many[..100]})).is_ok());
        assert_eq!(pointers(json!({"title": "Mug", "variants": many})), ["/variants"]);
    }

    #[test]
    fn lists_are_refused_beyond_a_bound() {
        let media: Vec<Value> = (0..51).map(|_| json!({"url": "https://a.b/c"})).collect();
        let tags: Vec<String> = (0..101).map(|number| number.to_string()).collect();
        let wrong = pointers(json!({
            "title": "Mug", "variants": [variant("A")], "tags": tags, "media": media,
            "options": tags[..21],
        }));
        assert_eq!(wrong, ["/options", "/tags", "/media"]);
    }
}
