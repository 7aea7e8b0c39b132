//! The rules of orders against a model: whatever is asked in whatever order, the books agree.

use super::command::{
    Command, KeyWrite, Known, Locked, NewPayment, OrderWrite, Outcome, PaymentWrite, Periods,
    World,
};
use super::decide::{Decision, decide, is_idle};
use super::order::{Facts, Line, PaymentStatus, Placement, State, Status};
use crate::contact::Address;
use crate::error::Code;
use crate::id::{LineId, OrderId, PaymentId, ShopperId, VariantId};
use crate::idempotency::{Claim, Reply, Saved};
use crate::inventory::{Level, StockKey};
use crate::payment::{Answer, Terms};
use crate::pricing::Totals;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

const PERIODS: Periods =
    Periods { pay_within: Duration::from_secs(60), processing_max: Duration::from_secs(600) };

/// A database in memory: what the journal's writes make of it.
struct Model {
    now: OffsetDateTime,
    supplied: i64,
    rows: Vec<StockKey>,
    stock: HashMap<StockKey, Locked>,
    orders: Vec<(Known, State)>,
    carts: HashMap<ShopperId, i64>,
}

impl Model {
    fn new(rows: usize, available: i64) -> Self {
        let rows: Vec<StockKey> = (0..rows).map(|_| StockKey::of(VariantId::new())).collect();
        let level = Level { available, held: 0, sold: 0 };
        let stock = rows.iter().map(|key| (*key, Locked { level, offer_version: 1 })).collect();
        let now = OffsetDateTime::UNIX_EPOCH;
        let (orders, carts) = (Vec::new(), HashMap::new());
        Self { now, supplied: available, rows, stock, orders, carts }
    }

    fn world(&self, keys: HashMap<(Arc<str>, Arc<str>), Saved>) -> World {
        let state = |(known, state): &(Known, State)| (known.placement.id, state.clone());
        World {
            now: self.now,
            next_number: 1,
            keys,
            stock: self.stock.clone(),
            taken: HashSet::new(),
            carts: self.carts.clone(),
            orders: self.orders.iter().map(state).collect(),
            periods: PERIODS,
        }
    }

    /// Decides one batch and carries its writes out.
    fn commit(&mut self, commands: &[Command]) -> Vec<Decision> {
        let decisions = decide(commands, self.world(HashMap::new()));
        for (command, decision) in commands.iter().zip(&decisions) {
            let Some(write) = &decision.write else { continue };
            if let Some((movement, _)) = write.movement {
                for line in &command.placement().lines {
                    let row = self.stock.get_mut(&line.stock).unwrap();
                    row.level = row.level.after(movement.delta(line.quantity)).unwrap();
                }
            }
            if let Some((shopper, version)) = write.cart {
                self.carts.insert(shopper, version + 1);
            }
            let placement = command.placement().clone();
            match &write.order {
                OrderWrite::Insert(state) => {
                    let known = Known { placement, facts: write.facts };
                    self.orders.push((known, state.clone()));
                }
                OrderWrite::Update(state, _) => {
                    let id = placement.id;
                    let order = self.orders.iter_mut().find(|(o, _)| o.placement.id == id);
                    order.unwrap().1 = state.clone();
                }
            }
        }
        decisions
    }

    /// I1, I2, I3 and I6 over the whole model.
    fn assert_sound(&self) {
        for key in &self.rows {
            let level = self.stock[key].level;
            let units = |statuses: &[Status]| -> i64 {
                let live = self.orders.iter().filter(|(_, s)| statuses.contains(&s.status));
                let lines = live.flat_map(|(order, _)| &order.placement.lines);
                lines.filter(|line| line.stock == *key).map(|line| line.quantity).sum()
            };
            assert_eq!(level.available + level.held + level.sold, self.supplied);
            assert_eq!(level.held, units(&[Status::PendingPayment]));
            assert_eq!(level.sold, units(&[Status::Confirmed, Status::Paid]));
        }
        for (order, state) in &self.orders {
            let captured =
                state.payments.iter().filter(|p| p.status == PaymentStatus::Captured).count();
            let expected = usize::from(state.status == Status::Paid);
            assert_eq!(captured, expected, "{:?} {state:?}", order.placement.id);
        }
    }
}

