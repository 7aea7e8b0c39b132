//! A database that does what PostgreSQL does for the orders' journal: locks, unique keys, guards,
//! and transactions whose outcome nobody knows yet.

use crate::plant::Plant;
use doorbuster::id::{OrderId, PaymentId, ShopperId};
use doorbuster::idempotency::{Claim, KeyId, Saved};
use doorbuster::inventory::{Level, StockKey};
use doorbuster::journal::{BEGINS_WITHIN, Form};
use doorbuster::order::{
    Command, Decision, KeyWrite, Known, Locked, OrderWrite, Outcome, PaymentStatus, PaymentWrite,
    Periods, Placement, State, Unsettled, World, Write, decide, is_idle,
};
use doorbuster::postgres::Class;
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::Duration;
use time::OffsetDateTime;

/// How long orders wait.
pub const PERIODS: Periods =
    Periods { pay_within: Duration::from_secs(60), processing_max: Duration::from_secs(600) };

/// An order's rows.
#[derive(Debug, Clone)]
pub struct Row {
    /// What never changes.
    pub known: Known,
    /// What does.
    pub state: State,
}

/// A payment that waits for its provider's answer.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Which, and what the reaper finds out about it.
    pub unsettled: Unsettled,
    /// When somebody asked last.
    pub asked_at: OffsetDateTime,
}

/// What is ordered: rows and units.
pub type Basket = Vec<(StockKey, i64)>;

/// A shopper's cart.
#[derive(Debug, Clone, Default)]
pub struct Cart {
    /// Its version.
    pub version: i64,
    /// What is in it.
    pub items: BTreeMap<StockKey, i64>,
}

/// What a transaction writes, once it commits.
#[derive(Debug, Clone)]
pub struct Transaction {
    commands: Vec<Command>,
    decisions: Vec<Decision>,
    form: Form,
    /// It was sent at once and has not arrived, so it holds nothing; from then on it never begins.
    late: Option<OffsetDateTime>,
}

impl Transaction {
    /// What its commands will come to.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.decisions.iter().map(|decision| &decision.outcome)
    }

    /// It was sent, and has not arrived.
    pub fn is_behind(&self) -> bool {
        self.late.is_some()
    }
}

/// Everything that is committed, and what may still be.
#[derive(Clone)]
pub struct Database {
    /// Its clock.
    pub now: OffsetDateTime,
    /// The orders.
    pub orders: BTreeMap<OrderId, Row>,
    /// Idempotency keys.
    pub keys: HashMap<KeyId, Saved>,
    /// Payments without an answer.
    pub unsettled: BTreeMap<PaymentId, Waiting>,
    /// The shoppers' carts.
    carts: BTreeMap<ShopperId, Cart>,
    /// The stock rows.
    pub stock: BTreeMap<StockKey, Locked>,
    /// The same as it was a while ago.
    pub stale: BTreeMap<StockKey, Locked>,
    /// What is wrong, if anything is.
    pub wrong: Option<String>,
    /// Units that ever came.
    pub supplied: HashMap<StockKey, i64>,
    next_number: i64,
    /// COMMIT was sent, and nobody has heard of it.
    pub in_doubt: Vec<Transaction>,
    /// The order that each key made, and by which request.
    pub effects: HashMap<KeyId, (OrderId, [u8; 32])>,
    /// The orders' numbers.
    pub numbers: HashSet<i64>,
    /// Units of unpaid and of sold orders, counted from the orders.
    pub books: HashMap<StockKey, (i64, i64)>,
    /// The fault that is planted.
    pub plant: Option<Plant>,
}

impl Database {
    /// With so many units in each row.
    pub fn new(rows: Vec<StockKey>, supplied: i64, plant: Option<Plant>) -> Self {
        let level = Level { available: supplied, held: 0, sold: 0 };
        let stock: BTreeMap<_, _> =
            rows.into_iter().map(|key| (key, Locked { level, offer_version: 1 })).collect();
        Self {
            now: OffsetDateTime::UNIX_EPOCH,
            orders: BTreeMap::new(),
            keys: HashMap::new(),
            unsettled: BTreeMap::new(),
            carts: BTreeMap::new(),
            stale: stock.clone(),
            wrong: None,
            supplied: stock.keys().map(|key| (*key, supplied)).collect(),
            stock,
            next_number: 1,
            in_doubt: Vec::new(),
            effects: HashMap::new(),
            numbers: HashSet::new(),
            books: HashMap::new(),
            plant,
        }
    }

    /// More units have arrived, once nobody holds their row.
    pub fn restock(&mut self, dice: &mut StdRng, key: StockKey, units: i64) {
        self.wait_for(dice, key);
        self.add(key, units);
    }

