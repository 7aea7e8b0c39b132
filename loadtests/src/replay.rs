//! The replay: a year of real baskets, from one line to 1,112, sold again.

use crate::client::Request;
use crate::dataset::{self, Invoice};
use crate::generator::{Arrivals, Settings, run};
use crate::oracle::{self, Verdict};
use crate::order::{Address, Item, NewOrder, Provider};
use crate::record::{Outcome, Record, Run};
use crate::report::Report;
use crate::rush::keep;
use crate::stored;
use crate::supply;
use crate::target::{Target, progress, run_name};
use anyhow::{bail, ensure};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tokio_postgres::Client;

/// The addresses of the replay; nobody else uses this host.
const EMAILS: &str = "%@replay.example";

/// The options of the replay.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// The directory with orders.csv.gz
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Only the first invoices
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Orders a second [default: as fast as the connections allow]
    #[arg(long, value_name = "COUNT")]
    rate: Option<f64>,
}

/// Supplies what was sold, sells it again, and judges what came of it.
pub async fn replay(options: &Options) -> anyhow::Result<Report> {
    let settings = options.settings()?;
    let mut invoices = dataset::read_invoices(&options.data)?;
    invoices.truncate(options.limit.unwrap_or(usize::MAX));
    let units = dataset::units(&invoices);
    let name = run_name("replay");

    let database = stored::connect(options.target.access.database()?).await?;
    let supplied = supply_all(options, &database, &name, &units).await?;
    let orders = invoices.iter().map(|invoice| order(&name, invoice));
    let orders = orders.collect::<anyhow::Result<Vec<Request>>>()?;
    let bar = progress("invoices", orders.len());
    let records = run(orders, options.arrivals()?, &settings, &bar).await;
    bar.finish_and_clear();

    let evidence = Run { supplied, records, since_us: None };
    keep(&evidence, options.target.record.as_deref())?;
    let mut verdict = oracle::examine(&evidence, options.target.source()?).await?;
    judge_acceptance(&evidence.records, &mut verdict);
    judge_sales(&database, invoices.len(), &units, &mut verdict).await?;
    Report::new("replay", &name, &evidence.records, verdict)
}

impl Options {
    /// The options shared by all scenarios.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The clients, or why there cannot be such a run.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        self.arrivals()?;
        self.target.access.database()?;
        self.target.settings(rand::random())
    }

    fn arrivals(&self) -> anyhow::Result<Arrivals> {
        match self.rate {
            None => Ok(Arrivals::Unpaced),
            Some(rate) if rate.is_finite() && rate > 0.0 => Ok(Arrivals::Rate(rate)),
            Some(rate) => bail!("--rate {rate}: more than zero"),
        }
    }
}

/// Receives the units of all invoices; what each SKU was supplied with then, in all.
async fn supply_all(
    options: &Options,
    database: &Client,
    name: &str,
    units: &BTreeMap<String, i64>,
) -> anyhow::Result<BTreeMap<String, i64>> {
    let earlier = database
        .query_one("SELECT count(*) FROM orders WHERE email LIKE $1", &[&EMAILS])
        .await?
        .try_get::<_, i64>(0)?;
    ensure!(
        earlier == 0,
        "the database holds {earlier} orders of an earlier replay: take a fresh one"
    );
    let skus: Vec<String> = units.keys().cloned().collect();
    let before = stored::supplied(database, &skus).await?;
    let missing: Vec<&String> = skus.iter().filter(|sku| !before.contains_key(*sku)).collect();
    if let [first, ..] = missing[..] {
        let count = missing.len();
        bail!(
            "{count} SKUs are not in the catalog, such as {first}: `doorbuster import catalog` \
             the catalog.csv of the data first"
        );
    }
    supply::receive(&options.target.office()?, name, units).await?;
    Ok(units.iter().map(|(sku, units)| (sku.clone(), units + before[sku])).collect())
}

fn order(name: &str, invoice: &Invoice) -> anyhow::Result<Request> {
    let item = |(sku, quantity): &(String, i64)| Item { sku: sku.clone(), quantity: *quantity };
    let buyer = if invoice.customer.is_empty() { "Guest" } else { &invoice.customer };
    let order = NewOrder {
        items: invoice.items.iter().map(item).collect(),
        email: format!("invoice-{}@replay.example", invoice.number),
        // The data set has countries, and neither names nor addresses.
        shipping_address: Address {
            name: format!("Customer {buyer}"),
            line1: "1 Main Street".to_owned(),
            city: "Anytown".to_owned(),
            postal_code: "10000".to_owned(),
            country: invoice.country.to_owned(),
        },
        payment: Provider::Manual.payment(),
    };
    let key = format!("{name}-{}", invoice.number);
    Ok(Request::post("/v1/orders", key, order.to_body()?))
}

/// There is enough of everything, so every order must be accepted.
fn judge_acceptance(records: &[Record], verdict: &mut Verdict) {
    for record in records.iter().filter(|record| record.outcome() != Outcome::Acknowledged) {
        let label = record.label();
        verdict.find(format!("key {}", record.key), format!("not accepted: {label}"));
    }
}

/// The database has sold exactly what the file says: as many orders, and as many units per SKU.
async fn judge_sales(
    database: &Client,
    orders: usize,
    units: &BTreeMap<String, i64>,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let count = database
        .query_one("SELECT count(*) FROM orders WHERE email LIKE $1", &[&EMAILS])
        .await?
        .try_get::<_, i64>(0)?;
    if i64::try_from(orders) != Ok(count) {
        verdict.find("orders", format!("{orders} invoices in the file, {count} stored"));
    }
    let rows = database
        .query(
            "SELECT l.sku, sum(l.quantity)::bigint FROM order_lines l
             JOIN orders o ON o.id = l.order_id WHERE o.email LIKE $1 GROUP BY l.sku",
            &[&EMAILS],
        )
        .await?;
    let mut difference: BTreeMap<String, i64> =
        units.iter().map(|(sku, units)| (sku.clone(), -units)).collect();
    for row in rows {
        *difference.entry(row.try_get(0)?).or_default() += row.try_get::<_, i64>(1)?;
    }
    for (sku, difference) in difference.into_iter().filter(|(_, difference)| *difference != 0) {
        let wrong = format!("{difference:+} units sold, compared with the file");
        verdict.find(format!("sku {sku}"), wrong);
    }
    Ok(())
}
