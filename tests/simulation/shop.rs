//! Instances with their queues and lanes, clients who hang up and come again, kills, lost answers
//! and a clock: what happens next, the dice decide.

use crate::books::token;
use crate::client::{ANOTHER_REQUEST, Client, Stage};
use crate::database::Database;
use crate::fault::{Fault, Faults};
use crate::instance::{Asker, Entry, Instance};
use crate::plant::Plant;
use crate::provider::Provider;
use crate::shelf::Past;
use doorbuster::contact::Address;
use doorbuster::id::{LineId, LocationId, OrderId, PaymentId, ShopperId, VariantId};
use doorbuster::idempotency::Claim;
use doorbuster::inventory::StockKey;
use doorbuster::order::{Answered, Command, Line, NewPayment, Placement, Status};
use doorbuster::pricing::Totals;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Every order's.
pub const SECRET: &str = "secret";
/// Parts per million.
const TAX_RATE: u32 = 200_000;
const CLIENTS: usize = 8;
const INSTANCES: usize = 3;
/// A history that has not come to rest by then never will.
const REST_MAX: u32 = 100_000;

/// Where everything goes.
pub fn address() -> Address {
    let text = || "x".to_owned();
    Address {
        name: text(),
        line1: text(),
        line2: None,
        city: text(),
        region: None,
        postal_code: None,
        country: "GB".to_owned(),
        phone: None,
    }
}

/// A shop with all that is around it.
pub struct Shop {
    pub dice: StdRng,
    pub faults: Faults,
    pub plant: Option<Plant>,
    pub database: Database,
    pub provider: Provider,
    pub instances: Vec<Instance>,
    pub clients: Vec<Client>,
    pub rows: Vec<StockKey>,
    pub refused: Vec<Claim>,
    pub ids: u128,
    pub counts: BTreeMap<&'static str, u64>,
    pub past: Past,
    pub is_closing: bool,
    /// When its clock began, for those who count from there.
    pub opened: Instant,
}