    /// More units are there.
    pub fn add(&mut self, key: StockKey, units: i64) {
        if let Some(row) = self.stock.get_mut(&key) {
            row.level.available += units;
        }
        *self.supplied.entry(key).or_default() += units;
    }

    /// Somebody puts so many units into a cart, as soon as nobody holds it.
    pub fn put(&mut self, dice: &mut StdRng, shopper: ShopperId, key: StockKey, units: i64) {
        let is_its = |command: &Command| command.cart().is_some_and(|(of, _)| of == shopper);
        self.wait(dice, |held| held.iter().any(is_its));
        let cart = self.carts.entry(shopper).or_default();
        cart.version += 1;
        *cart.items.entry(key).or_default() += units;
    }

    /// The price changes, as soon as nobody holds its row.
    pub fn change_offer(&mut self, dice: &mut StdRng, key: StockKey) {
        self.wait_for(dice, key);
        self.stock.get_mut(&key).into_iter().for_each(|row| row.offer_version += 1);
    }

    fn wait_for(&mut self, dice: &mut StdRng, key: StockKey) {
        let is_of = |c: &Command| c.placement().lines.iter().any(|line| line.stock == key);
        self.wait(dice, |held| held.iter().any(is_of));
    }

    /// What an order of this is of: the cart with its version, or the same as before. `None` if
    /// there is nothing in the cart.
    pub fn wanted(&self, placement: &Placement) -> Option<(Basket, Option<i64>)> {
        let lines = placement.lines.iter().map(|line| (line.stock, line.quantity));
        let Some(shopper) = placement.shopper else { return Some((lines.collect(), None)) };
        let Cart { version, items } = self.carts.get(&shopper)?;
        let items: Basket = items.iter().map(|(key, units)| (*key, *units)).collect();
        (!items.is_empty()).then_some((items, Some(*version)))
    }

    /// The order that this request has made.
    pub fn effect(&self, claim: &Claim) -> Option<OrderId> {
        let (order, by) = self.effects.get(&claim.id())?;
        (*by == claim.request_hash).then_some(*order)
    }

    /// Runs a batch up to its COMMIT.
    pub fn run(&mut self, dice: &mut StdRng, commands: Vec<Command>, form: Form) -> Transaction {
        self.wait(dice, |held| meets(held, &commands));
        self.decide(commands, form)
    }

    /// Transactions in doubt that hold what is needed come to their end: each commits or not.
    fn wait(&mut self, dice: &mut StdRng, holds: impl Fn(&[Command]) -> bool) {
        if self.plant == Some(Plant::NoWaitForDoubt) {
            return;
        }
        for transaction in std::mem::take(&mut self.in_doubt) {
            match transaction.late.is_none() && holds(&transaction.commands) {
                true => self.end(dice, transaction),
                false => self.in_doubt.push(transaction),
            }
        }
    }

    /// Whether a transaction in doubt holds what these need.
    pub fn is_held(&self, commands: &[Command]) -> bool {
        let waits = self.plant != Some(Plant::NoWaitForDoubt);
        let mut began = self.in_doubt.iter().filter(|transaction| !transaction.is_behind());
        waits && began.any(|transaction| meets(&transaction.commands, commands))
    }

    /// Whether this transaction in doubt may commit now.
    pub fn may_commit(&self, doubt: usize) -> bool {
        let Transaction { commands, late, .. } = &self.in_doubt[doubt];
        late.is_none_or(|late| self.now < late && !self.is_held(commands))
    }

    /// Locks, and decides on what the locks return; or presumes it.
    pub fn decide(&mut self, commands: Vec<Command>, form: Form) -> Transaction {
        let world = match form {
            Form::Optimistic => {
                let all: Vec<&Command> = commands.iter().collect();
                World::presumed(&all, self.now, self.next_number, PERIODS)
            }
            Form::Exact => self.lock(&commands),
        };
        let is_new = |command: &&Command| matches!(command, Command::Place { .. });
        self.next_number += commands.iter().filter(is_new).count() as i64;
        let decisions = decide(&commands, world);
        Transaction { commands, decisions, form, late: None }
    }

