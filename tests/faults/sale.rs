//! A sale under faults: buyers who retry with the same key, or do not; shoppers who look around;
//! everything they received, and the judgement at the end.

use crate::harness::{ADMIN_KEY, App, Database, until};
use crate::reader::{self, Reader};
use crate::row::{Row, Wrongs};
use crate::shelf::{SCARCE_UNITS, Shelf};
use crate::shopper::{self, Shopper};
use crate::strikes::{Period, Strikes, period, silence};
use doorbuster::error::{Code, Problem};
use doorbuster::id::OrderId;
use futures_util::future::join_all;
use indicatif::ProgressBar;
use loadtests::client::Request;
use loadtests::generator::{self, Arrivals, Settings};
use loadtests::oracle::{self, Checked};
use loadtests::order::{Item, NewOrder, Provider};
use loadtests::record::{Answer, Outcome, Record, Run};
use loadtests::stored::Source;
use loadtests::supply::{self, Office};
use loadtests::target::{Instances, run_name};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One buyer in so many does not come again, so that something stays unknown.
const IMPATIENT: usize = 4;

/// One payment in so many is a slow one, where some are; odd, so that every instance has them.
const SLOW: usize = 15;

/// A sale and its evidence.
pub struct Sale {
    /// How buyers behave.
    pub settings: Settings,
    /// How long the impatient wait for an answer; then they hang up, and it stays unknown.
    pub patience: Duration,
    /// Whether some payments take two seconds, so that some are on their way whatever the moment.
    pub some_pay_slowly: bool,
    /// What they sent and received.
    pub run: Run,
    /// What was known before everybody asked once more.
    pub open: Checked,
    /// How many buyers had no answer, or one that leaves it open, to what was under way at a
    /// strike.
    pub left_open: usize,
    /// How many orders were made by attempts that nobody had answered by then.
    pub unanswered: usize,
    /// Whether a balancer asks another instance when one does not know, and shows its answer alone.
    pub is_behind_a_balancer: bool,
    /// What is left to chance; `DOORBUSTER_FAULTS_SEED` makes the same choices again.
    pub dice: StdRng,
    /// When the fault struck.
    pub strikes: Strikes,
    /// The longest that nobody may be acknowledged, whatever strikes.
    pub silence_max: Duration,
    shoppers: Vec<Shopper>,
    readers: Vec<Reader>,
    /// The longest time in which nobody was acknowledged.
    silence: Duration,
    /// How long the order of each record was under way.
    periods: Vec<Period>,
    name: String,
    provider: Provider,
    database: Database,
    shelf: Shelf,
    orders: usize,
}

impl Sale {
    /// A sale at these instances of one database; buyers are bound to them in turn.
    pub fn at(apps: &[&App], provider: Provider, connections: usize) -> Self {
        let bases = apps.iter().map(|app| app.url.parse().unwrap()).collect();
        // Whoever is told to come again comes within a second: the sale is short.
        let retry_after_max = Duration::from_secs(1);
        let seed = crate::announced_seed();
        let settings = Settings { retry_after_max, ..Settings::new(bases, connections, seed) };
        Self {
            patience: settings.attempt_timeout,
            settings,
            some_pay_slowly: false,
            run: Run::default(),
            open: Checked::default(),
            left_open: 0,
            unanswered: 0,
            is_behind_a_balancer: false,
            dice: StdRng::seed_from_u64(seed),
            strikes: Strikes::default(),
            silence_max: Duration::from_secs(20),
            shoppers: Vec::new(),
            readers: Vec::new(),
            silence: Duration::ZERO,
            periods: Vec::new(),
            name: run_name("sale"),
            provider,
            database: apps[0].database.clone(),
            shelf: Shelf::default(),
            orders: 0,
        }
    }

    /// From now on everybody hangs up after so long: sooner than an outage is over, so that what
    /// an instance makes of it afterwards is made unanswered.
    pub fn hang_up_after(&mut self, patience: Duration) {
        (self.patience, self.settings.attempt_timeout) = (patience, patience);
    }

    /// How long to wait until a fault strikes: about so many milliseconds.
    pub fn moment(&mut self, about_ms: u64) -> Duration {
        Duration::from_millis(self.dice.random_range(about_ms / 2..about_ms * 3 / 2))
    }

