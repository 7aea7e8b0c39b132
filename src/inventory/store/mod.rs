//! The SQL of stock outside the journal: reads, adjustments, references to check.

pub mod export;
mod ledger;

pub use ledger::{LedgerEntry, LedgerKey, ledger, ledger_after};

use super::stock::{Cause, Level, StockKey};
use crate::error::Problem;
use crate::id::{AdjustmentId, LocationId, VariantId};
use crate::partitions::{Archival, By, End, Growth};
use crate::postgres::reader;
use crate::verify::Check;
use deadpool_postgres::{Pool, Transaction};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

/// The two columns of stock keys, for `unnest`.
pub fn columns<'k>(keys: impl IntoIterator<Item = &'k StockKey>) -> (Vec<Uuid>, Vec<Uuid>) {
    keys.into_iter().map(|key| (key.variant.uuid(), key.location.uuid())).unzip()
}

/// What is available now in each of the rows; a row that does not exist is left out.
pub async fn available(
    readers: &Pool,
    keys: &[StockKey],
) -> Result<Vec<(StockKey, i64)>, Problem> {
    let sql = "SELECT s.variant_id, s.location_id, s.available
               FROM unnest($1::uuid[], $2::uuid[]) AS k (variant_id, location_id)
               JOIN stock s USING (variant_id, location_id)";
    let client = readers.get().await?;
    let statement = client.prepare_cached(sql).await?;
    let (variants, locations) = columns(keys);
    let rows = client.query(&statement, &[&variants, &locations]).await?;
    Ok(rows.iter().map(|row| (key(row), row.get(2))).collect())
}

/// Reads a key from the first two columns.
pub fn key(row: &Row) -> StockKey {
    let (variant, location): (Uuid, Uuid) = (row.get(0), row.get(1));
    StockKey { variant: variant.into(), location: location.into() }
}

/// A stock row with the SKU it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stocked {
    /// The row.
    pub key: StockKey,
    /// The variant's SKU.
    pub sku: String,
    /// Its counts.
    pub level: Level,
}

/// The stock rows after `after` in the order of their keys, of one SKU or of all.
pub async fn levels(
    readers: &Pool,
    sku: Option<&str>,
    after: Option<StockKey>,
    limit: i64,
) -> Result<Vec<Stocked>, Problem> {
    let sql = "SELECT s.variant_id, s.location_id, v.sku, s.available, s.held, s.sold
               FROM stock s JOIN variants v ON v.id = s.variant_id
               WHERE ($1::text IS NULL OR v.sku = $1)
                 AND (s.variant_id, s.location_id) > ($2, $3)
               ORDER BY s.variant_id, s.location_id LIMIT $4";
    let client = reader(readers).await?;
    let statement = client.prepare_cached(sql).await?;
    let (variant, location) = after.map_or((Uuid::nil(), Uuid::nil()), |after| {
        (after.variant.uuid(), after.location.uuid())
    });
    let rows = client.query(&statement, &[&sku, &variant, &location, &limit]).await?;
    let stocked = rows.iter().map(|row| Stocked {
        key: key(row),
        sku: row.get(2),
        level: Level { available: row.get(3), held: row.get(4), sold: row.get(5) },
    });
    Ok(stocked.collect())
}

/// The variant that a SKU or an id names, if there is one.
pub async fn variant(
    transaction: &Transaction<'_>,
    sku: Option<&str>,
    id: Option<VariantId>,
) -> Result<Option<VariantId>, Problem> {
    let sql = "SELECT id FROM variants WHERE sku = $1 OR id = $2";
    let row = transaction.query_opt(sql, &[&sku, &id.map(|id| id.uuid())]).await?;
    Ok(row.map(|row| row.get::<_, Uuid>(0).into()))
}

/// Whether there is such a location.
pub async fn location_exists(
    transaction: &Transaction<'_>,
    location: LocationId,
) -> Result<bool, Problem> {
    let sql = "SELECT EXISTS (SELECT FROM locations WHERE id = $1)";
    Ok(transaction.query_one(sql, &[&location.uuid()]).await?.get(0))
}

/// Locks a stock row, making it first if there is none yet, and returns its counts.
pub async fn lock(transaction: &Transaction<'_>, key: StockKey) -> Result<Level, Problem> {
    let (variant, location) = (key.variant.uuid(), key.location.uuid());
    let make = "INSERT INTO stock (variant_id, location_id) VALUES ($1, $2)
                ON CONFLICT DO NOTHING";
    transaction.execute(make, &[&variant, &location]).await?;
    let sql = "SELECT available, held, sold FROM stock
               WHERE variant_id = $1 AND location_id = $2 FOR UPDATE";
    let row = transaction.query_one(sql, &[&variant, &location]).await?;
    Ok(Level { available: row.get(0), held: row.get(1), sold: row.get(2) })
}

