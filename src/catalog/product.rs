//! Products: what they are made of, and what each of their fields may hold.

use super::slug;
use crate::id::{CategoryId, ProductId, VariantId};
use crate::money::{Currency, Money};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Variants of a product that are sold, at most.
pub const VARIANTS_MAX: usize = 100;
/// Variants of a product with those that are archived, at most.
pub const VARIANTS_KEPT_MAX: usize = 1_000;
/// Categories of a product, at most.
pub const CATEGORIES_MAX: usize = 100;
/// Tags of a product, at most.
pub const TAGS_MAX: usize = 100;
/// Options of a product, at most.
pub const OPTIONS_MAX: usize = 20;
/// Pictures and films of a product, at most.
pub const MEDIA_MAX: usize = 50;
/// The highest price, in minor units.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000;

/// Whether a product is sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProductStatus)]
pub enum Status {
    /// Being prepared: the store does not show it.
    Draft,
    /// In the store.
    Active,
    /// No longer in the store.
    Archived,
}

impl Status {
    /// As PostgreSQL and the API spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Draft => "draft",
            Status::Active => "active",
            Status::Archived => "archived",
        }
    }
}

/// Whether a variant of an active product is sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VariantStatus {
    /// In the store, if its product is.
    Active,
    /// No longer in the store. Carts and orders may still name it, and its SKU stays taken.
    Archived,
}

/// A picture or film of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// Where it is: http or https, or `/media/…` on this server; at most 2,000 characters.
    #[schema(
        example = "https://example.com/mug.jpg",
        max_length = 2000,
        pattern = r"^(https?://[^/\s\x00-\x1f\x7f]|/media/[^\s\x00-\x1f\x7f])[^\s\x00-\x1f\x7f]*$"
    )]
    pub url: String,
    /// What it shows, for those who cannot see it.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub alt: String,
}

/// A product as the store shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Product {
    /// The id.
    pub id: ProductId,
    /// Its name in addresses.
    #[schema(example = "enamel-mug")]
    pub slug: String,
    /// Its name for people.
    #[schema(example = "Enamel mug")]
    pub title: String,
    /// Whether it is sold.
    pub status: Status,
    /// Grows with every change.
    pub version: i64,
    /// What it is, for people.
    #[schema(example = "Enamelled steel, with a blue rim.")]
    pub description: String,
    /// Pictures and films, the first one first.
    pub media: Vec<Media>,
    /// Words to find it by.
    #[schema(example = json!(["enamel"]))]
    pub tags: Vec<String>,
    /// In what its variants differ.
    #[schema(example = json!(["size"]))]
    pub options: Vec<String>,
    /// What can be ordered, in the order of its creation.
    pub variants: Vec<Variant>,
}

/// A variant as the store shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Variant {
    /// The id.
    pub id: VariantId,
    /// What orders and carts call it.
    #[schema(example = "MUG-1")]
    pub sku: String,
    /// One price per currency.
    pub prices: Vec<Money>,
    /// Its values of the product's options.
    #[schema(example = json!({"size": "L"}))]
    pub options: BTreeMap<String, String>,
    /// Whether one can be ordered; up to a second old.
    pub in_stock: bool,
    /// How many can be ordered; up to a second old.
    pub available: i64,
}

/// A product as staff see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AdminProduct {
    /// The id.
    pub id: ProductId,
    /// Its name in addresses.
    #[schema(example = "enamel-mug")]
    pub slug: String,
    /// Its name for people.
    #[schema(example = "Enamel mug")]
    pub title: String,
    /// Whether it is sold.
    pub status: Status,
    /// Grows with every change of it, its variants, its prices or its categories.
    pub version: i64,
    /// What it is, for people.
    #[schema(example = "Enamelled steel, with a blue rim.")]
    pub description: String,
    /// Pictures and films, the first one first.
    pub media: Vec<Media>,
    /// Words to find it by.
    #[schema(example = json!(["enamel"]))]
    pub tags: Vec<String>,
    /// In what its variants differ.
    #[schema(example = json!(["size"]))]
    pub options: Vec<String>,
    /// Where it stands in the store, by id.
    pub category_ids: Vec<CategoryId>,
    /// All variants in their order, also the archived ones.
    pub variants: Vec<AdminVariant>,
}

impl AdminProduct {
    /// The variant of that id, if it is one of this product's.
    pub fn variant(&self, id: VariantId) -> Option<&AdminVariant> {
        self.variants.iter().find(|variant| variant.id == id)
    }

    /// The variants that were there `before` and are offered differently now, by id.
    pub fn offers_changed(&self, before: &Self) -> Vec<VariantId> {
        let is_other = (&self.title, self.status) != (&before.title, before.status);
        let changed = self.variants.iter().filter(|now| {
            let was = before.variant(now.id);
            was.is_some_and(|was| is_other || now.offer() != was.offer())
        });
        let mut changed: Vec<VariantId> = changed.map(|variant| variant.id).collect();
        changed.sort_unstable();
        changed
    }
}

/// A variant as staff see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AdminVariant {
    /// The id.
    pub id: VariantId,
    /// What orders and carts call it.
    #[schema(example = "MUG-1")]
    pub sku: String,
    /// One price per currency, by currency.
    pub prices: Vec<Money>,
    /// Its values of the product's options.
    #[schema(example = json!({"size": "L"}))]
    pub options: BTreeMap<String, String>,
    /// Whether it is sold.
    pub status: VariantStatus,
    /// Whether one is available.
    pub in_stock: bool,
    /// How many are available.
    pub available: i64,
}

impl AdminVariant {
    /// What orders go by.
    fn offer(&self) -> (&str, &[Money], VariantStatus) {
        (&self.sku, &self.prices, self.status)
    }
}

