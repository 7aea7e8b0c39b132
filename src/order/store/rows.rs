//! The rows that a decided batch writes, column by column, as `unnest` takes them.

use super::super::command::{
    Command, KeyWrite, Move, NewPayment, OrderWrite, PaymentWrite, Write,
};
use super::super::decide::Decision;
use super::super::order::{PaymentStatus, State};
use crate::idempotency::{Claim, Reply};
use crate::inventory::{Cause, Level, StockKey};
use serde_json::json;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// Everything a batch writes.
#[derive(Default)]
pub struct Rows<'d> {
    pub orders: Orders<'d>,
    pub lines: Lines<'d>,
    pub payments: Payments<'d>,
    pub ledger: Ledger<'d>,
    pub outbox: Outbox<'d>,
    /// The keys: the optimistic form inserts them, the exact form saves replies and drops.
    pub keys: Keys<'d>,
    /// Changed orders: the last state of each.
    pub changed: BTreeMap<Uuid, (&'d State, Option<&'d str>)>,
    /// Changed payments, by order and id.
    pub settled: BTreeMap<(Uuid, Uuid), &'static str>,
    /// Emptied carts: the version that each of them had.
    pub carts: BTreeMap<Uuid, i64>,
    /// Sums by stock row, with the offer version that was sold (0: none was).
    pub stock: BTreeMap<StockKey, (Level, i64)>,
}

#[derive(Default)]
pub struct Orders<'d> {
    pub id: Vec<Uuid>,
    pub shopper: Vec<Option<Uuid>>,
    pub number: Vec<i64>,
    pub status: Vec<&'static str>,
    pub payment_status: Vec<&'static str>,
    pub currency: Vec<&'d str>,
    pub subtotal: Vec<i64>,
    pub discount: Vec<i64>,
    pub shipping: Vec<i64>,
    pub tax: Vec<i64>,
    pub total: Vec<i64>,
    pub email: Vec<&'d str>,
    pub address: Vec<String>,
    pub pay_by: Vec<Option<OffsetDateTime>>,
    pub created_at: Vec<OffsetDateTime>,
}

#[derive(Default)]
pub struct Lines<'d> {
    pub order: Vec<Uuid>,
    pub id: Vec<Uuid>,
    pub variant: Vec<Uuid>,
    pub location: Vec<Uuid>,
    pub sku: Vec<&'d str>,
    pub title: Vec<&'d str>,
    pub quantity: Vec<i64>,
    pub unit_price: Vec<i64>,
    pub total: Vec<i64>,
    pub tax_rate: Vec<i32>,
}

#[derive(Default)]
pub struct Payments<'d> {
    pub order: Vec<Uuid>,
    pub id: Vec<Uuid>,
    pub provider: Vec<&'static str>,
    pub token: Vec<Option<&'d str>>,
    pub status: Vec<&'static str>,
    pub amount: Vec<i64>,
    pub currency: Vec<&'d str>,
    pub key_scope: Vec<Option<&'d str>>,
    pub key: Vec<Option<&'d str>>,
}

#[derive(Default)]
pub struct Ledger<'d> {
    pub variant: Vec<Uuid>,
    pub location: Vec<Uuid>,
    pub cause: Vec<&'d str>,
    pub reference: Vec<Uuid>,
    pub available: Vec<i64>,
    pub held: Vec<i64>,
    pub sold: Vec<i64>,
}

#[derive(Default)]
pub struct Outbox<'d> {
    pub aggregate: Vec<Uuid>,
    pub kind: Vec<&'d str>,
    pub payload: Vec<String>,
}

/// Keys that stay, with their reply if there is one already, and those that go.
#[derive(Default)]
pub struct Keys<'d> {
    pub dropped_scope: Vec<&'d str>,
    pub dropped_key: Vec<&'d str>,
    pub dropped_resource: Vec<Uuid>,
    pub scope: Vec<&'d str>,
    pub key: Vec<&'d str>,
    pub hash: Vec<&'d [u8]>,
    pub resource: Vec<Uuid>,
    /// Taken by this batch; the others wait since an earlier one.
    pub is_new: Vec<bool>,
    pub status: Vec<Option<i16>>,
    pub location: Vec<Option<&'d str>>,
    pub body: Vec<Option<&'d [u8]>>,
}

