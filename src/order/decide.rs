//! The decisions of a batch: commands and the locked state come in, writes and outcomes go out.
//!
//! Pure: no SQL, no clock, no randomness. Commands are decided in arrival order, each on what
//! those before it left.

use super::body::OrderBody;
use super::command::{
    Command, KeyWrite, Known, Locked, NewPayment, OrderWrite, Outcome, PaymentWrite, World, Write,
};
use super::order::{Facts, Payment, PaymentStatus, Placement, State, Status};
use super::transition::{self, Transition};
use crate::error::{Code, Problem};
use crate::id::{PaymentId, ShopperId};
use crate::idempotency::{Claim, Reply, in_progress, reused};
use crate::inventory::{Cause, Level, Movement, StockKey};
use crate::payment::{Answer, Terms};
use std::sync::Arc;
use uuid::Uuid;

/// A command's decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The answer, once committed.
    pub outcome: Outcome,
    /// The rows, if anything changes.
    pub write: Option<Write>,
    /// The key, if the command has one and its row changes.
    pub key: Option<KeyWrite>,
}

impl Decision {
    fn refused(outcome: Outcome) -> Self {
        Self { outcome, write: None, key: Some(KeyWrite::Drop) }
    }

    fn unchanged(outcome: Outcome) -> Self {
        Self { outcome, write: None, key: None }
    }
}

/// Whether a decided batch leaves everything as it was: no row, no reply, and no key that an
/// earlier one has taken.
pub fn is_idle<'c>(
    commands: impl IntoIterator<Item = &'c Command>,
    decisions: &[Decision],
) -> bool {
    let is_idle = |(command, decision): (&Command, &Decision)| {
        let writes_key = match &decision.key {
            Some(KeyWrite::Save(_)) => true,
            Some(KeyWrite::Drop) => command.new_claim().is_none() && command.claim().is_some(),
            Some(KeyWrite::Wait) | None => false,
        };
        decision.write.is_none() && !writes_key
    };
    commands.into_iter().zip(decisions).all(is_idle)
}

/// Decides a batch.
pub fn decide<'c>(
    commands: impl IntoIterator<Item = &'c Command>,
    mut world: World,
) -> Vec<Decision> {
    commands.into_iter().map(|command| world.decide(command)).collect()
}

impl World {
    fn decide(&mut self, command: &Command) -> Decision {
        if let Some(claim) = command.new_claim()
            && let Some(decision) = self.known_key(claim, command)
        {
            return decision;
        }
        let decision = self.judge(command);
        let Some(claim) = command.claim() else { return Decision { key: None, ..decision } };
        // Whoever settles the same payment later in this batch gives the same answer.
        if let Some(KeyWrite::Save(reply)) = &decision.key
            && let Some(saved) = self.keys.get_mut(&claim.id())
            && saved.resource_id == Some(command.resource())
        {
            saved.reply.get_or_insert_with(|| reply.clone().replay());
        }
        decision
    }

    fn judge(&mut self, command: &Command) -> Decision {
        match command {
            Command::Place { .. } if self.is_made(command) => Decision::refused(Outcome::Nothing),
            Command::Place { placement, payment, access_token, .. } => {
                self.place(placement, payment, access_token, command.cart())
            }
            Command::Pay { order, payment, .. } => self.pay(order, payment),
            Command::Settle { claim, order, payment, answer, access_token } => {
                let decision = self.settle(order, *payment, *answer, access_token.as_deref());
                let resource = command.resource();
                let is_refused = matches!(decision.outcome, Outcome::Refused(_));
                let said = claim.as_ref().and_then(|claim| {
                    let since = || self.taken_since(claim, resource).filter(|_| is_refused);
                    self.said(claim, resource).or_else(since)
                });
                match said {
                    Some(outcome) => Decision { outcome, key: None, ..decision },
                    None => decision,
                }
            }
            Command::Cancel { order, reason, .. } => self.cancel(order, reason.as_deref()),
            Command::Expire { order } => self.expire(order),
        }
    }

