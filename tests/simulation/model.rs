//! The protocol of orders and payments, explored completely for small bounds: two clients who want
//! the last unit under a key each, two instances, a provider, and so many faults at any place.
//!
//! It runs the same rules on the same database as the simulation; only who is next is not left to
//! the dice, but tried in every order.

use crate::database::{Database, PERIODS};
use crate::plant::Plant;
use crate::provider::Provider;
use crate::shop::{SECRET, address, order_key};
use doorbuster::id::{LineId, LocationId, OrderId, PaymentId, VariantId};
use doorbuster::idempotency::{Claim, Reply};
use doorbuster::inventory::StockKey;
use doorbuster::journal::{Attempt, Form, Next};
use doorbuster::order::{Command, Due, Known, Line, NewPayment, Outcome, Placement, Step};
use doorbuster::payment::{Answer, Terms};
use doorbuster::postgres::Class;
use doorbuster::pricing::Totals;
use stateright::{Checker, Model, Property};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const CLIENTS: usize = 2;
const INSTANCES: usize = 2;

/// How far it goes.
#[derive(Clone)]
struct Protocol {
    /// What there is to be had.
    units: i64,
    /// Requests of each client.
    requests_max: u8,
    /// Lost commits, lost answers of the provider and kills, together.
    faults_max: u8,
    /// Whether the time to pay may be over.
    may_expire: bool,
    plant: Option<Plant>,
}

#[derive(Debug, Clone)]
struct Entry {
    command: Command,
    asker: Option<(usize, u8)>,
}

#[derive(Debug, Clone)]
struct Charge {
    due: Due,
    asker: Option<(usize, u8)>,
}

#[derive(Debug, Clone, Default)]
struct Instance {
    queue: VecDeque<Entry>,
    /// A batch of one that runs again.
    open: Option<Attempt<Entry>>,
    charges: Vec<Charge>,
}

#[derive(Debug, Clone, Default)]
struct Client {
    requests: u8,
    waits_for: Option<usize>,
    reply: Option<Reply>,
    is_refused: bool,
}

#[derive(Clone)]
struct State {
    database: Database,
    provider: Provider,
    instances: [Instance; INSTANCES],
    clients: [Client; CLIENTS],
    faults: u8,
    is_late: bool,
}

/// How a run of a batch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Committed,
    NeverArrived,
    InDoubt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Ask(usize, usize),
    Run(usize, Form, End),
    Doubt(usize, bool),
    Charge(usize, bool, bool),
    Kill(usize),
    Late,
    Expire(usize),
    Resolve(usize),
}

impl State {
    fn in_words(&self) -> String {
        let Self { database, provider, instances, clients, faults, is_late } = self;
        let words = database.in_words();
        format!("{words} {provider:?} {instances:?} {clients:?} {faults} {is_late}")
    }

    /// The next batch of an instance, if it can run now.
    fn next(&self, at: usize) -> Option<Attempt<Entry>> {
        let Instance { queue, open, .. } = &self.instances[at];
        let new = || Some(Attempt::new(vec![queue.front()?.clone()], Form::Optimistic));
        let attempt = open.clone().or_else(new)?;
        let commands: Vec<Command> = attempt.batch.iter().map(|e| e.command.clone()).collect();
        (!self.database.is_held(&commands)).then_some(attempt)
    }

    fn is_asked_after(&self, payment: PaymentId) -> bool {
        self.instances.iter().any(|instance| {
            let settles = |entry: &Entry| {
                matches!(&entry.command, Command::Settle { payment: of, .. } if *of == payment)
            };
            let open = instance.open.iter().flat_map(|attempt| &attempt.batch);
            instance.charges.iter().any(|charge| charge.due.payment == payment)
                || instance.queue.iter().chain(open).any(settles)
        })
    }

    fn tell(&mut self, asker: Option<(usize, u8)>, told: Result<Reply, bool>) {
        let Some((at, request)) = asker else { return };
        let client = &mut self.clients[at];
        if client.requests != request || client.waits_for.take().is_none() {
            return;
        }
        match told {
            Ok(reply) => {
                let key = order_key(at as u64);
                let made = self.database.effect(&key).map(|order| format!("/v1/orders/{order}"));
                if made.is_none() || reply.location != made {
                    self.database
                        .find(format!("client {at} is told {reply:?}, made is {made:?}"));
                }
                let before = client.reply.get_or_insert_with(|| reply.clone());
                if before.body != reply.body {
                    self.database.find(format!("client {at} is told two things"));
                }
            }
            Err(is_final) => client.is_refused |= is_final,
        }
    }

    fn hear(&mut self, at: usize, entry: Entry, outcome: Outcome) {
        let Entry { command, asker } = entry;
        let due = match command.step(outcome) {
            Step::Answer(Ok(reply)) => return self.tell(asker, Ok(reply)),
            Step::Charge(due) => Some(*due),
            Step::Resume => {
                let row = self.database.orders.get(&command.placement().id);
                row.and_then(|row| Due::of(&command, row.known.clone()))
            }
            Step::SoldOut(_) => return self.tell(asker, Err(true)),
            _ => None,
        };
        match due {
            Some(due) => self.instances[at].charges.push(Charge { due, asker }),
            None => self.tell(asker, Err(false)),
        }
    }

