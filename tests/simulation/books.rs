//! What must be true of everything that is committed: judged at each commit, and at rest.

use crate::database::{Cart, Database, PERIODS, Row};
use crate::provider::Provider;
use doorbuster::id::OrderId;
use doorbuster::order::{Line, PaymentStatus, Placement, State, Status};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use time::OffsetDateTime;

impl Database {
    /// The order is another one now.
    pub fn judge_order(&mut self, id: OrderId, before: Option<&State>) {
        self.count(id, before);
        let wrong = misstep(&self.orders[&id], before, self.now);
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

    /// No order is placed at a price that is over.
    pub fn judge_offers(&mut self, order: &Placement) {
        let is_over = |line: &&Line| self.stock[&line.stock].offer_version != line.offer_version;
        if let Some(line) = order.lines.iter().find(is_over) {
            self.find(format!("{} is at an offer that is over: {line:?}", order.id));
        }
    }

    /// The cart that has become this order must be what is ordered.
    pub fn judge_cart(&mut self, cart: &Cart, version: i64, order: &Placement) {
        let lines: BTreeMap<_, _> = order.lines.iter().map(|l| (l.stock, l.quantity)).collect();
        if (cart.version, &cart.items) != (version, &lines) {
            self.find(format!("{} is of {lines:?}, its cart was {cart:?}", order.id));
        }
    }

    /// What must be true once nothing is on its way any more: I5, I6.
    pub fn judge_at_rest(&mut self, provider: &Provider) {
        let mut charged = HashSet::new();
        for (payment, order) in provider.taken() {
            if !charged.insert(order) {
                self.find(format!("{order} is charged twice"));
            }
            let row = self.orders.get(&order);
            let payments = row.iter().flat_map(|row| &row.state.payments);
            let found = payments.filter(|known| known.id == payment).map(|known| known.status);
            let is_told =
                |status| matches!(status, PaymentStatus::Captured | PaymentStatus::RefundDue);
            if !found.clone().any(is_told) {
                let found: Vec<_> = found.collect();
                self.find(format!("the money of {order} was taken, it says {found:?}"));
            }
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
fn misstep(row: &Row, before: Option<&State>, now: OffsetDateTime) -> Option<String> {
    use PaymentStatus::{Captured, Processing, RefundDue};
    let Row { known, state } = row;
    let has = |status| state.payments.iter().filter(|p| p.status == status).count();
    let is_paid = state.status == Status::Paid;
    if has(Captured) != usize::from(is_paid) || (is_paid && has(RefundDue) > 0) {
        return Some(format!("{} with {:?}", state.status.as_str(), state.payments));
    }
    // A buyer has the time that was promised, and longer while a provider has not answered.
    let expires = state.status == Status::Expired && before?.status != state.status;
    let longer = if has(Processing) > 0 { PERIODS.processing_max } else { Duration::ZERO };
    let is_early = known.facts.pay_by.is_none_or(|pay_by| pay_by + longer > now);
    (expires && is_early).then(|| format!("expired at {now}: {:?}", known.facts))
}
