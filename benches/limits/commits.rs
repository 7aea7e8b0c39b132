//! `commit_limit`: the journals' own work, its SQL and its rows, on prepared batches.

use super::Sample;
use super::address::address;
use super::cpu::Used;
use super::database::{self, Database, SKUS};
use actix::ArbiterHandle;
use anyhow::Context;
use doorbuster::app::postgres_options;
use doorbuster::auth::Secrets;
use doorbuster::cart::store::{self as cart_store, CartCommits};
use doorbuster::cart::{self, Addition, Change};
use doorbuster::catalog::{Offer, Offers};
use doorbuster::config::Config;
use doorbuster::id::{ItemId, LineId, OrderId, PaymentId, ShopperId};
use doorbuster::idempotency::{ANONYMOUS, Claim};
use doorbuster::inventory::{self, Inventory};
use doorbuster::journal::{Bounds, Doubt, Form, Gate, Line, Transaction, Waits, Work};
use doorbuster::order::store::{Clock, Entry, Numbers, OrderCommits};
use doorbuster::order::{Command, Draft, DraftItem, NewPayment, Periods};
use doorbuster::payment;
use doorbuster::postgres::Postgres;
use doorbuster::pricing::Terms;
use doorbuster::version::IfMatch;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use uuid::Uuid;

/// Entries of one measurement.
const ENTRIES: usize = 30_000;
/// Longer than any batch takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// Sessions whose carts are changed, and SKUs that each of them wants.
pub const SESSIONS: usize = 4_000;
pub const FAVOURITES: usize = 5;

/// What is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Orders of one line, of many SKUs.
    Spread,
    /// The same of one SKU.
    Hot,
    /// Additions to carts.
    Carts,
}

/// How it arrives at PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub what: What,
    pub connections: usize,
    pub batch: usize,
    pub form: Form,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, connections, batch, form } = self;
        let what = format!("{what:?}").to_lowercase();
        write!(f, "{}, {what}, {connections} × {batch}", form.as_str())
    }
}

/// The shapes of orders that are measured.
pub fn orders() -> Vec<Shape> {
    let exact = Shape { what: What::Spread, connections: 2, batch: 100, form: Form::Exact };
    let hot = Shape { what: What::Hot, form: Form::Optimistic, ..exact };
    grid(What::Spread, Form::Optimistic).chain([exact, hot]).collect()
}

/// The shapes of changes of carts, which have one form.
pub fn carts() -> Vec<Shape> {
    grid(What::Carts, Form::Exact).collect()
}

fn grid(what: What, form: Form) -> impl Iterator<Item = Shape> {
    let shape = move |connections, batch| Shape { what, connections, batch, form };
    [1, 2, 4].into_iter().flat_map(move |n| [50, 100, 250].map(|batch| shape(n, batch)))
}

/// Commits batches over the shape's connections, whoever is free taking the next.
pub async fn measure(
    shape: Shape,
    database: &Database,
    runtime: Handle,
    arbiter: ArbiterHandle,
) -> anyhow::Result<Sample> {
    let config = database::config(&database.url)?;
    let postgres = Postgres::new(&postgres_options(&config), runtime.clone());
    let postgres = postgres.map_err(anyhow::Error::msg)?;
    let known = Offers::new(postgres.clone());
    let offers = offers(shape, &known).await?;
    let terms = Terms {
        currency: config.order.currency,
        shipping: config.order.shipping_price,
        tax_rate: config.order.tax_rate_ppm,
    };
    let run = Run { shape, database, postgres: &postgres, runtime };
    match shape.what {
        What::Spread | What::Hot => {
            let secrets = Secrets::new("", vec![7; 32]);
            let work = order_commits(&config, &postgres, arbiter);
            run.commit(work, || order(any(&offers), &terms, &secrets)).await
        }
        What::Carts => {
            let shoppers: Vec<ShopperId> = (0..SESSIONS).map(|_| ShopperId::new()).collect();
            // No cart is used twice at a time; the server would not refuse it either.
            let target = Duration::MAX;
            let all = Bounds { fewest: usize::MAX, most: usize::MAX, target };
            let gate = Gate::new("bench", all);
            let work = CartCommits { offers: known, terms };
            run.commit(work, || addition(&shoppers, &offers, &gate)).await
        }
    }
}

/// A measurement on its way.
struct Run<'r> {
    shape: Shape,
    database: &'r Database,
    postgres: &'r Postgres,
    runtime: Handle,
}

type Batches<E> = Mutex<Vec<Vec<E>>>;

