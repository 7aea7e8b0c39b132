//! The protocol of orders and payments, explored completely for small bounds: two clients who want
//! the last unit under a key each, two instances, a provider, and so many faults at any place.
//!
//! It runs the same rules on the same database as the simulation; only who is next is not left to
//! the dice, but tried in every order.

mod state;

use crate::books::token;
use crate::client::{REQUEST, claim};
use crate::database::{Database, PERIODS, Transaction};
use crate::plant::Plant;
use crate::provider::Provider;
use crate::shop::{SECRET, address};
use doorbuster::id::{LineId, LocationId, OrderId, PaymentId, VariantId};
use doorbuster::idempotency::Claim;
use doorbuster::inventory::StockKey;
use doorbuster::journal::{Attempt, BEGINS_WITHIN, Form};
use doorbuster::order::{Command, Due, Line, NewPayment, Placement};
use doorbuster::payment::{Answer, Terms};
use doorbuster::pricing::Totals;
use state::{Charge, End, Entry, Instance, State};
use stateright::{Checker, HasDiscoveries, Model, Property};
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
    /// Whether one more unit comes at some time.
    may_restock: bool,
    plant: Option<Plant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Ask(usize, usize),
    Run(usize, Form, End),
    Doubt(usize, bool),
    Charge(usize, bool, bool),
    Kill(usize),
    /// What was sent at once, and has not arrived, begins no more.
    Over,
    Late,
    Restock,
    Expire(usize),
    Resolve(usize),
}

fn order_claim(client: usize) -> Claim {
    claim(format!("order-{client}"), REQUEST)
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
    Command::Place {
        claim: order_claim(client),
        placement: Arc::new(placement),
        payment: NewPayment {
            id: PaymentId::from(id),
            provider: "p",
            token: Some(token(PaymentId::from(id))),
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
            is_restocked: false,
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
                    if may_fail && form == Form::Optimistic {
                        actions.push(Action::Run(at, form, End::Behind));
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
            actions.push(Action::Doubt(doubt, false));
            if state.database.may_commit(doubt) {
                actions.push(Action::Doubt(doubt, true));
            }
        }
        let waits =
            |attempt: &Attempt<Entry>| attempt.doubt.wait(state.database.now, true).is_some();
        if state.database.in_doubt.iter().any(Transaction::is_behind)
            || state.instances.iter().any(|instance| instance.open.as_ref().is_some_and(waits))
        {
            actions.push(Action::Over);
        }
        if self.may_expire && !state.is_late {
            actions.push(Action::Late);
        }
        let is_held = state.database.in_doubt.iter().any(|transaction| !transaction.is_behind());
        if self.may_restock && !state.is_restocked && !is_held {
            actions.push(Action::Restock);
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
                return state.run(at, Attempt { form, ..attempt }, end).then_some(state);
            }
            Action::Over => {
                state.database.now += BEGINS_WITHIN;
                state.database.in_doubt.retain(|transaction| !transaction.is_behind());
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
                state.database.judge_charge(&due.charge());
                let said = state.provider.decide(&due.charge(), yes);
                let command = due.settle(if is_heard { said } else { Answer::Unknown });
                state.instances[at].queue.push_back(Entry { command, asker });
            }
            Action::Kill(at) => {
                state.faults += 1;
                state.instances[at] = Instance::default();
                let clients = state.clients.iter_mut();
                clients.filter(|c| c.waits_for == Some(at)).for_each(|c| c.waits_for = None);
            }
            Action::Restock => {
                state.is_restocked = true;
                state.database.add(row(), 1);
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
            Property::always(
                "at rest nobody waits, and the provider's books agree",
                |model: &Self, state| {
                    let mut actions = Vec::new();
                    model.actions(state, &mut actions);
                    if !actions.is_empty() {
                        return true;
                    }
                    let mut database = state.database.clone();
                    database.judge_at_rest(&state.provider);
                    database.wrong.is_none() && state.is_quiet()
                },
            ),
            Property::always(
                "who was refused, and did not come again, has nothing",
                |_, state: &State| {
                    let mut refused = state
                        .clients
                        .iter()
                        .enumerate()
                        .filter(|(_, client)| client.is_refused && client.requests == 1);
                    refused.all(|(at, _)| state.database.effect(&order_claim(at)).is_none())
                },
            ),
            Property::always("no more is sold than there is", |model: &Self, state: &State| {
                let acknowledged =
                    state.clients.iter().filter_map(|client| client.reply.as_ref());
                let paid = acknowledged.filter(|reply| {
                    String::from_utf8_lossy(&reply.body).contains(r#""status":"paid""#)
                });
                paid.count() as i64 <= model.units + i64::from(state.is_restocked)
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

fn explore(protocol: Protocol, until: HasDiscoveries) -> impl Checker<Protocol> {
    // Depth first: what is still to be tried is a path and its branches, and no whole layer.
    protocol.checker().threads(2).finish_when(until).spawn_dfs().join()
}

const SMALL: Protocol = Protocol {
    units: 1,
    requests_max: 2,
    faults_max: 1,
    may_expire: false,
    may_restock: false,
    plant: None,
};

#[test]
fn no_order_of_events_breaks_the_protocol() {
    let larger = std::env::var("DOORBUSTER_MODEL_FAULTS").ok().map(|text| text.parse().unwrap());
    let protocols = match larger {
        Some(faults_max) => vec![
            Protocol { may_expire: true, may_restock: true, ..SMALL },
            Protocol { faults_max, may_expire: true, ..SMALL },
        ],
        None => vec![SMALL],
    };
    for protocol in protocols {
        let checked = explore(protocol, HasDiscoveries::All);
        let (states, depth) = (checked.unique_state_count(), checked.max_depth());
        println!("{states} states, {depth} steps deep");
        checked.assert_properties();
        assert!(states > 1_000, "{states} states are hardly a protocol");
    }
}

#[test]
fn the_model_finds_what_is_planted() {
    for plant in Plant::OF_THE_PROTOCOL {
        // What is refused needs stock that comes back; for the others there is enough.
        let may_restock = plant == Plant::RefuseInDoubt;
        let units = if may_restock { 1 } else { 2 };
        let planted = Some(plant);
        let protocol = Protocol { units, may_restock, plant: planted, ..SMALL };
        let checked = explore(protocol, HasDiscoveries::AnyFailures);
        let found = checked.discoveries();
        let broken = found.keys().any(|name| !name.starts_with("somebody"));
        assert!(broken, "{plant:?} was not found in {} states", checked.unique_state_count());
        println!("{plant:?}: {:?}", found.keys().collect::<Vec<_>>());
    }
}
