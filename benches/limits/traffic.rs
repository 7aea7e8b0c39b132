//! Orders over HTTP, in a closed loop.

use super::Sample;
use super::cpu::Used;
use super::database::{self, Database, SKUS, SOLD_OUT};
use super::server::{Journal, Server};
use anyhow::ensure;
use bytes::Bytes;
use loadtests::client::Request;
use loadtests::hammer::{Measured, Until, hammer};
use loadtests::order::{Address, Item, NewOrder, Provider};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const WARM_UP: Duration = Duration::from_millis(700);
const MEASURED: Duration = Duration::from_millis(2_500);

/// What is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goods {
    /// One of many SKUs.
    Spread,
    /// Always the same.
    Hot,
    /// Something that there is nothing of.
    SoldOut,
}

/// Orders from a fresh server for a while, after a short warm-up.
pub async fn measure(
    journal: Journal,
    goods: Goods,
    connections: usize,
    database: &Database,
) -> anyhow::Result<Sample> {
    let server = Server::start(journal, database)?;
    let bodies = bodies(goods)?;
    let run = |time| {
        let bodies = bodies.clone();
        hammer(&server.url, move |n| request(&bodies, n), connections, Until::Elapsed(time))
    };
    run(WARM_UP).await?;
    let before = server.batches().await?;
    let used = || Used::now(Some(server.pid()), database.postgres_pid);
    let used_before = used();
    let measured = run(MEASURED).await?;
    let used = used().since(used_before);
    check(&measured, goods)?;
    let batches = server.batches().await?.since(&before);
    server.stop()?;
    let commits_per_order = database.commits_per_order().await?;
    let orders = measured.statuses.values().sum::<u64>() as f64;
    let Measured { per_second, p50, p99, .. } = measured;
    Ok(Sample { per_second, p50, p99, batches, commits_per_order, orders, used })
}

/// Nothing but the one answer that is to be measured.
fn check(measured: &Measured, goods: Goods) -> anyhow::Result<()> {
    let expected = if goods == Goods::SoldOut { 409 } else { 201 };
    let others = measured.statuses.keys().any(|status| *status != expected);
    ensure!(!others && measured.failures == 0, "not only {expected}: {measured:?}");
    Ok(())
}

/// A key that is as random as a client's, so that its index is not merely appended to.
fn request(bodies: &[Bytes], n: u64) -> Request {
    let key = Uuid::from_u128(rand::random()).to_string();
    // One request after the other is of another SKU, and not in the order of the rows.
    let body = &bodies[(n as usize).wrapping_mul(7919) % bodies.len()];
    Request::post("/v1/orders", key, body.clone())
}

fn bodies(goods: Goods) -> anyhow::Result<Arc<[Bytes]>> {
    let skus: Vec<String> = match goods {
        Goods::Spread => (0..SKUS).map(database::sku).collect(),
        Goods::Hot => vec![database::sku(0)],
        Goods::SoldOut => vec![SOLD_OUT.to_owned()],
    };
    let body = |sku: String| {
        NewOrder {
            items: vec![Item { sku, quantity: 1 }],
            email: "ada@example.com".to_owned(),
            shipping_address: Address {
                name: "Ada Lovelace".to_owned(),
                line1: "12 St James's Square".to_owned(),
                city: "London".to_owned(),
                postal_code: "SW1Y 4JH".to_owned(),
                country: "GB".to_owned(),
            },
            payment: Provider::Manual.payment(),
        }
        .to_body()
    };
    Ok(skus.into_iter().map(body).collect::<Result<_, _>>()?)
}
