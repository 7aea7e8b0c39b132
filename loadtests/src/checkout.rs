//! Whole journeys: a session, a cart, an address, and then several windows that check the same
//! cart out at once.  Some goods are scarce.

use crate::basket::{Cart, Change};
use crate::caller::{Caller, dice};
use crate::cart::open_sessions;
use crate::client::Request;
use crate::generator::Settings;
use crate::guest::Guest;
use crate::kill::{self, KillSwitch};
use crate::oracle::checkout::{self as oracle, Evidence, Filling, Shopper};
use crate::order::{Address, Item, NewOrder, Provider};
use crate::record::{Outcome, Record};
use crate::report::Report;
use crate::supply;
use crate::target::{Access, Instances, progress, run_name};
use anyhow::{Context, ensure};
use hyper::Method;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Minor units of GBP.
const PRICE: i64 = 1_299;
/// Units of each SKU that is not scarce.
const PLENTY: i64 = 1_000_000;
/// Of so many orders the first is asked for by others.
const STRANGERS_EVERY: usize = 10;

/// The options of the scenario.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    #[command(flatten)]
    pub(crate) instances: Instances,
    #[command(flatten)]
    pub(crate) access: Access,
    /// Sessions in all
    #[arg(long, default_value_t = 400, value_name = "COUNT")]
    sessions: usize,
    /// Sessions at once
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    at_once: usize,
    /// How often each session fills its cart and checks it out
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    fillings: usize,
    /// Windows that check the same cart out at once, each with its own key; one more repeats the
    /// first one's
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    windows: usize,
    /// SKUs with stock for everybody
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    skus: usize,
    /// SKUs that are scarce
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    scarce: usize,
    /// Units of each scarce SKU
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    scarce_units: u32,
    /// Fail if more checkouts than this have no final answer after a minute
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    unknown_max: u64,
    /// The same number, the same carts
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    kill: kill::Options,
}

/// Fills carts, checks them out, and judges what came of it.
pub async fn checkout(options: &Options) -> anyhow::Result<Report> {
    let (settings, kill) = options.settings()?;
    let name = run_name("checkout");
    let supplied = options.prepare(&name).await?;
    let guests = open_sessions(&Arc::new(settings.clone()), options.sessions).await?;

    let bar = progress("carts", options.sessions * options.fillings);
    let settings = Arc::new(Settings { kill: kill.clone(), ..settings });
    let trip = Arc::new(Trip {
        options: options.clone(),
        name: name.clone(),
        settings: settings.clone(),
        started: Instant::now(),
        guests,
        skus: supplied.iter().map(|(sku, units)| (sku.clone(), *units < PLENTY)).collect(),
        next: AtomicUsize::new(0),
        done: bar.clone(),
    });
    let mut tasks = JoinSet::new();
    for n in 0..options.at_once {
        tasks.spawn(travel(trip.clone(), n * (options.windows + 1)));
    }
    let mut shoppers = Vec::with_capacity(options.sessions);
    while let Some(done) = tasks.join_next().await {
        shoppers.extend(done.context("a shopper stopped")?);
    }
    bar.finish_and_clear();
    look_around(&settings, &mut shoppers).await;

    let source = options.access.source(&options.instances)?;
    let evidence = Evidence { supplied, price: PRICE, shoppers };
    let verdict = oracle::examine(&evidence, source).await?;
    let mut report = Report::new("checkout", &name, evidence.checkouts(), verdict)?;
    report.must_acknowledge("no checkout was acknowledged");
    report.limit_unknown(report.verdict.checked.unknown, options.unknown_max);
    report.attach_kill(kill.as_deref());
    Ok(report)
}

impl Options {
    /// The clients, and what kills their instance; or why there cannot be such a run.
    pub fn settings(&self) -> anyhow::Result<(Settings, Option<Arc<KillSwitch>>)> {
        ensure!(self.sessions > 0 && self.fillings > 0, "--sessions, --fillings: at least one");
        ensure!((1..=100).contains(&self.windows), "--windows: 1 to 100");
        ensure!((1..=1_000).contains(&self.skus), "--skus: 1 to 1000");
        ensure!(self.scarce <= 1_000 && self.scarce_units > 0, "--scarce: up to 1000");
        let (instances, at_once) = (&self.instances, self.at_once * (self.windows + 1));
        let settings = instances.settings(at_once, self.seed).context("--at-once")?;
        Ok((settings, self.kill.switch(&instances.urls, at_once)?))
    }