    /// These in turn for ever, from one on that is left to chance.
    pub fn in_turn<T: Clone, const N: usize>(
        &mut self,
        kinds: [T; N],
    ) -> impl Iterator<Item = T> + use<T, N> {
        let first = self.dice.random_range(0..N);
        kinds.into_iter().cycle().skip(first)
    }

    /// New SKUs with so many units each; from now on these are sold.
    pub async fn offer(&mut self, count: usize, units: i64) {
        self.shelf.skus = self.new_skus(count, units).await;
    }

    /// Opens a shop for shoppers and so many buyers. All want the same SKU, but for one in four who
    /// wants what there is too little of, so that something is sold out again and again.
    pub async fn open_shop(&mut self, app: &App, buyers: usize) {
        self.offer(1, 1_000_000).await;
        self.shelf.scarce = self.new_skus(Shelf::scarce_for(buyers), SCARCE_UNITS).await;
        self.let_shoppers_in(app).await;
    }

    async fn new_skus(&mut self, count: usize, units: i64) -> Vec<String> {
        let known = self.run.supplied.len();
        let name = self.name.to_uppercase();
        let skus: Vec<String> = (0..count).map(|n| format!("{name}-{}", known + n)).collect();
        let instances = Instances::of(self.settings.bases.clone());
        let office = Office { instances: &instances, admin_key: ADMIN_KEY };
        let supplied: BTreeMap<String, i64> =
            skus.iter().map(|sku| (sku.clone(), units)).collect();
        supply::create_products(&office, &self.name, &skus, 1299).await.unwrap();
        supply::receive(&office, &self.name, &supplied).await.unwrap();
        self.run.supplied.extend(supplied);
        skus
    }

    /// From now on two shoppers look around while it sells: see [`Shopper`].
    pub async fn let_shoppers_in(&mut self, app: &App) {
        let sku = format!("{}-SHOPPERS", self.name.to_uppercase());
        app.stocked(&sku, 1299, 1_000_000).await;
        for _ in 0..2 {
            let token = app.session().await;
            self.shoppers.push(Shopper::new(token, sku.clone(), self.dice.random()));
        }
    }

    /// From now on so many look at the products while it sells: see [`Reader`].
    pub fn let_readers_in(&mut self, count: usize) {
        self.readers = (0..count).map(|_| Reader::new(self.dice.random())).collect();
    }

    /// How often shoppers had no answer, or were told to come again.
    pub fn turned_shoppers_away(&self) -> usize {
        self.shoppers.iter().map(Shopper::failed).sum()
    }

    /// How many looks of each shopper showed nothing earlier than before, or what was wrong.
    fn looks(&self) -> Result<Vec<usize>, String> {
        self.shoppers.iter().map(|one| shopper::judge(&one.history)).collect()
    }

    /// How many buyers have an order that was made by an attempt that nobody answered: it is told
    /// when they ask again, or is there, though they do not.
    fn made_unanswered(&self) -> usize {
        let told = self.run.records.iter().filter(|record| record.was_made_unanswered());
        told.count() + self.open.unknown_with_order as usize
    }

    /// Orders that nobody has sent yet, one unit each, every buyer with an e-mail of their own.
    pub fn new_orders(&mut self, count: usize) -> Vec<Request> {
        let first = self.orders;
        self.orders += count;
        (first..self.orders).map(|n| self.order(n, n - first)).collect()
    }

    fn order(&mut self, n: usize, turn: usize) -> Request {
        let sku = self.shelf.wish(n, turn);
        let mut payment = self.provider.payment();
        if self.some_pay_slowly && n.is_multiple_of(SLOW) {
            payment.token = Some("delay_2s".to_owned());
        }
        let items = vec![Item { sku, quantity: 1 }];
        let order = NewOrder::of_buyer(n, &self.name, items, payment);
        Request::post("/v1/orders", format!("{}-{n}", self.name), order.to_body().unwrap())
    }

