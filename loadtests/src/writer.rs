//! Somebody in the back office who changes prices and stock of what is read most, and knows what
//! each change was acknowledged with.

use crate::caller::Caller;
use crate::catalog::Product;
use crate::client::Request;
use crate::oracle::reads::{Became, Changed};
use anyhow::{Context, bail};
use hyper::Method;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The only one who changes these products.
pub struct Writer {
    caller: Caller,
    admin_key: String,
    products: Vec<Product>,
    dice: StdRng,
}

impl Writer {
    /// With at least one product.
    pub fn new(caller: Caller, admin_key: String, products: Vec<Product>, dice: StdRng) -> Self {
        Self { caller, admin_key, products, dice }
    }

    /// Makes so many changes, evenly over this time, at one instance after the other.
    pub async fn change(mut self, count: usize, time: Duration) -> anyhow::Result<Vec<Changed>> {
        let started = Instant::now();
        let mut changes = Vec::with_capacity(count);
        for n in 0..count {
            sleep_until(started + time.mul_f64(n as f64 / count as f64)).await;
            self.caller.turn_to(n);
            let product = self.dice.random_range(0..self.products.len());
            let changed = if self.dice.random_bool(0.5) {
                self.change_price(product).await
            } else {
                self.receive_one(product).await
            };
            changes.push(changed.with_context(|| format!("change {n} of the writer"))?);
        }
        Ok(changes)
    }

    /// One minor unit more in every currency, so that no two versions look alike.
    async fn change_price(&mut self, product: usize) -> anyhow::Result<Changed> {
        let variant = &mut self.products[product].variants[0];
        let mut prices = Vec::new();
        for price in &mut variant.prices {
            price.amount += 1;
            prices.push(json!({"amount": price.amount, "currency": price.currency}));
        }
        let amount = variant.prices.first().context("a variant without a price")?.amount;
        let path = format!("/v1/admin/variants/{}", variant.id);
        let body = json!({ "prices": prices }).to_string();
        let request = Request::new(Method::PATCH, path, body);
        let (answer, acknowledged_at_us) = self.send(request).await?;
        let version = answer["version"].as_i64().context("an answer without a version")?;
        Ok(self.changed(product, Became::Price { version, amount }, acknowledged_at_us))
    }

    async fn receive_one(&mut self, product: usize) -> anyhow::Result<Changed> {
        let variant = &self.products[product].variants[0].id;
        let body = json!({"variant_id": variant, "quantity": 1, "reason": "received"});
        let key = format!("writer-{:x}", rand::random::<u64>());
        let request = Request::post("/v1/admin/stock/adjustments", key, body.to_string());
        let (answer, acknowledged_at_us) = self.send(request).await?;
        let available = answer["level"]["available"].as_i64();
        let available = available.context("an answer without the level")?;
        Ok(self.changed(product, Became::Available(available), acknowledged_at_us))
    }

    async fn send(&mut self, request: Request) -> anyhow::Result<(Value, u64)> {
        let record = self.caller.call(&request.by(&self.admin_key)).await;
        match record.answers.last() {
            Some(answer) if answer.acknowledges() => {
                Ok((serde_json::from_slice(&answer.body)?, record.timing.answered_at_us))
            }
            Some(answer) => {
                let body = String::from_utf8_lossy(&answer.body);
                bail!("answered {}: {body}", answer.label())
            }
            None => bail!("not answered"),
        }
    }

    fn changed(&self, product: usize, to: Became, acknowledged_at_us: u64) -> Changed {
        let product = &self.products[product];
        let (product, variant) = (product.id.clone(), product.variants[0].id.clone());
        Changed { product, variant, to, acknowledged_at_us }
    }
}