    /// The decision if the key is known already; our own earlier run counts as fresh.
    fn known_key(&mut self, claim: &Claim, command: &Command) -> Option<Decision> {
        let id = claim.id();
        let Some(saved) = self.keys.get(&id) else {
            let is_first = self.taken.insert(id);
            let again = || Decision::unchanged(Outcome::Refused(in_progress()));
            return (!is_first).then(again);
        };
        if saved.request_hash != claim.request_hash {
            return Some(Decision::unchanged(Outcome::Refused(reused())));
        }
        let ours = saved.resource_id == Some(command.resource());
        let outcome = match (&saved.reply, command) {
            (Some(reply), _) => Outcome::Answered(Reply { replayed: !ours, ..reply.clone() }),
            (None, Command::Pay { order, .. }) if ours => Outcome::Charge(order.clone()),
            (None, _) if ours => Outcome::Resume,
            (None, _) if self.is_made(command) => Outcome::Nothing,
            (None, _) => Outcome::Refused(in_progress()),
        };
        Some(Decision::unchanged(outcome))
    }

    /// An earlier run of ours has placed the order, and its key went along with a guest who logged
    /// in: who asks again as that customer has the reply.
    fn is_made(&self, command: &Command) -> bool {
        let is_new = matches!(command, Command::Place { .. });
        is_new && self.orders.contains_key(&command.placement().id)
    }

    /// What was said of this payment already.
    fn said(&self, claim: &Claim, payment: Uuid) -> Option<Outcome> {
        let saved = self.keys.get(&claim.id()).filter(|key| key.resource_id == Some(payment))?;
        let reply = saved.reply.clone()?;
        Some(Outcome::Answered(Reply { replayed: false, ..reply }))
    }

    /// What the key of a declined payment stands for, if that has freed it and another request has
    /// taken it since.
    fn taken_since(&self, claim: &Claim, payment: Uuid) -> Option<Outcome> {
        let saved = self.keys.get(&claim.id())?;
        saved.resource_id.filter(|resource| *resource != payment)?;
        Some(match saved.clone().answer(claim) {
            Ok(reply) => Outcome::Answered(reply),
            Err(problem) => Outcome::Refused(problem),
        })
    }

    fn place(
        &mut self,
        placement: &Arc<Placement>,
        payment: &NewPayment,
        access_token: &str,
        cart: Option<(ShopperId, i64)>,
    ) -> Decision {
        if cart.is_some_and(|(shopper, version)| self.carts.get(&shopper) != Some(&version)) {
            return Decision::refused(Outcome::CartChanged);
        }
        let movement = match payment.terms {
            Terms::Invoice => Movement::Sell,
            Terms::Charge => Movement::Hold,
        };
        match self.take(placement, movement) {
            Ok(()) => {}
            Err(outcome) => return Decision::refused(outcome),
        }
        if let Some((shopper, version)) = cart {
            self.carts.insert(shopper, version + 1);
        }
        let (status, payment_status, pay_by) = match payment.terms {
            Terms::Invoice => (Status::Confirmed, PaymentStatus::Pending, None),
            Terms::Charge => {
                let pay_by = self.now + self.periods.pay_within;
                (Status::PendingPayment, PaymentStatus::Processing, Some(pay_by))
            }
        };
        let facts = Facts { number: self.next_number, created_at: self.now, pay_by };
        self.next_number += 1;
        let state = State {
            status,
            payment_status,
            fulfillment_status: "unfulfilled".to_owned(),
            payments: vec![self.begun(placement, payment, payment_status)],
        };
        let (outcome, key) = match payment.terms {
            Terms::Invoice => {
                let reply =
                    OrderBody::new(placement, &facts, &state, Some(access_token)).created();
                (Outcome::Answered(reply.clone()), KeyWrite::Save(reply))
            }
            Terms::Charge => {
                let known = Known { placement: placement.clone(), facts };
                (Outcome::Charge(known), KeyWrite::Wait)
            }
        };
        let write = Write {
            order: OrderWrite::Insert(state),
            facts,
            cart,
            payment: Some(PaymentWrite::Insert(payment.clone(), payment_status)),
            movement: Some((movement, Cause::OrderPlaced)),
            event: "order.placed",
        };
        Decision { outcome, write: Some(write), key: Some(key) }
    }

    fn begun(&self, order: &Placement, payment: &NewPayment, status: PaymentStatus) -> Payment {
        Payment {
            id: payment.id,
            provider: payment.provider.to_owned(),
            status,
            amount: order.totals.total,
            created_at: self.now,
        }
    }

