//! Orders and their lines, page by page, for exports.

use crate::error::Problem;
use crate::export::{Cell, PAGE_ROWS, Page};
use crate::id::{LineId, OrderId, VariantId};
use crate::query::Period;
use deadpool_postgres::Pool;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

/// The columns of [`orders`].
#[rustfmt::skip]
pub const ORDERS: &[&str] = &[
    "id", "number", "status", "payment_status", "fulfillment_status", "currency", "subtotal",
    "discount", "shipping", "tax", "total", "email", "name", "line1", "line2", "city", "region",
    "postal_code", "country", "phone", "cancel_reason", "pay_by", "created_at",
];

/// The orders of a period after `after`, in the order of their ids.
pub async fn orders(
    readers: Pool,
    created: Period,
    after: Option<Uuid>,
) -> Result<Page<Uuid>, Problem> {
    let sql = "SELECT id, number, status, payment_status, fulfillment_status, currency, subtotal,
                   discount, shipping, tax, total, email, shipping_address->>'name',
                   shipping_address->>'line1', shipping_address->>'line2',
                   shipping_address->>'city', shipping_address->>'region',
                   shipping_address->>'postal_code', shipping_address->>'country',
                   shipping_address->>'phone', cancel_reason, pay_by, created_at
               FROM orders WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3";
    let (first, end) = created.ids();
    let client = readers.get().await?;
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&after.unwrap_or(first), &end, &PAGE_ROWS]).await?;
    let cells = |row: &Row| {
        let created_at: OffsetDateTime = row.get(22);
        created.contains(created_at).then(|| {
            let mut cells = vec![id(row)];
            cells.extend([1].map(|column| Cell::text(row.get::<_, i64>(column))));
            cells.extend([2, 3, 4, 5].map(|column| text(row, column)));
            cells.extend([6, 7, 8, 9, 10].map(|column| Cell::Number(row.get(column))));
            cells.extend((11..21).map(|column| text(row, column)));
            cells.push(row.get::<_, Option<OffsetDateTime>>(21).map_or(Cell::None, Cell::time));
            cells.push(Cell::time(created_at));
            cells
        })
    };
    Ok(Page::of(&rows, |row| row.get(0), cells))
}

/// The columns of [`lines`].
#[rustfmt::skip]
pub const LINES: &[&str] = &[
    "order_id", "id", "number", "status", "variant_id", "sku", "title", "quantity", "unit_price",
    "total", "currency", "created_at",
];

/// The lines of the orders of a period after `after`, in the order of their keys.
pub async fn lines(
    readers: Pool,
    created: Period,
    after: Option<(Uuid, Uuid)>,
) -> Result<Page<(Uuid, Uuid)>, Problem> {
    // OFFSET 0 keeps each look-up to the index: as a join it could read orders from the first on.
    let sql = "WITH page AS MATERIALIZED (
                   SELECT * FROM order_lines WHERE (order_id, id) > ($1, $2) AND order_id < $3
                   ORDER BY order_id, id LIMIT $4)
               SELECT l.order_id, l.id, o.number, o.status, l.variant_id, l.sku, l.title,
                   l.quantity, l.unit_price, l.total, o.currency, o.created_at
               FROM page l LEFT JOIN LATERAL (
                   SELECT number, status, currency, created_at FROM orders
                   WHERE id = l.order_id OFFSET 0) o ON true
               ORDER BY l.order_id, l.id";
    let (first, end) = created.ids();
    let (order, line) = after.unwrap_or((first, Uuid::nil()));
    let client = readers.get().await?;
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&order, &line, &end, &PAGE_ROWS]).await?;
    let cells = |row: &Row| {
        // A line without its order is for `verify` to find.
        let created_at = row.get::<_, Option<OffsetDateTime>>(11)?;
        created.contains(created_at).then(|| {
            let (line, variant): (Uuid, Uuid) = (row.get(1), row.get(4));
            let mut cells = vec![id(row), Cell::text(LineId::from(line))];
            cells.extend([Cell::text(row.get::<_, i64>(2)), text(row, 3)]);
            cells.push(Cell::text(VariantId::from(variant)));
            cells.extend([5, 6].map(|column| text(row, column)));
            cells.extend([7, 8, 9].map(|column| Cell::Number(row.get(column))));
            cells.extend([text(row, 10), Cell::time(created_at)]);
            cells
        })
    };
    Ok(Page::of(&rows, |row| (row.get(0), row.get(1)), cells))
}

fn id(row: &Row) -> Cell {
    Cell::text(OrderId::from(row.get::<_, Uuid>(0)))
}

fn text(row: &Row, column: usize) -> Cell {
    Cell::from(row.get::<_, Option<&str>>(column))
}
