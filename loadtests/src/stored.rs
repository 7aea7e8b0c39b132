//! What the shop holds of a run: what the database says, read in one snapshot, or else the API.

mod exported;

use crate::supply::Office;
use crate::type_id;
use anyhow::Context;
use serde_json::Value;
use std::collections::HashMap;
use tokio_postgres::{Client, IsolationLevel, NoTls, Row, Transaction};
use uuid::Uuid;

/// Where the oracle looks.
#[derive(Debug, Clone, Copy)]
pub enum Source<'s> {
    /// The database, by its URL.
    Database(&'s str),
    /// The API alone.
    Api(Office<'s>),
}

impl<'s> From<&'s str> for Source<'s> {
    fn from(database: &'s str) -> Self {
        Self::Database(database)
    }
}

impl<'s> From<&'s String> for Source<'s> {
    fn from(database: &'s String) -> Self {
        Self::Database(database)
    }
}

/// What belongs to a run.
#[derive(Debug, Default)]
pub struct Wanted {
    /// The addresses of its orders.
    pub emails: Vec<String>,
    /// The orders that were acknowledged.
    pub ids: Vec<Uuid>,
    /// Idempotency keys.
    pub keys: Vec<String>,
    /// SKUs that were supplied for it.
    pub skus: Vec<String>,
    /// No order of it is older, in microseconds since 1970.
    pub since_us: u64,
}

/// The rows that the oracle compares with what clients know.
#[derive(Debug, Default)]
pub struct Stored {
    /// All orders with one of the run's addresses or acknowledged ids.
    pub orders: HashMap<Uuid, Order>,
    /// The rows of the run's idempotency keys, each with what it made; `None` where nobody sees
    /// them.
    pub keys: Option<HashMap<String, Vec<Option<Uuid>>>>,
    /// The stock of the run's SKUs.
    pub levels: HashMap<String, Level>,
}

/// A row of `orders` with its lines.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the table; money in minor units")]
pub struct Order {
    pub id: Uuid,
    pub number: i64,
    pub status: String,
    pub currency: String,
    pub subtotal: i64,
    pub discount: i64,
    pub shipping: i64,
    pub tax: i64,
    pub total: i64,
    pub email: String,
    pub shipping_address: Value,
    pub lines: Vec<Line>,
}

/// A row of `order_lines`.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the table; money in minor units")]
pub struct Line {
    pub variant_id: Uuid,
    pub sku: String,
    pub title: String,
    pub quantity: i64,
    pub unit_price: i64,
    pub total: i64,
}

/// The stock of one SKU over all locations, and the units in its orders.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the columns of the table; units")]
pub struct Level {
    pub supplied: i64,
    pub available: i64,
    pub held: i64,
    pub sold: i64,
    /// Units in orders that wait for payment.
    pub unpaid: i64,
    /// Units in orders that are confirmed, paid or further.
    pub ordered: i64,
    /// Units in orders that were cancelled or have expired.
    pub released: i64,
}

/// A row of `carts`.
#[derive(Debug, Clone, Default)]
pub struct StoredCart {
    /// Its version.
    pub version: i64,
    /// Variants and units, line by line.
    pub items: Vec<(Uuid, i64)>,
}

/// The carts of the sessions with these tokens, by token.
pub async fn read_carts(
    client: &Client,
    tokens: &[String],
) -> anyhow::Result<HashMap<String, StoredCart>> {
    let rows = client
        .query(
            "SELECT t.token, c.version, c.items
             FROM unnest($1::text[]) t (token)
             JOIN sessions s ON s.token_hash = sha256(convert_to(t.token, 'UTF8'))
             JOIN carts c ON c.shopper_id = s.id",
            &[&tokens],
        )
        .await
        .context("cannot read the carts")?;
    let mut carts = HashMap::with_capacity(rows.len());
    for row in &rows {
        let items = cart_items(&row.try_get("items")?);
        let items = items.context("a stored cart holds an item that is none")?;
        let cart = StoredCart { version: row.try_get("version")?, items };
        carts.insert(row.try_get("token")?, cart);
    }
    Ok(carts)
}

fn cart_items(items: &Value) -> Option<Vec<(Uuid, i64)>> {
    let item = |item: &Value| {
        let id = item["variant_id"].as_str()?;
        let id = type_id::decode("var", id).or_else(|| id.parse().ok())?;
        Some((id, item["quantity"].as_i64()?))
    };
    items.as_array()?.iter().map(item).collect()
}

/// Opens a connection of its own.
pub async fn connect(database: &str) -> anyhow::Result<Client> {
    let (client, connection) =
        tokio_postgres::connect(database, NoTls).await.context("cannot reach the database")?;
    // Its error is the error of the next statement; it ends when the client is dropped.
    tokio::spawn(connection);
    Ok(client)
}