impl<'d> Rows<'d> {
    /// The rows of a decided batch.
    pub fn of(commands: &[&'d Command], decisions: &'d [Decision]) -> Self {
        let mut rows = Self::default();
        for (command, decision) in commands.iter().zip(decisions) {
            if let Some(write) = &decision.write {
                rows.add(command, write);
            }
            if let (Some(key), Some(claim)) = (&decision.key, command.claim()) {
                rows.keys.push(claim, command, key);
            }
        }
        rows
    }

    fn add(&mut self, command: &'d Command, write: &'d Write) {
        let placement = &**command.placement();
        let order = placement.id.uuid();
        let state = match &write.order {
            OrderWrite::Insert(state) => {
                self.orders.push(command, write, state);
                self.lines.push(command);
                state
            }
            OrderWrite::Update(state, reason) => {
                let earlier = self.changed.get(&order).and_then(|(_, reason)| *reason);
                self.changed.insert(order, (state, reason.as_deref().or(earlier)));
                state
            }
        };
        if let Some((shopper, version)) = write.cart {
            self.carts.insert(shopper.uuid(), version);
        }
        match &write.payment {
            Some(PaymentWrite::Insert(payment, status)) => {
                self.payments.push(command, payment, *status);
            }
            Some(PaymentWrite::Update(payment, status)) => {
                self.settled.insert((order, payment.uuid()), status.as_str());
            }
            None => {}
        }
        for Move { stock, delta, cause, offer_version } in write.moves(placement) {
            let (sum, version) = self.stock.entry(stock).or_insert((Level::default(), 0));
            sum.available += delta.available;
            sum.held += delta.held;
            sum.sold += delta.sold;
            *version = (*version).max(offer_version.unwrap_or(0));
            self.ledger.push(stock, cause, order, delta);
        }
        self.outbox.aggregate.push(order);
        self.outbox.kind.push(write.event);
        let payload = json!({
            "order_id": placement.id,
            "number": write.facts.number.to_string(),
            "status": state.status,
            "payment_status": state.payment_status,
            "total": placement.total(),
        });
        self.outbox.payload.push(payload.to_string());
    }
}

impl<'d> Orders<'d> {
    fn push(&mut self, command: &'d Command, write: &Write, state: &State) {
        let placement = command.placement();
        self.id.push(placement.id.uuid());
        self.shopper.push(placement.shopper.map(|shopper| shopper.uuid()));
        self.number.push(write.facts.number);
        self.status.push(state.status.as_str());
        self.payment_status.push(state.payment_status.as_str());
        self.currency.push(placement.currency.as_str());
        self.subtotal.push(placement.totals.subtotal);
        self.discount.push(placement.totals.discount);
        self.shipping.push(placement.totals.shipping);
        self.tax.push(placement.totals.tax);
        self.total.push(placement.totals.total);
        self.email.push(&placement.email);
        self.address.push(json!(placement.shipping_address).to_string());
        self.pay_by.push(write.facts.pay_by);
        self.created_at.push(write.facts.created_at);
    }
}

impl<'d> Lines<'d> {
    fn push(&mut self, command: &'d Command) {
        let placement = command.placement();
        for line in &placement.lines {
            self.order.push(placement.id.uuid());
            self.id.push(line.id.uuid());
            self.variant.push(line.stock.variant.uuid());
            self.location.push(line.stock.location.uuid());
            self.sku.push(&line.sku);
            self.title.push(&line.title);
            self.quantity.push(line.quantity);
            self.unit_price.push(line.unit_price);
            self.total.push(line.total);
            // At most 1,000,000 parts per million.
            self.tax_rate.push(i32::try_from(placement.tax_rate).unwrap_or(i32::MAX));
        }
    }
}

impl<'d> Payments<'d> {
    fn push(&mut self, command: &'d Command, payment: &'d NewPayment, status: PaymentStatus) {
        let placement = command.placement();
        let waiting = command.claim().filter(|_| status == PaymentStatus::Processing);
        self.order.push(placement.id.uuid());
        self.id.push(payment.id.uuid());
        self.provider.push(payment.provider);
        self.token.push(payment.token.as_deref());
        self.status.push(status.as_str());
        self.amount.push(placement.totals.total);
        self.currency.push(placement.currency.as_str());
        self.key_scope.push(waiting.map(|claim| &*claim.scope));
        self.key.push(waiting.map(|claim| &*claim.key));
    }
}

impl Ledger<'_> {
    fn push(&mut self, stock: StockKey, cause: Cause, reference: Uuid, delta: Level) {
        self.variant.push(stock.variant.uuid());
        self.location.push(stock.location.uuid());
        self.cause.push(cause.as_str());
        self.reference.push(reference);
        self.available.push(delta.available);
        self.held.push(delta.held);
        self.sold.push(delta.sold);
    }
}

impl<'d> Keys<'d> {
    fn push(&mut self, claim: &'d Claim, command: &Command, write: &'d KeyWrite) {
        let reply: Option<&Reply> = match write {
            KeyWrite::Save(reply) => Some(reply),
            KeyWrite::Wait => None,
            KeyWrite::Drop => {
                self.dropped_scope.push(&claim.scope);
                self.dropped_resource.push(command.resource());
                return self.dropped_key.push(&claim.key);
            }
        };
        self.scope.push(&claim.scope);
        self.key.push(&claim.key);
        self.hash.push(&claim.request_hash);
        self.resource.push(command.resource());
        self.is_new.push(command.new_claim().is_some());
        self.status.push(reply.and_then(|reply| i16::try_from(reply.status).ok()));
        self.location.push(reply.and_then(|reply| reply.location.as_deref()));
        self.body.push(reply.map(|reply| &*reply.body));
    }
}
