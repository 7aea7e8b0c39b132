//! The SQL of the catalog: what the store shows and what orders need. `write.rs` makes products,
//! `admin.rs` changes one of them, `import.rs` many, `search.rs` finds them.
//!
//! Lock order: categories, collections, products, variants, what is shown of them
//! (`product_search`, also by triggers), then stock and prices, each by key, and the epoch at the
//! end. Nothing that takes orders locks any of these but stock, and whoever has locked stock waits
//! for nothing but the epoch. Whoever changes variants or prices has locked their product.

pub mod admin;
pub mod categories;
mod checks;
pub mod collections;
pub mod export;
mod facets;
pub mod import;
pub mod search;
pub mod shown;
mod vocabulary;
pub mod write;

pub use checks::CHECKS;

use super::offers::{Name, Offer};
use super::product;
use super::product::{Media, Product, Status, Variant};
use crate::error::Problem;
use crate::id::{ProductId, VariantId};
use crate::money::Money;
use deadpool_postgres::{GenericClient, Pool};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap, HashSet};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// What [`read_product`] reads.
const COLUMNS: &str = "id, slug, title, status, version, description, media, tags, options";

/// What a product's address names.
#[derive(Debug, Clone, Copy)]
pub enum Key<'k> {
    /// Its id.
    Id(ProductId),
    /// Its slug.
    Slug(&'k str),
}

/// Products with their variants, in three queries. The products come first: if something changes
/// in between, the version is the older one and `If-Match` stays safe.
async fn select(
    client: &impl GenericClient,
    condition: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Product>, Problem> {
    let sql = format!("SELECT {COLUMNS} FROM products WHERE {condition}");
    let statement = client.prepare_cached(&sql).await?;
    let rows = client.query(&statement, parameters).await?;
    let mut products = rows.iter().map(read_product).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<Uuid> = products.iter().map(|product| product.id.uuid()).collect();
    let mut variants = variants(client, &ids).await?;
    for product in &mut products {
        product.variants = variants.remove(&product.id).unwrap_or_default();
    }
    Ok(products)
}

async fn variants(
    client: &impl GenericClient,
    products: &[Uuid],
) -> Result<HashMap<ProductId, Vec<Variant>>, Problem> {
    let sql = "SELECT v.product_id, v.id, v.sku, v.options,
                   ARRAY(SELECT currency FROM prices WHERE variant_id = v.id ORDER BY currency),
                   ARRAY(SELECT amount FROM prices WHERE variant_id = v.id ORDER BY currency)
               FROM variants v WHERE v.product_id = ANY($1) AND v.archived_at IS NULL
               ORDER BY v.product_id, v.position, v.id";
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&products]).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.get(1)).collect();
    let available = available(client, &ids).await?;
    let mut variants: HashMap<ProductId, Vec<Variant>> = HashMap::new();
    for (row, &id) in rows.iter().zip(&ids) {
        let available = available(id);
        let variant = Variant {
            id: id.into(),
            sku: row.get(2),
            options: read_json::<BTreeMap<String, String>>(row, 3)?,
            prices: read_prices(row, 4)?,
            in_stock: available > 0,
            available,
        };
        variants.entry(row.get::<_, Uuid>(0).into()).or_default().push(variant);
    }
    Ok(variants)
}

/// How many units of each variant can be bought, at all locations together; nothing of those that
/// were never stocked. A statement of its own, because it asks by the key of stock.
async fn available(
    client: &impl GenericClient,
    variants: &[Uuid],
) -> Result<impl Fn(Uuid) -> i64, Problem> {
    let sql = "SELECT variant_id, sum(available)::bigint FROM stock
               WHERE variant_id = ANY($1) GROUP BY variant_id";
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&variants]).await?;
    let available: HashMap<Uuid, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok(move |variant| available.get(&variant).copied().unwrap_or_default())
}

fn read_product(row: &Row) -> Result<Product, Problem> {
    Ok(Product {
        id: row.get::<_, Uuid>(0).into(),
        slug: row.get(1),
        title: row.get(2),
        status: read_status(row.get(3))?,
        version: row.get(4),
        description: row.get(5),
        media: read_json::<Vec<Media>>(row, 6)?,
        tags: row.get(7),
        options: row.get(8),
        variants: Vec::new(),
    })
}

fn read_status(text: &str) -> Result<Status, Problem> {
    product::status(text).map_err(|_| Problem::internal(format!("unknown status {text}")))
}

fn read_json<T: DeserializeOwned>(row: &Row, column: usize) -> Result<T, Problem> {
    serde_json::from_value(row.get(column)).map_err(Problem::internal)
}

/// Reads prices from two columns: an array of currencies and one of amounts.
fn read_prices(row: &Row, column: usize) -> Result<Vec<Money>, Problem> {
    let (currencies, amounts): (Vec<&str>, Vec<i64>) = (row.get(column), row.get(column + 1));
    let money = |(code, amount): (&str, i64)| Ok(Money::new(amount, code.parse()?));
    let prices: Result<Vec<_>, String> = currencies.into_iter().zip(amounts).map(money).collect();
    prices.map_err(Problem::internal)
}

/// What the variants are sold for now, also those that are not for sale any more.
pub async fn offers(readers: &Pool, names: &[Name]) -> Result<Vec<Offer>, Problem> {
    let sql = "SELECT v.id, v.sku, p.title, s.offer_version,
                   ARRAY(SELECT currency FROM prices WHERE variant_id = v.id ORDER BY currency),
                   ARRAY(SELECT amount FROM prices WHERE variant_id = v.id ORDER BY currency),
                   p.status = 'active' AND v.archived_at IS NULL
               FROM unnest($1::uuid[]) AS k (id)
               JOIN stock s ON s.variant_id = k.id
               JOIN locations l ON l.id = s.location_id AND l.code = 'default'
               JOIN variants v ON v.id = k.id
               JOIN products p ON p.id = v.product_id";
    let client = readers.get().await?;
    let ids = Vec::from_iter(ids(&client, names).await?);
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&ids]).await?;
    let offer = |row: &Row| -> Result<Offer, Problem> {
        Ok(Offer {
            variant: VariantId::from(row.get::<_, Uuid>(0)),
            sku: row.get(1),
            title: row.get(2),
            offer_version: row.get(3),
            prices: read_prices(row, 4)?,
            is_sold: row.get(6),
        })
    };
    rows.iter().map(offer).collect()
}

/// The variants that are named so. One that gets another SKU before its offer is read shows it
/// there, and its former SKU is not found until it is asked for again.
async fn ids(client: &impl GenericClient, names: &[Name]) -> Result<HashSet<Uuid>, Problem> {
    let (mut skus, mut ids): (Vec<&str>, HashSet<Uuid>) = (Vec::new(), HashSet::new());
    for name in names {
        match name {
            Name::Sku(sku) => skus.push(sku),
            Name::Id(id) => {
                ids.insert(id.uuid());
            }
        }
    }
    if !skus.is_empty() {
        let sql = "SELECT id FROM variants WHERE sku = ANY($1)";
        let statement = client.prepare_cached(sql).await?;
        let rows = client.query(&statement, &[&skus]).await?;
        ids.extend(rows.iter().map(|row| row.get::<_, Uuid>(0)));
    }
    Ok(ids)
}

/// Whether there is any product.
pub async fn has_products(client: &impl GenericClient) -> Result<bool, Problem> {
    let sql = "SELECT EXISTS (SELECT FROM products)";
    Ok(client.query_one(sql, &[]).await?.get(0))
}
