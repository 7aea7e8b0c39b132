//! Stock and its ledger, page by page, for exports.

use super::super::stock::StockKey;
use super::{LedgerEntry, LedgerKey, Stocked};
use crate::error::Problem;
use crate::export::{Cell, PAGE_ROWS, Page};
use crate::query::Period;
use deadpool_postgres::Pool;

/// The columns of [`levels`].
pub const LEVELS: &[&str] =
    &["variant_id", "sku", "location_id", "supplied", "available", "held", "sold"];

/// The stock rows after `after`, in the order of their keys.
pub async fn levels(readers: Pool, after: Option<StockKey>) -> Result<Page<StockKey>, Problem> {
    let rows = super::levels(&readers, None, after, PAGE_ROWS).await?;
    let cells = |Stocked { key, sku, level }: &Stocked| {
        let supplied = level.available + level.held + level.sold;
        let counts = [supplied, level.available, level.held, level.sold];
        let mut cells = vec![Cell::text(key.variant), Cell::text(sku), Cell::text(key.location)];
        cells.extend(counts.map(Cell::Number));
        Some(cells)
    };
    Ok(Page::of(&rows, |row| row.key, cells))
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