    /// Sells to so many buyers and returns when each of them has a final answer, or has given up.
    pub async fn sell(&mut self, count: usize, arrivals: Arrivals) {
        let orders = self.new_orders(count).into_iter().enumerate();
        let (impatient, patient): (Vec<_>, Vec<_>) =
            orders.partition(|(turn, _)| turn % IMPATIENT == IMPATIENT - 1);
        let hasty = Settings {
            connections: self.settings.connections.div_ceil(IMPATIENT),
            deadline: Duration::ZERO,
            attempt_timeout: self.patience,
            ..self.settings.clone()
        };
        let (is_over, begun) = (AtomicBool::new(false), Instant::now());
        let selling = async {
            let sold = tokio::join!(
                buy(patient, count, &arrivals, &self.settings),
                buy(impatient, count, &arrivals, &hasty)
            );
            is_over.store(true, Ordering::Relaxed);
            sold
        };
        let bases = &self.settings.bases;
        let slugs: Vec<String> = self.run.supplied.keys().map(|sku| sku.to_lowercase()).collect();
        let shopping = self.shoppers.iter_mut().map(|one| one.shop(bases, &is_over));
        let reading = self.readers.iter_mut().map(|one| one.read(bases, &slugs, &is_over));
        let ((patient, impatient), ..) =
            tokio::join!(selling, join_all(shopping), join_all(reading));
        let records = [patient, impatient].concat();
        self.silence = self.silence.max(silence(&records));
        self.periods.extend(records.iter().map(|record| period(record, begun)));
        self.run.records.extend(records);
    }

    /// Sends every order once more, under its key, unless it was refused.
    async fn ask_again(&mut self, app: &App) {
        let records = self.run.records.iter_mut();
        let mut records: Vec<_> =
            records.filter(|record| record.outcome() != Outcome::Refused).collect();
        let post = |key: &String, body| Request::post("/v1/orders", key.clone(), body);
        let again = records.iter().map(|record| post(&record.key, record.sent.clone()));
        let settings =
            Settings { bases: vec![app.url.parse().unwrap()], ..self.settings.clone() };
        let bar = ProgressBar::hidden();
        let replays = generator::run(again.collect(), Arrivals::Unpaced, &settings, &bar).await;
        let mut replays: BTreeMap<String, Record> =
            replays.into_iter().map(|record| (record.key.clone(), record)).collect();
        for record in &mut records {
            let again = replays.remove(&record.key).unwrap();
            let is_final = again.answers.last().is_some_and(Answer::is_final);
            assert!(is_final, "{} has no final answer", record.key);
            record.add(again);
        }
    }

    /// Judges while some answers are unknown; then everybody asks once more, and it is judged
    /// again: now nothing is unknown, and whoever was not served wanted what has been sold to
    /// others. Adds what happened to the table of faults.
    pub async fn settled(&mut self, fault: &str, app: &App) -> Checked {
        self.open = self.judged().await;
        self.unanswered = self.made_unanswered();
        self.left_open = self.struck_and_left_open();
        let looks = self.looks().unwrap();
        assert!(looks.iter().all(|&looks| looks > 0), "a shopper saw nothing");
        let looks = (!looks.is_empty()).then(|| looks.iter().sum::<usize>());
        let mut row = Row { looks, ..self.row() };
        if !self.readers.is_empty() {
            let pages = reader::judge(&self.readers, &self.strikes).unwrap();
            row.looks = Some(looks.unwrap_or(0) + pages);
        }
        assert!(row.strikes.0 > 0, "no order was under way when it struck");
        let wanted = self.periods_of(|outcome| outcome != Outcome::Refused);
        let is_back = self.strikes.are_over_for(&wanted, &self.served());
        assert!(is_back, "nobody was acknowledged after it had struck");
        assert!(
            self.silence < self.silence_max,
            "nobody was acknowledged for {:?}",
            self.silence
        );
        let is_open = row.left_open > 0 || self.met() == 0;
        assert!(is_open, "it was met, and everybody was told what became of it");
        self.settings.deadline = self.settings.deadline.max(Duration::from_secs(60));
        self.hang_up_after(Duration::from_secs(15));
        self.ask_again(app).await;
        for shopper in &mut self.shoppers {
            shopper.ask_once_more(&app.url).await;
        }
        let checked = self.judged().await;
        for Checked { turned_away_with_order: misled, .. } in [self.open, checked] {
            assert!(misled == 0 || self.is_behind_a_balancer, "{misled} were told a lie");
        }
        row.unknown_in_the_end = checked.unknown;
        let enough = self.shelf.enough_for(&self.run.supplied) as u64;
        assert_eq!((checked.acknowledged, checked.unknown), (enough, 0), "of {}", self.orders);
        let mut refused = self.run.records.iter().filter(|one| one.outcome() == Outcome::Refused);
        let wrongly = refused.find(|one| one.label() != "409 out_of_stock");
        assert!(wrongly.is_none(), "{wrongly:?}");
        row.wrongs = Wrongs::of(&self.run, &self.name, &self.database).await;
        self.judge_books().await;
        assert!(row.wrongs.is_nothing(), "{:?}", row.wrongs);
        println!("| {fault} {row}");
        checked
    }

