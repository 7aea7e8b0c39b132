//! Merge patches (RFC 7396) of products and variants: from what is and what is asked for to what
//! shall be. What is the same afterwards needs no write.

use super::draft::{PriceDraft, VariantDraft, Wrong, segment};
use super::product::{self, AdminProduct, AdminVariant, Media, Status, VariantStatus};
use crate::error::Problem;
use crate::id::{CategoryId, VariantId};
use crate::json::Field;
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Changes of a product; what is left out stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductPatch {
    /// Its name, 1 to 500 characters.
    #[serde(default)]
    #[schema(
        value_type = String, example = "Mug", min_length = 1, max_length = 500,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    pub title: Field<String>,
    /// Its name in addresses, unique.
    #[serde(default)]
    #[schema(value_type = String, max_length = 200, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")]
    pub slug: Field<String>,
    /// Whether it is sold.
    #[serde(default)]
    #[schema(value_type = Status)]
    pub status: Field<String>,
    /// What it is, at most 20,000 characters; `null` empties it.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 20_000)]
    pub description: Field<String>,
    /// Where it stands in the store; `null` takes it out of all categories.
    #[serde(default)]
    #[schema(value_type = Option<Vec<CategoryId>>, max_items = 100)]
    pub category_ids: Field<Vec<CategoryId>>,
    /// Words to find it by; `null` removes them.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    pub tags: Field<Vec<String>>,
    /// In what its variants differ; `null` for nothing.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 20)]
    pub options: Field<Vec<String>>,
    /// Pictures and films; `null` removes them.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Media>>, max_items = 50)]
    pub media: Field<Vec<Media>>,
    /// The variants that are left, in their order: a variant that is not in the list is archived.
    #[serde(default)]
    #[schema(value_type = Vec<ListedVariant>, min_items = 1, max_items = 100)]
    pub variants: Field<Vec<ListedVariant>>,
}

/// A variant in the list of a product's patch: that of this id, else that of this SKU, else a new
/// one, which needs a price. What is left out stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListedVariant {
    /// Which one; then `sku` is its new SKU.
    #[serde(default)]
    pub id: Option<VariantId>,
    /// Which one, unless `id` says so.
    #[serde(default)]
    #[schema(
        value_type = String, example = "MUG-1", min_length = 1, max_length = 100,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    pub sku: Field<String>,
    /// One per currency; those that are not in the list are gone.
    #[serde(default)]
    #[schema(value_type = Vec<PriceDraft>, min_items = 1)]
    pub prices: Field<Vec<PriceDraft>>,
    /// Values of the product's options; `null` removes a value.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    pub options: Field<BTreeMap<String, Option<String>>>,
    /// Whether it is sold.
    #[serde(default)]
    #[schema(value_type = VariantStatus)]
    pub status: Field<String>,
}

/// Changes of a variant; what is left out stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VariantPatch {
    /// What orders and carts call it: unique, 1 to 100 visible characters.
    #[serde(default)]
    #[schema(
        value_type = String, example = "MUG-1", min_length = 1, max_length = 100,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    pub sku: Field<String>,
    /// One per currency; those that are not in the list are gone.
    #[serde(default)]
    #[schema(value_type = Vec<PriceDraft>, min_items = 1)]
    pub prices: Field<Vec<PriceDraft>>,
    /// Values of the product's options; `null` removes a value.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>, example = json!({"size": "L"}))]
    pub options: Field<BTreeMap<String, Option<String>>>,
    /// Whether it is sold: `active` brings an archived one back.
    #[serde(default)]
    #[schema(value_type = VariantStatus)]
    pub status: Field<String>,
}

impl ProductPatch {
    /// The product as it shall be; `new_id` makes the ids of new variants.
    pub fn apply(
        self,
        before: &AdminProduct,
        new_id: impl FnMut() -> VariantId,
    ) -> Result<AdminProduct, Problem> {
        let mut wrong = Wrong::default();
        let mut after = before.clone();
        wrong.replace("/title", self.title, &mut after.title, |text| {
            product::title(text).map(str::to_owned)
        });
        wrong.replace("/slug", self.slug, &mut after.slug, |text| {
            product::slug(text).map(str::to_owned)
        });
        wrong.replace("/status", self.status, &mut after.status, |text| product::status(text));
        if let Some(text) = self.description.or_default() {
            wrong.note("/description", product::description(&text));
            after.description = text;
        }
        if let Some(ids) = self.category_ids.or_default() {
            after.category_ids = wrong.categories(ids);
        }
        if let Some(tags) = self.tags.or_default() {
            after.tags = wrong.words("/tags", &tags, product::TAGS_MAX);
        }
        if let Some(options) = self.options.or_default() {
            after.options = wrong.words("/options", &options, product::OPTIONS_MAX);
        }
        if let Some(media) = self.media.or_default() {
            after.media = wrong.media(media);
        }
        let listed = wrong.required("/variants", self.variants);
        let count = listed.as_ref().map_or(0, Vec::len);
        if let Some(listed) = listed {
            after.variants = wrong.listed(listed, &before.variants, new_id);
        }
        wrong.whole(&after, |index| (index < count).then(|| format!("/variants/{index}")));
        wrong.0.finish()?;
        Ok(after)
    }
}