/// Units that each of these SKUs was supplied with so far; nothing for a SKU without stock.
pub async fn supplied(client: &Client, skus: &[String]) -> anyhow::Result<HashMap<String, i64>> {
    let rows = client
        .query(
            "SELECT v.sku, sum(s.supplied)::bigint FROM variants v
             JOIN stock s ON s.variant_id = v.id WHERE v.sku = ANY($1) GROUP BY v.sku",
            &[&skus],
        )
        .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

impl Stored {
    /// Reads everything about a run.
    pub async fn read(source: Source<'_>, wanted: &Wanted) -> anyhow::Result<Self> {
        let database = match source {
            Source::Database(database) => database,
            Source::Api(office) => return Self::exported(office, wanted).await,
        };
        let mut client = connect(database).await?;
        let snapshot = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        let stored = Self {
            orders: read_orders(&snapshot, &wanted.emails, &wanted.ids).await?,
            keys: Some(read_keys(&snapshot, &wanted.keys).await?),
            levels: read_levels(&snapshot, &wanted.skus).await?,
        };
        snapshot.commit().await?;
        Ok(stored)
    }

    /// The rows of a key; `None` where nobody sees them.
    pub fn rows_of(&self, key: &str) -> Option<&[Option<Uuid>]> {
        let keys = self.keys.as_ref()?;
        Some(keys.get(key).map_or(&[][..], Vec::as_slice))
    }

    /// Whether a key is seen there.
    pub fn holds_key(&self, key: &str) -> bool {
        self.rows_of(key).is_some_and(|rows| !rows.is_empty())
    }
}

async fn read_orders(
    snapshot: &Transaction<'_>,
    emails: &[String],
    ids: &[Uuid],
) -> anyhow::Result<HashMap<Uuid, Order>> {
    let rows = snapshot
        .query(
            "SELECT id, number, status, currency, subtotal, discount, shipping, tax, total,
                    email, shipping_address
             FROM orders WHERE email = ANY($1) OR id = ANY($2)",
            &[&emails, &ids],
        )
        .await
        .context("cannot read the orders")?;
    let mut orders = HashMap::with_capacity(rows.len());
    for row in &rows {
        let order = order(row)?;
        orders.insert(order.id, order);
    }
    let ids: Vec<Uuid> = orders.keys().copied().collect();
    for some in ids.chunks(1_000) {
        let lines = snapshot
            .query(
                "SELECT order_id, variant_id, sku, title, quantity, unit_price, total
                 FROM order_lines WHERE order_id = ANY($1)",
                &[&some],
            )
            .await
            .context("cannot read the lines of orders")?;
        for row in &lines {
            if let Some(order) = orders.get_mut(&row.try_get(0)?) {
                order.lines.push(line(row)?);
            }
        }
    }
    Ok(orders)
}

fn order(row: &Row) -> anyhow::Result<Order> {
    Ok(Order {
        id: row.try_get("id")?,
        number: row.try_get("number")?,
        status: row.try_get("status")?,
        currency: row.try_get("currency")?,
        subtotal: row.try_get("subtotal")?,
        discount: row.try_get("discount")?,
        shipping: row.try_get("shipping")?,
        tax: row.try_get("tax")?,
        total: row.try_get("total")?,
        email: row.try_get("email")?,
        shipping_address: row.try_get("shipping_address")?,
        lines: Vec::new(),
    })
}

fn line(row: &Row) -> anyhow::Result<Line> {
    Ok(Line {
        variant_id: row.try_get("variant_id")?,
        sku: row.try_get("sku")?,
        title: row.try_get("title")?,
        quantity: row.try_get("quantity")?,
        unit_price: row.try_get("unit_price")?,
        total: row.try_get("total")?,
    })
}

async fn read_keys(
    snapshot: &Transaction<'_>,
    keys: &[String],
) -> anyhow::Result<HashMap<String, Vec<Option<Uuid>>>> {
    let rows = snapshot
        .query("SELECT key, resource_id FROM idempotency_keys WHERE key = ANY($1)", &[&keys])
        .await
        .context("cannot read the idempotency keys")?;
    let mut found: HashMap<String, Vec<Option<Uuid>>> = HashMap::with_capacity(rows.len());
    for row in rows {
        found.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
    }
    Ok(found)
}

async fn read_levels(
    snapshot: &Transaction<'_>,
    skus: &[String],
) -> anyhow::Result<HashMap<String, Level>> {
    let rows = snapshot
        .query(
            "WITH wanted AS (SELECT id, sku FROM variants WHERE sku = ANY($1)),
             levels AS (
                 SELECT variant_id, sum(supplied)::bigint supplied,
                        sum(available)::bigint available, sum(held)::bigint held,
                        sum(sold)::bigint sold
                 FROM stock GROUP BY variant_id),
             units AS (
                 SELECT l.variant_id,
                        sum(quantity) FILTER (WHERE status = 'pending_payment') unpaid,
                        sum(quantity) FILTER (WHERE status IN
                            ('confirmed', 'paid', 'fulfilled', 'completed')) ordered,
                        sum(quantity) FILTER (WHERE status IN
                            ('cancelled', 'expired')) released
                 FROM order_lines l JOIN orders o ON o.id = l.order_id
                 WHERE l.variant_id IN (SELECT id FROM wanted) GROUP BY l.variant_id)
             SELECT w.sku, s.supplied, s.available, s.held, s.sold,
                    coalesce(u.unpaid, 0)::bigint unpaid,
                    coalesce(u.ordered, 0)::bigint ordered,
                    coalesce(u.released, 0)::bigint released
             FROM wanted w JOIN levels s ON s.variant_id = w.id
             LEFT JOIN units u ON u.variant_id = w.id",
            &[&skus],
        )
        .await
        .context("cannot read the stock")?;
    let mut levels = HashMap::with_capacity(rows.len());
    for row in &rows {
        let level = Level {
            supplied: row.try_get("supplied")?,
            available: row.try_get("available")?,
            held: row.try_get("held")?,
            sold: row.try_get("sold")?,
            unpaid: row.try_get("unpaid")?,
            ordered: row.try_get("ordered")?,
            released: row.try_get("released")?,
        };
        levels.insert(row.try_get("sku")?, level);
    }
    Ok(levels)
}
