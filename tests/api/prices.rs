//! Orders while prices change: nobody buys at a price that was gone before the commit.

use crate::harness::{ADMIN_KEY, Answer, App, Database, fresh_key, gbp, order_of, times};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

const PRODUCTS: usize = 5;
const BUYERS: usize = 16;

/// A product whose price only ever rises, by 1 with each change.
struct Rising {
    sku: String,
    slug: String,
    variant: String,
    acknowledged: AtomicI64,
}

impl Rising {
    async fn new(app: &App, n: usize) -> Self {
        let sku = format!("P{n}");
        app.stocked(&sku, 1_000, 1_000_000).await;
        let slug = format!("product-p{n}");
        let shown = app.get(&format!("/v1/products/{slug}")).await.ok(200);
        let variant = shown["variants"][0]["id"].as_str().unwrap().to_owned();
        Self { sku, slug, variant, acknowledged: AtomicI64::new(1_000) }
    }

    async fn raise(&self, app: &App) {
        let next = self.acknowledged.load(Ordering::SeqCst) + 1;
        let path = format!("/v1/admin/variants/{}", self.variant);
        let request = app.request(Method::PATCH, &path).bearer_auth(ADMIN_KEY);
        Answer::of(request.json(&json!({"prices": [gbp(next)]}))).await.ok(200);
        self.acknowledged.store(next, Ordering::SeqCst);
    }

    /// What the store shows now.
    async fn shown(&self, app: &App) -> Value {
        let shown = app.get(&format!("/v1/products/{}", self.slug)).await.ok(200);
        shown["variants"][0]["prices"][0].clone()
    }
}

/// What a buyer saw.
#[derive(Default)]
struct Bought {
    prices: BTreeSet<i64>,
    orders: i64,
    price_changed: i64,
}

async fn buy(app: &App, goods: &[Rising], is_over: &AtomicBool, n: usize) -> Bought {
    let mut bought = Bought::default();
    for round in n.. {
        if is_over.load(Ordering::SeqCst) {
            break;
        }
        let product = &goods[round % goods.len()];
        let mut order = order_of(&[(&product.sku, 1)]);
        let expected = (round % 2 == 0).then_some(product.shown(app).await);
        if let Some(expected) = &expected {
            order["expected_total"] = expected.clone();
        }
        let acknowledged = product.acknowledged.load(Ordering::SeqCst);
        let answer = app.place_as(&fresh_key(), &order).await;
        match answer.status {
            201 => {
                let total = answer.json()["total"].clone();
                let price = total["amount"].as_i64().unwrap();
                assert!(price >= acknowledged, "{price} was gone: {acknowledged} is known");
                assert!(expected.is_none_or(|expected| expected == total), "unexpected {total}");
                bought.orders += 1;
                bought.prices.insert(price);
            }
            409 => {
                let problem = answer.problem(409, "price_changed");
                assert_ne!(problem["total"], order["expected_total"]);
                bought.price_changed += 1;
            }
            // Its price changed under it again and again.
            _ => drop(answer.problem(503, "overloaded")),
        }
    }
    bought
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_carries_a_price_that_was_valid_at_its_commit() {
    let database = Database::new().await;
    let apps = Arc::new([App::with(&database, &[]).await, App::with(&database, &[]).await]);
    let mut goods = Vec::new();
    for n in 0..PRODUCTS {
        goods.push(Rising::new(&apps[0], n).await);
    }
    let (goods, is_over) = (Arc::new(goods), Arc::new(AtomicBool::new(false)));
    let buyers = (0..BUYERS).map(|n| {
        let (apps, goods, is_over) = (apps.clone(), goods.clone(), is_over.clone());
        tokio::spawn(async move { buy(&apps[n % 2], &goods, &is_over, n).await })
    });
    let buyers: Vec<_> = buyers.collect();
    for n in 0..times("PRICES", 50) {
        goods[n % PRODUCTS].raise(&apps[n / PRODUCTS % 2]).await;
    }
    is_over.store(true, Ordering::SeqCst);
    let mut all = Bought::default();
    for buyer in buyers {
        let Bought { prices, orders, price_changed } = buyer.await.unwrap();
        all.prices.extend(prices);
        all.orders += orders;
        all.price_changed += price_changed;
    }
    let Bought { prices, orders, price_changed } = all;
    println!("{orders} orders at {} prices, {price_changed} price_changed", prices.len());
    assert!(prices.len() > 10 && price_changed > 0, "prices hardly changed under the orders");
    assert_eq!(database.number("SELECT count(*) FROM orders").await, orders);
    // Orders and price changes take the same lock, so the ledger tells who came first.
    let stale = "
        SELECT count(*) FROM order_lines l
        JOIN orders o ON o.id = l.order_id
        JOIN stock_ledger e ON e.reference = o.id AND e.variant_id = l.variant_id
        WHERE l.unit_price IS DISTINCT FROM (
            SELECT h.amount FROM price_history h
            WHERE h.variant_id = l.variant_id AND h.currency = o.currency
                AND h.after_entry < e.id
            ORDER BY h.id DESC LIMIT 1)";
    assert_eq!(database.number(stale).await, 0);
    database.assert_clean();
}