    fn run(&mut self, at: usize, mut attempt: Attempt<Entry>, end: End) {
        let instance = &mut self.instances[at];
        if instance.open.take().is_none() {
            instance.queue.pop_front();
        }
        attempt.runs += 1;
        let commands: Vec<Command> = attempt.batch.iter().map(|e| e.command.clone()).collect();
        let transaction = self.database.decide(commands, attempt.form);
        let ran = match end {
            End::Committed => self.database.commit(transaction),
            End::NeverArrived => Err(Class::Lost),
            End::InDoubt => {
                self.database.leave_in_doubt(transaction);
                Err(Class::Lost)
            }
        };
        match ran {
            Ok(decisions) => {
                for (entry, decision) in attempt.batch.into_iter().zip(decisions) {
                    self.hear(at, entry, decision.outcome);
                }
            }
            Err(class) => {
                for next in attempt.after(class, 3) {
                    match next {
                        Next::Again(attempt) | Next::Reconnect(attempt) => {
                            self.instances[at].open = Some(attempt);
                        }
                        Next::Refuse(entry) => self.tell(entry.asker, Err(false)),
                    }
                }
            }
        }
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.in_words() == other.in_words()
    }
}

impl Eq for State {}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.in_words().hash(hasher);
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.in_words())
    }
}

fn row() -> StockKey {
    let id = Uuid::from_u128(1);
    StockKey { variant: VariantId::from(id), location: LocationId::from(id) }
}

