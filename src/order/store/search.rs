//! Orders by what staff ask for.
//!
//! The hot tables carry no index for this: each costs every order, and staff ask rarely. Instead
//! the primary key is walked, newest first, in chunks, for a bounded time; ids begin with their
//! time, so a period bounds the walk.

use super::super::order::{Order, PaymentStatus, Status};
use super::read::load_page;
use crate::error::Problem;
use crate::id::OrderId;
use crate::page::Page;
use crate::postgres::reader;
use crate::query::Period;
use deadpool_postgres::Pool;
use std::time::{Duration, Instant};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// Orders looked at in one statement, so that each stays short.
const CHUNK_MAX: i64 = 5_000;
/// After this long a search answers with what it has.
const SEARCH_MAX: Duration = Duration::from_secs(1);

/// Which orders; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// One of these, if any are given.
    pub statuses: Vec<Status>,
    /// Where the money stands.
    pub payment_status: Option<PaymentStatus>,
    /// Who ordered, in upper or lower case.
    pub email: Option<String>,
    /// What one of the lines is of.
    pub sku: Option<String>,
    /// When they were placed.
    pub created: Period,
}

/// The newest orders after the page's position, newest first, and the position of the next page:
/// everything before it has been looked at.
pub async fn search(
    readers: &Pool,
    filter: &Filter,
    page: Page,
) -> Result<(Vec<Order>, Option<OrderId>), Problem> {
    let started = Instant::now();
    let (first, end) = filter.created.ids();
    let limit = page.limit as usize;
    let mut before = page.after.map_or(end, |after| after.min(end));
    let mut ids: Vec<Uuid> = Vec::new();
    let mut size = page.fetch();
    let next = loop {
        let missing = page.fetch() - i64::try_from(ids.len()).unwrap_or(0);
        let chunk = look(readers, filter, first..before, size, missing).await?;
        ids.extend(chunk.found);
        let Some(last) = chunk.last else { break None };
        if ids.len() > limit {
            ids.truncate(limit);
            break ids.last().copied();
        }
        if chunk.count < size {
            break None;
        }
        if started.elapsed() > SEARCH_MAX {
            break Some(last);
        }
        before = last;
        size = (4 * size).min(CHUNK_MAX);
    };
    let (orders, cut) = load_page(readers, ids, None).await?;
    Ok((orders, cut.or(next.map(OrderId::from))))
}

/// What was seen of a chunk of orders.
struct Chunk {
    /// How many there were.
    count: i64,
    /// The oldest.
    last: Option<Uuid>,
    /// Those that were asked for, newest first.
    found: Vec<Uuid>,
}

/// Looks at the newest `size` orders of the range for up to `missing` that match.
async fn look(
    readers: &Pool,
    filter: &Filter,
    range: std::ops::Range<Uuid>,
    size: i64,
    missing: i64,
) -> Result<Chunk, Problem> {
    // The look at the lines is no EXISTS: that could become a join that reads the whole table.
    let sql = "WITH chunk AS MATERIALIZED (
                   SELECT id, status, payment_status, email, created_at FROM orders
                   WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3)
               SELECT (SELECT count(*) FROM chunk),
                   (SELECT id FROM chunk ORDER BY id LIMIT 1),
                   ARRAY(SELECT c.id FROM chunk c
                         WHERE (cardinality($4::text[]) = 0 OR c.status = ANY($4))
                           AND ($5::text IS NULL OR c.payment_status = $5)
                           AND ($6::text IS NULL OR lower(c.email) = lower($6))
                           AND ($7::timestamptz IS NULL OR c.created_at >= $7)
                           AND ($8::timestamptz IS NULL OR c.created_at < $8)
                           AND ($9::text IS NULL
                                OR (SELECT true FROM order_lines l
                                    WHERE l.order_id = c.id AND l.sku = $9 LIMIT 1))
                         ORDER BY c.id DESC LIMIT $10)";
    let statuses: Vec<&str> = filter.statuses.iter().map(|status| status.as_str()).collect();
    let payment_status = filter.payment_status.map(PaymentStatus::as_str);
    let Filter { email, sku, created: Period { from, to }, .. } = filter;
    let client = reader(readers).await?;
    let statement = client.prepare_cached(sql).await?;
    #[rustfmt::skip]
    let params: &[&(dyn ToSql + Sync)] = &[
        &range.start, &range.end, &size, &statuses, &payment_status, email, from, to, sku,
        &missing,
    ];
    let row = client.query_one(&statement, params).await?;
    Ok(Chunk { count: row.get(0), last: row.get(1), found: row.get(2) })
}
