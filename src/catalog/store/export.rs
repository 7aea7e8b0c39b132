//! Products, page by page, for exports: a row for each variant and currency.

use super::read_json;
use crate::error::Problem;
use crate::export::{Cell, PAGE_ROWS, Page};
use crate::id::{ProductId, VariantId};
use deadpool_postgres::Pool;
use std::collections::BTreeMap;
use tokio_postgres::Row;
use uuid::Uuid;

/// The columns of [`products`]; those that an import reads have the same names there.
#[rustfmt::skip]
pub const PRODUCTS: &[&str] = &[
    "product_id", "variant_id", "sku", "title", "price_minor", "currency", "description", "slug",
    "status", "tags", "options",
];

/// The variants after `after`, in the order of their ids.
pub async fn products(readers: Pool, after: Option<Uuid>) -> Result<Page<Uuid>, Problem> {
    // OFFSET 0 keeps the look-ups to the indexes: as joins they could read whole tables.
    let sql = "WITH page AS MATERIALIZED (
                   SELECT * FROM variants WHERE id > $1 ORDER BY id LIMIT $2)
               SELECT v.id, v.product_id, v.sku, p.title, m.amount, m.currency, p.description,
                   p.slug, p.status, array_to_string(p.tags, ' '), v.options
               FROM page v
               JOIN LATERAL (
                   SELECT title, description, slug, status, tags FROM products
                   WHERE id = v.product_id OFFSET 0) p ON true
               LEFT JOIN LATERAL (
                   SELECT amount, currency FROM prices WHERE variant_id = v.id OFFSET 0) m ON true
               ORDER BY v.id, m.currency";
    let client = readers.get().await?;
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&after.unwrap_or_default(), &PAGE_ROWS]).await?;
    Ok(Page::of(&rows, |row| row.get(0), |row| Some(cells(row))))
}

fn cells(row: &Row) -> Vec<Cell> {
    let text = |column: usize| Cell::from(row.get::<_, Option<&str>>(column));
    let (variant, product): (Uuid, Uuid) = (row.get(0), row.get(1));
    let mut cells =
        vec![Cell::text(ProductId::from(product)), Cell::text(VariantId::from(variant))];
    cells.extend([2, 3].map(text));
    cells.push(row.get::<_, Option<i64>>(4).map_or(Cell::None, Cell::Number));
    cells.extend([5, 6, 7, 8, 9].map(text));
    let options: BTreeMap<String, String> = read_json(row, 10).unwrap_or_default();
    let options: Vec<String> = options.iter().map(|(name, v)| format!("{name}={v}")).collect();
    cells.push(Cell::Text(options.join("; ")));
    cells
}
