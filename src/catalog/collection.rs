//! Collections: products that are shown together, in an order of the shop's choice.

use super::draft::Wrong;
use super::product;
use crate::error::Problem;
use crate::id::{CollectionId, ProductId};
use crate::json::Field;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use utoipa::ToSchema;

/// Products of a collection, at most.
const PRODUCTS_MAX: usize = 1_000;

/// A collection; `GET /v1/products?collection=` lists its products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Collection {
    /// The id.
    pub id: CollectionId,
    /// Its name in addresses.
    #[schema(example = "summer")]
    pub slug: String,
    /// Its name for people.
    #[schema(example = "Summer")]
    pub title: String,
    /// What it is about, for people.
    #[schema(example = "For long evenings outside.")]
    pub description: String,
    /// Grows with every change.
    pub version: i64,
}

/// A collection with its products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AdminCollection {
    /// The collection.
    #[serde(flatten)]
    pub collection: Collection,
    /// Its products in their order, whatever their status.
    pub product_ids: Vec<ProductId>,
}

/// A collection to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCollection)]
pub struct CollectionDraft {
    /// Its name, 1 to 500 characters.
    #[schema(
        example = "Summer",
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    pub title: String,
    /// Its name in addresses, unique; derived from the title unless given.
    #[schema(example = "summer", max_length = 200, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")]
    pub slug: Option<String>,
    /// What it is about, at most 20,000 characters.
    #[serde(default)]
    #[schema(max_length = 20_000)]
    pub description: String,
    /// Its products in their order.
    #[serde(default)]
    #[schema(max_items = 1_000)]
    pub product_ids: Vec<ProductId>,
}

/// Changes of a collection; what is left out stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectionPatch {
    /// Its name, 1 to 500 characters.
    #[serde(default)]
    #[schema(
        value_type = String, example = "Summer", min_length = 1, max_length = 500,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    pub title: Field<String>,
    /// Its name in addresses, unique.
    #[serde(default)]
    #[schema(value_type = String, max_length = 200, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")]
    pub slug: Field<String>,
    /// What it is about, at most 20,000 characters; `null` empties it.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 20_000)]
    pub description: Field<String>,
    /// Its products in their order; `null` for none.
    #[serde(default)]
    #[schema(value_type = Option<Vec<ProductId>>, max_items = 1_000)]
    pub product_ids: Field<Vec<ProductId>>,
}

impl CollectionDraft {
    /// The draft with its title trimmed, or everything that is wrong with it.
    pub fn check(self) -> Result<Self, Problem> {
        let mut wrong = Wrong::default();
        let title = wrong.note("/title", product::title(&self.title)).map(str::to_owned);
        wrong.note("/slug", self.slug.as_deref().map(product::slug).transpose());
        wrong.note("/description", product::description(&self.description));
        wrong.products(&self.product_ids);
        wrong.0.finish()?;
        Ok(Self { title: title.unwrap_or_default(), ..self })
    }
}

impl CollectionPatch {
    /// The collection as it shall be.
    pub fn apply(self, before: &AdminCollection) -> Result<AdminCollection, Problem> {
        let mut wrong = Wrong::default();
        let AdminCollection { mut collection, mut product_ids } = before.clone();
        wrong.replace("/title", self.title, &mut collection.title, |text| {
            product::title(text).map(str::to_owned)
        });
        wrong.replace("/slug", self.slug, &mut collection.slug, |text| {
            product::slug(text).map(str::to_owned)
        });
        if let Some(text) = self.description.or_default() {
            wrong.note("/description", product::description(&text));
            collection.description = text;
        }
        product_ids = self.product_ids.or_default().unwrap_or(product_ids);
        wrong.products(&product_ids);
        wrong.0.finish()?;
        Ok(AdminCollection { collection, product_ids })
    }
}

impl Wrong {
    fn products(&mut self, ids: &[ProductId]) {
        self.at_most(PRODUCTS_MAX, ids.len(), "/product_ids");
        let mut seen = HashSet::new();
        for (index, id) in ids.iter().enumerate() {
            self.unless(seen.insert(id), format!("/product_ids/{index}"), "is given twice");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summer() -> AdminCollection {
        AdminCollection {
            collection: Collection {
                id: uuid::Uuid::from_u128(1).into(),
                slug: "summer".to_owned(),
                title: "Summer".to_owned(),
                description: "Warm.".to_owned(),
                version: 1,
            },
            product_ids: vec![uuid::Uuid::from_u128(2).into()],
        }
    }

    #[test]
    fn a_patch_changes_what_it_names_and_null_empties() {
        let same = CollectionPatch::default().apply(&summer()).unwrap();
        assert_eq!(same, summer());
        let patch = CollectionPatch {
            description: Field::Null,
            product_ids: Field::Null,
            ..Default::default()
        };
        let after = patch.apply(&summer()).unwrap();
        assert_eq!((&*after.collection.description, after.product_ids.len()), ("", 0));
        let patch = CollectionPatch { title: Field::Null, ..Default::default() };
        assert_eq!(patch.apply(&summer()).unwrap_err().errors[0].pointer, "/title");
    }

    #[test]
    fn a_product_stands_in_a_collection_once() {
        let twice = vec![uuid::Uuid::from_u128(2).into(); 2];
        let patch = CollectionPatch { product_ids: Field::Value(twice), ..Default::default() };
        assert_eq!(patch.apply(&summer()).unwrap_err().errors[0].pointer, "/product_ids/1");
    }
}