/// What staff did by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjusted {
    /// Its id.
    pub id: AdjustmentId,
    /// Which row.
    pub key: StockKey,
    /// Units, signed.
    pub quantity: i64,
    /// Why.
    pub reason: String,
    /// When.
    pub created_at: OffsetDateTime,
}

/// The adjustment, if there is one.
pub async fn find_adjustment(
    readers: &Pool,
    id: AdjustmentId,
) -> Result<Option<Adjusted>, Problem> {
    let sql = "SELECT variant_id, location_id, quantity, reason, created_at
               FROM stock_adjustments WHERE id = $1";
    let client = reader(readers).await?;
    let statement = client.prepare_cached(sql).await?;
    let row = client.query_opt(&statement, &[&id.uuid()]).await?;
    Ok(row.map(|row| Adjusted {
        id,
        key: key(&row),
        quantity: row.get(2),
        reason: row.get(3),
        created_at: row.get(4),
    }))
}

/// Writes an adjustment, its ledger entry and the new level of a row that is locked; returns
/// when that was.
pub async fn adjust(
    transaction: &Transaction<'_>,
    id: AdjustmentId,
    key: StockKey,
    quantity: i64,
    reason: &str,
) -> Result<OffsetDateTime, Problem> {
    let (id, variant, location) = (id.uuid(), key.variant.uuid(), key.location.uuid());
    let sql = "INSERT INTO stock_adjustments (id, variant_id, location_id, quantity, reason)
               VALUES ($1, $2, $3, $4, $5) RETURNING created_at";
    let adjusted =
        transaction.query_one(sql, &[&id, &variant, &location, &quantity, &reason]).await?;
    let sql = "INSERT INTO stock_ledger (variant_id, location_id, cause, reference,
                   supplied, available, held, sold, created_at)
               VALUES ($1, $2, $3, $4, $5, $5, 0, 0, now())";
    let cause = Cause::Adjustment.as_str();
    transaction.execute(sql, &[&variant, &location, &cause, &id, &quantity]).await?;
    let sql = "UPDATE stock SET supplied = supplied + $3, available = available + $3
               WHERE variant_id = $1 AND location_id = $2";
    transaction.execute(sql, &[&variant, &location, &quantity]).await?;
    Ok(adjusted.get(0))
}

/// What `doorbuster partitions` divides. The sums of what is archived are kept, because the levels
/// hold them.
pub const GROWTH: Growth = Growth {
    table: "stock_ledger",
    by: By::Time("created_at"),
    end: End::Archived(Archival {
        moves: None,
        unfinished: None,
        carry: Some(
            "INSERT INTO archived_stock AS a
             (variant_id, location_id, supplied, available, held, sold)
             SELECT variant_id, location_id, sum(supplied), sum(available), sum(held), sum(sold)
             FROM :stock_ledger AS m GROUP BY 1, 2
             ON CONFLICT (variant_id, location_id) DO UPDATE SET
                 supplied = a.supplied + excluded.supplied,
                 available = a.available + excluded.available,
                 held = a.held + excluded.held, sold = a.sold + excluded.sold",
        ),
    }),
};

/// The invariants of stock.
pub const CHECKS: &[Check] = &[
    Check {
        id: "I1",
        rule: "supplied = available + held + sold, each at least 0",
        sql: "SELECT format('stock of %s: %s = %s + %s + %s', variant_id, supplied, available,
                  held, sold)
              FROM stock WHERE supplied <> available + held + sold
                 OR least(supplied, available, held, sold) < 0",
    },
    Check {
        id: "I3",
        rule: "the ledger sums to the levels",
        sql: "SELECT format('stock of %s: supplied %s, held %s, sold %s; ledger %s, %s, %s',
                  coalesce(s.variant_id, l.variant_id), s.supplied, s.held, s.sold,
                  l.supplied, l.held, l.sold)
              FROM stock s FULL JOIN (
                  SELECT variant_id, location_id, sum(supplied) AS supplied,
                      sum(available) AS available, sum(held) AS held, sum(sold) AS sold
                  FROM (SELECT variant_id, location_id, supplied, available, held, sold
                        FROM stock_ledger
                        UNION ALL
                        SELECT variant_id, location_id, supplied, available, held, sold
                        FROM archived_stock) entries
                  GROUP BY 1, 2
              ) l USING (variant_id, location_id)
              WHERE (coalesce(s.supplied, 0), coalesce(s.available, 0), coalesce(s.held, 0),
                     coalesce(s.sold, 0))
                 <> (coalesce(l.supplied, 0), coalesce(l.available, 0), coalesce(l.held, 0),
                     coalesce(l.sold, 0))",
    },
    Check {
        id: "I3",
        rule: "every stock row belongs to a variant",
        sql: "SELECT format('stock of %s without its variant', s.variant_id)
              FROM stock s LEFT JOIN variants v ON v.id = s.variant_id WHERE v.id IS NULL",
    },
];