/// A variant with its product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OwnedVariant {
    /// The variant.
    #[serde(flatten)]
    pub variant: AdminVariant,
    /// Its product.
    pub product_id: ProductId,
    /// The product's version.
    pub version: i64,
}

/// A product to be made; its fields keep to the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProduct {
    /// The slug it must have; otherwise one is derived from the title.
    pub slug: Option<String>,
    /// Its name.
    pub title: String,
    /// Whether it is sold.
    pub status: Status,
    /// What it is.
    pub description: String,
    /// Pictures and films.
    pub media: Vec<Media>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// In what its variants differ.
    pub options: Vec<String>,
    /// Where it stands in the store.
    pub category_ids: Vec<CategoryId>,
    /// At least one.
    pub variants: Vec<NewVariant>,
}

/// A variant to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVariant {
    /// Its SKU.
    pub sku: String,
    /// At least one, one per currency.
    pub prices: Vec<Money>,
    /// Values of the product's options.
    pub options: BTreeMap<String, String>,
}

/// What a field's text means, or what is wrong with it.
pub type Checked<T> = Result<T, &'static str>;

/// A title, without the spaces around it.
pub fn title(text: &str) -> Checked<&str> {
    let title = text.trim();
    let fits = has_chars(title, 1..=500) && !title.contains(char::is_control);
    fits.then_some(title).ok_or("must be 1 to 500 characters, without control characters")
}

/// A slug.
pub fn slug(text: &str) -> Checked<&str> {
    slug::is_slug(text).then_some(text).ok_or(
        "must be lower-case letters and digits in words joined by single dashes, \
         at most 200 characters",
    )
}

/// A status.
pub fn status(text: &str) -> Checked<Status> {
    let known = [Status::Draft, Status::Active, Status::Archived];
    let status = known.into_iter().find(|status| status.as_str() == text);
    status.ok_or("must be draft, active or archived")
}

/// A variant's status.
pub fn variant_status(text: &str) -> Checked<VariantStatus> {
    match text {
        "active" => Ok(VariantStatus::Active),
        "archived" => Ok(VariantStatus::Archived),
        _ => Err("must be active or archived"),
    }
}

/// A SKU.
pub fn sku(text: &str) -> Checked<&str> {
    let is_visible = text.trim() == text && !text.contains(char::is_control);
    (is_visible && has_chars(text, 1..=100))
        .then_some(text)
        .ok_or("must be 1 to 100 visible characters, without spaces around them")
}

/// A description.
pub fn description(text: &str) -> Checked<&str> {
    has_chars(text, 0..=20_000).then_some(text).ok_or("must be at most 20,000 characters")
}

/// An amount in minor units.
pub fn amount(amount: i64) -> Checked<i64> {
    let is_price = (0..=AMOUNT_MAX).contains(&amount);
    is_price.then_some(amount).ok_or("must be from 0 to 1,000,000,000,000")
}

/// A currency.
pub fn currency(text: &str) -> Checked<Currency> {
    text.parse().map_err(|_| "must be an ISO 4217 currency code in capitals")
}

/// A tag, or the name or value of an option.
pub fn word(text: &str) -> Checked<&str> {
    let word = text.trim();
    let fits = has_chars(word, 1..=100) && !word.contains(char::is_control);
    fits.then_some(word).ok_or("must be 1 to 100 characters, without control characters")
}

/// The address of a picture or film.
pub fn media_url(text: &str) -> Checked<&str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_far = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    let is_here = text.strip_prefix("/media/").is_some_and(|rest| !rest.is_empty());
    let is_url = (is_far || is_here)
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
        && has_chars(text, 1..=2_000);
    is_url
        .then_some(text)
        .ok_or("must be an http or https URL, or begin with /media/, at most 2,000 characters")
}

/// The words about a picture or film.
pub fn media_alt(text: &str) -> Checked<&str> {
    has_chars(text, 0..=500).then_some(text).ok_or("must be at most 500 characters")
}

fn has_chars(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_trimmed_and_lengths_are_counted_in_characters() {
        assert_eq!(title("  Mug "), Ok("Mug"));
        assert!(title(&"é".repeat(500)).is_ok());
        for bad in ["", "   ", "a\nb", &"é".repeat(501)] {
            assert!(title(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_sku_is_what_can_be_read_aloud() {
        for good in ["MUG-1", "85123A", "größe 4", &"x".repeat(100)] {
            assert!(sku(good).is_ok(), "{good:?}");
        }
        for bad in ["", " A", "A ", "A\tB", "A\u{7f}", &"x".repeat(101)] {
            assert!(sku(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn prices_may_be_nothing_but_never_less() {
        assert_eq!((amount(0), amount(AMOUNT_MAX)), (Ok(0), Ok(AMOUNT_MAX)));
        assert!(amount(-1).is_err() && amount(AMOUNT_MAX + 1).is_err());
        assert!(currency("GBP").is_ok() && currency("gbp").is_err() && currency("ABC").is_err());
    }

    #[test]
    fn media_are_web_addresses_or_pictures_of_this_server() {
        for good in ["https://example.com/a.jpg", "http://a", "/media/mug.svg"] {
            assert!(media_url(good).is_ok(), "{good}");
        }
        for bad in ["", "https://", "http:///a", "ftp://a", "//a", "https://a b", "javascript:a"]
            .into_iter()
            .chain(["/media/", "/other/a.svg", "/media/a b", "media/a"])
        {
            assert!(media_url(bad).is_err(), "{bad}");
        }
        assert!(media_url(&format!("https://{}", "a".repeat(1_993))).is_err());
    }
}