    /// What is known of the buyers before everybody asks once more.
    fn row(&self) -> Row {
        let records = &self.run.records;
        let requests =
            records.iter().map(|one| one.answers.len() as u64 + one.lost - one.unsent).sum();
        let Checked { acknowledged, refused, unknown, .. } = self.open;
        let in_doubt = records.iter().filter(|one| one.is_in_doubt()).count();
        let under_way = self.strikes.under_way(&self.periods);
        Row {
            buyers: records.len(),
            requests,
            acknowledged,
            refused,
            strikes: (under_way.iter().filter(|&&orders| orders > 0).count(), under_way.len()),
            turned_away: unknown as usize - in_doubt,
            in_doubt,
            left_open: self.left_open,
            unanswered: self.unanswered,
            under_way: under_way.iter().sum(),
            back_after: self.strikes.back_after(&self.served()),
            silence: self.silence,
            wait: self.longest_wait(),
            ..Row::default()
        }
    }

    /// How long the acknowledged orders were under way.
    fn served(&self) -> Vec<Period> {
        self.periods_of(|outcome| outcome == Outcome::Acknowledged)
    }

    fn periods_of(&self, outcomes: impl Fn(Outcome) -> bool) -> Vec<Period> {
        let records = self.run.records.iter().zip(&self.periods);
        let these = records.filter(|(one, _)| outcomes(one.outcome()));
        these.map(|(_, period)| *period).collect()
    }

    /// How many buyers whose order was under way when it struck were left without an answer.
    pub fn struck_and_left_open(&self) -> usize {
        let records = self.run.records.iter().zip(&self.periods);
        records.filter(|(one, period)| one.was_left_open() && self.strikes.meet(period)).count()
    }

    /// Fails unless each buyer heard at once that the order is placed, or that nothing is left, and
    /// no shopper was turned away.
    pub fn assert_nobody_noticed(&self) {
        let is_served = |record: &&Record| match &record.answers[..] {
            [only] => record.lost == 0 && (only.acknowledges() || only.code() == "out_of_stock"),
            _ => false,
        };
        let served = self.run.records.iter().filter(is_served).count();
        assert_eq!((served, self.turned_shoppers_away()), (self.run.records.len(), 0));
    }

    /// What the provider has collected by its own books, where asking again collects once, is what
    /// the payments say, and nobody was charged twice.
    async fn judge_books(&self) {
        let told = "SELECT format('%s %s %s', order_id, id, amount) FROM payments
            WHERE status IN ('captured', 'refund_due')";
        // A payment without an answer is asked about again after a while.
        let collected = until(async || {
            let books = self.database.books();
            let collected: BTreeSet<String> = books.lines().map(String::from).collect();
            let told = self.database.rows(told, &[]).await;
            let told = told.iter().map(|row| row.get(0)).collect();
            match collected.symmetric_difference(&told).next() {
                None => Ok(collected),
                Some(entry) => Err(format!("in the books or in the database alone: {entry}")),
            }
        })
        .await;
        let paid = self.provider != Provider::Test || collected.len() >= self.served().len() / 2;
        assert!(paid, "hardly anybody was charged: {}", collected.len());
        let orders: BTreeSet<_> = collected.iter().map(|entry| entry.split(' ').next()).collect();
        assert_eq!(orders.len(), collected.len(), "an order was charged twice");
    }

    /// The longest that an acknowledged buyer has waited since wanting to buy, however often it had
    /// to ask: the time to recover, as they see it.
    fn longest_wait(&self) -> Duration {
        let records = self.run.records.iter();
        let acknowledged = records.filter(|record| record.outcome() == Outcome::Acknowledged);
        let longest = acknowledged.map(|record| record.timing.latency_us).max();
        Duration::from_micros(longest.unwrap_or(0))
    }

