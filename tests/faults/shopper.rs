//! A shopper beside the sale: a session that buys, fills its cart and looks around, at any
//! instance. All that it sends and receives is kept, and judged in the end: what was acknowledged
//! stays, and nobody sees an earlier state than before.

use crate::harness::{fresh_key, paid_with, until};
use bytes::Bytes;
use loadtests::client::Base;
use loadtests::record::{Answer, Record};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// A page of orders shows so many, and a shopper looks at one page.
const ORDERS_MAX: usize = 60;

const ORDER: &str = "POST /v1/orders";
const LOOK_AT_ORDERS: &str = "GET /v1/orders";
const ADD_TO_CART: &str = "POST /v1/cart/items";
const LOOK_INTO_CART: &str = "GET /v1/cart";

/// A session, and all that it sent and received, one after the other.
pub struct Shopper {
    /// Its requests.
    pub history: Vec<Record>,
    dice: StdRng,
    http: reqwest::Client,
    token: String,
    sku: String,
    /// The key of an order that has no final answer yet.
    open: Option<String>,
    ordered: usize,
}

impl Shopper {
    /// With a session that exists; the same seed makes the same choices.
    pub fn new(token: String, sku: String, seed: u64) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        let (history, dice) = (Vec::new(), StdRng::seed_from_u64(seed));
        Self { history, dice, http, token, sku, open: None, ordered: 0 }
    }

    /// Buys and looks around at these instances until it is over.
    pub async fn shop(&mut self, bases: &[Base], is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            let base = &bases[self.dice.random_range(0..bases.len())].to_string();
            // The sale may be over soon, so a look comes first.
            let has_seen = self.history.iter().any(was_shown);
            let wish = if has_seen { self.dice.random_range(0..10) } else { 9 };
            let is_served = match wish {
                0 => self.order(base).await,
                1..3 => self.add_to_cart(base).await,
                3..7 => self.look(base, LOOK_INTO_CART, "/v1/cart").await,
                _ => self.look(base, LOOK_AT_ORDERS, "/v1/orders?limit=100").await,
            };
            // Whoever is turned away does not come again at once.
            let pauses = if is_served { 10..60 } else { 50..400 };
            sleep(Duration::from_millis(self.dice.random_range(pauses))).await;
        }
    }

    /// Asks again for the order that has no final answer, and looks at all that it has, which must
    /// be what it was told.
    pub async fn ask_once_more(&mut self, base: &str) {
        until(async || match self.open.is_none() || self.order(base).await {
            true => Ok(()),
            false => Err("an order of a shopper has no final answer"),
        })
        .await;
        self.look(base, LOOK_INTO_CART, "/v1/cart").await;
        self.look(base, LOOK_AT_ORDERS, "/v1/orders?limit=100").await;
    }

    /// Requests without an answer, or told to come again.
    pub fn failed(&self) -> usize {
        self.history.iter().filter(|one| !one.answers.iter().any(Answer::acknowledges)).count()
    }

    async fn order(&mut self, base: &str) -> bool {
        if self.open.is_none() && self.ordered >= ORDERS_MAX {
            return true;
        }
        let key = self.open.get_or_insert_with(fresh_key).clone();
        let order = paid_with("ok", &[(&self.sku, 1)]);
        let is_placed = self.write(base, ORDER, "/v1/orders", key, &order).await;
        if is_placed {
            self.open = None;
            self.ordered += 1;
        }
        is_placed
    }

    async fn add_to_cart(&mut self, base: &str) -> bool {
        let line = json!({"sku": self.sku, "quantity": 1});
        self.write(base, ADD_TO_CART, "/v1/cart/items", fresh_key(), &line).await
    }

    async fn write(
        &mut self,
        base: &str,
        route: &str,
        path: &str,
        key: String,
        body: &Value,
    ) -> bool {
        let request = self.http.request(Method::POST, format!("{base}{path}"));
        let request = request.header("Idempotency-Key", &key).json(body);
        let sent = body.to_string().into();
        let record = Record { key, sent, route: route.into(), ..Record::default() };
        self.ask(base, request, record).await
    }

    async fn look(&mut self, base: &str, route: &str, path: &str) -> bool {
        let request = self.http.request(Method::GET, format!("{base}{path}"));
        let record = Record { route: route.into(), ..Record::default() };
        self.ask(base, request, record).await
    }

    /// Asks, and keeps what came of it; whether it was acknowledged.
    async fn ask(&mut self, base: &str, request: RequestBuilder, mut record: Record) -> bool {
        match received(base, request.bearer_auth(&self.token)).await {
            Ok(answer) => record.answers.push(answer),
            Err(_) => record.lost = 1,
        }
        let is_acknowledged = record.answers.iter().any(Answer::acknowledges);
        self.history.push(record);
        is_acknowledged
    }
}

async fn received(base: &str, request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let replayed = response.headers().contains_key("idempotent-replayed");
    let body: Bytes = response.bytes().await?;
    Ok(Answer { from: base.into(), status, replayed, body, ..Answer::default() })
}