fn placement(lines: &[(StockKey, i64)]) -> Arc<Placement> {
    let line = |(stock, quantity): &(StockKey, i64)| Line {
        id: LineId::new(),
        stock: *stock,
        sku: "SKU".to_owned(),
        title: "Title".to_owned(),
        quantity: *quantity,
        unit_price: 100,
        total: 100 * quantity,
        offer_version: 1,
    };
    let lines: Vec<Line> = lines.iter().map(line).collect();
    let subtotal = lines.iter().map(|line| line.total).sum();
    let text = || "x".to_owned();
    Arc::new(Placement {
        id: OrderId::new(),
        shopper: None,
        lines,
        currency: "GBP".parse().unwrap(),
        totals: Totals::of(subtotal, 0, 0).unwrap(),
        tax_rate: 0,
        email: text(),
        shipping_address: Address {
            name: text(),
            line1: text(),
            line2: None,
            city: text(),
            region: None,
            postal_code: None,
            country: "GB".to_owned(),
            phone: None,
        },
    })
}

fn payment(terms: Terms) -> NewPayment {
    NewPayment { id: PaymentId::new(), provider: "p", token: None, terms }
}

fn claim(key: &str) -> Claim {
    Claim { scope: "s".into(), key: key.into(), request_hash: [7; 32] }
}

fn place(placement: Arc<Placement>, terms: Terms) -> Command {
    let (claim, access_token) = (claim(&placement.id.to_string()), "secret".to_owned());
    Command::Place { claim, placement, payment: payment(terms), access_token, cart_version: None }
}

