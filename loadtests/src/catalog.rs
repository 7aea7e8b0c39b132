//! The shop's own catalog, read over the API as any storefront reads it.

use crate::caller::Caller;
use crate::client::Request;
use crate::order::Money;
use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// A product, with the members that scenarios use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the names of the HTTP contract")]
pub struct Product {
    pub id: String,
    pub slug: String,
    pub title: String,
    pub version: i64,
    #[serde(default)]
    pub tags: Vec<String>,
    pub variants: Vec<Variant>,
}

/// A variant of a [`Product`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the names of the HTTP contract")]
pub struct Variant {
    pub id: String,
    pub sku: String,
    pub prices: Vec<Money>,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    pub in_stock: bool,
    pub available: i64,
}

/// A page of a list.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the names of the HTTP contract")]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

/// A category, of which only the slug matters.
#[derive(Debug, Clone, Deserialize)]
pub struct Category {
    /// The slug.
    pub slug: String,
}

/// The shop's products, page by page, at most so many.
pub async fn read_products(caller: &mut Caller, max: usize) -> anyhow::Result<Vec<Product>> {
    let mut products: Vec<Product> = Vec::new();
    let mut path = "/v1/products?limit=100".to_owned();
    while products.len() < max {
        let page: Page<Product> = read(caller, &path).await?;
        products.extend(page.items);
        let Some(cursor) = page.next_cursor else { break };
        path = format!("/v1/products?limit=100&cursor={}", encode(&cursor));
    }
    // What has nothing to sell is of no use to a scenario.
    products.retain(|product| !product.variants.is_empty());
    products.truncate(max);
    ensure!(!products.is_empty(), "the shop has no products: `doorbuster import catalog` some");
    Ok(products)
}

/// One product, by its id or slug.
pub async fn read_product(caller: &mut Caller, name: &str) -> anyhow::Result<Product> {
    read(caller, &format!("/v1/products/{name}")).await
}

/// The slugs of the shop's categories, the first page of them.
pub async fn read_categories(caller: &mut Caller) -> anyhow::Result<Vec<String>> {
    let page: Page<Category> = read(caller, "/v1/categories").await?;
    Ok(page.items.into_iter().map(|category| category.slug).collect())
}

async fn read<T: DeserializeOwned>(caller: &mut Caller, path: &str) -> anyhow::Result<T> {
    let record = caller.call(&Request::get(path)).await;
    match record.answers.last() {
        Some(answer) if answer.status == 200 => serde_json::from_slice(&answer.body)
            .with_context(|| format!("{path} came with a body that does not read")),
        _ => bail!("{path} could not be read: {}", record.label()),
    }
}

/// A text in a query string.
pub fn encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_encoded_for_any_query_string() {
        assert_eq!(encode("50% off & é+"), "50%25%20off%20%26%20%C3%A9%2B");
    }
}
