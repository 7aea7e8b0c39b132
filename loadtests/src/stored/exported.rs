//! What the API alone says about a run: its exports, as staff would read them.
//!
//! It is no snapshot, and idempotency keys are not in it. So it is for a shop that is quiet again,
//! and judges everything but the rows of keys.

use super::{Line, Order, Stored, Wanted};
use crate::caller::Caller;
use crate::client::Request;
use crate::generator::Settings;
use crate::supply::Office;
use crate::type_id;
use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;
use uuid::Uuid;

/// How long an export may take.
const EXPORT_MAX: Duration = Duration::from_secs(300);
/// The parts of an address in the export of orders.
const ADDRESS: &[&str] =
    &["name", "line1", "line2", "city", "region", "postal_code", "country", "phone"];

#[derive(Deserialize)]
struct OrderRow {
    id: String,
    number: String,
    status: String,
    currency: String,
    subtotal: i64,
    discount: i64,
    shipping: i64,
    tax: i64,
    total: i64,
    email: String,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct LineRow {
    order_id: String,
    status: String,
    variant_id: String,
    sku: String,
    title: String,
    quantity: i64,
    unit_price: i64,
    total: i64,
}

#[derive(Deserialize)]
struct LevelRow {
    sku: Option<String>,
    supplied: i64,
    available: i64,
    held: i64,
    sold: i64,
}

impl Stored {
    /// Reads what staff can see.
    pub async fn exported(office: Office<'_>, wanted: &Wanted) -> anyhow::Result<Self> {
        let since = rfc3339(wanted.since_us)?;
        let orders = export(office, &format!("orders?created_from={since}")).await?;
        let lines = export(office, &format!("order-lines?created_from={since}")).await?;
        let levels: Vec<LevelRow> = match wanted.skus.is_empty() {
            true => Vec::new(),
            false => export(office, "stock-levels?").await?,
        };
        let emails: HashSet<&String> = wanted.emails.iter().collect();
        let ids: HashSet<Uuid> = wanted.ids.iter().copied().collect();
        let skus: HashSet<&String> = wanted.skus.iter().collect();
        let mut stored = Self::default();
        for row in orders {
            let order = order(row)?;
            if emails.contains(&order.email) || ids.contains(&order.id) {
                stored.orders.insert(order.id, order);
            }
        }
        for row in levels {
            let Some(sku) = row.sku.filter(|sku| skus.contains(sku)) else { continue };
            let level = stored.levels.entry(sku).or_default();
            level.supplied += row.supplied;
            level.available += row.available;
            level.held += row.held;
            level.sold += row.sold;
        }
        for row in lines {
            stored.add(row)?;
        }
        Ok(stored)
    }

    fn add(&mut self, row: LineRow) -> anyhow::Result<()> {
        let order = id("ord", &row.order_id)?;
        if let Some(level) = self.levels.get_mut(&row.sku) {
            let units = match row.status.as_str() {
                "pending_payment" => &mut level.unpaid,
                "cancelled" | "expired" => &mut level.released,
                _ => &mut level.ordered,
            };
            *units += row.quantity;
        }
        if let Some(order) = self.orders.get_mut(&order) {
            order.lines.push(Line {
                variant_id: id("var", &row.variant_id)?,
                sku: row.sku,
                title: row.title,
                quantity: row.quantity,
                unit_price: row.unit_price,
                total: row.total,
            });
        }
        Ok(())
    }
}

fn order(row: OrderRow) -> anyhow::Result<Order> {
    let parts = row.others.into_iter();
    let address =
        parts.filter(|(name, value)| ADDRESS.contains(&name.as_str()) && !value.is_null());
    Ok(Order {
        id: id("ord", &row.id)?,
        number: row.number.parse().context("the number of an order")?,
        status: row.status,
        currency: row.currency,
        subtotal: row.subtotal,
        discount: row.discount,
        shipping: row.shipping,
        tax: row.tax,
        total: row.total,
        email: row.email,
        shipping_address: Value::Object(address.collect()),
        lines: Vec::new(),
    })
}

fn id(kind: &str, id: &str) -> anyhow::Result<Uuid> {
    type_id::decode(kind, id).with_context(|| format!("{id:?} is no id of a {kind}"))
}

/// The rows of an export, from any instance: one may have been killed, another be busy.
async fn export<T: DeserializeOwned>(office: Office<'_>, name: &str) -> anyhow::Result<Vec<T>> {
    let request = Request::get(format!("/v1/admin/exports/{name}&format=ndjson"));
    let request = request.by(office.admin_key);
    let settings = Settings {
        attempt_timeout: EXPORT_MAX,
        ..office.instances.settings(office.instances.urls.len(), rand::random())?
    };
    let record = Caller::new(&Arc::new(settings), 0, Instant::now()).call(&request).await;
    let answer = record.answers.last().filter(|answer| answer.status == 200);
    let answer =
        answer.with_context(|| format!("the export {name} ended with {}", record.label()))?;
    let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let row = |line| serde_json::from_slice(line).with_context(|| format!("the export {name}"));
    lines.map(row).collect()
}

/// A moment as the API takes it, in whole seconds.
fn rfc3339(us: u64) -> anyhow::Result<String> {
    let seconds = i64::try_from(us / 1_000_000)?;
    Ok(OffsetDateTime::from_unix_timestamp(seconds)?.format(&Rfc3339)?)
}
