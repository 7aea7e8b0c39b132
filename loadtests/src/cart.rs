//! Many carts, each changed by several workers at once over all instances: added to, set and
//! emptied, with and without keys, with hang-ups and retries.

use crate::basket::{Cart, Change};
use crate::caller::{Caller, dice};
use crate::client::Request;
use crate::generator::Settings;
use crate::guest::Guest;
use crate::kill::{self, KillSwitch};
use crate::oracle::carts::{self, CartRun};
use crate::record::{LineFile, Record};
use crate::report::Report;
use crate::stored;
use crate::supply;
use crate::target::{Access, Instances, new_file, progress, run_name};
use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Units in stock of each SKU: carts shall not run out of it.
const UNITS: i64 = 1_000_000;

/// The options of the scenario.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    #[command(flatten)]
    pub(crate) instances: Instances,
    #[command(flatten)]
    pub(crate) access: Access,
    /// Carts, each of a session of its own
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    carts: usize,
    /// Workers that change the same cart at once
    #[arg(long, default_value_t = 4, value_name = "COUNT")]
    workers: usize,
    /// Changes by each worker
    #[arg(long, default_value_t = 25, value_name = "COUNT")]
    changes: usize,
    /// SKUs to choose from; few, so that workers meet on the same lines
    #[arg(long, default_value_t = 8, value_name = "COUNT")]
    skus: usize,
    /// The share of changes whose client hangs up after a few milliseconds, 0 to 1
    #[arg(long, default_value_t = 0.02, value_name = "SHARE")]
    hang_up: f64,
    /// The same number, the same changes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write what was sent and received, one cart a line
    #[arg(long, value_name = "FILE", value_parser = new_file)]
    record: Option<PathBuf>,
    #[command(flatten)]
    kill: kill::Options,
}

/// Carts that were changed: all that the oracle judges.
#[derive(Debug)]
pub struct Changed {
    /// The name of the run, which no other has.
    pub name: String,
    carts: Vec<CartRun>,
    prices: BTreeMap<String, i64>,
    kill: Option<Arc<KillSwitch>>,
}

/// Changes the carts, and judges what they came to.
pub async fn cart(options: &Options) -> anyhow::Result<Report> {
    let changed = change(options).await?;
    if let Some(file) = &options.record {
        changed.save(file)?;
    }
    changed.judge(options.access.database().ok()).await
}

/// Changes the carts, and neither records nor judges it.
pub async fn change(options: &Options) -> anyhow::Result<Changed> {
    let (settings, kill) = options.settings()?;
    let name = run_name("cart");
    let prices = options.prepare(&name).await?;
    let guests = open_sessions(&Arc::new(settings.clone()), options.carts).await?;

    let bar = progress("changes", options.workers() * options.changes);
    let settings = Arc::new(Settings { kill: kill.clone(), ..settings });
    let mut carts = change_all(options, &name, &settings, &guests, &prices, &bar).await?;
    bar.finish_and_clear();
    look(&settings, &mut carts).await;
    Ok(Changed { name, carts, prices, kill })
}

impl Changed {
    /// What was sent.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.carts.iter().flat_map(|cart| &cart.changes).map(|(_, record)| record)
    }

    /// Writes what was sent and received, one cart a line.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = LineFile::create(path)?;
        self.carts.iter().try_for_each(|cart| file.add(cart))?;
        file.flush()
    }

    /// Judges it by what clients know, and by the database if there is one to look into.
    pub async fn judge(&self, database: Option<&str>) -> anyhow::Result<Report> {
        let stored = match database {
            None => None,
            Some(database) => {
                let tokens: Vec<String> =
                    self.carts.iter().map(|cart| cart.token.clone()).collect();
                Some(stored::read_carts(&stored::connect(database).await?, &tokens).await?)
            }
        };
        let verdict = carts::judge(&self.carts, &self.prices, stored.as_ref());
        let mut report = Report::new("cart", &self.name, self.records(), verdict)?;
        report.must_acknowledge("no change was acknowledged");
        report.attach_kill(self.kill.as_deref());
        Ok(report)
    }
}

impl Options {
    fn workers(&self) -> usize {
        self.carts * self.workers
    }

    /// The clients, and what kills their instance; or why there cannot be such a run.
    pub fn settings(&self) -> anyhow::Result<(Settings, Option<Arc<KillSwitch>>)> {
        let workers = self.workers();
        ensure!((1..=20_000).contains(&workers), "--carts times --workers: 1 to 20000");
        ensure!((1..=1_000).contains(&self.skus), "--skus: 1 to 1000");
        ensure!((0.0..=1.0).contains(&self.hang_up), "--hang-up: 0 to 1");
        let instances = &self.instances;
        let settings = instances.settings(workers, self.seed)?;
        Ok((settings, self.kill.switch(&instances.urls, workers)?))
    }

    /// Fresh SKUs with stock for everybody; the price of each.
    async fn prepare(&self, name: &str) -> anyhow::Result<BTreeMap<String, i64>> {
        let skus: Vec<String> =
            (1..=self.skus).map(|n| format!("{}-{n}", name.to_uppercase())).collect();
        let office = self.access.office(&self.instances)?;
        let mut prices = BTreeMap::new();
        for (n, sku) in skus.iter().enumerate() {
            // Different, so that a line at another line's price is seen.
            let price = 199 + 100 * n as i64;
            supply::create_products(&office, name, std::slice::from_ref(sku), price).await?;
            prices.insert(sku.clone(), price);
        }
        let units = skus.into_iter().map(|sku| (sku, UNITS)).collect();
        supply::receive(&office, name, &units).await?;
        supply::until_known_everywhere().await;
        Ok(prices)
    }
}

