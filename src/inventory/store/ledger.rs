//! Reading the stock ledger.

use super::super::stock::{Cause, StockKey};
use super::key;
use crate::error::Problem;
use crate::id::{AdjustmentId, OrderId, VariantId};
use crate::postgres::reader;
use deadpool_postgres::Pool;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// What the ledger says of one movement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Which row, and which of its entries.
    pub key: LedgerKey,
    /// The variant's SKU; empty if there is no such variant any more.
    pub sku: String,
    /// Why it moved.
    pub cause: String,
    /// The order or the adjustment.
    pub reference: Uuid,
    /// The changes of the counts: supplied, available, held, sold.
    pub deltas: [i64; 4],
    /// When it moved.
    pub created_at: OffsetDateTime,
}

/// The ledger's primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerKey {
    /// Which stock row.
    pub stock: StockKey,
    /// Which of its entries, ascending.
    pub id: i64,
}

impl LedgerEntry {
    /// The id of the order or the adjustment, as the API spells it.
    pub fn reference(&self) -> String {
        match self.cause == Cause::Adjustment.as_str() {
            true => AdjustmentId::from(self.reference).to_string(),
            false => OrderId::from(self.reference).to_string(),
        }
    }
}

/// A variant's entries before `before`, newest first, from all its locations: each location's
/// newest are at the end of a range of the primary key.
pub async fn ledger(
    readers: &Pool,
    sku: Option<&str>,
    variant: Option<VariantId>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<LedgerEntry>, Problem> {
    let sql = "SELECT m.* FROM variants v JOIN stock s ON s.variant_id = v.id, LATERAL (
                   SELECT l.variant_id, l.location_id, l.id, v.sku, l.cause, l.reference,
                       l.supplied, l.available, l.held, l.sold, l.created_at
                   FROM stock_ledger l
                   WHERE l.variant_id = s.variant_id AND l.location_id = s.location_id
                     AND l.id < $3
                   ORDER BY l.id DESC LIMIT $4) m
               WHERE v.sku = $1 OR v.id = $2
               ORDER BY m.id DESC LIMIT $4";
    let before = before.unwrap_or(i64::MAX);
    let variant = variant.map(|variant| variant.uuid());
    select(readers, sql, &[&sku, &variant, &before, &limit]).await
}

/// Entries of the whole ledger after `after`, in the order of their keys.
pub async fn ledger_after(
    readers: &Pool,
    after: Option<LedgerKey>,
    limit: i64,
) -> Result<Vec<LedgerEntry>, Problem> {
    let sql = "WITH page AS MATERIALIZED (
                   SELECT * FROM stock_ledger WHERE (variant_id, location_id, id) > ($1, $2, $3)
                   ORDER BY variant_id, location_id, id LIMIT $4)
               SELECT m.variant_id, m.location_id, m.id,
                   coalesce((SELECT sku FROM variants WHERE id = m.variant_id), ''),
                   m.cause, m.reference, m.supplied, m.available, m.held, m.sold, m.created_at
               FROM page m ORDER BY m.variant_id, m.location_id, m.id";
    let (variant, location, id) = match after {
        Some(LedgerKey { stock: StockKey { variant, location }, id }) => {
            (variant.uuid(), location.uuid(), id)
        }
        None => (Uuid::nil(), Uuid::nil(), 0),
    };
    select(readers, sql, &[&variant, &location, &id, &limit]).await
}

async fn select(
    readers: &Pool,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<LedgerEntry>, Problem> {
    let client = reader(readers).await?;
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, params).await?;
    Ok(rows.iter().map(entry).collect())
}

fn entry(row: &Row) -> LedgerEntry {
    LedgerEntry {
        key: LedgerKey { stock: key(row), id: row.get(2) },
        sku: row.get(3),
        cause: row.get(4),
        reference: row.get(5),
        deltas: [6, 7, 8, 9].map(|column| row.get(column)),
        created_at: row.get(10),
    }
}