/// One step of a random history; the numbers choose among what exists.
#[derive(Debug, Clone)]
enum Step {
    Place(Vec<(usize, i64)>, bool),
    Pay(usize, bool),
    Settle(usize, u8),
    Cancel(usize),
    Expire(usize),
    Wait(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (prop::collection::vec((0..3usize, 1..4i64), 1..3), any::<bool>())
            .prop_map(|(lines, invoice)| Step::Place(lines, invoice)),
        2 => (0..20usize, any::<bool>()).prop_map(|(order, invoice)| Step::Pay(order, invoice)),
        4 => (0..20usize, 0..3u8).prop_map(|(order, answer)| Step::Settle(order, answer)),
        1 => (0..20usize).prop_map(Step::Cancel),
        2 => (0..20usize).prop_map(Step::Expire),
        1 => (0..900u16).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

impl Model {
    fn command(&self, step: &Step) -> Option<Command> {
        let terms = |invoice: bool| if invoice { Terms::Invoice } else { Terms::Charge };
        let pick = |index: &usize| {
            let count = self.orders.len().max(1);
            self.orders.get(index % count).cloned()
        };
        Some(match step {
            Step::Place(lines, invoice) => {
                let mut wanted: Vec<(StockKey, i64)> = Vec::new();
                for (row, quantity) in lines {
                    if wanted.iter().all(|(key, _)| *key != self.rows[*row]) {
                        wanted.push((self.rows[*row], *quantity));
                    }
                }
                place(placement(&wanted), terms(*invoice))
            }
            Step::Pay(order, invoice) => {
                let payment = payment(terms(*invoice));
                Command::Pay { claim: None, order: pick(order)?.0, payment }
            }
            Step::Settle(order, answer) => {
                let (order, state) = pick(order)?;
                let answer =
                    [Answer::Captured, Answer::Declined, Answer::Unknown][usize::from(*answer)];
                let payment = state.payments.last()?.id;
                Command::Settle { claim: None, order, payment, answer, access_token: None }
            }
            Step::Cancel(order) => Command::Cancel {
                id: uuid::Uuid::nil(),
                claim: None,
                order: pick(order)?.0,
                reason: None,
            },
            Step::Expire(order) => Command::Expire { order: pick(order)?.0 },
            Step::Wait(_) => return None,
        })
    }
}

proptest! {
    #[test]
    fn whatever_happens_in_whatever_order_the_books_agree(
        available in 0..12i64, steps in steps(), batch in 1..6usize,
    ) {
        let mut model = Model::new(3, available);
        for steps in steps.chunks(batch) {
            for step in steps {
                if let Step::Wait(seconds) = step {
                    model.now += Duration::from_secs(u64::from(*seconds));
                }
            }
            let commands: Vec<Command> =
                steps.iter().filter_map(|step| model.command(step)).collect();
            model.commit(&commands);
            model.assert_sound();
        }
    }
}

fn outcome(decisions: &[Decision], index: usize) -> &Outcome {
    &decisions[index].outcome
}

#[test]
fn orders_are_granted_in_arrival_order_until_the_stock_is_gone() {
    let mut model = Model::new(1, 3);
    let row = model.rows[0];
    let wants = [2, 2, 1].map(|quantity| placement(&[(row, quantity)]));
    let commands = wants.map(|placement| place(placement, Terms::Invoice));
    let decisions = model.commit(&commands);
    assert!(matches!(outcome(&decisions, 0), Outcome::Answered(_)));
    assert_eq!(outcome(&decisions, 1), &Outcome::SoldOut(vec![1]));
    assert!(matches!(outcome(&decisions, 2), Outcome::Answered(_)));
    assert_eq!(decisions[1].key, Some(KeyWrite::Drop));
    model.assert_sound();
}

#[test]
fn an_older_offer_is_not_sold_and_nothing_moves() {
    let mut model = Model::new(1, 3);
    let row = model.rows[0];
    model.stock.get_mut(&row).unwrap().offer_version = 2;
    let decisions = model.commit(&[place(placement(&[(row, 1)]), Terms::Invoice)]);
    assert_eq!(outcome(&decisions, 0), &Outcome::OfferChanged);
    assert_eq!(model.stock[&row].level.available, 3);
}

#[test]
fn a_known_key_is_answered_with_its_reply_and_another_request_is_refused() {
    let model = Model::new(1, 3);
    let order = placement(&[(model.rows[0], 1)]);
    let command = place(order.clone(), Terms::Invoice);
    let first = decide([&command], model.world(HashMap::new()));
    let Outcome::Answered(reply) = outcome(&first, 0) else { panic!("{first:?}") };
    let known = |hash: u8, resource: OrderId| {
        let claim = claim(&order.id.to_string());
        let saved = Saved {
            request_hash: vec![hash; 32],
            resource_id: Some(resource.uuid()),
            reply: Some(reply.clone().replay()),
        };
        HashMap::from([((claim.scope, claim.key), saved)])
    };
    let replayed = decide([&command], model.world(known(7, OrderId::new())));
    assert_eq!(outcome(&replayed, 0), &Outcome::Answered(reply.clone().replay()));
    let ours = decide([&command], model.world(known(7, order.id)));
    assert_eq!(outcome(&ours, 0), &Outcome::Answered(reply.clone()));
    let other = decide([&command], model.world(known(8, order.id)));
    let Outcome::Refused(problem) = outcome(&other, 0) else { panic!("{other:?}") };
    assert_eq!(problem.code, Code::IdempotencyKeyReused);
    for decisions in [replayed, ours, other] {
        assert_eq!((&decisions[0].write, &decisions[0].key), (&None, &None));
    }
}

#[test]
fn an_earlier_run_of_ours_that_waits_for_its_payment_is_taken_up_again() {
    let model = Model::new(1, 3);
    let order = placement(&[(model.rows[0], 1)]);
    let command = place(order.clone(), Terms::Charge);
    let claim = claim(&order.id.to_string());
    let known = |resource: OrderId| {
        let saved =
            Saved { request_hash: vec![7; 32], resource_id: Some(resource.uuid()), reply: None };
        HashMap::from([((claim.scope.clone(), claim.key.clone()), saved)])
    };
    let ours = decide([&command], model.world(known(order.id)));
    assert_eq!(outcome(&ours, 0), &Outcome::Resume);
    let other = decide([&command], model.world(known(OrderId::new())));
    let Outcome::Refused(problem) = outcome(&other, 0) else { panic!("{other:?}") };
    assert_eq!(problem.code, Code::RequestInProgress);
}

#[test]
fn an_earlier_run_of_ours_whose_key_has_another_owner_now_is_not_made_again() {
    for available in [1, 2] {
        let mut model = Model::new(1, available);
        let command = place(placement(&[(model.rows[0], 1)]), Terms::Invoice);
        model.commit(std::slice::from_ref(&command));
        let again = decide([&command], model.world(HashMap::new()));
        assert_eq!(outcome(&again, 0), &Outcome::Nothing);
        assert_eq!((&again[0].write, &again[0].key), (&None, &Some(KeyWrite::Drop)));
        // It was there when this run asked for it, and gone when it looked at it.
        let Claim { scope, key, request_hash } = command.claim().unwrap().clone();
        let saved = Saved { request_hash: request_hash.to_vec(), resource_id: None, reply: None };
        let again = decide([&command], model.world(HashMap::from([((scope, key), saved)])));
        assert_eq!(outcome(&again, 0), &Outcome::Nothing);
        assert_eq!((&again[0].write, &again[0].key), (&None, &None));
    }
}

#[test]
fn facts_come_from_the_database_s_clock_and_numbers_follow_each_other() {
    let mut model = Model::new(1, 9);
    let row = model.rows[0];
    let orders =
        [Terms::Charge, Terms::Invoice].map(|terms| place(placement(&[(row, 1)]), terms));
    model.commit(&orders);
    let facts: Vec<Facts> = model.orders.iter().map(|(known, _)| known.facts).collect();
    assert_eq!([facts[0].number, facts[1].number], [1, 2]);
    assert_eq!(facts[0].created_at, model.now);
    assert_eq!(facts[0].pay_by, Some(model.now + PERIODS.pay_within));
    assert_eq!(facts[1].pay_by, None);
}

#[test]
fn a_declined_second_payment_keeps_the_order_and_frees_its_key() {
    let mut model = Model::new(1, 9);
    let row = model.rows[0];
    model.commit(&[place(placement(&[(row, 1)]), Terms::Invoice)]);
    let (order, _) = model.orders[0].clone();
    let card = payment(Terms::Charge);
    let key = Some(claim("pay"));
    let pay = Command::Pay { claim: key.clone(), order: order.clone(), payment: card.clone() };
    model.commit(std::slice::from_ref(&pay));
    let settle = Command::Settle {
        claim: key,
        order,
        payment: card.id,
        answer: Answer::Declined,
        access_token: None,
    };
    let is_declined = |decisions: &[Decision]| {
        let Outcome::Refused(problem) = outcome(decisions, 0) else { return false };
        let is_free = decisions[0].key == Some(KeyWrite::Drop);
        problem.code == Code::PaymentDeclined && is_free
    };
    let decisions = model.commit(std::slice::from_ref(&settle));
    assert!(is_declined(&decisions), "{decisions:?}");
    // Its own run once more, which has taken the key again, and its provider's answer once more.
    let [paid, settled] = [pay, settle].map(|again| {
        let decisions = model.commit(std::slice::from_ref(&again));
        assert!(is_declined(&decisions) && decisions[0].write.is_none(), "{decisions:?}");
        is_idle([&again], &decisions)
    });
    assert!(paid, "a key that this batch has taken goes with it");
    assert!(!settled, "a key that an earlier one has taken has to be freed");
    let write = decisions[0].write.as_ref().unwrap();
    let declined = PaymentWrite::Update(card.id, PaymentStatus::Declined);
    assert_eq!(write.payment, Some(declined));
    assert_eq!(model.orders[0].1.status, Status::Confirmed);
    model.assert_sound();
}

#[test]
fn whoever_is_told_late_of_a_declined_payment_hears_what_its_key_stands_for_since() {
    let mut model = Model::new(1, 9);
    let placed = place(placement(&[(model.rows[0], 1)]), Terms::Charge);
    model.commit(&[placed]);
    let (order, state) = model.orders[0].clone();
    let claim = claim("pay");
    let settle = |payment, answer| Command::Settle {
        claim: Some(claim.clone()),
        order: order.clone(),
        payment,
        answer,
        access_token: None,
    };
    let declined = settle(PaymentId::new(), Answer::Declined);
    let captured = settle(state.payments[0].id, Answer::Captured);
    let since = |reply| Saved {
        request_hash: claim.request_hash.to_vec(),
        resource_id: Some(PaymentId::new().uuid()),
        reply,
    };
    let hears = |settle, saved| {
        let decisions = decide([settle], model.world(HashMap::from([(claim.id(), saved)])));
        let Decision { outcome, key, .. } = decisions[0].clone();
        (outcome, key)
    };
    let reply = Reply::ok("{}");
    let told = hears(&declined, since(Some(reply.clone())));
    assert_eq!(told, (Outcome::Answered(reply.clone()), None));
    let (Outcome::Refused(problem), None) = hears(&declined, since(None)) else { panic!() };
    assert_eq!(problem.code, Code::RequestInProgress);
    // Money that was taken is told as it is.
    let (told, _) = hears(&captured, since(Some(reply.clone())));
    let Outcome::Answered(paid) = told else { panic!() };
    assert_ne!(paid, reply);
}

#[test]
fn a_payment_that_is_settled_twice_in_a_batch_has_one_answer() {
    let mut model = Model::new(1, 9);
    let placed = place(placement(&[(model.rows[0], 1)]), Terms::Charge);
    model.commit(std::slice::from_ref(&placed));
    let (order, state) = model.orders[0].clone();
    let claim = placed.claim().unwrap();
    let waiting = Saved {
        request_hash: claim.request_hash.to_vec(),
        resource_id: Some(order.placement.id.uuid()),
        reply: None,
    };
    let settle = Command::Settle {
        claim: Some(claim.clone()),
        order: order.clone(),
        payment: state.payments[0].id,
        answer: Answer::Declined,
        access_token: Some("secret".to_owned()),
    };
    model.now += PERIODS.pay_within + Duration::from_secs(1);
    // The reaper has asked as well, and between the two the order expires.
    let batch = [settle.clone(), Command::Expire { order }, settle];
    let decisions = decide(&batch, model.world(HashMap::from([(claim.id(), waiting)])));
    assert_eq!(outcome(&decisions, 0), outcome(&decisions, 2));
    assert_eq!(decisions[2].key, None, "it is saved once");
}
