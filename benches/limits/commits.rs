//! `commit_limit`: the journal's own work, its SQL and its rows, on prepared batches.

use super::Sample;
use super::address::address;
use super::cpu::Used;
use super::database::{self, Database, SKUS};
use actix::ArbiterHandle;
use anyhow::Context;
use doorbuster::app::postgres_options;
use doorbuster::auth::Secrets;
use doorbuster::catalog::{Offer, Offers};
use doorbuster::config::Config;
use doorbuster::id::{LineId, OrderId, PaymentId};
use doorbuster::idempotency::{ANONYMOUS, Claim};
use doorbuster::inventory::{self, Inventory};
use doorbuster::journal::{Form, Transaction, Work, connect};
use doorbuster::order::store::{Clock, Entry, Numbers, OrderCommits};
use doorbuster::order::{Command, Draft, DraftItem, NewPayment, Periods};
use doorbuster::payment;
use doorbuster::postgres::Postgres;
use doorbuster::pricing::Terms;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use uuid::Uuid;

/// Orders of one measurement.
const ORDERS: usize = 30_000;

/// How the orders arrive at PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub connections: usize,
    pub batch: usize,
    pub form: Form,
    /// Whether every order is of the same SKU.
    pub is_hot: bool,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, batch, form, is_hot } = self;
        let goods = if *is_hot { "hot" } else { "spread" };
        write!(f, "{}, {goods}, {connections} × {batch}", form.as_str())
    }
}

/// The shapes that are measured.
pub fn shapes() -> Vec<Shape> {
    let plain =
        |connections, batch| Shape { connections, batch, form: Form::Optimistic, is_hot: false };
    let grid = [1, 2, 4].into_iter().flat_map(|n| [50, 100, 250].map(|batch| plain(n, batch)));
    let exact = Shape { form: Form::Exact, ..plain(2, 100) };
    let hot = Shape { is_hot: true, ..plain(2, 100) };
    grid.chain([exact, hot]).collect()
}

type Batches = Mutex<Vec<Vec<Entry>>>;

/// Commits the batches over the shape's connections, whoever is free taking the next.
pub async fn measure(
    shape: Shape,
    database: &Database,
    runtime: Handle,
    arbiter: ArbiterHandle,
) -> anyhow::Result<Sample> {
    let config = database::config(&database.url)?;
    let postgres = Postgres::new(&postgres_options(&config), runtime.clone());
    let postgres = postgres.map_err(anyhow::Error::msg)?;
    let offers = offers(shape, &postgres).await?;
    let commits = Arc::new(commits(&config, &postgres, arbiter));
    // The clock is set by an exact batch, and each connection plans its statements once.
    let warm_up = Batches::new(batches(&config, &offers, shape.batch, shape.connections * 6));
    let batches = Batches::new(batches(&config, &offers, shape.batch, ORDERS / shape.batch));
    let (warm_up, batches) = (Arc::new(warm_up), Arc::new(batches));
    let ready = Arc::new(tokio::sync::Barrier::new(shape.connections + 1));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..shape.connections {
        let (commits, postgres, ready) = (commits.clone(), postgres.clone(), ready.clone());
        let (warm_up, batches) = (warm_up.clone(), batches.clone());
        let work = async move {
            let client = connect(&postgres).await?;
            let statements = commits.prepare(&client).await?;
            let run = async |batch: &[Entry], form| {
                commits
                    .run(&Transaction::new(&client, uuid::Uuid::nil()), &statements, batch, form)
                    .await
            };
            let mut form = Form::Exact;
            while let Some(batch) = next(&warm_up) {
                run(&batch, form).await?;
                form = shape.form;
            }
            ready.wait().await;
            while let Some(batch) = next(&batches) {
                run(&batch, form).await?;
            }
            Ok::<_, tokio_postgres::Error>(())
        };
        tasks.spawn_on(work, &runtime);
    }
    let started = async {
        ready.wait().await;
        (Instant::now(), Used::now(None, database.postgres_pid))
    };
    let ended = async {
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        anyhow::Ok((Instant::now(), Used::now(None, database.postgres_pid)))
    };
    // A connection that fails before the barrier would leave the others waiting for it.
    let both = async { tokio::join!(started, ended) };
    let both = tokio::time::timeout(Duration::from_secs(60), both).await;
    let (started, ended) = both.context("the connections did not come to an end")?;
    let orders = ORDERS / shape.batch * shape.batch;
    let (started, before) = started;
    let (ended, after) = ended?;
    let per_second = orders as f64 / ended.duration_since(started).as_secs_f64();
    let used = after.since(before);
    Ok(Sample { per_second, used, orders: orders as f64, ..Sample::default() })
}

fn next(batches: &Batches) -> Option<Vec<Entry>> {
    batches.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn commits(config: &Config, postgres: &Postgres, arbiter: ArbiterHandle) -> OrderCommits {
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

async fn offers(shape: Shape, postgres: &Postgres) -> anyhow::Result<Vec<Arc<Offer>>> {
    let skus: Vec<String> = (0..if shape.is_hot { 1 } else { SKUS }).map(database::sku).collect();
    let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
    let offers = Offers::new(postgres.clone()).get(&skus).await.map_err(anyhow::Error::msg)?;
    offers.into_iter().collect::<Option<_>>().context("a SKU is not for sale")
}

/// Batches of orders that were never seen before, each of one line.
fn batches(
    config: &Config,
    offers: &[Arc<Offer>],
    batch: usize,
    count: usize,
) -> Vec<Vec<Entry>> {
    let terms = Terms {
        currency: config.order.currency,
        shipping: config.order.shipping_price,
        tax_rate: config.order.tax_rate_ppm,
    };
    let secrets = Secrets::new("", vec![7; 32]);
    let entry = |_| {
        let offer = &offers[rand::random_range(0..offers.len())];
        entry(offer, &terms, &secrets)
    };
    (0..count).map(|_| (0..batch).map(entry).collect()).collect()
}

fn entry(offer: &Arc<Offer>, terms: &Terms, secrets: &Secrets) -> Entry {
    let id = OrderId::new();
    let item = DraftItem { sku: offer.sku.clone(), variant: None, quantity: 1, index: 0 };
    let draft = Draft {
        session: None,
        cart_version: None,
        currency: None,
        items: vec![item],
        email: "ada@example.com".to_owned(),
        shipping_address: address(),
        expected_total: None,
    };
    let priced = draft.price(&[Some(offer.clone())], terms, id, LineId::new);
    let command = Command::Place {
        claim: Claim {
            scope: ANONYMOUS.into(),
            key: Uuid::from_u128(rand::random()).to_string().into(),
            request_hash: rand::random(),
        },
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