    /// What the locks return.
    fn lock(&self, commands: &[Command]) -> World {
        let known = |command: &Command| {
            let key = command.claim()?.id();
            Some((key.clone(), self.keys.get(&key)?.clone()))
        };
        let state = |command: &Command| {
            let id = command.placement().id;
            Some((id, self.orders.get(&id)?.state.clone()))
        };
        let keys = commands.iter().filter_map(known).collect();
        let cart = |(shopper, priced)| match self.plant == Some(Plant::ForgetCartVersions) {
            true => Some((shopper, priced)),
            false => Some((shopper, self.carts.get(&shopper)?.version)),
        };
        let is_stale = self.plant == Some(Plant::DecideOnStaleStock);
        let stock = if is_stale { &self.stale } else { &self.stock };
        World {
            now: self.now,
            next_number: self.next_number,
            keys: if self.plant == Some(Plant::ForgetKeys) { HashMap::new() } else { keys },
            taken: HashSet::new(),
            carts: commands.iter().filter_map(|c| cart(c.cart()?)).collect(),
            stock: stock.iter().map(|(key, row)| (*key, *row)).collect(),
            orders: commands.iter().filter_map(state).collect(),
            periods: PERIODS,
        }
    }

    /// COMMIT, whose guards may say no.
    pub fn commit(&mut self, transaction: Transaction) -> Result<Vec<Decision>, Class> {
        if self.plant != Some(Plant::NoGuards)
            && let Err(class) = self.guard(&transaction)
        {
            if transaction.form == Form::Exact {
                self.find(format!(
                    "guards refuse what locks allowed: {:?}",
                    transaction.commands
                ));
            }
            return Err(class);
        }
        let Transaction { commands, decisions, .. } = transaction;
        if is_idle(&commands, &decisions) {
            return Ok(decisions);
        }
        commands.iter().for_each(|command| self.take_key(command));
        for (command, decision) in commands.iter().zip(&decisions) {
            let saved = command.claim().and_then(|claim| self.keys.get(&claim.id()));
            let saved = saved.and_then(|saved| saved.reply.clone());
            self.write(command, decision);
            self.judge_answer(command, &decision.outcome, saved.as_ref());
        }
        Ok(decisions)
    }

    /// COMMIT is on its way, and nobody will hear of it.
    pub fn leave_in_doubt(&mut self, transaction: Transaction) {
        self.in_doubt.push(transaction);
    }

    /// The same, but it has not even arrived, if it could be sent at once.
    pub fn leave_behind(&mut self, transaction: Transaction) {
        let is_sent = transaction.form == Form::Optimistic;
        let late = is_sent.then(|| self.now + BEGINS_WITHIN);
        self.in_doubt.push(Transaction { late, ..transaction });
    }

    /// One transaction in doubt comes to its end, if there is one.
    pub fn end_one(&mut self, dice: &mut StdRng) {
        if !self.in_doubt.is_empty() {
            let one = self.in_doubt.swap_remove(dice.random_range(0..self.in_doubt.len()));
            self.end(dice, one);
        }
    }

    fn end(&mut self, dice: &mut StdRng, transaction: Transaction) {
        let is_over = transaction.late.is_some_and(|late| late <= self.now);
        if transaction.late.is_some() {
            // It waits for those who were there before.
            self.wait(dice, |held| meets(held, &transaction.commands));
        }
        if !is_over && dice.random() {
            // Its guards may say no, and nobody hears of that either.
            let _ = self.commit(transaction);
        }
    }