impl VariantPatch {
    /// The product as it shall be, with this variant changed.
    pub fn apply(self, before: &AdminProduct, id: VariantId) -> Result<AdminProduct, Problem> {
        let mut wrong = Wrong::default();
        let mut after = before.clone();
        let index = after.variants.iter().position(|variant| variant.id == id);
        let index = index.ok_or_else(|| Problem::not_found("variant"))?;
        if let Some(variant) = after.variants.get_mut(index) {
            wrong.change("", self, variant);
        }
        wrong.whole(&after, |other| (other == index).then(String::new));
        wrong.0.finish()?;
        Ok(after)
    }
}

/// The product with one more variant.
pub fn add(
    before: &AdminProduct,
    draft: &VariantDraft,
    id: VariantId,
) -> Result<AdminProduct, Problem> {
    let mut wrong = Wrong::default();
    let made = wrong.variant("", draft, &before.options);
    let made =
        AdminVariant { sku: made.sku, prices: made.prices, options: made.options, ..new(id) };
    let mut after = before.clone();
    after.variants.push(made);
    let index = after.variants.len() - 1;
    wrong.whole(&after, |other| (other == index).then(String::new));
    wrong.0.finish()?;
    Ok(after)
}

fn new(id: VariantId) -> AdminVariant {
    AdminVariant {
        id,
        sku: String::new(),
        prices: Vec::new(),
        options: BTreeMap::new(),
        status: VariantStatus::Active,
        in_stock: false,
        available: 0,
    }
}

impl Wrong {
    fn listed(
        &mut self,
        listed: Vec<ListedVariant>,
        before: &[AdminVariant],
        mut new_id: impl FnMut() -> VariantId,
    ) -> Vec<AdminVariant> {
        self.unless(!listed.is_empty(), "/variants", "must have at least one variant");
        self.at_most(product::VARIANTS_MAX, listed.len(), "/variants");
        let mut rest = before.to_vec();
        let mut named = Vec::new();
        for (index, ListedVariant { id, sku, prices, options, status }) in
            listed.into_iter().enumerate()
        {
            let pointer = format!("/variants/{index}");
            let found = rest.iter().position(|variant| match (id, &sku) {
                (Some(id), _) => variant.id == id,
                (None, Field::Value(sku)) => variant.sku == *sku,
                (None, _) => false,
            });
            let is_known = id.is_none() || found.is_some();
            let detail = "is no variant of this product, or is named twice";
            self.unless(is_known, format!("{pointer}/id"), detail);
            let is_named = id.is_some() || sku != Field::Absent;
            self.unless(is_named, &pointer, "must have an id or a sku");
            let is_new = found.is_none() && id.is_none();
            let mut variant = found.map_or_else(|| new(new_id()), |found| rest.remove(found));
            let is_priced = !is_new || !matches!(prices, Field::Absent);
            let detail = "is needed for a new variant";
            self.unless(is_priced, format!("{pointer}/prices"), detail);
            self.change(&pointer, VariantPatch { sku, prices, options, status }, &mut variant);
            named.push(variant);
        }
        let archived = |variant| AdminVariant { status: VariantStatus::Archived, ..variant };
        named.extend(rest.into_iter().map(archived));
        named
    }

    fn change(&mut self, pointer: &str, patch: VariantPatch, variant: &mut AdminVariant) {
        let VariantPatch { sku, prices, options, status } = patch;
        self.replace(&format!("{pointer}/sku"), sku, &mut variant.sku, |sku| {
            product::sku(sku).map(str::to_owned)
        });
        if let Some(prices) = self.required(&format!("{pointer}/prices"), prices) {
            variant.prices = self.prices(pointer, &prices);
        }
        self.replace(&format!("{pointer}/status"), status, &mut variant.status, |status| {
            product::variant_status(status)
        });
        match options.optional() {
            None => {}
            Some(None) => variant.options.clear(),
            Some(Some(values)) => self.merge(pointer, values, &mut variant.options),
        }
    }