    /// Takes all lines of a new order from the working copy of the stock, or none of them.
    fn take(&mut self, placement: &Placement, movement: Movement) -> Result<(), Outcome> {
        let row = |world: &Self, key| world.stock.get(&key).copied();
        let available = |world: &Self, key| row(world, key).map_or(0, |row| row.level.available);
        let lines = &placement.lines;
        if lines.iter().any(|line| available(self, line.stock) < line.quantity) {
            let counts = lines.iter().map(|line| available(self, line.stock));
            return Err(Outcome::SoldOut(counts.collect()));
        }
        let is_current = |row: Locked, version| row.offer_version == version;
        if lines.iter().any(|line| {
            !row(self, line.stock).is_some_and(|row| is_current(row, line.offer_version))
        }) {
            return Err(Outcome::OfferChanged);
        }
        self.shift(placement, movement)
            .ok_or_else(|| Outcome::Refused(Problem::internal("the stock does not add up")))
    }

    /// Moves all lines in the working copy; `None`, and nothing moved, if one cannot.
    fn shift(&mut self, placement: &Placement, movement: Movement) -> Option<()> {
        let moved = placement.lines.iter().map(|line| {
            let row = self.stock.get(&line.stock)?;
            Some((line.stock, row.level.after(movement.delta(line.quantity))?))
        });
        let moved: Vec<(StockKey, Level)> = moved.collect::<Option<_>>()?;
        for (key, level) in moved {
            self.stock.entry(key).and_modify(|row| row.level = level);
        }
        Some(())
    }

    fn pay(&mut self, order: &Known, payment: &NewPayment) -> Decision {
        let Some(state) = self.orders.get(&order.placement.id) else {
            return Decision::refused(Outcome::Refused(Problem::not_found("order")));
        };
        // Our own earlier run: without a key, or it was settled since, and its key is free again.
        if let Some(known) = state.payments.iter().find(|known| known.id == payment.id) {
            return match known.status {
                PaymentStatus::Processing => Decision::unchanged(Outcome::Charge(order.clone())),
                PaymentStatus::Declined => Decision::refused(Outcome::Refused(declined())),
                _ => match self.shown(order) {
                    Outcome::Answered(reply) => {
                        let key = Some(KeyWrite::Save(reply.clone()));
                        Decision { outcome: Outcome::Answered(reply), write: None, key }
                    }
                    outcome => Decision::refused(outcome),
                },
            };
        }
        let is_overdue = order.facts.pay_by.is_some_and(|pay_by| pay_by <= self.now);
        let transition = match transition::pay(state, payment.terms, is_overdue) {
            Ok(transition) => transition,
            Err(problem) => return Decision::refused(Outcome::Refused(problem)),
        };
        let begun = self.begun(&order.placement, payment, transition.payment_status);
        let write = PaymentWrite::Insert(payment.clone(), begun.status);
        self.apply(
            order,
            transition,
            |state| state.payments.push(begun),
            Some(write),
            |outcome| match payment.terms {
                Terms::Invoice => outcome,
                Terms::Charge => Outcome::Charge(order.clone()),
            },
        )
    }

    fn settle(
        &mut self,
        order: &Known,
        payment: PaymentId,
        answer: Answer,
        access_token: Option<&str>,
    ) -> Decision {
        let reply = |state: &State| {
            let body = OrderBody::new(&order.placement, &order.facts, state, access_token);
            match access_token {
                Some(_) => body.created(),
                None => Reply::ok(body.to_bytes()),
            }
        };
        let Some(state) = self.orders.get(&order.placement.id) else {
            return Decision::unchanged(Outcome::Refused(Problem::not_found("order")));
        };
        let status = state.payments.iter().find(|known| known.id == payment);
        let status = status.map_or(PaymentStatus::Declined, |known| known.status);
        let is_open = status == PaymentStatus::Processing
            // The provider took the money after all.
            || status == PaymentStatus::Declined && answer == Answer::Captured;
        if !is_open || answer == Answer::Unknown {
            if status == PaymentStatus::Declined && access_token.is_none() {
                return Decision::refused(Outcome::Refused(declined()));
            }
            let reply = reply(state);
            let key = Some(KeyWrite::Save(reply.clone()));
            return Decision { outcome: Outcome::Answered(reply), write: None, key };
        }
        let mut can_retake = || self.stock_allows(&order.placement);
        let transition = transition::settle(state, answer, &mut can_retake);
        let settled = transition.settled;
        let write = PaymentWrite::Update(payment, settled);
        let change = |state: &mut State| {
            let known = state.payments.iter_mut().find(|known| known.id == payment);
            known.into_iter().for_each(|known| known.status = settled);
        };
        let mut decision = self.apply(order, transition, change, Some(write), |outcome| outcome);
        if decision.write.is_none() {
            return Decision::unchanged(decision.outcome);
        }
        let is_declined = settled == PaymentStatus::Declined && access_token.is_none();
        match self.orders.get(&order.placement.id) {
            _ if is_declined => {
                decision.outcome = Outcome::Refused(declined());
                decision.key = Some(KeyWrite::Drop);
            }
            Some(state) => {
                let reply = reply(state);
                decision.outcome = Outcome::Answered(reply.clone());
                decision.key = Some(KeyWrite::Save(reply));
            }
            None => {}
        }
        decision
    }