    /// Unique keys, versions and CHECKs. The exact form has taken its keys and locked its carts.
    fn guard(&self, transaction: &Transaction) -> Result<(), Class> {
        let mut levels: HashMap<StockKey, Level> = HashMap::new();
        let is_locked = transaction.form == Form::Exact;
        for (command, decision) in transaction.commands.iter().zip(&transaction.decisions) {
            let is_taken = command.new_claim().is_some_and(|c| self.keys.contains_key(&c.id()));
            let is_changed = command.cart().is_some_and(|(shopper, version)| {
                self.carts.get(&shopper).map(|cart| cart.version) != Some(version)
            });
            if !is_locked && (is_taken || is_changed) {
                return Err(Class::Guard);
            }
            let writes = decision.write.iter();
            for to in writes.flat_map(|write| write.moves(command.placement())) {
                let row = self.stock.get(&to.stock).ok_or(Class::Guard)?;
                let level = levels.entry(to.stock).or_insert(row.level);
                *level = level.after(to.delta).ok_or(Class::Guard)?;
                if to.offer_version.is_some_and(|version| version != row.offer_version) {
                    return Err(Class::Guard);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, command: &Command, decision: &Decision) {
        let placement = command.placement();
        let (id, mut before) = (placement.id, None);
        if let Some(write) = &decision.write {
            match &write.order {
                OrderWrite::Insert(state) => {
                    if let Some(claim) = command.new_claim()
                        && let Some((other, _)) =
                            self.effects.insert(claim.id(), (id, claim.request_hash))
                    {
                        self.find(format!("one key made {other} and {id}"));
                    }
                    self.judge_new(placement, write.facts);
                    if write.cart != command.cart() {
                        self.find(format!("{id} empties {:?}", write.cart));
                    }
                    let known = Known { placement: placement.clone(), facts: write.facts };
                    self.orders.insert(id, Row { known, state: state.clone() });
                }
                OrderWrite::Update(state, _) => {
                    let row = self.orders.get_mut(&id).unwrap();
                    before = Some(std::mem::replace(&mut row.state, state.clone()));
                }
            }
            self.write_payment(command, write);
            if let Some((shopper, version)) = write.cart {
                let emptied = Cart { version: version + 1, items: BTreeMap::new() };
                let cart = self.carts.insert(shopper, emptied).unwrap_or_default();
                self.judge_cart(&cart, version, placement);
            }
            let expires = matches!(command, Command::Expire { .. });
            if let Some((movement, _)) = write.movement
                && !(expires && self.plant == Some(Plant::ExpireWithoutStock))
            {
                for line in &placement.lines {
                    let row = self.stock.get_mut(&line.stock).unwrap();
                    match row.level.after(movement.delta(line.quantity)) {
                        Some(level) => row.level = level,
                        None => self.find(format!("{:?} falls below zero", line.stock)),
                    }
                }
            }
            self.judge_order(id, before.as_ref());
        }
        self.write_key(command, decision);
    }

    fn write_payment(&mut self, command: &Command, write: &Write) {
        match &write.payment {
            Some(PaymentWrite::Insert(payment, PaymentStatus::Processing)) => {
                let key = command.claim().map(|claim| (&*claim.scope, &*claim.key));
                let unsettled = Unsettled {
                    order: command.placement().id,
                    payment: payment.id,
                    provider: payment.provider.to_owned(),
                    token: payment.token.clone(),
                    key: key.map(|(scope, key)| (scope.to_owned(), key.to_owned())),
                    is_first: matches!(command, Command::Place { .. }),
                };
                let waiting = Waiting { unsettled, asked_at: self.now };
                self.unsettled.insert(payment.id, waiting);
            }
            Some(PaymentWrite::Update(payment, _)) => {
                self.unsettled.remove(payment);
            }
            _ => {}
        }
    }

    /// A key that is free is taken before anything is decided, and waits for its reply.
    fn take_key(&mut self, command: &Command) {
        if let Some((key, saved)) = command.new_claim().map(Claim::in_flight) {
            let resource_id = Some(command.resource());
            self.keys.entry(key).or_insert(Saved { resource_id, ..saved });
        }
    }

    fn write_key(&mut self, command: &Command, decision: &Decision) {
        let (Some(write), Some(claim)) = (&decision.key, command.claim()) else { return };
        let (key, resource) = (claim.id(), command.resource());
        let is_ours = |saved: &&mut Saved| saved.resource_id == Some(resource);
        let Some(saved) = self.keys.get_mut(&key).filter(is_ours) else {
            if command.new_claim().is_some() {
                self.find(format!("{key:?} is not {resource}'s, which writes {write:?}"));
            }
            return;
        };
        match write {
            KeyWrite::Save(reply) => {
                saved.reply.get_or_insert_with(|| reply.clone().replay());
            }
            KeyWrite::Drop if self.plant != Some(Plant::KeepRefusedKeys) => {
                self.keys.remove(&key);
            }
            KeyWrite::Drop | KeyWrite::Wait => {}
        }
    }
}

/// All that makes a difference to what comes next, for whoever compares two of them.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { now, next_number, orders, unsettled, carts, stock, in_doubt, wrong, .. } =
            self;
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_unstable_by_key(|(key, _)| *key);
        write!(f, "{} {orders:?} {keys:?} {unsettled:?} ", now.unix_timestamp_nanos())?;
        write!(f, "{carts:?} {stock:?} {next_number} {in_doubt:?} {wrong:?}")
    }
}

/// Whether two batches need the same key, stock or order.
fn meets(these: &[Command], those: &[Command]) -> bool {
    these.iter().any(|a| {
        those.iter().any(|b| {
            let keys = a.claim().zip(b.claim()).is_some_and(|(a, b)| a.id() == b.id());
            let lines = &b.placement().lines;
            let stock = || {
                let of_a = a.placement().lines.iter();
                of_a.map(|line| line.stock).any(|key| lines.iter().any(|line| line.stock == key))
            };
            let carts = a.cart().zip(b.cart()).is_some_and(|(a, b)| a.0 == b.0);
            keys || carts || a.placement().id == b.placement().id || stock()
        })
    })
}
