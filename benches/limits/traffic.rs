//! Requests over HTTP.

use super::Sample;
use super::commits::{FAVOURITES, SESSIONS};
use super::cpu::Used;
use super::database::{self, Database, SKUS, SOLD_OUT};
use super::server::{Journal, Server};
use anyhow::ensure;
use bytes::Bytes;
use indicatif::ProgressBar;
use loadtests::caller::Caller;
use loadtests::client::Request;
use loadtests::generator::{self, Arrivals, Settings};
use loadtests::guest::Guest;
use loadtests::hammer::{Measured, Until, hammer};
use loadtests::order::{Address, Item, NewOrder, Provider};
use loadtests::report::latency::Latencies;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_millis(2_500);

/// Connections that are opened at most where requests come at a rate.
const AT_ONCE: usize = 256;

/// Products that are looked at, over and over.
const PRODUCTS: usize = 1_000;

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// On so many connections, each with its next request when it is answered.
    Connections(usize),
    /// So many a second, evenly, whoever is answered.
    Rate(u32),
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goods {
    /// Orders of one of many SKUs.
    Spread,
    /// Orders of always the same.
    Hot,
    /// Orders of something that there is nothing of.
    SoldOut,
    /// Orders of so many lines.
    Lines(usize),
    /// Orders that a provider is paid for at once.
    Paid,
    /// Additions to carts.
    Carts,
    /// One of many products is looked at.
    Product,
}

/// The requests of a measurement: a path, what is posted there, and by whom.
pub struct Requests {
    path: &'static str,
    /// Without any, products are read.
    bodies: Vec<Bytes>,
    tokens: Vec<String>,
}

/// Requests to a fresh server for a while, after a short warm-up.
pub async fn measure(
    journal: Journal,
    goods: Goods,
    load: Load,
    database: &Database,
) -> anyhow::Result<Sample> {
    let server = Server::start(journal, database)?;
    let requests = Arc::new(Requests::of(goods, &server).await?);
    let run = async |time| match load {
        Load::Connections(connections) => {
            let requests = requests.clone();
            let get = move |n| requests.get(n);
            hammer(&server.url, get, connections, Until::Elapsed(time)).await
        }
        Load::Rate(rate) => paced(&server.url, &requests, rate, time).await,
    };
    run(WARM_UP).await?;
    let before = server.batches().await?;
    let asked_before = database.asked().await?;
    let redis = database.redis.as_ref().map(|redis| redis.pid);
    let used = || Used::now(Some(server.pid()), database.postgres_pid, redis);
    let (used_before, written_before) = (used(), database.written().await?);
    let measured = run(MEASURED).await?;
    let used = used().since(used_before);
    let written = database.written().await?.since(written_before);
    let asked = database.asked().await?.since(asked_before);
    check(&measured, goods)?;
    let batches = server.batches().await?.since(&before);
    server.stop()?;
    let answers = measured.statuses.values().sum::<u64>() as f64;
    let Measured { per_second, p50, p99, .. } = measured;
    Ok(Sample { per_second, p50, p99, batches, answers, used, written, asked })
}

/// So many a second, and nobody comes again.
async fn paced(
    url: &str,
    requests: &Requests,
    rate: u32,
    time: Duration,
) -> anyhow::Result<Measured> {
    let count = (time.as_secs_f64() * f64::from(rate)) as u64;
    let requests = (0..count).map(|n| requests.get(n)).collect();
    let bases = vec![url.parse()?];
    let settings = Settings { deadline: Duration::ZERO, ..Settings::new(bases, AT_ONCE, 1) };
    let (begun, bar) = (Instant::now(), ProgressBar::hidden());
    let records = generator::run(requests, Arrivals::Rate(rate.into()), &settings, &bar).await;
    let elapsed = begun.elapsed().as_secs_f64();
    let latencies = Latencies::of(records.iter().map(|record| record.timing.latency_us))?;
    let at = |quantile| Duration::from_secs_f64(latencies.quantile_ms(quantile) / 1e3);
    let (p50, p99) = (at(0.5), at(0.99));
    let (mut statuses, mut failures) = (BTreeMap::new(), 0);
    for record in &records {
        failures += record.lost;
        for answer in &record.answers {
            *statuses.entry(answer.status).or_default() += 1;
        }
    }
    Ok(Measured { per_second: records.len() as f64 / elapsed, p50, p99, statuses, failures })
}

