//! The bytes of a product, made once for each of its versions. Only the counts move in between.

use super::product::Product;
use bytes::Bytes;

/// A product's bytes without the counts of its variants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    version: i64,
    /// What stands before the counts of each variant, and behind the last.
    parts: Vec<String>,
}

impl Template {
    /// The template of a product, whatever its counts.
    pub fn of(product: &Product) -> serde_json::Result<Self> {
        let bare = Product { variants: Vec::new(), ..product.clone() };
        let mut part = serde_json::to_string(&bare)?;
        part.truncate(part.len() - "]}".len());
        let mut parts = Vec::with_capacity(product.variants.len() + 1);
        for (at, variant) in product.variants.iter().enumerate() {
            let text = serde_json::to_string(variant)?;
            if at > 0 {
                part.push(',');
            }
            part.push_str(&text[..text.len() - counts(variant.available).len()]);
            parts.push(std::mem::take(&mut part));
        }
        part.push_str("]}");
        parts.push(part);
        Ok(Self { version: product.version, parts })
    }

    /// The bytes with these counts, if it is the template of that version.
    pub fn fill(&self, version: i64, available: &[i64]) -> Option<Bytes> {
        let fits = self.version == version && self.parts.len() == available.len() + 1;
        fits.then(|| {
            let parts: usize = self.parts.iter().map(String::len).sum();
            let mut text = String::with_capacity(parts + available.len() * COUNTS_MAX);
            for (part, available) in self.parts.iter().zip(available) {
                text.push_str(part);
                text.push_str(&counts(*available));
            }
            text.extend(self.parts.last().map(String::as_str));
            Bytes::from(text)
        })
    }

    /// Bytes in memory, about.
    pub fn weight(&self) -> usize {
        self.parts.iter().map(|part| part.len() + size_of::<String>()).sum()
    }
}

/// The longest end of a variant, of the least number that there is.
const COUNTS_MAX: usize = r#","in_stock":false,"available":-9223372036854775808}"#.len();

/// How a variant ends.
fn counts(available: i64) -> String {
    format!(",\"in_stock\":{},\"available\":{available}}}", available > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::product::{Media, Status, Variant};
    use crate::id::{ProductId, VariantId};
    use crate::money::Money;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use uuid::Uuid;

    /// A product with these texts in every field, and these counts.
    fn product(texts: &[String], available: &[i64]) -> Product {
        let text = |at: usize| texts[at % texts.len()].clone();
        let variant = |(at, available): (usize, &i64)| Variant {
            id: VariantId::from(Uuid::from_u128(at as u128)),
            sku: text(at),
            prices: vec![Money::new(at as i64, "GBP".parse().unwrap())],
            options: BTreeMap::from([("in_stock".to_owned(), text(at + 1))]),
            in_stock: *available > 0,
            available: *available,
        };
        Product {
            id: ProductId::from(Uuid::from_u128(7)),
            slug: text(1),
            title: text(2),
            status: Status::Active,
            version: 3,
            description: text(3),
            media: vec![Media { url: text(4), alt: text(5) }],
            tags: texts.to_vec(),
            options: vec![text(6)],
            variants: available.iter().enumerate().map(variant).collect(),
        }
    }

    proptest! {
        #[test]
        fn a_filled_template_is_what_serialising_the_product_gives(
            texts in prop::collection::vec(any::<String>(), 1..8),
            before in prop::collection::vec(0..i64::MAX, 0..6),
            seed in 0..i64::MAX,
        ) {
            let now: Vec<i64> = before.iter().map(|count| count ^ seed).collect();
            let template = Template::of(&product(&texts, &before)).unwrap();
            let expected = serde_json::to_vec(&product(&texts, &now)).unwrap();
            prop_assert_eq!(template.fill(3, &now).unwrap(), expected);
        }
    }

    #[test]
    fn a_template_is_of_one_version_and_of_all_its_variants() {
        let template = Template::of(&product(&["mug".to_owned()], &[5, 0])).unwrap();
        assert!(template.fill(3, &[4, 1]).is_some());
        assert_eq!(template.fill(4, &[4, 1]), None);
        assert_eq!((template.fill(3, &[4]), template.fill(3, &[4, 1, 0])), (None, None));
    }
}