fn next<E>(batches: &Batches<E>) -> Option<Vec<E>> {
    batches.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

impl Run<'_> {
    async fn commit<W: Work>(
        self,
        work: W,
        mut entry: impl FnMut() -> W::Entry,
    ) -> anyhow::Result<Sample> {
        let Shape { connections, batch, form, .. } = self.shape;
        let mut batches = |count| -> Arc<Batches<W::Entry>> {
            let batch = |_| (0..batch).map(|_| entry()).collect();
            Arc::new(Mutex::new((0..count).map(batch).collect()))
        };
        // The clock is set by an exact batch, and each connection plans its statements once.
        let warm_up = batches(connections * 6);
        let batches = batches(ENTRIES / batch);
        let work = Arc::new(work);
        let ready = Arc::new(tokio::sync::Barrier::new(connections + 1));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..connections {
            let (work, postgres, ready) = (work.clone(), self.postgres.clone(), ready.clone());
            let (warm_up, batches) = (warm_up.clone(), batches.clone());
            let lane = async move {
                let client = postgres.connect().await.map_err(anyhow::Error::msg)?;
                let line = Line::on(client).await?;
                let statements = work.prepare(&line.client).await?;
                let waits = Waits { statement: DEADLINE, lock: DEADLINE };
                let run = async |batch: &[W::Entry], form| {
                    let transaction = Transaction::new(&line, Uuid::nil(), waits, Doubt::None);
                    work.run(&transaction, &statements, batch, form).await
                };
                let mut warm_form = Form::Exact;
                while let Some(batch) = next(&warm_up) {
                    run(&batch, warm_form).await?;
                    warm_form = form;
                }
                ready.wait().await;
                while let Some(batch) = next(&batches) {
                    run(&batch, form).await?;
                }
                anyhow::Ok(())
            };
            tasks.spawn_on(lane, &self.runtime);
        }
        let used = || Used::now(None, self.database.postgres_pid, None);
        let started = async {
            ready.wait().await;
            (Instant::now(), used())
        };
        let ended = async {
            while let Some(task) = tasks.join_next().await {
                task??;
            }
            anyhow::Ok((Instant::now(), used()))
        };
        // A connection that fails before the barrier would leave the others waiting for it.
        let both = async { tokio::join!(started, ended) };
        let both = tokio::time::timeout(Duration::from_secs(60), both).await;
        let (started, ended) = both.context("the connections did not come to an end")?;
        let (started, before) = started;
        let (ended, after) = ended?;
        let answers = (ENTRIES / batch * batch) as f64;
        let per_second = answers / ended.duration_since(started).as_secs_f64();
        Ok(Sample { per_second, used: after.since(before), answers, ..Sample::default() })
    }
}

fn order_commits(config: &Config, postgres: &Postgres, arbiter: ArbiterHandle) -> OrderCommits {
    let options = inventory::Options { fresh: config.inventory.fresh };
    OrderCommits {
        periods: Periods {
            pay_within: config.order.pay_within,
            processing_max: config.payment.processing_max,
        },
        plenty_factor: config.inventory.plenty_factor,
        inventory: Inventory::start(options, postgres.clone(), arbiter),
        numbers: Numbers::default(),
        clock: Clock::default(),
    }
}

async fn offers(shape: Shape, offers: &Offers) -> anyhow::Result<Vec<Arc<Offer>>> {
    let skus = if shape.what == What::Hot { 1 } else { SKUS };
    let skus: Vec<String> = (0..skus).map(database::sku).collect();
    let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
    let offers = offers.get(&skus).await.map_err(anyhow::Error::msg)?;
    offers.into_iter().collect::<Option<_>>().context("a SKU is not for sale")
}

fn any(offers: &[Arc<Offer>]) -> &Arc<Offer> {
    &offers[rand::random_range(0..offers.len())]
}

/// An order that was never seen before, of one line.
fn order(offer: &Arc<Offer>, terms: &Terms, secrets: &Secrets) -> Entry {
    let id = OrderId::new();
    let item = DraftItem { sku: offer.sku.clone(), variant: None, quantity: 1, index: 0 };
    let draft = Draft {
        shopper: None,
        cart_version: None,
        currency: None,
        items: vec![item],
        email: "ada@example.com".to_owned(),
        shipping_address: address(),
        expected_total: None,
    };
    let priced = draft.price(&[Some(offer.clone())], terms, id, LineId::new);
    let command = Command::Place {
        claim: claim(),
        placement: Arc::new(priced.expect("the catalog has a price for it")),
        payment: NewPayment {
            id: PaymentId::new(),
            provider: "manual",
            token: None,
            terms: payment::Terms::Invoice,
        },
        access_token: secrets.order_token(id),
        cart_version: None,
    };
    // Nobody waits for the outcome.
    let (answer, _) = tokio::sync::oneshot::channel();
    let deadline = Instant::now() + Duration::from_secs(60);
    Entry { command, seen: vec![None], deadline, answer }
}

/// One more of something that a shopper likes.
fn addition(shoppers: &[ShopperId], offers: &[Arc<Offer>], gate: &Gate) -> cart_store::Entry {
    let place = rand::random_range(0..shoppers.len());
    let favourite = rand::random_range(0..FAVOURITES);
    let offer = &offers[(place * FAVOURITES + favourite) % offers.len()];
    let addition = Addition {
        id: ItemId::new(),
        variant: Some(offer.variant),
        quantity: 1,
        at: "/items/0".to_owned(),
        named_by: "sku",
    };
    let command = cart::Command {
        id: Uuid::now_v7(),
        shopper: shoppers[place],
        claim: Some(claim()),
        if_match: IfMatch::default(),
        change: Change::Add(vec![addition]),
    };
    let pass = gate.enter().expect("there is room");
    let (answer, _) = tokio::sync::oneshot::channel();
    let deadline = Instant::now() + Duration::from_secs(60);
    cart_store::Entry { command, shown: 0, deadline, answer, pass }
}

fn claim() -> Claim {
    Claim {
        scope: ANONYMOUS.into(),
        key: Uuid::from_u128(rand::random()).to_string().into(),
        request_hash: rand::random(),
    }
}
