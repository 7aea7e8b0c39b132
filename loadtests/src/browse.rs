//! Many readers, and somebody who changes what they read: product pages chosen by Zipf's law,
//! lists with filters, sorts and facets, categories; some of the reads conditional.

use crate::caller::{Caller, dice};
use crate::catalog::{self, Product};
use crate::client::Request;
use crate::generator::Settings;
use crate::oracle::reads::{self, Changed, Read};
use crate::record::{Answer, Outcome};
use crate::report::Report;
use crate::target::{Access, Instances, progress, run_name};
use crate::writer::Writer;
use anyhow::{Context, ensure};
use bytes::Bytes;
use rand::Rng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// The options of the scenario.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    #[command(flatten)]
    pub(crate) instances: Instances,
    /// Readers, each with a connection to one instance
    #[arg(long, default_value_t = 64, value_name = "COUNT")]
    readers: usize,
    /// Reads a second in all [default: each reader as fast as it is answered]
    #[arg(long, value_name = "COUNT")]
    rate: Option<f64>,
    /// How long they read
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// Products to choose from, at most
    #[arg(long, default_value_t = 2_000, value_name = "COUNT")]
    products: usize,
    /// Zipf's exponent: how much more the first products are read than the others
    #[arg(long, default_value_t = 1.0, value_name = "EXPONENT")]
    zipf: f64,
    /// The share of reads that are of lists and categories, 0 to 1
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    lists: f64,
    /// The share of reads with If-None-Match, where the reader has been before, 0 to 1
    #[arg(long, default_value_t = 0.3, value_name = "SHARE")]
    conditional: f64,
    /// Changes of prices and stock meanwhile, evenly; nobody else may change them then
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    changes: usize,
    /// The most read products, which are those that change
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    hot: usize,
    #[command(flatten)]
    pub(crate) access: Access,
    /// Fail if the 99th percentile of reads is above this
    #[arg(long, value_name = "MILLISECONDS")]
    p99_ms_max: Option<f64>,
    /// The same number, the same products in the same order
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Reads and changes for a while, and judges what was seen.
pub async fn browse(options: &Options) -> anyhow::Result<Report> {
    let settings = Arc::new(options.settings()?);
    let mut caller = Caller::new(&settings, 0, Instant::now());
    let mut products = catalog::read_products(&mut caller, options.products).await?;
    let categories = catalog::read_categories(&mut caller).await?;
    // Else the oldest products would be the hot ones.
    products.shuffle(&mut dice(options.seed, 0));
    let lists = list_paths(&products, &categories);
    let weights = (1..=products.len()).map(|rank| (rank as f64).powf(-options.zipf));
    let plan = Arc::new(Plan {
        options: options.clone(),
        popularity: WeightedIndex::new(weights).context("--zipf")?,
        pages: products.iter().flat_map(page_paths).collect(),
        lists: lists.into_iter().map(Arc::from).collect(),
        started: Instant::now(),
        time: Duration::from_secs_f64(options.seconds),
        next: AtomicU64::new(0),
        bodies: Mutex::default(),
    });

    let writer = options.changes_by(&settings, &products, &plan);
    let reads = read_all(&plan, &settings).await?;
    let changes = match writer {
        None => Vec::new(),
        Some(writer) => writer.await.context("the writer stopped")??,
    };
    let mut reads = reads;
    reads.extend(look_at_each(&plan, &settings).await);
    let verdict = reads::judge(&reads, &changes);
    let records = reads.iter().map(|read| &read.record);
    let mut report = Report::new("browse", &run_name("browse"), records, verdict)?;
    report.must_acknowledge("nothing could be read");
    report.limit_p99(options.p99_ms_max);
    Ok(report)
}

impl Options {
    /// The clients, or why there cannot be such a run.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        ensure!(self.seconds > 0.0 && self.seconds <= 86_400.0, "--seconds: up to a day");
        ensure!(self.rate.is_none_or(|rate| rate > 0.0), "--rate: more than zero");
        for (name, share) in [("--lists", self.lists), ("--conditional", self.conditional)] {
            ensure!((0.0..=1.0).contains(&share), "{name}: 0 to 1");
        }
        ensure!(self.changes == 0 || self.hot > 0, "--hot: at least one");
        ensure!(
            self.changes == 0 || self.access.admin_key.is_some(),
            "--changes needs --admin-key"
        );
        self.instances.settings(self.readers, self.seed).context("--readers")
    }

    /// Starts the writer, if there is something to change.
    fn changes_by(
        &self,
        settings: &Arc<Settings>,
        products: &[Product],
        plan: &Plan,
    ) -> Option<tokio::task::JoinHandle<anyhow::Result<Vec<Changed>>>> {
        let admin_key = self.access.admin_key.clone().filter(|_| self.changes > 0)?;
        let hot = products.iter().take(self.hot).cloned().collect();
        let caller = Caller::new(settings, self.readers + 1, plan.started);
        let writer = Writer::new(caller, admin_key, hot, dice(self.seed, 1));
        Some(tokio::spawn(writer.change(self.changes, plan.time)))
    }
}

