//! Reading orders and keys.

use super::super::command::Known;
use super::super::order::{Facts, Line, Order, PaymentStatus, Placement, State, Status};
use super::super::step::Unsettled;
use super::growth::span;
use super::trips::payment;
use crate::contact::Address;
use crate::error::Problem;
use crate::id::{OrderId, ShopperId};
use crate::inventory::StockKey;
use crate::money::Currency;
use crate::page::Page;
use crate::postgres::reader;
use crate::pricing::Totals;
use deadpool_postgres::{Object, Pool};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// The order, if there is one.
pub async fn find(reader: Object, id: OrderId) -> Result<Option<Order>, Problem> {
    Ok(load(reader, &[id.uuid()], None).await?.pop())
}

/// The order, if the shopper placed it.
pub async fn find_of_shopper(
    reader: Object,
    id: OrderId,
    shopper: ShopperId,
) -> Result<Option<Order>, Problem> {
    Ok(load(reader, &[id.uuid()], Some(shopper)).await?.pop())
}

/// The shopper's newest orders after the page's position, newest first, and the position of the
/// next page.
pub async fn list_of_shopper(
    readers: &Pool,
    shopper: ShopperId,
    page: Page,
) -> Result<(Vec<Order>, Option<OrderId>), Problem> {
    let sql = "SELECT id FROM orders
               WHERE shopper_id = $1 AND ($2::uuid IS NULL OR id < $2)
               ORDER BY id DESC LIMIT $3";
    let client = reader(readers).await?;
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&shopper.uuid(), &page.after, &page.fetch()]).await?;
    drop(client);
    let mut ids: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    let has_more = ids.len() > page.limit as usize;
    ids.truncate(page.limit as usize);
    let next = ids.last().filter(|_| has_more).copied().map(OrderId::from);
    let (orders, cut) = load_page(readers, ids, Some(shopper)).await?;
    Ok((orders, cut.or(next)))
}

/// Lines on a page of orders, at most; but one order is always on it.
const PAGE_LINES_MAX: i64 = 10_000;
/// Lines of an order, at most, by the limit of bodies.
const LINES_MAX: i64 = 2_000;

/// The orders of these ids in their order, descending. If they have very many lines, only the
/// first ones, and the last of these.
pub async fn load_page(
    readers: &Pool,
    mut ids: Vec<Uuid>,
    shopper: Option<ShopperId>,
) -> Result<(Vec<Order>, Option<OrderId>), Problem> {
    let mut next = None;
    if i64::try_from(ids.len()).is_ok_and(|count| count > PAGE_LINES_MAX / LINES_MAX) {
        let fit = that_fit(readers, &ids).await?.max(1);
        if fit < ids.len() {
            ids.truncate(fit);
            next = ids.last().copied().map(OrderId::from);
        }
    }
    let mut orders = load(reader(readers).await?, &ids, shopper).await?;
    orders.reverse();
    Ok((orders, next))
}

/// How many of the orders have no more lines together than a page holds.
async fn that_fit(readers: &Pool, ids: &[Uuid]) -> Result<usize, Problem> {
    let sql = "SELECT count(*) FILTER (WHERE lines <= $2::bigint) FROM (
                   SELECT sum((SELECT count(*) FROM order_lines l WHERE l.order_id = o.id))
                       OVER (ORDER BY o.at) AS lines
                   FROM unnest($1::uuid[]) WITH ORDINALITY AS o (id, at)) AS counted";
    let client = reader(readers).await?;
    let statement = client.prepare_cached(sql).await?;
    let fit: i64 = client.query_one(&statement, &[&ids, &PAGE_LINES_MAX]).await?.get(0);
    usize::try_from(fit).map_err(Problem::internal)
}

/// What never changes of an order, as its commands carry it.
pub async fn known(readers: &Pool, ids: &[OrderId]) -> Result<Vec<Known>, Problem> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let orders = load(readers.get().await?, &ids, None).await?;
    Ok(orders.into_iter().map(Known::from).collect())
}

impl From<Order> for Known {
    fn from(order: Order) -> Self {
        Self { placement: Arc::new(order.placement), facts: order.facts }
    }
}

