//! The nouns of orders: what is fixed at placement, what changes later, and the totals.

use crate::contact::Address;
use crate::id::{LineId, OrderId, PaymentId, ShopperId};
use crate::inventory::StockKey;
use crate::money::{Currency, Money};
use crate::pricing::Totals;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident as $schema:ident {
        $($variant:ident = $word:literal,)+
    }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        #[schema(as = $schema)]
        #[allow(missing_docs)]
        pub enum $name { $($variant,)+ }

        impl $name {
            /// The word, as PostgreSQL stores it and the API shows it.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// Reads the word.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)+ _ => None }
            }
        }
    };
}

words! {
    /// Where an order stands.
    Status as OrderStatus {
        PendingPayment = "pending_payment",
        Confirmed = "confirmed",
        Paid = "paid",
        Fulfilled = "fulfilled",
        Completed = "completed",
        Cancelled = "cancelled",
        Expired = "expired",
    }
}

words! {
    /// Where the money of an order or of one payment stands.
    PaymentStatus as PaymentStatus {
        Pending = "pending",
        Processing = "processing",
        Captured = "captured",
        Declined = "declined",
        RefundDue = "refund_due",
    }
}

/// One line, frozen at placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Ids of one order ascend in the order of its lines.
    pub id: LineId,
    /// The stock row that the line is taken from.
    pub stock: StockKey,
    /// The variant's SKU.
    pub sku: String,
    /// The product's title.
    pub title: String,
    /// Units, at least 1.
    pub quantity: i64,
    /// Minor units.
    pub unit_price: i64,
    /// `quantity × unit_price`.
    pub total: i64,
    /// The version of the offer that the price is from; 0 once the order is stored.
    pub offer_version: i64,
}

/// What is fixed before the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The id.
    pub id: OrderId,
    /// The shopper that placed it, if there was one.
    pub shopper: Option<ShopperId>,
    /// At least one line; each stock row at most once.
    pub lines: Vec<Line>,
    /// Of all amounts.
    pub currency: Currency,
    /// What it costs.
    pub totals: Totals,
    /// Parts per million.
    pub tax_rate: u32,
    /// Who ordered.
    pub email: String,
    /// Where it goes.
    pub shipping_address: Address,
}

impl Placement {
    /// The total with its currency.
    pub fn total(&self) -> Money {
        Money::new(self.totals.total, self.currency)
    }
}

/// What the commit adds and nothing changes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// For people; unique, with gaps.
    pub number: i64,
    /// When it was placed, by PostgreSQL's clock.
    pub created_at: OffsetDateTime,
    /// Until when it waits for a payment.
    pub pay_by: Option<OffsetDateTime>,
}

/// One attempt to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The id.
    pub id: PaymentId,
    /// The provider's name.
    pub provider: String,
    /// Where it stands.
    pub status: PaymentStatus,
    /// Minor units.
    pub amount: i64,
    /// When it was begun.
    pub created_at: OffsetDateTime,
}

/// What changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where the order stands.
    pub status: Status,
    /// Where its money stands.
    pub payment_status: PaymentStatus,
    /// `unfulfilled` until there is fulfilment.
    pub fulfillment_status: String,
    /// In the order of their ids.
    pub payments: Vec<Payment>,
}

/// A stored order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Fixed before the commit.
    pub placement: Placement,
    /// Fixed by the commit.
    pub facts: Facts,
    /// As it was when it was read.
    pub state: State,
}
