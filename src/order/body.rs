//! An order as the API shows it.

use super::order::{Facts, Order, PaymentStatus, Placement, State, Status};
use crate::contact::Address;
use crate::id::{LineId, OrderId, PaymentId, VariantId};
use crate::idempotency::Reply;
use crate::money::Money;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub struct OrderBody<'a> {
    /// The id.
    pub id: OrderId,
    /// For people.
    #[schema(example = "1001007")]
    pub number: String,
    /// Opens this order to whoever sends it as `X-Order-Token`; only in the 201 and its replays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<&'a str>,
    /// Where the order stands.
    pub status: Status,
    /// Where its money stands.
    pub payment_status: PaymentStatus,
    /// Where its goods stand.
    #[schema(example = "unfulfilled")]
    pub fulfillment_status: &'a str,
    /// The lines, frozen at placement.
    pub items: Vec<ItemBody<'a>>,
    /// Sum of the lines.
    pub subtotal: Money,
    /// Taken off.
    pub discount: Money,
    /// Flat.
    pub shipping: Money,
    /// On subtotal − discount + shipping.
    pub tax: Money,
    /// What the customer pays.
    pub total: Money,
    /// Who ordered.
    #[schema(example = "ada@example.com")]
    pub email: &'a str,
    /// Where it goes.
    pub shipping_address: &'a Address,
    /// Every attempt to pay.
    pub payments: Vec<PaymentBody<'a>>,
    /// Until when an unpaid order is held.
    #[serde(skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub pay_by: Option<OffsetDateTime>,
    /// When it was placed.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A line of an order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderItem)]
pub struct ItemBody<'a> {
    /// The id.
    pub id: LineId,
    /// What was ordered.
    pub variant_id: VariantId,
    /// Its SKU.
    #[schema(example = "MUG-1")]
    pub sku: &'a str,
    /// The product's title.
    #[schema(example = "Enamel mug")]
    pub title: &'a str,
    /// Units.
    pub quantity: i64,
    /// Of one unit.
    pub unit_price: Money,
    /// quantity × unit price.
    pub total: Money,
}

/// One attempt to pay.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Payment)]
pub struct PaymentBody<'a> {
    /// The id.
    pub id: PaymentId,
    /// `manual`, `test`, …
    #[schema(example = "test")]
    pub provider: &'a str,
    /// Where it stands.
    pub status: PaymentStatus,
    /// How much.
    pub amount: Money,
    /// When it was begun.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

impl<'a> OrderBody<'a> {
    /// The order in `state`.
    pub fn new(
        placement: &'a Placement,
        facts: &Facts,
        state: &'a State,
        access_token: Option<&'a str>,
    ) -> Self {
        let money = |amount| Money::new(amount, placement.currency);
        let items = placement.lines.iter().map(|line| ItemBody {
            id: line.id,
            variant_id: line.stock.variant,
            sku: &line.sku,
            title: &line.title,
            quantity: line.quantity,
            unit_price: money(line.unit_price),
            total: money(line.total),
        });
        let payments = state.payments.iter().map(|payment| PaymentBody {
            id: payment.id,
            provider: &payment.provider,
            status: payment.status,
            amount: money(payment.amount),
            created_at: payment.created_at,
        });
        Self {
            id: placement.id,
            number: facts.number.to_string(),
            access_token,
            status: state.status,
            payment_status: state.payment_status,
            fulfillment_status: &state.fulfillment_status,
            items: items.collect(),
            subtotal: money(placement.totals.subtotal),
            discount: money(placement.totals.discount),
            shipping: money(placement.totals.shipping),
            tax: money(placement.totals.tax),
            total: money(placement.totals.total),
            email: &placement.email,
            shipping_address: &placement.shipping_address,
            payments: payments.collect(),
            pay_by: facts.pay_by.filter(|_| state.status == Status::PendingPayment),
            created_at: facts.created_at,
        }
    }

    /// The body's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Serialising plain structs into memory has no way to fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The answer to the request that placed the order.
    pub fn created(&self) -> Reply {
        Reply::created(Some(format!("/v1/orders/{}", self.id)), self.to_bytes())
    }
}

impl Order {
    /// The order as a list or a detail shows it, without its secret.
    pub fn body(&self) -> OrderBody<'_> {
        OrderBody::new(&self.placement, &self.facts, &self.state, None)
    }
}