    /// Objects are merged member by member.
    fn merge(
        &mut self,
        pointer: &str,
        values: BTreeMap<String, Option<String>>,
        options: &mut BTreeMap<String, String>,
    ) {
        let pointer = format!("{pointer}/options");
        for (name, value) in values {
            let pointer = format!("{pointer}/{}", segment(&name));
            match value {
                None => drop(options.remove(&name)),
                Some(value) => {
                    let name = self.note(&pointer, product::word(&name)).unwrap_or_default();
                    let value = self.note(&pointer, product::word(&value)).unwrap_or_default();
                    options.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        self.at_most(product::OPTIONS_MAX, options.len(), &pointer);
    }

    /// What must hold for the variants together. `pointer` leads to a variant that the body
    /// names.
    fn whole(&mut self, product: &AdminProduct, pointer: impl Fn(usize) -> Option<String>) {
        let variants = &product.variants;
        let is_active = |variant: &&AdminVariant| variant.status == VariantStatus::Active;
        self.unless(
            variants.iter().filter(is_active).count() <= product::VARIANTS_MAX
                && variants.len() <= product::VARIANTS_KEPT_MAX,
            "/variants",
            "a product has at most 100 variants, and 1,000 with those that are archived",
        );
        let mut skus = BTreeMap::new();
        for variant in variants {
            *skus.entry(&variant.sku).or_insert(0) += 1;
        }
        for (index, variant) in variants.iter().enumerate() {
            let place = pointer(index);
            if let Some(place) = place.as_ref().filter(|_| skus.get(&variant.sku) > Some(&1)) {
                self.unless(false, format!("{place}/sku"), "is another variant's SKU");
            }
            if variant.status == VariantStatus::Archived {
                continue;
            }
            for name in variant.options.keys().filter(|name| !product.options.contains(*name)) {
                let (place, detail) = match &place {
                    Some(place) => {
                        let place = format!("{place}/options/{}", segment(name));
                        (place, "is not among the product's options".to_owned())
                    }
                    None => ("/options".to_owned(), format!("{} has its {name}", variant.sku)),
                };
                self.unless(false, place, &detail);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;
    use crate::money::Money;
    use serde_json::{Value, json};
    use uuid::Uuid;

    fn id(number: u128) -> VariantId {
        Uuid::from_u128(number).into()
    }

    fn variant(number: u128, sku: &str, size: &str) -> AdminVariant {
        AdminVariant {
            sku: sku.to_owned(),
            prices: vec![Money::new(1_000, "GBP".parse().unwrap())],
            options: BTreeMap::from([("size".to_owned(), size.to_owned())]),
            ..new(id(number))
        }
    }

    fn shirt() -> AdminProduct {
        AdminProduct {
            id: Uuid::from_u128(9).into(),
            slug: "shirt".to_owned(),
            title: "Shirt".to_owned(),
            status: Status::Active,
            version: 4,
            description: "Soft.".to_owned(),
            media: Vec::new(),
            tags: vec!["cotton".to_owned()],
            options: vec!["size".to_owned()],
            category_ids: Vec::new(),
            variants: vec![variant(1, "S", "S"), variant(2, "M", "M")],
        }
    }

    fn apply(before: &AdminProduct, body: &Value) -> Result<AdminProduct, Problem> {
        let patch: Json<ProductPatch> = Json::parse(body.to_string().as_bytes())?;
        patch.value.apply(before, || id(77))
    }

    fn pointers(before: &AdminProduct, body: &Value) -> Vec<String> {
        let problem = apply(before, body).unwrap_err();
        problem.errors.into_iter().map(|error| error.pointer).collect()
    }

    fn variants(product: &AdminProduct) -> Vec<(VariantId, &str, VariantStatus)> {
        let all = product.variants.iter();
        all.map(|variant| (variant.id, variant.sku.as_str(), variant.status)).collect()
    }

    #[test]
    fn what_is_left_out_stays_as_it_is() {
        assert_eq!(apply(&shirt(), &json!({})).unwrap(), shirt());
        let same = json!({"variants": [{"sku": "S"}, {"id": id(2)}], "tags": ["cotton"]});
        assert_eq!(apply(&shirt(), &same).unwrap(), shirt());
    }

    #[test]
    fn null_empties_what_may_be_empty_and_nothing_else() {
        let emptied = json!({"description": null, "tags": null, "media": null});
        let emptied = apply(&shirt(), &emptied).unwrap();
        assert_eq!((&*emptied.description, emptied.tags.len()), ("", 0));
        let needed = json!({"title": null, "slug": null, "status": null, "variants": null});
        assert_eq!(pointers(&shirt(), &needed), ["/title", "/slug", "/status", "/variants"]);
    }

    #[test]
    fn a_list_of_variants_names_changes_makes_and_archives() {
        let body = json!({"variants": [
            {"sku": "L", "prices": [{"amount": 5, "currency": "EUR"}]},
            {"id": id(2), "sku": "MEDIUM"},
        ]});
        let after = apply(&shirt(), &body).unwrap();
        let (active, archived) = (VariantStatus::Active, VariantStatus::Archived);
        let expected = [(id(77), "L", active), (id(2), "MEDIUM", active), (id(1), "S", archived)];
        assert_eq!(variants(&after), expected);
        assert_eq!(after.variants[1].options, shirt().variants[1].options);
        assert_eq!(after.offers_changed(&shirt()), [id(1), id(2)]);
    }

    #[test]
    fn an_archived_variant_stays_so_until_it_is_called_back() {
        let mut before = shirt();
        before.variants[1].status = VariantStatus::Archived;
        let named = json!({"variants": [{"sku": "S"}, {"sku": "M"}]});
        assert_eq!(apply(&before, &named).unwrap(), before);
        let back = json!({"variants": [{"sku": "S"}, {"sku": "M", "status": "active"}]});
        assert_eq!(apply(&before, &back).unwrap(), shirt());
    }

    #[test]
    fn two_variants_never_share_a_sku() {
        let price = json!([{"amount": 5, "currency": "EUR"}]);
        let twice = json!({"variants": [{"sku": "N", "prices": price},
            {"sku": "N", "prices": price}]});
        assert_eq!(pointers(&shirt(), &twice), ["/variants/0/sku", "/variants/1/sku"]);
        let archived = json!({"variants": [{"id": id(1), "sku": "M"}]});
        assert_eq!(pointers(&shirt(), &archived), ["/variants/0/sku"]);
    }

    #[test]
    fn an_archived_variant_has_no_more_options_than_another() {
        let with = |options: Value| {
            let variant = json!({"sku": "S", "status": "archived", "options": options});
            json!({"variants": [variant]})
        };
        let many: BTreeMap<String, &str> = (0..20).map(|n| (format!("o{n}"), "x")).collect();
        assert_eq!(pointers(&shirt(), &with(json!(many))), ["/variants/0/options"]);
        let odd = with(json!({"a\u{1f}b": "x"}));
        assert_eq!(pointers(&shirt(), &odd), ["/variants/0/options/a\u{1f}b"]);
        assert!(apply(&shirt(), &with(json!({"colour": "red"}))).is_ok());
    }

    #[test]
    fn an_option_that_a_variant_needs_cannot_go_unless_the_variant_does() {
        assert_eq!(pointers(&shirt(), &json!({"options": []})), ["/options", "/options"]);
        let both = json!({"options": [], "variants": [{"sku": "S", "options": null}]});
        assert!(apply(&shirt(), &both).is_ok(), "M is archived, so its size does no harm");
        let back = VariantPatch { status: Field::Value("active".into()), ..Default::default() };
        let problem = back.apply(&apply(&shirt(), &both).unwrap(), id(2)).unwrap_err();
        assert_eq!(problem.errors[0].pointer, "/options/size");
    }

    #[test]
    fn a_title_or_status_changes_every_offer_and_a_description_none() {
        let changed = |body: Value| apply(&shirt(), &body).unwrap().offers_changed(&shirt());
        assert_eq!(changed(json!({"title": "Blouse"})), [id(1), id(2)]);
        assert_eq!(changed(json!({"status": "draft"})), [id(1), id(2)]);
        assert_eq!(changed(json!({"description": "Rough.", "tags": []})), []);
        let price = json!({"variants": [{"sku": "S"},
            {"sku": "M", "prices": [{"amount": 1_001, "currency": "GBP"}]}]});
        assert_eq!(changed(price), [id(2)]);
    }

    #[test]
    fn a_product_has_a_hundred_variants_that_are_sold_at_most() {
        let draft = |sku: String| VariantDraft {
            sku,
            prices: vec![PriceDraft { amount: 1, currency: "GBP".to_owned() }],
            options: BTreeMap::new(),
        };
        let mut product = shirt();
        for number in 3..=100 {
            product = add(&product, &draft(format!("N-{number}")), id(number)).unwrap();
        }
        assert!(add(&product, &draft("101".to_owned()), id(101)).is_err());
        product.variants[0].status = VariantStatus::Archived;
        assert!(add(&product, &draft("101".to_owned()), id(101)).is_ok());
    }
}
