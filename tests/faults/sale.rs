//! A sale under faults: buyers who retry with the same key, everything they received, and the
//! judgement at the end.

use crate::harness::{ADMIN_KEY, App, Database};
use indicatif::ProgressBar;
use loadtests::client::Request;
use loadtests::generator::{self, Arrivals, Settings};
use loadtests::oracle::{self, Checked};
use loadtests::order::{Address, Item, NewOrder, Provider};
use loadtests::record::{Outcome, Run};
use loadtests::stored::Source;
use loadtests::supply::{self, Office};
use loadtests::target::{Instances, run_name};
use std::collections::BTreeMap;
use std::time::Duration;

/// Buyers who want the same SKU one after another.
pub const BUYERS_PER_SKU: usize = 4;

/// A sale and its evidence.
pub struct Sale {
    /// How buyers behave.
    pub settings: Settings,
    /// What they sent and received.
    pub run: Run,
    name: String,
    provider: Provider,
    database: Database,
    skus: Vec<String>,
    orders: usize,
}

impl Sale {
    /// A sale at these instances of one database; buyers are bound to them in turn.
    pub fn at(apps: &[&App], provider: Provider, connections: usize) -> Self {
        let bases = apps.iter().map(|app| app.url.parse().unwrap()).collect();
        // Whoever is told to come again comes within a second: the sale is short.
        let retry_after_max = Duration::from_secs(1);
        let settings = Settings { retry_after_max, ..Settings::new(bases, connections) };
        Self {
            settings,
            run: Run::default(),
            name: run_name("sale"),
            provider,
            database: apps[0].database.clone(),
            skus: Vec::new(),
            orders: 0,
        }
    }

    /// New SKUs with so many units each; from now on these are sold.
    pub async fn offer(&mut self, count: usize, units: i64) {
        let known = self.run.supplied.len();
        let name = self.name.to_uppercase();
        self.skus = (0..count).map(|n| format!("{name}-{}", known + n)).collect();
        let instances = Instances::of(self.settings.bases.clone());
        let office = Office { instances: &instances, admin_key: ADMIN_KEY };
        let supplied: BTreeMap<String, i64> =
            self.skus.iter().map(|sku| (sku.clone(), units)).collect();
        supply::create_products(&office, &self.name, &self.skus, 1299).await.unwrap();
        supply::receive(&office, &self.name, &supplied).await.unwrap();
        self.run.supplied.extend(supplied);
    }

    /// Orders that nobody has sent yet, one unit each, every buyer with an e-mail of their own.
    pub fn new_orders(&mut self, count: usize) -> Vec<Request> {
        let first = self.orders;
        self.orders += count;
        (first..self.orders).map(|n| self.order(n, n - first)).collect()
    }

    fn order(&self, n: usize, turn: usize) -> Request {
        let sku = self.skus[turn / BUYERS_PER_SKU % self.skus.len()].clone();
        let order = NewOrder {
            items: vec![Item { sku, quantity: 1 }],
            email: format!("buyer-{n}@{}.example", self.name),
            shipping_address: Address {
                name: format!("Buyer {n}"),
                line1: "1 High Street".to_owned(),
                city: "London".to_owned(),
                postal_code: "N1 9GU".to_owned(),
                country: "GB".to_owned(),
            },
            payment: self.provider.payment(),
        };
        Request::post("/v1/orders", format!("{}-{n}", self.name), order.to_body().unwrap())
    }

    /// Sells to so many buyers and returns when each of them has a final answer.
    pub async fn sell(&mut self, count: usize, arrivals: Arrivals) {
        let orders = self.new_orders(count);
        let bar = ProgressBar::hidden();
        let records = generator::run(orders, arrivals, &self.settings, &bar).await;
        self.run.records.extend(records);
    }

    /// Sends every acknowledged order once more, under its key.
    pub async fn ask_again(&mut self, app: &App) {
        let acknowledged = self.run.records.iter_mut();
        let mut acknowledged: Vec<_> =
            acknowledged.filter(|record| record.outcome() == Outcome::Acknowledged).collect();
        let post = |key: &String, body| Request::post("/v1/orders", key.clone(), body);
        let again = acknowledged.iter().map(|record| post(&record.key, record.sent.clone()));
        let settings =
            Settings { bases: vec![app.url.parse().unwrap()], ..self.settings.clone() };
        let bar = ProgressBar::hidden();
        let replays = generator::run(again.collect(), Arrivals::Unpaced, &settings, &bar).await;
        let mut replays: BTreeMap<String, _> =
            replays.into_iter().map(|record| (record.key, record.answers)).collect();
        for record in &mut acknowledged {
            record.answers.extend(replays.remove(&record.key).unwrap());
        }
    }

    /// Judged again without the database, from what an instance that lives exports.
    pub async fn judged_by_the_api(&self) -> Checked {
        let instances = Instances::of(self.settings.bases.clone());
        let office = Office { instances: &instances, admin_key: ADMIN_KEY };
        let verdict = oracle::examine(&self.run, Source::Api(office)).await.unwrap();
        assert!(verdict.is_clean(), "{:#?}", verdict.findings);
        verdict.checked
    }

    /// Fails unless everything that buyers were told is true and all invariants hold.
    pub async fn judged(&self) -> Checked {
        let verdict = oracle::examine(&self.run, &self.database.url).await.unwrap();
        let lost: u64 = self.run.records.iter().map(|record| record.lost).sum();
        let mut labels: BTreeMap<String, usize> = BTreeMap::new();
        for record in &self.run.records {
            *labels.entry(record.label()).or_default() += 1;
            for answer in &record.answers {
                *labels.entry(format!("answers {}", answer.label())).or_default() += 1;
            }
        }
        println!("{} sent, {lost} lost, {labels:?}, {:?}", self.orders, verdict.checked);
        assert!(verdict.is_clean(), "{:#?}", verdict.findings);
        self.database.assert_clean();
        verdict.checked
    }
}