fn place(client: usize, request: u8) -> Command {
    let id = Uuid::from_u128(100 + 10 * client as u128 + u128::from(request));
    let line = Line {
        id: LineId::from(id),
        stock: row(),
        sku: "S".to_owned(),
        title: "T".to_owned(),
        quantity: 1,
        unit_price: 1,
        total: 1,
        offer_version: 1,
    };
    let placement = Placement {
        id: OrderId::from(id),
        shopper: None,
        lines: vec![line],
        currency: "GBP".parse().unwrap(),
        totals: Totals::of(1, 0, 0).unwrap(),
        tax_rate: 0,
        email: "x".to_owned(),
        shipping_address: address(),
    };
    let (scope, key) = order_key(client as u64);
    Command::Place {
        claim: Claim { scope, key, request_hash: [7; 32] },
        placement: Arc::new(placement),
        payment: NewPayment {
            id: PaymentId::from(id),
            provider: "p",
            token: None,
            terms: Terms::Charge,
        },
        access_token: SECRET.to_owned(),
        cart_version: None,
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            database: Database::new(vec![row()], self.units, self.plant),
            provider: Provider::default(),
            instances: Default::default(),
            clients: Default::default(),
            faults: 0,
            is_late: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let may_fail = state.faults < self.faults_max;
        for (at, client) in state.clients.iter().enumerate() {
            let is_done = client.is_refused || client.waits_for.is_some();
            if !is_done && client.requests < self.requests_max {
                actions.extend((0..INSTANCES).map(|instance| Action::Ask(at, instance)));
            }
        }
        for at in 0..INSTANCES {
            let instance = &state.instances[at];
            if let Some(attempt) = state.next(at) {
                let is_new = matches!(attempt.batch[0].command, Command::Place { .. });
                let may_presume = is_new && attempt.form == Form::Optimistic;
                let forms = [Some(Form::Exact), may_presume.then_some(Form::Optimistic)];
                for form in forms.into_iter().flatten() {
                    actions.push(Action::Run(at, form, End::Committed));
                    if may_fail {
                        actions.push(Action::Run(at, form, End::NeverArrived));
                        actions.push(Action::Run(at, form, End::InDoubt));
                    }
                }
            }
            if !instance.charges.is_empty() {
                actions.extend([true, false].map(|yes| Action::Charge(at, yes, true)));
                if may_fail {
                    actions.push(Action::Charge(at, true, false));
                }
            }
            let is_idle = instance.queue.is_empty()
                && instance.open.is_none()
                && instance.charges.is_empty();
            if may_fail && !is_idle {
                actions.push(Action::Kill(at));
            }
        }
        for doubt in 0..state.database.in_doubt.len() {
            actions.extend([true, false].map(|commits| Action::Doubt(doubt, commits)));
        }
        if self.may_expire && !state.is_late {
            actions.push(Action::Late);
        }
        if state.is_late && state.candidates().next().is_some() {
            actions.push(Action::Expire(0));
        }
        let unsettled = state.database.unsettled.keys();
        if self.plant != Some(Plant::NoReaper)
            && unsettled.into_iter().any(|payment| !state.is_asked_after(*payment))
        {
            actions.push(Action::Resolve(1));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Ask(at, instance) => {
                let client = &mut state.clients[at];
                client.requests += 1;
                client.waits_for = Some(instance);
                let asker = Some((at, client.requests));
                let entry = Entry { command: place(at, client.requests), asker };
                state.instances[instance].queue.push_back(entry);
            }
            Action::Run(at, form, end) => {
                state.faults += u8::from(end != End::Committed);
                let attempt = state.next(at)?;
                state.run(at, Attempt { form, ..attempt }, end);
            }
            Action::Doubt(doubt, commits) => {
                let transaction = state.database.in_doubt.remove(doubt);
                if commits {
                    // Its guards may say no, and nobody hears of that either.
                    let _ = state.database.commit(transaction);
                }
            }
            Action::Charge(at, yes, is_heard) => {
                state.faults += u8::from(!is_heard);
                let Charge { due, asker } = state.instances[at].charges.remove(0);
                let said = state.provider.decide(due.order.placement.id, due.payment, yes);
                let command = due.settle(if is_heard { said } else { Answer::Unknown });
                state.instances[at].queue.push_back(Entry { command, asker });
            }
            Action::Kill(at) => {
                state.faults += 1;
                state.instances[at] = Instance::default();
                let clients = state.clients.iter_mut();
                clients.filter(|c| c.waits_for == Some(at)).for_each(|c| c.waits_for = None);
            }
            Action::Late => {
                state.is_late = true;
                state.database.now +=
                    PERIODS.pay_within + PERIODS.processing_max + Duration::from_secs(1);
            }
            Action::Expire(at) => {
                let order = state.candidates().next()?;
                let entry = Entry { command: Command::Expire { order }, asker: None };
                state.instances[at].queue.push_back(entry);
            }
            Action::Resolve(at) => {
                let unsettled = state.database.unsettled.values();
                let mut open = unsettled.map(|one| &one.unsettled);
                let found = open.find(|one| !state.is_asked_after(one.payment))?.clone();
                let order = state.database.orders[&found.order].known.clone();
                let due = Due::lost(found, order, |_| SECRET.to_owned());
                let charge = Charge { due, asker: None };
                state.instances[at].charges.push(charge);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("what is told is true, and the books agree", |_, state: &State| {
                state.database.wrong.is_none()
            }),
            Property::always("at rest the provider's books agree", |model: &Self, state| {
                let mut actions = Vec::new();
                model.actions(state, &mut actions);
                let mut database = state.database.clone();
                if actions.is_empty() {
                    database.judge_at_rest(&state.provider);
                }
                database.wrong.is_none()
            }),
            Property::always("no more is sold than there is", |model: &Self, state: &State| {
                let acknowledged =
                    state.clients.iter().filter_map(|client| client.reply.as_ref());
                let paid = acknowledged.filter(|reply| {
                    String::from_utf8_lossy(&reply.body).contains(r#""status":"paid""#)
                });
                paid.count() <= model.units as usize
            }),
            Property::sometimes("somebody buys it", |_, state: &State| {
                state.clients.iter().any(|client| client.reply.is_some())
            }),
            Property::sometimes("somebody is refused", |_, state: &State| {
                state.clients.iter().any(|client| client.is_refused)
            }),
        ]
    }
}

impl State {
    /// Orders that may expire, and are not on their way to it.
    fn candidates(&self) -> impl Iterator<Item = Known> {
        let expires = |entry: &Entry| matches!(entry.command, Command::Expire { .. });
        let is_on_its_way = self.instances.iter().any(|instance| {
            let open = instance.open.iter().flat_map(|attempt| &attempt.batch);
            instance.queue.iter().chain(open).any(expires)
        });
        let rows = self.database.orders.values().filter(move |_| !is_on_its_way);
        rows.filter(|row| row.state.status == doorbuster::order::Status::PendingPayment)
            .map(|row| row.known.clone())
    }
}

fn explore(protocol: Protocol) -> impl Checker<Protocol> {
    protocol.checker().threads(2).spawn_bfs().join()
}

const SMALL: Protocol =
    Protocol { units: 1, requests_max: 2, faults_max: 1, may_expire: false, plant: None };

#[test]
fn no_order_of_events_breaks_the_protocol() {
    let larger = std::env::var("DOORBUSTER_MODEL_FAULTS").ok().map(|text| text.parse().unwrap());
    let protocol = match larger {
        Some(faults_max) => Protocol { faults_max, may_expire: true, ..SMALL },
        None => SMALL,
    };
    let checked = explore(protocol);
    let (states, depth) = (checked.unique_state_count(), checked.max_depth());
    println!("{states} states, {depth} steps deep");
    checked.assert_properties();
    assert!(states > 1_000, "{states} states are hardly a protocol");
}

#[test]
fn the_model_finds_what_is_planted() {
    for plant in [Plant::NoWaitForDoubt, Plant::ForgetKeys, Plant::NoGuards, Plant::NoReaper] {
        let checked = explore(Protocol { units: 2, plant: Some(plant), ..SMALL });
        let found = checked.discoveries();
        let broken = found.keys().any(|name| !name.starts_with("somebody"));
        assert!(broken, "{plant:?} was not found in {} states", checked.unique_state_count());
        println!("{plant:?}: {:?}", found.keys().collect::<Vec<_>>());
    }
}