    /// Fresh SKUs with stock; what was supplied of each.
    async fn prepare(&self, name: &str) -> anyhow::Result<BTreeMap<String, i64>> {
        let name = name.to_uppercase();
        let plenty = (1..=self.skus).map(|n| (format!("{name}-{n}"), PLENTY));
        let few = i64::from(self.scarce_units);
        let scarce = (1..=self.scarce).map(|n| (format!("{name}-SCARCE-{n}"), few));
        let supplied: BTreeMap<String, i64> = plenty.chain(scarce).collect();
        let skus: Vec<String> = supplied.keys().cloned().collect();
        let office = self.access.office(&self.instances)?;
        supply::create_products(&office, &name, &skus, PRICE).await?;
        supply::receive(&office, &name, &supplied).await?;
        supply::until_known_everywhere().await;
        Ok(supplied)
    }
}

/// What all shoppers share.
struct Trip {
    options: Options,
    name: String,
    settings: Arc<Settings>,
    started: Instant,
    guests: Vec<Guest>,
    /// SKUs, and whether they are scarce.
    skus: Vec<(String, bool)>,
    /// The next session that nobody has taken.
    next: AtomicUsize,
    done: indicatif::ProgressBar,
}

/// Takes one session after another, in windows that are numbered from this one on.
async fn travel(trip: Arc<Trip>, first: usize) -> Vec<Shopper> {
    let mut shoppers = Vec::new();
    let mut windows: Vec<Caller> = (0..=trip.options.windows)
        .map(|window| Caller::new(&trip.settings, first + window, trip.started))
        .collect();
    loop {
        let n = trip.next.fetch_add(1, Ordering::Relaxed);
        let Some(guest) = trip.guests.get(n) else { return shoppers };
        let token = guest.token.clone();
        let mut shopper = Shopper { name: format!("session {n}"), token, ..Shopper::default() };
        let mut dice = dice(trip.options.seed, n);
        for count in 0..trip.options.fillings {
            let key = format!("{}-{n}-{count}", trip.name);
            let filling = fill(&trip, &shopper.token, &key, &mut windows[0], &mut dice).await;
            let filling = check_out(filling, &shopper.token, &key, &mut windows, &mut dice).await;
            let left = filling.after.as_ref().and_then(|after| Cart::read(&after.body).ok());
            shopper.fillings.push(filling);
            trip.done.inc(1);
            empty(left, &shopper.token, &mut windows[0]).await;
        }
        shoppers.push(shopper);
    }
}

/// Adds goods and an address.  What is sold out already cannot be added.
async fn fill(
    trip: &Trip,
    token: &str,
    key: &str,
    caller: &mut Caller,
    dice: &mut StdRng,
) -> Filling {
    let count = dice.random_range(1..=5).min(trip.skus.len());
    let chosen: Vec<&(String, bool)> = trip.skus.choose_multiple(dice, count).collect();
    let quantity =
        |scarce: bool, dice: &mut StdRng| dice.random_range(1..=if scarce { 2 } else { 5 });
    let items: Vec<(String, i64)> =
        chosen.into_iter().map(|(sku, scarce)| (sku.clone(), quantity(*scarce, dice))).collect();
    let asked = NewOrder {
        items: items.iter().cloned().map(|(sku, quantity)| Item { sku, quantity }).collect(),
        email: format!("{key}@{}.example", trip.name),
        shipping_address: Address {
            name: "Buyer".to_owned(),
            line1: "1 High Street".to_owned(),
            city: "London".to_owned(),
            postal_code: "N1 9GU".to_owned(),
            country: "GB".to_owned(),
        },
        payment: Provider::Manual.payment(),
    };
    let mut add = Change::Add(items).request().by(token);
    add.key = Some(format!("{key}-add"));
    caller.turn_to(dice.random_range(0..1_000));
    let mut prepared = vec![caller.call(&add).await];
    let is_filled = prepared[0].outcome() == Outcome::Acknowledged;
    if is_filled {
        let to = json!({"email": asked.email, "shipping_address": asked.shipping_address});
        let to = Request::new(Method::PATCH, "/v1/cart", to.to_string()).by(token);
        caller.turn_to(dice.random_range(0..1_000));
        prepared.push(caller.call(&to).await);
    }
    let cart = prepared.get(1).and_then(|record| record.answers.last()).cloned();
    Filling { asked, prepared, cart, checkouts: Vec::new(), after: None }
}