/// Paths of lists as shoppers make them, in the terms of this catalog.
pub fn list_paths(products: &[Product], categories: &[String]) -> Vec<String> {
    let mut paths = vec!["/v1/categories".to_owned()];
    let mut list = |query: String| paths.push(format!("/v1/products?limit=20{query}"));
    list(String::new());
    for sort in ["newest", "oldest", "price", "-price", "title", "-title"] {
        list(format!("&sort={sort}"));
    }
    list("&in_stock=true&facets=tag,category,price,in_stock".to_owned());
    list("&price_min=100&price_max=1000&sort=price&facets=tag".to_owned());
    let tags: BTreeSet<&String> = products.iter().flat_map(|product| &product.tags).collect();
    for tag in tags.into_iter().take(20) {
        list(format!("&tag={}", catalog::encode(tag)));
    }
    for category in categories.iter().take(20) {
        list(format!("&category={category}&facets=tag"));
    }
    paths.extend(categories.iter().take(20).map(|slug| format!("/v1/categories/{slug}")));
    paths
}

/// A product's two addresses.
pub fn page_paths(product: &Product) -> [Arc<str>; 2] {
    [&product.id, &product.slug].map(|name| format!("/v1/products/{name}").into())
}

/// What all readers share.
struct Plan {
    options: Options,
    popularity: WeightedIndex<f64>,
    /// Two for each product.
    pages: Vec<Arc<str>>,
    lists: Vec<Arc<str>>,
    started: Instant,
    time: Duration,
    /// The number of the next read, where they are paced.
    next: AtomicU64,
    /// Each body once: there are far fewer than reads.
    bodies: Mutex<HashSet<Bytes>>,
}

impl Plan {
    /// When the next read shall leave; `None` when it is over.
    fn next_start(&self) -> Option<Instant> {
        let start = match self.options.rate {
            None => Instant::now(),
            Some(rate) => {
                let n = self.next.fetch_add(1, Ordering::Relaxed);
                self.started + Duration::from_secs_f64(n as f64 / rate)
            }
        };
        (start < self.started + self.time).then_some(start)
    }

    fn choose(&self, dice: &mut StdRng) -> Option<Arc<str>> {
        if dice.random_bool(self.options.lists) {
            return self.lists.choose(dice).cloned();
        }
        let product = self.popularity.sample(dice);
        Some(self.pages[2 * product + dice.random_range(0..2)].clone())
    }

    /// The same bytes in the place where all that look alike are.
    fn intern(&self, body: Bytes) -> Bytes {
        let mut bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        match bodies.get(&body) {
            Some(known) => known.clone(),
            None => {
                bodies.insert(body.clone());
                body
            }
        }
    }
}

async fn read_all(plan: &Arc<Plan>, settings: &Arc<Settings>) -> anyhow::Result<Vec<Read>> {
    let mut tasks = JoinSet::new();
    for n in 0..plan.options.readers {
        let mut caller = Caller::new(settings, n, plan.started);
        caller.turn_to(n);
        let dice = dice(plan.options.seed, n + 2);
        let reader = Reader { n, caller, dice, plan: plan.clone(), had: HashMap::new() };
        tasks.spawn(reader.read());
    }
    let bar = progress("seconds", plan.options.seconds.ceil() as usize);
    while plan.started.elapsed() < plan.time {
        sleep(Duration::from_secs(1).min(plan.time)).await;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut reads = Vec::new();
    while let Some(done) = tasks.join_next().await {
        reads.extend(done.context("a reader stopped")?);
    }
    Ok(reads)
}

/// Every product's page once, so that there is something to compare lists with.
async fn look_at_each(plan: &Arc<Plan>, settings: &Arc<Settings>) -> Vec<Read> {
    let (n, dice) = (plan.options.readers, dice(plan.options.seed, 0));
    let caller = Caller::new(settings, n, plan.started);
    let mut reader = Reader { n, caller, dice, plan: plan.clone(), had: HashMap::new() };
    let bar = progress("pages", plan.pages.len() / 2);
    let mut reads = Vec::new();
    for path in plan.pages.iter().step_by(2) {
        reads.push(reader.look(path, Instant::now()).await);
        bar.inc(1);
    }
    bar.finish_and_clear();
    reads
}

struct Reader {
    n: usize,
    caller: Caller,
    dice: StdRng,
    plan: Arc<Plan>,
    /// ETag and body of what it read last at each path.
    had: HashMap<Arc<str>, (String, Bytes)>,
}

impl Reader {
    async fn read(mut self) -> Vec<Read> {
        let mut reads = Vec::new();
        while let Some(start) = self.plan.next_start() {
            if start > Instant::now() {
                sleep_until(start).await;
            }
            let Some(path) = self.plan.choose(&mut self.dice) else { break };
            let read = self.look(&path, start).await;
            if read.record.outcome() != Outcome::Acknowledged {
                // An instance that is gone shall not be asked a million times.
                sleep(Duration::from_millis(10)).await;
            }
            reads.push(read);
        }
        reads
    }

    async fn look(&mut self, path: &Arc<str>, start: Instant) -> Read {
        let conditional = self.dice.random_bool(self.plan.options.conditional);
        let had = self.had.get(path).filter(|_| conditional).cloned();
        let mut request = Request::get(path.to_string());
        request.if_none_match = had.as_ref().map(|(tag, _)| tag.clone());
        let mut record = self.caller.ask(&request, start).await;
        for answer in &mut record.answers {
            answer.body = self.plan.intern(std::mem::take(&mut answer.body));
        }
        if let Some(Answer { status: 200, etag: Some(tag), body, .. }) = record.answers.last() {
            self.had.insert(path.clone(), (tag.clone(), body.clone()));
        }
        Read { reader: self.n, path: path.clone(), had, record }
    }
}