    /// How many buyers met the fault: an attempt had no answer, one that leaves it open, or was
    /// told to come again.
    pub fn met(&self) -> usize {
        let was_hit =
            |record: &&Record| record.lost > 0 || !record.answers.iter().all(Answer::is_final);
        self.run.records.iter().filter(was_hit).count()
    }

    /// Judged again without the database, from what an instance that lives exports.
    pub async fn judged_by_the_api(&self) -> Checked {
        let instances = Instances::of(self.settings.bases.clone());
        let office = Office { instances: &instances, admin_key: ADMIN_KEY };
        let verdict = oracle::examine(&self.run, Source::Api(office)).await.unwrap();
        assert!(verdict.is_clean(), "{:#?}", verdict.findings);
        verdict.checked
    }

    /// Fails unless everything that buyers were told is true and all invariants hold. What they
    /// sent and received is kept, if histories are.
    pub async fn judged(&self) -> Checked {
        if let Some(folder) = crate::histories() {
            self.save(&folder).unwrap();
        }
        let verdict = oracle::examine(&self.run, &self.database.url).await.unwrap();
        let mut labels: BTreeMap<String, usize> = BTreeMap::new();
        for record in &self.run.records {
            *labels.entry(record.label()).or_default() += 1;
        }
        println!("{} sent, {labels:?}, {:?}", self.orders, verdict.checked);
        self.looks().unwrap();
        assert!(verdict.is_clean(), "{:#?}", verdict.findings);
        self.database.assert_clean();
        verdict.checked
    }

    fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let history = folder.join(format!("{}.ndjson", self.name));
        self.run.save(&history)?;
        for (n, shopper) in self.shoppers.iter().enumerate() {
            let records = shopper.history.clone();
            let path = folder.join(format!("{}-shopper-{n}.ndjson", self.name));
            Run { records, ..Run::default() }.save(&path)?;
        }
        println!("what all sent and received: {history:?}");
        Ok(())
    }
}

impl Drop for Sale {
    /// Where something is wrong, what has been sold so far can be looked into.
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(folder) = crate::histories()
        {
            self.save(&folder).unwrap_or_else(|error| println!("{error:#}"));
        }
    }
}

/// Sends a part of all orders at its part of the rate.
async fn buy(
    orders: Vec<(usize, Request)>,
    all: usize,
    arrivals: &Arrivals,
    settings: &Settings,
) -> Vec<Record> {
    let arrivals = match arrivals {
        Arrivals::Rate(rate) => Arrivals::Rate(rate * orders.len() as f64 / all as f64),
        other => other.clone(),
    };
    let orders = orders.into_iter().map(|(_, order)| order).collect();
    generator::run(orders, arrivals, settings, &ProgressBar::hidden()).await
}

#[test]
fn an_unknown_outcome_is_told_in_the_words_by_which_a_sale_knows_it() {
    let is_open = |problem: Problem| {
        let body = serde_json::to_vec(&problem.body("/v1/orders", "")).unwrap().into();
        Answer { status: 503, body, ..Answer::default() }.leaves_it_open()
    };
    assert!(is_open(Problem::unknown_outcome()));
    assert!(!is_open(Problem::new(Code::StorageUnavailable, "")));
}

#[tokio::test]
async fn what_is_lost_doubled_or_oversold_is_counted() {
    let app = App::start().await;
    let mut sale = Sale::at(&[&app], Provider::Manual, 1);
    sale.offer(1, 3).await;
    sale.sell(3, Arrivals::Unpaced).await;
    let wrongs = async |sale: &Sale| Wrongs::of(&sale.run, &sale.name, &sale.database).await;
    assert!(wrongs(&sale).await.is_nothing());
    let answer = &mut sale.run.records[0].answers[0];
    answer.body = serde_json::to_vec(&json!({"id": OrderId::new().to_string()})).unwrap().into();
    *sale.run.supplied.values_mut().next().unwrap() = 2;
    let client = app.database.connect().await;
    client
        .execute("UPDATE orders SET email = (SELECT min(email) FROM orders)", &[])
        .await
        .unwrap();
    let Wrongs { lost, doubled, oversold } = wrongs(&sale).await;
    assert_eq!((lost, doubled, oversold), (1, 2, 1));
}