/// Nothing but the one answer that is to be measured.
pub fn check(measured: &Measured, goods: Goods) -> anyhow::Result<()> {
    let expected = match goods {
        Goods::SoldOut => 409,
        Goods::Carts | Goods::Product => 200,
        _ => 201,
    };
    let others = measured.statuses.keys().any(|status| *status != expected);
    ensure!(!others && measured.failures == 0, "not only {expected}: {measured:?}");
    Ok(())
}

impl Requests {
    /// Opens the sessions of carts.
    pub async fn of(goods: Goods, server: &Server) -> anyhow::Result<Self> {
        let orders = |bodies: anyhow::Result<Vec<Bytes>>| {
            Ok(Self { path: "/v1/orders", bodies: bodies?, tokens: Vec::new() })
        };
        match goods {
            Goods::Spread => orders((0..SKUS).map(|n| invoice([database::sku(n)])).collect()),
            Goods::Hot => orders(invoice([database::sku(0)]).map(|body| vec![body])),
            Goods::SoldOut => orders(invoice([SOLD_OUT.to_owned()]).map(|body| vec![body])),
            Goods::Paid => {
                let paid = |n| order([database::sku(n)], Provider::Test);
                orders((0..SKUS).map(paid).collect())
            }
            Goods::Product => {
                let (path, bodies, tokens) = ("/v1/products", Vec::new(), Vec::new());
                Ok(Self { path, bodies, tokens })
            }
            Goods::Lines(lines) => orders(
                // Each order begins elsewhere, so that all SKUs are as hot.
                (0..100)
                    .map(|n| invoice((0..lines).map(|line| database::sku(n * 97 + line))))
                    .collect(),
            ),
            Goods::Carts => Ok(Self {
                path: "/v1/cart/items",
                bodies: (0..SKUS)
                    .map(|n| {
                        format!("{{\"sku\":\"{}\",\"quantity\":1}}", database::sku(n)).into()
                    })
                    .collect(),
                tokens: sessions(server).await?,
            }),
        }
    }

    /// The `n`th.
    pub fn get(&self, n: u64) -> Request {
        // A key that is as random as a client's, so that its index is not merely appended to.
        let key = Uuid::from_u128(rand::random()).to_string();
        // One request after the other is of another SKU, and not in the order of the rows.
        let mixed = (n as usize).wrapping_mul(7919);
        if self.bodies.is_empty() {
            let slug = database::slug(mixed % PRODUCTS);
            return Request::get(format!("{}/{slug}", self.path));
        }
        let request = |body: usize| {
            Request::post(self.path, key, self.bodies[body % self.bodies.len()].clone())
        };
        if self.tokens.is_empty() {
            return request(mixed);
        }
        let session = mixed % self.tokens.len();
        let favourite = n as usize / self.tokens.len() % FAVOURITES;
        request(session * FAVOURITES + favourite).by(&self.tokens[session])
    }
}

fn invoice(skus: impl IntoIterator<Item = String>) -> anyhow::Result<Bytes> {
    order(skus, Provider::Manual)
}

fn order(skus: impl IntoIterator<Item = String>, provider: Provider) -> anyhow::Result<Bytes> {
    let order = NewOrder {
        items: skus.into_iter().map(|sku| Item { sku, quantity: 1 }).collect(),
        email: "ada@example.com".to_owned(),
        shipping_address: Address {
            name: "Ada Lovelace".to_owned(),
            line1: "12 St James's Square".to_owned(),
            city: "London".to_owned(),
            postal_code: "SW1Y 4JH".to_owned(),
            country: "GB".to_owned(),
        },
        payment: provider.payment(),
    };
    Ok(order.to_body()?)
}

/// Their tokens.
async fn sessions(server: &Server) -> anyhow::Result<Vec<String>> {
    const SHOPPERS: usize = 32;
    let settings = Arc::new(Settings::new(vec![server.url.parse()?], SHOPPERS, 1));
    let mut tasks = JoinSet::new();
    for n in 0..SHOPPERS {
        let mut caller = Caller::new(&settings, n, Instant::now());
        tasks.spawn(async move {
            let mut tokens = Vec::new();
            for _ in 0..SESSIONS / SHOPPERS {
                tokens.push(Guest::arrive(&mut caller).await?.token);
            }
            anyhow::Ok(tokens)
        });
    }
    let mut tokens = Vec::new();
    while let Some(some) = tasks.join_next().await {
        tokens.extend(some??);
    }
    Ok(tokens)
}