/// How many looks of one session showed what had to be there, or what was wrong.
pub fn judge(history: &[Record]) -> Result<usize, String> {
    let (mut known, mut looks) = (Known::default(), 0);
    for record in history {
        known.sent(record);
        for answer in &record.answers {
            known.compare(&record.route, answer).map_err(|wrong| {
                format!("{} at {}: {wrong}: {answer:?}", record.route, answer.from)
            })?;
        }
        looks += usize::from(was_shown(record));
    }
    Ok(looks)
}

fn was_shown(record: &Record) -> bool {
    record.route.starts_with("GET") && record.answers.iter().any(Answer::acknowledges)
}

/// What a session knows.
#[derive(Default)]
struct Known {
    /// Orders by id, and how far each has come.
    orders: BTreeMap<String, u8>,
    /// The cart's version, and the units in it.
    cart: (i64, i64),
    /// Keys of orders that were sent.
    keys: BTreeSet<String>,
    /// Units that were sent to the cart.
    added: i64,
}

impl Known {
    fn sent(&mut self, record: &Record) {
        match &*record.route {
            ORDER => drop(self.keys.insert(record.key.clone())),
            ADD_TO_CART => self.added += 1,
            _ => {}
        }
    }

    fn compare(&mut self, route: &str, answer: &Answer) -> Result<(), String> {
        if !answer.acknowledges() {
            // Nobody is too quick here, and nothing is sold out.
            let may_be = matches!(answer.status, 502..=504);
            let comes_again = may_be || answer.code() == "request_in_progress";
            return comes_again.then_some(()).ok_or_else(|| "is refused".to_owned());
        }
        let body = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        match route {
            ORDER => self.see(&body),
            LOOK_AT_ORDERS => self.see_orders(&body),
            _ => self.see_cart(&body),
        }
    }

    fn see_orders(&mut self, page: &Value) -> Result<(), String> {
        let shown = page["items"].as_array().ok_or("no list")?;
        let is_there = |id: &str| shown.iter().any(|order| order["id"] == *id);
        if let Some(lost) = self.orders.keys().find(|id| !is_there(id)) {
            return Err(format!("{lost} is not shown any more"));
        }
        if shown.len() > self.keys.len() {
            return Err(format!("{} keys have made {} orders", self.keys.len(), shown.len()));
        }
        shown.iter().try_for_each(|order| self.see(order))
    }

    /// What was seen of an order is not undone.
    fn see(&mut self, order: &Value) -> Result<(), String> {
        let id = order["id"].as_str().ok_or("no order")?.to_owned();
        let come = match order["status"].as_str() {
            Some("pending_payment") => 0,
            Some("confirmed" | "paid") => 1,
            status => return Err(format!("{id} is {status:?}")),
        };
        match self.orders.insert(id.clone(), come) {
            Some(before) if before > come => Err(format!("{id} has gone back")),
            _ => Ok(()),
        }
    }

    fn see_cart(&mut self, cart: &Value) -> Result<(), String> {
        let version = cart["version"].as_i64().ok_or("no cart")?;
        let shown = (version, cart["items"][0]["quantity"].as_i64().unwrap_or(0));
        if shown.1 > self.added {
            return Err(format!("{} units were added", self.added));
        }
        let before = std::mem::replace(&mut self.cart, shown);
        let is_later = shown.0 >= before.0 && shown.1 >= before.1;
        is_later.then_some(()).ok_or_else(|| format!("the cart was {before:?} before"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(route: &str, status: u16, body: &Value) -> Record {
        let answer = Answer { status, body: body.to_string().into(), ..Answer::default() };
        Record { route: route.into(), answers: vec![answer], ..Record::default() }
    }

    fn cart(version: i64, quantity: i64) -> Record {
        let body = json!({"version": version, "items": [{"quantity": quantity}]});
        told(LOOK_INTO_CART, 200, &body)
    }

    fn orders(status: &str) -> Record {
        told(LOOK_AT_ORDERS, 200, &json!({"items": [{"id": "o", "status": status}]}))
    }

    #[test]
    fn a_session_that_sees_an_earlier_state_than_before_is_found() {
        let add = |n| told(ADD_TO_CART, 200, &json!({"version": n, "items": [{"quantity": n}]}));
        let placed = told(ORDER, 201, &json!({"id": "o", "status": "pending_payment"}));
        let nothing = told(LOOK_AT_ORDERS, 200, &json!({"items": []}));
        let busy = told(LOOK_INTO_CART, 503, &json!({"code": "storage_unavailable"}));
        let refused = told(LOOK_INTO_CART, 401, &json!({"code": "unauthorized"}));
        let silent = Record { route: LOOK_INTO_CART.into(), lost: 1, ..Record::default() };
        let fine = [add(1), add(2), busy, silent, cart(2, 2), placed.clone(), orders("paid")];
        assert_eq!(judge(&fine), Ok(2));
        for wrong in [
            [add(1), add(2), cart(1, 2)],
            [add(1), add(2), cart(3, 1)],
            [add(1), cart(1, 1), cart(2, 2)],
            [placed.clone(), orders("paid"), nothing],
            [placed.clone(), orders("paid"), orders("pending_payment")],
            [add(1), cart(1, 1), orders("paid")],
            [placed, cart(0, 0), refused],
        ] {
            assert!(judge(&wrong).is_err(), "{wrong:?}");
        }
    }
}