impl Shop {
    /// The same seed makes the same shop and the same history.
    pub fn new(seed: u64, faults: Faults, plant: Option<Plant>) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let row = |n: u128| StockKey {
            variant: VariantId::from(Uuid::from_u128(n)),
            location: LocationId::from(Uuid::from_u128(1)),
        };
        let rows: Vec<StockKey> = (1..=3).map(row).collect();
        let supplied = dice.random_range(3..60);
        let up = || Instance { is_up: true, ..Instance::default() };
        let mut shop = Self {
            database: Database::new(rows.clone(), supplied, plant),
            provider: Provider::default(),
            instances: (0..INSTANCES).map(|_| up()).collect(),
            clients: Vec::new(),
            rows,
            refused: Vec::new(),
            ids: 1_000,
            counts: BTreeMap::new(),
            past: Past::default(),
            is_closing: false,
            opened: Instant::now(),
            dice,
            faults,
            plant,
        };
        (0..CLIENTS).for_each(|_| {
            let client = shop.newcomer();
            shop.clients.push(client);
        });
        shop
    }

    /// What is wrong, if anything is.
    pub fn wrong(&self) -> Option<String> {
        self.database.wrong.clone()
    }

    /// What has happened, and how often.
    pub fn summary(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = self.counts.clone();
        for (name, status) in [
            ("orders paid", Status::Paid),
            ("orders confirmed", Status::Confirmed),
            ("orders cancelled", Status::Cancelled),
            ("orders expired", Status::Expired),
        ] {
            let orders = self.database.orders.values();
            counts.insert(name, orders.filter(|row| row.state.status == status).count() as u64);
        }
        counts
    }

    /// Something happens.
    pub fn step(&mut self) {
        let instance = self.dice.random_range(0..INSTANCES);
        match self.dice.random_range(0..1_000) {
            0..450 => self.work(instance),
            450..480 => self.look_at_shelf(instance),
            480..740 => self.ask(),
            740..850 => self.charge(instance),
            850..880 => self.look(instance),
            880..930 => self.reap(instance),
            930..955 => self.database.end_one(&mut self.dice),
            955..980 => self.pass_time(),
            980..985 => self.change_cart(),
            985..988 => self.change_offers(),
            988..990 => {
                let key = self.rows[self.dice.random_range(0..self.rows.len())];
                let units = self.dice.random_range(1..30);
                self.database.restock(&mut self.dice, key, units);
                self.find_counts(instance, [key]);
            }
            990..993 if self.happens(Fault::Kill, 1.0) => self.kill(instance),
            993..995 if self.happens(Fault::Restart, 1.0) => self.restart(instance),
            993..1_000 => self.instances[instance].is_up = true,
            _ => {}
        }
    }

    /// From now on nothing fails and nobody comes; until nothing is on its way. Returns how long
    /// that took.
    pub fn come_to_rest(&mut self) -> u32 {
        (self.faults, self.is_closing) = (Faults::NONE, true);
        self.instances.iter_mut().for_each(|instance| instance.is_up = true);
        for step in 0..REST_MAX {
            if self.database.wrong.is_some() {
                return step;
            }
            if step % 64 == 0 && self.is_at_rest() {
                self.judge();
                return step;
            }
            self.step();
        }
        let waiting = self.clients.iter().find(|client| client.waits_for.is_some());
        if let Some(client) = waiting {
            self.database.find(format!("client {} waits for ever", client.number));
        }
        self.database.judge_at_rest(&self.provider);
        if let Some(order) = self.database.unpaid() {
            self.database.find(format!("{order} is unpaid for ever"));
        }
        self.database.find("it does not come to rest".to_owned());
        REST_MAX
    }

    fn is_at_rest(&mut self) -> bool {
        let is_idle = |instance: &Instance| {
            let no_lane = instance.lanes.iter().all(Vec::is_empty);
            let Instance { queue, charges, waiting, .. } = instance;
            let nobody_waits = waiting.is_empty() && instance.shelf.looking.is_empty();
            queue.is_empty() && charges.is_empty() && nobody_waits && no_lane
        };
        self.instances.iter().all(is_idle)
            && self.clients.iter().all(|client| client.stage == Stage::Done)
            && self.database.unsettled.is_empty()
            && self.database.in_doubt.is_empty()
            && self.database.unpaid().is_none()
    }

    fn judge(&mut self) {
        let refused = std::mem::take(&mut self.refused);
        for claim in refused {
            if let Some(order) = self.database.effect(&claim) {
                self.database.find(format!("{claim:?} was refused, and {order} is there"));
            }
        }
        self.database.judge_at_rest(&self.provider);
    }

    /// Whether it goes wrong now.
    pub fn happens(&mut self, fault: Fault, probability: f64) -> bool {
        self.dice.random_bool(probability) && self.faults.has(fault)
    }

    /// It has happened once more.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// One that nobody has.
    pub fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    fn newcomer(&mut self) -> Client {
        let (id, may_poison) = (self.id(), self.faults.has(Fault::Poison));
        let client = Client::new(&mut self.dice, id, &self.rows, may_poison);
        for (shopper, (row, quantity)) in client.shopper.iter().cycle().zip(&client.basket) {
            self.database.put(&mut self.dice, *shopper, *row, *quantity);
        }
        client
    }

    /// A client asks, hangs up, or makes room for the next.
    fn ask(&mut self) {
        let at = self.dice.random_range(0..CLIENTS);
        if let Some(instance) = self.clients[at].waits_for {
            if self.happens(Fault::HangUp, 0.02) {
                self.clients[at].leaves();
                self.count("hung up");
            } else if self.happens(Fault::DoubleClick, 0.02) {
                self.count("clicked twice");
                self.send(at, instance);
            } else if self.happens(Fault::Reuse, 0.02) {
                self.count("keys used for something else");
                self.send_another(at);
            }
            return;
        }
        if self.clients[at].stage == Stage::Done {
            let client = &self.clients[at];
            if client.was_refused_for_good() {
                self.refused.push(client.order_claim());
            }
            if !self.is_closing {
                self.clients[at] = self.newcomer();
            }
            return;
        }
        let instance = self.dice.random_range(0..INSTANCES);
        if self.instances[instance].is_up {
            let turn = self.id().as_u128() as u64;
            self.clients[at].asks(instance, turn);
            self.send(at, instance);
        }
    }

    /// Sends what the client wants to an instance that is up.
    fn send(&mut self, at: usize, instance: usize) {
        let command = self.command(at);
        let Client { turn, is_poison, .. } = self.clients[at];
        self.enter(instance, Entry { command, asker: Some((at, turn)), is_poison });
    }

    /// Somebody sends another request with the key of the client's order, and nobody hears of it.
    fn send_another(&mut self, at: usize) {
        let instance = self.dice.random_range(0..INSTANCES);
        let mut command = self.command(at);
        if let Command::Place { claim, .. } = &mut command
            && self.instances[instance].is_up
        {
            claim.request_hash = ANOTHER_REQUEST;
            let asker = Some((at, self.id().as_u128() as u64));
            let entry = Entry { command, asker, is_poison: false };
            self.enter(instance, entry);
        }
    }

    fn command(&mut self, at: usize) -> Command {
        let (id, payment) = (self.id(), self.id());
        let client = &self.clients[at];
        let (claim, [terms, later]) = (client.claim(), client.terms);
        let key = client.has_keys.then(|| claim.clone());
        let (payment, provider) = (PaymentId::from(payment), "p");
        let payment = NewPayment { id: payment, provider, token: Some(token(payment)), terms };
        let order = client.order.and_then(|order| self.database.orders.get(&order));
        match (client.stage, order.map(|row| row.known.clone())) {
            (Stage::Pay, Some(order)) => {
                let payment = NewPayment { terms: later, ..payment };
                Command::Pay { claim: key, order, payment }
            }
            (Stage::Cancel, Some(order)) => {
                Command::Cancel { id, claim: key, order, reason: None }
            }
            _ => {
                let Client { shopper, ref basket, .. } = self.clients[at];
                let placement = self.placement(OrderId::from(id), shopper, &basket.clone());
                let (access_token, cart_version) = (SECRET.to_owned(), None);
                Command::Place { claim, placement, payment, access_token, cart_version }
            }
        }
    }

    /// An order of these, priced with offers as they are remembered.
    pub fn placement(
        &mut self,
        id: OrderId,
        shopper: Option<ShopperId>,
        basket: &[(StockKey, i64)],
    ) -> Arc<Placement> {
        let mut lines = Vec::new();
        for (stock, quantity) in basket {
            lines.push(Line {
                id: LineId::from(self.id()),
                stock: *stock,
                sku: "S".to_owned(),
                title: "T".to_owned(),
                quantity: *quantity,
                unit_price: 1,
                total: *quantity,
                // As it was remembered a while ago.
                offer_version: self.database.stale[stock].offer_version,
            });
        }
        let sum = lines.iter().map(|line| line.total).sum();
        Arc::new(Placement {
            id,
            shopper,
            lines,
            currency: "GBP".parse().unwrap(),
            totals: Totals::of(sum, 5, TAX_RATE).unwrap(),
            tax_rate: TAX_RATE,
            email: "x".to_owned(),
            shipping_address: address(),
        })
    }

    fn pass_time(&mut self) {
        let leaps = self.happens(Fault::Clock, 0.05) || self.is_closing;
        let most = if leaps {
            800_000
        } else if self.dice.random() {
            10_000
        } else {
            100
        };
        self.past.note(&self.database);
        self.database.now += Duration::from_millis(self.dice.random_range(1..most));
        if self.dice.random() {
            self.database.stale = self.database.stock.clone();
        }
    }

    fn change_offers(&mut self) {
        if self.happens(Fault::Offers, 0.5) {
            let key = self.rows[self.dice.random_range(0..self.rows.len())];
            self.database.change_offer(&mut self.dice, key);
        }
    }

    /// Somebody puts one more into a cart, perhaps while it is ordered.
    fn change_cart(&mut self) {
        let at = self.dice.random_range(0..CLIENTS);
        let row = self.rows[self.dice.random_range(0..self.rows.len())];
        let Client { shopper, stage, .. } = self.clients[at];
        if let Some(shopper) = shopper
            && stage != Stage::Done
            && self.happens(Fault::Carts, 0.5)
        {
            self.database.put(&mut self.dice, shopper, row, 1);
        }
    }

    /// A client hears of its request, if it still waits for it.
    pub fn tell(&mut self, asker: Asker, answered: Answered) {
        let Some((at, turn)) = asker else { return };
        if self.clients[at].turn != turn || self.clients[at].waits_for.is_none() {
            return;
        }
        if answered.is_ok() {
            self.count("acknowledged");
        }
        let heard = self.clients[at].hears(answered, &mut self.dice, &self.database);
        if let Err(wrong) = heard {
            self.database.find(wrong);
        }
    }
}
