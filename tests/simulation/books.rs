//! What must be true of everything that is committed: judged at each commit, and at rest.

use crate::database::{Cart, Database, PERIODS, Row};
use crate::provider::Provider;
use doorbuster::error::Code;
use doorbuster::id::{OrderId, PaymentId};
use doorbuster::idempotency::Reply;
use doorbuster::order::{
    Answered, Command, Facts, Line, OrderBody, Outcome, PaymentStatus, Placement, State, Status,
};
use doorbuster::payment::Charge;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use time::OffsetDateTime;

/// What comes with a payment, for its provider.
pub fn token(payment: PaymentId) -> String {
    format!("token of {payment}")
}

impl Database {
    /// The order is another one now.
    pub fn judge_order(&mut self, id: OrderId, before: Option<&State>) {
        self.count(id, before);
        let row = &self.orders[&id];
        let has = |line: &Line| self.stock[&line.stock].level.available >= line.quantity;
        let may_retake = row.known.placement.lines.iter().all(has);
        let wrong = misstep(row, before, self.now, may_retake);
        wrong.into_iter().for_each(|wrong| self.find(wrong));
    }

    /// Counts the order anew, and compares the books with the stock: I1, I2, I3.
    fn count(&mut self, id: OrderId, before: Option<&State>) {
        let Row { known, state } = &self.orders[&id];
        let units = |state: &State| match state.status {
            Status::PendingPayment => (1, 0),
            Status::Confirmed | Status::Paid => (0, 1),
            _ => (0, 0),
        };
        let (is, was) = (units(state), before.map_or((0, 0), units));
        for line in &known.placement.lines {
            let (held, sold) = self.books.entry(line.stock).or_default();
            *held += (is.0 - was.0) * line.quantity;
            *sold += (is.1 - was.1) * line.quantity;
            let level = self.stock[&line.stock].level;
            let sum = level.available + level.held + level.sold;
            if level.available.min(level.held).min(level.sold) < 0 {
                self.wrong.get_or_insert(format!("less than nothing: {level:?}"));
            }
            if (level.held, level.sold, sum) != (*held, *sold, self.supplied[&line.stock]) {
                let books = (*held, *sold);
                let wrong = format!("the stock is {level:?}, the orders say {books:?}");
                self.wrong.get_or_insert(wrong);
            }
        }
    }

    /// No order is placed at a price that is over; whoever has not paid has the time that was
    /// promised.
    pub fn judge_new(&mut self, order: &Placement, facts: Facts) {
        let is_over = |line: &&Line| self.stock[&line.stock].offer_version != line.offer_version;
        if let Some(line) = order.lines.iter().find(is_over) {
            self.find(format!("{} is at an offer that is over: {line:?}", order.id));
        }
        let Facts { number, created_at, pay_by } = facts;
        if pay_by.is_some_and(|pay_by| pay_by - created_at != PERIODS.pay_within) {
            self.find(format!("{} is to be paid from {created_at} to {pay_by:?}", order.id));
        }
        if !self.numbers.insert(number) {
            self.find(format!("{number} is the number of two orders"));
        }
    }

    /// A provider is asked once the payment is durable: for the order's total, with the token that
    /// came with the payment.
    pub fn judge_charge(&mut self, asked: &Charge) {
        let row = self.orders.get(&asked.order);
        let begun = row.iter().flat_map(|row| &row.state.payments).any(|p| p.id == asked.payment);
        let total = row.map(|row| row.known.placement.total());
        if !begun || total != Some(asked.amount) || asked.token != Some(token(asked.payment)) {
            self.find(format!("a provider is asked for {asked:?}, the order says {row:?}"));
        }
    }

    /// Whoever is answered is told what the order is now, or what its key has said before.
    pub fn judge_answer(&mut self, command: &Command, outcome: &Outcome, saved: Option<&Reply>) {
        let Some(Row { known, state }) = self.orders.get(&command.placement().id) else { return };
        let token = match command {
            Command::Place { access_token, .. } => Some(&**access_token),
            Command::Settle { access_token, .. } => access_token.as_deref(),
            _ => None,
        };
        let is_true = match (outcome, command) {
            (Outcome::Answered(reply), _) if saved.is_some_and(|s| s.body == reply.body) => true,
            (Outcome::Answered(reply), _) => {
                let shown = OrderBody::new(&known.placement, &known.facts, state, token);
                let is_done = match command {
                    Command::Cancel { .. } => state.status == Status::Cancelled,
                    Command::Pay { .. } => state.status != Status::PendingPayment,
                    _ => true,
                };
                !reply.replayed && reply.body == shown.to_bytes() && is_done
            }
            (Outcome::Refused(problem), Command::Settle { payment, .. }) => {
                let mut payments = state.payments.iter();
                let is_declined = payments
                    .any(|known| known.id == *payment && known.status == PaymentStatus::Declined);
                problem.code != Code::PaymentDeclined || is_declined
            }
            _ => true,
        };
        if !is_true {
            self.find(format!("{command:?} is told {outcome:?}, and is {state:?}"));
        }
    }

