//! What a scenario needs before it begins: products, and stock to sell.

use crate::client::Request;
use crate::generator::{Arrivals, Settings, run};
use crate::record::Record;
use crate::target::{Instances, progress};
use anyhow::bail;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where staff works: instances, and the credential of an admin.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "said above")]
pub struct Office<'t> {
    pub instances: &'t Instances,
    pub admin_key: &'t str,
}

/// Makes one product per SKU, each with one variant at `price` minor units of GBP.
pub async fn create_products(
    office: &Office<'_>,
    name: &str,
    skus: &[String],
    price: i64,
) -> anyhow::Result<()> {
    let product =
        |sku: &String| (sku.clone(), json!({ "title": sku, "variants": one(sku, price) }));
    create(office, name, skus.iter().map(product)).await
}

/// Makes products with titles; the slug of each is its SKU in small letters.
pub async fn create_titled(
    office: &Office<'_>,
    name: &str,
    titles: &[(String, String)],
    price: i64,
) -> anyhow::Result<()> {
    let product = |(sku, title): &(String, String)| {
        let slug = sku.to_lowercase();
        (sku.clone(), json!({ "title": title, "slug": slug, "variants": one(sku, price) }))
    };
    create(office, name, titles.iter().map(product)).await
}

fn one(sku: &str, price: i64) -> serde_json::Value {
    json!([{"sku": sku, "prices": [{"amount": price, "currency": "GBP"}]}])
}

async fn create(
    office: &Office<'_>,
    name: &str,
    products: impl Iterator<Item = (String, serde_json::Value)>,
) -> anyhow::Result<()> {
    let requests = products.map(|(sku, body)| {
        admin_post(office, "/v1/admin/products", format!("{name}-product-{sku}"), &body)
    });
    send("products", requests.collect(), office).await
}

/// Units that one adjustment may bring.
const UNITS_MAX: i64 = 1_000_000;

/// Receives so many units of each SKU.
pub async fn receive(
    office: &Office<'_>,
    name: &str,
    units: &BTreeMap<String, i64>,
) -> anyhow::Result<()> {
    let parts = units.iter().flat_map(|(sku, units)| {
        let starts = (0..*units).step_by(UNITS_MAX as usize);
        starts.map(move |start| (sku, start, UNITS_MAX.min(units - start)))
    });
    let requests = parts.map(|(sku, start, quantity)| {
        let body = json!({"sku": sku, "quantity": quantity, "reason": "received"});
        let key = format!("{name}-stock-{sku}-{start}");
        admin_post(office, "/v1/admin/stock/adjustments", key, &body)
    });
    send("stock", requests.collect(), office).await
}

fn admin_post(office: &Office<'_>, path: &str, key: String, body: &serde_json::Value) -> Request {
    Request::post(path, key, body.to_string()).by(office.admin_key)
}

/// Waits until the other instances have heard of it: the contract grants them a second.
pub async fn until_known_everywhere() {
    tokio::time::sleep(Duration::from_millis(1_200)).await;
}

async fn send(
    label: &'static str,
    requests: Vec<Request>,
    office: &Office<'_>,
) -> anyhow::Result<()> {
    let bar = progress(label, requests.len());
    // Few at a time and less patient: this is the back office, not the crowd.
    let deadline = Duration::from_secs(10);
    let settings = Settings { deadline, ..office.instances.settings(8, rand::random())? };
    let records = run(requests, Arrivals::Unpaced, &settings, &bar).await;
    bar.finish_and_clear();
    match records.iter().find(|record| record.label() != "201") {
        Some(record) => bail!("{}", explain(record)),
        None => Ok(()),
    }
}

fn explain(record: &Record) -> String {
    let last = record.answers.last();
    let body = last.map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
    format!(
        "could not prepare the run: {} was answered {}\n  sent     {}\n  received {}",
        record.key,
        record.label(),
        String::from_utf8_lossy(&record.sent),
        body.unwrap_or_else(|| "nothing".to_owned()),
    )
}