/// All windows at once; the last one repeats the first one's request elsewhere.
async fn check_out(
    mut filling: Filling,
    token: &str,
    key: &str,
    windows: &mut Vec<Caller>,
    dice: &mut StdRng,
) -> Filling {
    let Some(cart) = filling.cart.as_ref().filter(|cart| cart.status == 200) else {
        return filling;
    };
    let total = Cart::read(&cart.body).ok().map(|cart| cart.total.amount);
    let mut body = json!({"payment": filling.asked.payment});
    if let Some(amount) = total.filter(|_| dice.random_bool(0.5)) {
        body["expected_total"] = json!({"amount": amount, "currency": "GBP"});
    }
    let different = windows.len() - 1;
    let mut tasks = JoinSet::new();
    for (n, mut caller) in windows.drain(..).enumerate() {
        let key = format!("{key}-window-{}", n % different);
        let request = Request::post("/v1/cart/checkout", key, body.to_string()).by(token);
        caller.turn_to(dice.random_range(0..1_000));
        tasks.spawn(async move { (n, caller.call(&request).await, caller) });
    }
    let mut records: BTreeMap<usize, Record> = BTreeMap::new();
    while let Some(Ok((n, record, caller))) = tasks.join_next().await {
        windows.push(caller);
        match records.get_mut(&(n % different)) {
            Some(first) => first.add(record),
            None => drop(records.insert(n % different, record)),
        }
    }
    filling.checkouts = records.into_values().collect();
    let caller = &mut windows[0];
    caller.turn_to(dice.random_range(0..1_000));
    let after = caller.call(&Request::get("/v1/cart").by(token)).await;
    filling.after = after.answers.last().cloned();
    filling
}

/// Takes out what could not be bought.
async fn empty(left: Option<Cart>, token: &str, caller: &mut Caller) {
    for line in left.map(|cart| cart.items).unwrap_or_default() {
        let remove = Change::Remove { line: line.id, sku: line.sku };
        caller.call(&remove.request().by(token)).await;
    }
}

/// Everybody looks at their orders, and at some of somebody else's.
async fn look_around(settings: &Arc<Settings>, shoppers: &mut [Shopper]) {
    let mut caller = Caller::new(settings, 0, Instant::now());
    let bar = progress("orders", shoppers.len());
    let tokens: Vec<String> = shoppers.iter().map(|shopper| shopper.token.clone()).collect();
    for (n, shopper) in shoppers.iter_mut().enumerate() {
        caller.turn_to(n);
        let mut path = "/v1/orders".to_owned();
        loop {
            let record = caller.call(&Request::get(&*path).by(&shopper.token)).await;
            let Some(answer) = record.answers.last().cloned() else { break };
            let cursor = next_cursor(&answer.body);
            shopper.listed.push(answer);
            let Some(cursor) = cursor else { break };
            path = format!("/v1/orders?cursor={}", crate::catalog::encode(&cursor));
        }
        if n % STRANGERS_EVERY == 0 {
            let stranger = &tokens[(n + 1) % tokens.len()];
            ask_as_others(&mut caller, shopper, stranger).await;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
}

async fn ask_as_others(caller: &mut Caller, shopper: &mut Shopper, stranger: &str) {
    let Some(order) = shopper.acknowledged_ids().into_iter().next() else { return };
    let request = Request::get(format!("/v1/orders/{order}"));
    let own = caller.call(&request.clone().by(&shopper.token)).await;
    shopper.own.extend(own.answers.last().cloned().map(|answer| (order.clone(), answer)));
    let mut others = vec![request.clone()];
    if *stranger != shopper.token {
        others.push(request.by(stranger));
    }
    for request in others {
        let record = caller.call(&request).await;
        let answer = record.answers.last().cloned();
        shopper.others.extend(answer.map(|answer| (order.clone(), answer)));
    }
}

fn next_cursor(body: &[u8]) -> Option<String> {
    let page: Value = serde_json::from_slice(body).ok()?;
    page["next_cursor"].as_str().map(str::to_owned)
}