    /// The cart that has become this order must be what is ordered.
    pub fn judge_cart(&mut self, cart: &Cart, version: i64, order: &Placement) {
        let lines: BTreeMap<_, _> = order.lines.iter().map(|l| (l.stock, l.quantity)).collect();
        if (cart.version, &cart.items) != (version, &lines) {
            self.find(format!("{} is of {lines:?}, its cart was {cart:?}", order.id));
        }
    }

    /// An order that is neither paid nor over yet.
    pub fn unpaid(&self) -> Option<OrderId> {
        let is_open = |row: &&Row| row.state.status == Status::PendingPayment;
        self.orders.values().find(is_open).map(|row| row.known.placement.id)
    }

    /// Whoever has waited for a request under their key hears yes only if it was the same: I5.
    pub fn judge_duplicate(&mut self, duplicate: &Command, told: &Answered) {
        let Some(claim) = duplicate.new_claim() else { return };
        let saved = self.keys.get(&claim.id()).cloned();
        let is_same = matches!(saved.and_then(|saved| saved.settled(claim)), Some(Ok(_)));
        if told.is_ok() && !is_same {
            self.find(format!("{claim:?} hears of another request"));
        }
    }

    /// What must be true once nothing is on its way any more: I5, I6.
    pub fn judge_at_rest(&mut self, provider: &Provider) {
        let mut charged = HashSet::new();
        for (payment, order) in provider.taken() {
            let row = self.orders.get(&order);
            let payments = row.iter().flat_map(|row| &row.state.payments);
            let found = payments.filter(|known| known.id == payment).map(|known| known.status);
            let is_told =
                |status| matches!(status, PaymentStatus::Captured | PaymentStatus::RefundDue);
            let is_kept = !found.clone().any(|status| status == PaymentStatus::RefundDue);
            let wrong = match found.clone().any(is_told) {
                false => Some(format!("it says {:?}", found.collect::<Vec<_>>())),
                true => (is_kept && !charged.insert(order)).then(|| "twice".to_owned()),
            };
            if let Some(wrong) = wrong {
                self.find(format!("the money of {order} was taken, {wrong}"));
            }
        }
        if let Some((key, _)) = self.keys.iter().find(|(_, saved)| saved.reply.is_none()) {
            self.find(format!("{key:?} waits for its reply for ever"));
        }
        let lonely = self.keys.iter().find(|(key, saved)| {
            saved.reply.as_ref().is_some_and(|reply| reply.status == 201)
                && !self.effects.contains_key(*key)
        });
        if let Some((key, _)) = lonely {
            self.find(format!("{key:?} has a reply without an order"));
        }
        if let Some(open) = self.unsettled.values().next() {
            self.find(format!("a payment of {} waits for ever", open.unsettled.order));
        }
    }

    /// Only the first thing that is wrong tells something.
    pub fn find(&mut self, wrong: String) {
        self.wrong.get_or_insert(wrong);
    }
}

/// What is wrong with an order that was in the state `before`, if anything is.
fn misstep(
    row: &Row,
    before: Option<&State>,
    now: OffsetDateTime,
    may_retake: bool,
) -> Option<String> {
    use PaymentStatus::{Captured, Processing, RefundDue};
    let Row { known, state } = row;
    let count =
        |state: &State, status| state.payments.iter().filter(|p| p.status == status).count();
    let has = |status| count(state, status);
    let is_paid = state.status == Status::Paid;
    // Only money that has come too late, or for the second time, is given back.
    let could_keep = before.is_some_and(|before| {
        let can = match before.status {
            Status::PendingPayment | Status::Confirmed => true,
            Status::Expired => may_retake,
            _ => false,
        };
        can && has(RefundDue) > count(before, RefundDue)
    });
    if (state.payment_status == Processing) != (has(Processing) > 0) {
        return Some(format!("{:?} with {:?}", state.payment_status, state.payments));
    }
    if has(Captured) != usize::from(is_paid) || could_keep {
        return Some(format!("{} with {:?}", state.status.as_str(), state.payments));
    }
    if before.is_some_and(|before| before.status == Status::Cancelled)
        && state.status != Status::Cancelled
    {
        return Some(format!("{} after it was cancelled", state.status.as_str()));
    }
    // A buyer has the time that was promised, and longer while a provider has not answered.
    let expires = state.status == Status::Expired && before?.status != state.status;
    let longer = if has(Processing) > 0 { PERIODS.processing_max } else { Duration::ZERO };
    let is_early = known.facts.pay_by.is_none_or(|pay_by| pay_by + longer > now);
    (expires && is_early).then(|| format!("expired at {now}: {:?}", known.facts))
}
