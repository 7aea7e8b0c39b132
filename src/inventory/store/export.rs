//! Stock and its ledger, page by page, for exports.

use super::super::stock::StockKey;
use super::{LedgerEntry, LedgerKey, key};
use crate::error::Problem;
use crate::export::{Cell, PAGE_ROWS, Page};
use crate::query::Period;
use deadpool_postgres::Pool;
use tokio_postgres::Row;
use uuid::Uuid;

/// The columns of [`levels`].
pub const LEVELS: &[&str] =
    &["variant_id", "sku", "location_id", "supplied", "available", "held", "sold"];

/// The stock rows after `after`, in the order of their keys.
pub async fn levels(readers: Pool, after: Option<StockKey>) -> Result<Page<StockKey>, Problem> {
    let sql = "WITH page AS MATERIALIZED (
                   SELECT * FROM stock WHERE (variant_id, location_id) > ($1, $2)
                   ORDER BY variant_id, location_id LIMIT $3)
               SELECT s.variant_id, s.location_id,
                   (SELECT sku FROM variants WHERE id = s.variant_id),
                   s.supplied, s.available, s.held, s.sold
               FROM page s ORDER BY s.variant_id, s.location_id";
    let (variant, location) = after.map_or((Uuid::nil(), Uuid::nil()), |after| {
        (after.variant.uuid(), after.location.uuid())
    });
    let client = readers.get().await?;
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&variant, &location, &PAGE_ROWS]).await?;
    let cells = |row: &Row| {
        let StockKey { variant, location } = key(row);
        let sku = Cell::from(row.get::<_, Option<&str>>(2));
        let mut cells = vec![Cell::text(variant), sku, Cell::text(location)];
        cells.extend([3, 4, 5, 6].map(|column| Cell::Number(row.get(column))));
        Some(cells)
    };
    Ok(Page::of(&rows, key, cells))
}

/// The columns of [`ledger`].
#[rustfmt::skip]
pub const LEDGER: &[&str] = &[
    "id", "variant_id", "sku", "location_id", "cause", "reference", "supplied", "available",
    "held", "sold", "created_at",
];

/// The movements of a period after `after`, in the order of their keys: by stock row, then time.
pub async fn ledger(
    readers: Pool,
    created: Period,
    after: Option<LedgerKey>,
) -> Result<Page<LedgerKey>, Problem> {
    let rows = super::ledger_after(&readers, after, PAGE_ROWS).await?;
    let cells = |entry: &LedgerEntry| {
        created.contains(entry.created_at).then(|| {
            let LedgerKey { stock, id } = entry.key;
            let mut cells = vec![Cell::text(id), Cell::text(stock.variant)];
            cells.extend([Cell::text(&entry.sku), Cell::text(stock.location)]);
            cells.extend([Cell::text(&entry.cause), Cell::text(entry.reference())]);
            cells.extend(entry.deltas.map(Cell::Number));
            cells.push(Cell::time(entry.created_at));
            cells
        })
    };
    Ok(Page::of(&rows, |entry| entry.key, cells))
}
