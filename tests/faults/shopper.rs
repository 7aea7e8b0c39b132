//! A shopper beside the sale, who remembers all that was said: what was acknowledged stays, and
//! nobody sees an earlier state than before, whichever instance is asked.

use crate::harness::{fresh_key, paid_with};
use loadtests::client::Base;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// A page of orders shows so many, and a shopper looks at one page.
const ORDERS_MAX: usize = 60;

/// A session, and what it knows.
pub struct Shopper {
    dice: StdRng,
    http: reqwest::Client,
    token: String,
    sku: String,
    /// Orders by id, and how far each has come.
    orders: BTreeMap<String, u8>,
    /// An order that has no final answer yet.
    open: Option<String>,
    cart_version: i64,
    in_cart: i64,
    /// Answers that were compared with what was known.
    pub reads: u64,
    /// Requests without an answer, or told to come again.
    pub failed: u64,
}

impl Shopper {
    /// With a session that exists; the same seed makes the same choices.
    pub fn new(token: String, sku: String, seed: u64) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        Self {
            dice: StdRng::seed_from_u64(seed),
            http,
            token,
            sku,
            orders: BTreeMap::new(),
            open: None,
            cart_version: 0,
            in_cart: 0,
            reads: 0,
            failed: 0,
        }
    }

    /// Buys and looks around at these instances until it is over.
    pub async fn shop(&mut self, bases: &[Base], is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            let base = &bases[self.dice.random_range(0..bases.len())].to_string();
            match self.dice.random_range(0..10) {
                0 => self.order(base).await,
                1..3 => self.add_to_cart(base).await,
                3..7 => self.look_into_cart(base).await,
                _ => self.look_at_orders(base).await,
            }
            sleep(Duration::from_millis(self.dice.random_range(5..40))).await;
        }
    }

    async fn order(&mut self, base: &str) {
        if self.open.is_none() && self.orders.len() >= ORDERS_MAX {
            return;
        }
        let key = self.open.get_or_insert_with(fresh_key).clone();
        let order = paid_with("ok", &[(&self.sku, 1)]);
        let request = self.request(Method::POST, base, "/v1/orders");
        let request = request.header("Idempotency-Key", key).json(&order);
        if let Some(placed) = self.answer(request, StatusCode::CREATED).await {
            self.open = None;
            self.see(&placed);
        }
    }

    async fn look_at_orders(&mut self, base: &str) {
        let request = self.request(Method::GET, base, "/v1/orders?limit=100");
        let Some(page) = self.answer(request, StatusCode::OK).await else { return };
        let shown = page["items"].as_array().unwrap();
        let is_there = |id: &str| shown.iter().any(|order| order["id"] == *id);
        let lost: Vec<_> = self.orders.keys().filter(|id| !is_there(id)).collect();
        assert!(lost.is_empty(), "{base} does not show {lost:?} any more");
        shown.iter().for_each(|order| self.see(order));
        self.reads += 1;
    }

    /// What was seen of an order is not undone.
    fn see(&mut self, order: &Value) {
        let id = order["id"].as_str().unwrap().to_owned();
        let come = match order["status"].as_str().unwrap() {
            "pending_payment" => 0,
            "confirmed" | "paid" => 1,
            status => panic!("{id} is {status}"),
        };
        let before = self.orders.insert(id.clone(), come);
        assert!(before.is_none_or(|before| before <= come), "{id} has gone back: {order}");
    }

    async fn add_to_cart(&mut self, base: &str) {
        let request = self.request(Method::POST, base, "/v1/cart/items");
        let request = request.header("Idempotency-Key", fresh_key());
        let request = request.json(&json!({"sku": self.sku, "quantity": 1}));
        if let Some(cart) = self.answer(request, StatusCode::OK).await {
            self.see_cart(base, &cart);
        }
    }

    async fn look_into_cart(&mut self, base: &str) {
        let request = self.request(Method::GET, base, "/v1/cart");
        if let Some(cart) = self.answer(request, StatusCode::OK).await {
            self.see_cart(base, &cart);
            self.reads += 1;
        }
    }

    fn see_cart(&mut self, base: &str, cart: &Value) {
        let version = cart["version"].as_i64().unwrap();
        let in_cart = cart["items"][0]["quantity"].as_i64().unwrap_or(0);
        let before = (self.cart_version, self.in_cart);
        let is_later = version >= before.0 && in_cart >= before.1;
        assert!(is_later, "{base} shows an earlier cart than {before:?}: {cart}");
        (self.cart_version, self.in_cart) = (version, in_cart);
    }

    fn request(&self, method: Method, base: &str, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", base.trim_end_matches('/'));
        self.http.request(method, url).bearer_auth(&self.token)
    }

    /// The body, if it is the expected answer; anything else must ask to come again.
    async fn answer(&mut self, request: RequestBuilder, expected: StatusCode) -> Option<Value> {
        let response = request.send().await.ok();
        let status = response.as_ref().map(|response| response.status());
        let body = match response {
            Some(response) => response.json::<Value>().await.ok(),
            None => None,
        };
        let body = body.filter(|body| {
            let is_busy = body["code"] == "request_in_progress";
            let comes_again = is_busy || status.is_some_and(|status| status.as_u16() > 500);
            assert!(status == Some(expected) || comes_again, "{status:?} {body}");
            status == Some(expected)
        });
        self.failed += u64::from(body.is_none());
        body
    }
}