/// The orders of these ids that exist, in the order of their ids; those of one shopper, or all.
pub async fn load(
    mut reader: Object,
    ids: &[Uuid],
    shopper: Option<ShopperId>,
) -> Result<Vec<Order>, Problem> {
    const ORDERS: &str = "
        SELECT id, status, payment_status, fulfillment_status, number, currency, subtotal,
            discount, shipping, tax, total, email, shipping_address, pay_by, created_at, shopper_id
        FROM orders WHERE id = ANY($1) AND id BETWEEN $2 AND $3
            AND ($4::uuid IS NULL OR shopper_id = $4)
        ORDER BY id";
    const LINES: &str = "
        SELECT order_id, id, variant_id, location_id, sku, title, quantity, unit_price, total,
            tax_rate
        FROM order_lines WHERE order_id = ANY($1) AND order_id BETWEEN $2 AND $3
        ORDER BY order_id, id";
    const PAYMENTS: &str = "
        SELECT order_id, id, provider, status, amount, created_at
        FROM payments WHERE order_id = ANY($1) AND order_id BETWEEN $2 AND $3
        ORDER BY order_id, id";
    // One snapshot, so that status and payments belong together.
    let snapshot = reader.build_transaction().read_only(true);
    let isolation = tokio_postgres::IsolationLevel::RepeatableRead;
    let transaction = snapshot.isolation_level(isolation).start().await?;
    let (orders, lines, payments) = tokio::try_join!(
        transaction.prepare_cached(ORDERS),
        transaction.prepare_cached(LINES),
        transaction.prepare_cached(PAYMENTS),
    )?;
    let (first, last) = span(ids);
    let params: &[&(dyn ToSql + Sync)] = &[&ids, &first, &last];
    let shopper = shopper.map(|shopper| shopper.uuid());
    let of_shopper: &[&(dyn ToSql + Sync)] = &[&ids, &first, &last, &shopper];
    let (orders, lines, payments) = tokio::try_join!(
        transaction.query(&orders, of_shopper),
        transaction.query(&lines, params),
        transaction.query(&payments, params),
    )?;
    transaction.commit().await?;
    let mut lines_of: HashMap<Uuid, (u32, Vec<Line>)> = HashMap::new();
    for row in &lines {
        let (tax_rate, lines) = lines_of.entry(row.get(0)).or_default();
        *tax_rate = row.get::<_, i32>(9).unsigned_abs();
        lines.push(line(row));
    }
    let mut payments_of: HashMap<Uuid, Vec<_>> = HashMap::new();
    for row in &payments {
        payments_of.entry(row.get(0)).or_default().push(payment(row));
    }
    let whole = |row: &Row| {
        let id: Uuid = row.get(0);
        let payments = payments_of.remove(&id).unwrap_or_default();
        order(row, lines_of.remove(&id).unwrap_or_default(), payments)
    };
    orders.iter().map(whole).collect()
}

fn line(row: &Row) -> Line {
    let (variant, location): (Uuid, Uuid) = (row.get(2), row.get(3));
    Line {
        id: row.get::<_, Uuid>(1).into(),
        stock: StockKey { variant: variant.into(), location: location.into() },
        sku: row.get(4),
        title: row.get(5),
        quantity: row.get(6),
        unit_price: row.get(7),
        total: row.get(8),
        offer_version: 0,
    }
}

fn order(
    row: &Row,
    (tax_rate, lines): (u32, Vec<Line>),
    payments: Vec<super::super::order::Payment>,
) -> Result<Order, Problem> {
    let currency: Currency = row.get::<_, &str>(5).parse().map_err(Problem::internal)?;
    let address: serde_json::Value = row.get(12);
    let shipping_address: Address = serde_json::from_value(address).map_err(Problem::internal)?;
    let unknown = || Problem::internal("an order is in a state that this release does not know");
    Ok(Order {
        placement: Placement {
            id: row.get::<_, Uuid>(0).into(),
            shopper: row.get::<_, Option<Uuid>>(15).map(ShopperId::from),
            lines,
            currency,
            totals: Totals {
                subtotal: row.get(6),
                discount: row.get(7),
                shipping: row.get(8),
                tax: row.get(9),
                total: row.get(10),
            },
            tax_rate,
            email: row.get(11),
            shipping_address,
        },
        facts: Facts { number: row.get(4), pay_by: row.get(13), created_at: row.get(14) },
        state: State {
            status: Status::parse(row.get(1)).ok_or_else(unknown)?,
            payment_status: PaymentStatus::parse(row.get(2)).ok_or_else(unknown)?,
            fulfillment_status: row.get(3),
            payments,
        },
    })
}

/// Unpaid orders whose time is over, oldest first; whether they expire is decided under locks.
pub async fn candidates_for_expiry(
    readers: &Pool,
    processing_max: Duration,
    limit: usize,
) -> Result<Vec<OrderId>, Problem> {
    let sql = "SELECT id FROM orders
               WHERE status = 'pending_payment' AND pay_by <= now()
                 AND (payment_status <> 'processing'
                      OR pay_by + make_interval(secs => $1) <= now())
               ORDER BY pay_by LIMIT $2";
    let client = readers.get().await?;
    let rows = client.query(sql, &[&processing_max.as_secs_f64(), &(limit as i64)]).await?;
    Ok(rows.iter().map(|row| row.get::<_, Uuid>(0).into()).collect())
}

/// Takes payments without an answer for longer than `after`: for that long again, no other
/// instance takes them.
pub async fn take_unsettled(
    writers: &Pool,
    after: Duration,
    limit: usize,
) -> Result<Vec<Unsettled>, Problem> {
    let sql = "WITH taken AS MATERIALIZED (
                   SELECT order_id, id FROM payments
                   WHERE status = 'processing'
                     AND updated_at + make_interval(secs => $1) <= now()
                   ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED)
               UPDATE payments p SET updated_at = now()
               FROM taken t JOIN orders o ON o.id = t.order_id
               WHERE p.order_id = t.order_id AND p.id = t.id
               RETURNING p.order_id, p.id, p.provider, p.token, p.key_scope, p.key,
                   p.created_at = o.created_at";
    let client = writers.get().await?;
    let rows = client.query(sql, &[&after.as_secs_f64(), &(limit as i64)]).await?;
    let unsettled = rows.iter().map(|row| Unsettled {
        order: row.get::<_, Uuid>(0).into(),
        payment: row.get::<_, Uuid>(1).into(),
        provider: row.get(2),
        token: row.get(3),
        key: row.get::<_, Option<String>>(4).zip(row.get(5)),
        is_first: row.get(6),
    });
    Ok(unsettled.collect())
}