/// Starts so many sessions, spread over the instances.
pub async fn open_sessions(settings: &Arc<Settings>, count: usize) -> anyhow::Result<Vec<Guest>> {
    let bar = progress("sessions", count);
    let mut caller = Caller::new(settings, 0, Instant::now());
    let mut guests = Vec::with_capacity(count);
    for n in 0..count {
        caller.turn_to(n);
        guests.push(Guest::arrive(&mut caller).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(guests)
}

/// What one worker knows of a cart, and how it chooses.
struct Worker {
    caller: Caller,
    guest: Guest,
    skus: Vec<String>,
    dice: StdRng,
    hang_up: f64,
    /// Lines as it saw them last: id and SKU.
    lines: Vec<(String, String)>,
}

async fn change_all(
    options: &Options,
    name: &str,
    settings: &Arc<Settings>,
    guests: &[Guest],
    prices: &BTreeMap<String, i64>,
    bar: &ProgressBar,
) -> anyhow::Result<Vec<CartRun>> {
    let started = Instant::now();
    let run = |(n, guest): (usize, &Guest)| CartRun {
        token: guest.token.clone(),
        name: format!("cart {n}"),
        ..CartRun::default()
    };
    let mut carts: Vec<CartRun> = guests.iter().enumerate().map(run).collect();
    let mut tasks = JoinSet::new();
    for client in 0..options.carts * options.workers {
        let cart = client % options.carts;
        let mut worker = Worker {
            caller: Caller::new(settings, client, started),
            guest: guests[cart].clone(),
            skus: prices.keys().cloned().collect(),
            dice: dice(options.seed, client),
            hang_up: options.hang_up,
            lines: Vec::new(),
        };
        let (bar, count, key) = (bar.clone(), options.changes, format!("{name}-{client}"));
        tasks.spawn(async move {
            let mut changes = Vec::new();
            for n in 0..count {
                changes.extend(worker.change(&format!("{key}-{n}")).await);
                bar.inc(1);
            }
            (cart, changes)
        });
    }
    while let Some(done) = tasks.join_next().await {
        let (cart, changes) = done.context("a worker stopped")?;
        carts[cart].changes.extend(changes);
    }
    Ok(carts)
}

impl Worker {
    /// Makes a change; the one it made, with its record.
    async fn change(&mut self, key: &str) -> Option<(Change, Record)> {
        let change = self.choose()?;
        let mut request = change.request().by(&self.guest.token);
        if matches!(change, Change::Add(_)) && self.dice.random_bool(0.5) {
            request.key = Some(key.to_owned());
        }
        let instance = self.dice.random_range(0..1_000);
        self.caller.turn_to(instance);
        let mut record = if self.dice.random_bool(self.hang_up) {
            let patience = Duration::from_micros(self.dice.random_range(200..5_000));
            self.caller.call_impatiently(&request, patience).await
        } else if request.key.is_some() {
            self.caller.call(&request).await
        } else {
            self.caller.call_once(&request).await
        };
        if request.key.is_some() && self.dice.random_bool(0.2) {
            self.repeat(&request, &mut record).await;
        }
        self.look_at(&record);
        Some((change, record))
    }

    fn choose(&mut self) -> Option<Change> {
        let line = self.lines.choose(&mut self.dice).cloned();
        Some(match (self.dice.random_range(0..10), line) {
            (0..3, Some((line, sku))) => {
                let quantity = self.dice.random_range(0..9);
                Change::Set { line, sku, quantity }
            }
            (3, Some((line, sku))) => Change::Remove { line, sku },
            _ => {
                let count = *[1, 1, 1, 3].choose(&mut self.dice)?;
                let skus: Vec<String> =
                    self.skus.choose_multiple(&mut self.dice, count).cloned().collect();
                let item = |sku| (sku, self.dice.random_range(1..5));
                Change::Add(skus.into_iter().map(item).collect())
            }
        })
    }

    /// Sends it again elsewhere, as a client that lost the answer on its way.
    async fn repeat(&mut self, request: &Request, record: &mut Record) {
        let instance = self.dice.random_range(0..1_000);
        self.caller.turn_to(instance);
        let again = self.caller.call(request).await;
        record.add(again);
    }

    fn look_at(&mut self, record: &Record) {
        let answer = record.answers.iter().find(|answer| answer.acknowledges());
        if let Some(Ok(cart)) = answer.map(|answer| Cart::read(&answer.body)) {
            self.lines = cart.items.into_iter().map(|line| (line.id, line.sku)).collect();
        }
    }
}

/// Asks every instance that is still there for every cart.
async fn look(settings: &Arc<Settings>, carts: &mut [CartRun]) {
    let mut caller = Caller::new(settings, 0, Instant::now());
    let gone = settings.kill.as_ref().and_then(|kill| kill.shot().ok().map(|_| kill.target));
    for cart in carts {
        let request = Request::get("/v1/cart").by(&cart.token);
        for instance in (0..settings.bases.len()).filter(|instance| Some(*instance) != gone) {
            caller.turn_to(instance);
            cart.shown.extend(caller.call(&request).await.answers.pop());
        }
    }
}