    fn stock_allows(&self, placement: &Placement) -> bool {
        placement.lines.iter().all(|line| {
            self.stock.get(&line.stock).is_some_and(|row| row.level.available >= line.quantity)
        })
    }

    fn cancel(&mut self, order: &Known, reason: Option<&str>) -> Decision {
        let Some(state) = self.orders.get(&order.placement.id) else {
            return Decision::refused(Outcome::Refused(Problem::not_found("order")));
        };
        match transition::cancel(state) {
            Ok(Some(transition)) => {
                let mut decision = self.apply(order, transition, |_| {}, None, |outcome| outcome);
                if let Some(Write { order: OrderWrite::Update(_, kept), .. }) =
                    &mut decision.write
                {
                    *kept = reason.map(str::to_owned);
                }
                decision
            }
            // Nothing changes, so nothing is saved.
            Ok(None) => Decision::refused(self.shown(order)),
            Err(problem) => Decision::refused(Outcome::Refused(problem)),
        }
    }

    fn expire(&mut self, order: &Known) -> Decision {
        let (now, max) = (self.now, self.periods.processing_max);
        let state = self.orders.get(&order.placement.id);
        let transition = state.zip(order.facts.pay_by).and_then(|(state, pay_by)| {
            transition::expire(state, pay_by <= now, pay_by + max <= now)
        });
        match transition {
            Some(transition) => self.apply(order, transition, |_| {}, None, |outcome| outcome),
            None => Decision::unchanged(Outcome::Nothing),
        }
    }

    /// Carries a transition out on the working copies and says what to write.
    fn apply(
        &mut self,
        order: &Known,
        transition: Transition,
        change: impl FnOnce(&mut State),
        payment: Option<PaymentWrite>,
        outcome: impl FnOnce(Outcome) -> Outcome,
    ) -> Decision {
        if let Some((movement, _)) = transition.movement
            && self.shift(&order.placement, movement).is_none()
        {
            let problem = Problem::internal("the stock does not hold what the order says");
            return Decision::refused(Outcome::Refused(problem));
        }
        let Some(state) = self.orders.get_mut(&order.placement.id) else {
            return Decision::unchanged(Outcome::Nothing);
        };
        state.status = transition.status;
        state.payment_status = transition.payment_status;
        change(state);
        let state = state.clone();
        let outcome = outcome(self.shown(order));
        let key = match &outcome {
            Outcome::Answered(reply) => KeyWrite::Save(reply.clone()),
            _ => KeyWrite::Wait,
        };
        let write = Write {
            order: OrderWrite::Update(state, None),
            facts: order.facts,
            cart: None,
            payment,
            movement: transition.movement,
            event: transition.event,
        };
        Decision { outcome, write: Some(write), key: Some(key) }
    }

    /// The order as it stands, as a 200.
    fn shown(&self, order: &Known) -> Outcome {
        match self.orders.get(&order.placement.id) {
            Some(state) => {
                let body = OrderBody::new(&order.placement, &order.facts, state, None);
                Outcome::Answered(Reply::ok(body.to_bytes()))
            }
            None => Outcome::Refused(Problem::not_found("order")),
        }
    }
}

fn declined() -> Problem {
    let detail = "The provider declined; the order itself is as it was.";
    Problem::new(Code::PaymentDeclined, detail)
}
