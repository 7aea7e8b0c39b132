//! The nouns of orders: what is fixed at placement, what changes later, and the totals.

use crate::id::{LineId, OrderId, PaymentId};
use crate::inventory::StockKey;
use crate::money::{Currency, Money};
use serde::{Deserialize, Serialize};
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

/// A postal address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Who receives.
    #[schema(example = "Ada Lovelace", max_length = 200)]
    pub name: String,
    /// Street and number.
    #[schema(example = "12 St James's Square", max_length = 200)]
    pub line1: String,
    /// More of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// City.
    #[schema(example = "London", max_length = 200)]
    pub city: String,
    /// State or county.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Postal code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "SW1Y 4JH", max_length = 200)]
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[schema(example = "GB", pattern = "^[A-Z]{2}$")]
    pub country: String,
    /// For the carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
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

/// What an order costs, in minor units: `total = subtotal − discount + shipping + tax`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Sum of the lines.
    pub subtotal: i64,
    /// Taken off.
    pub discount: i64,
    /// Flat.
    pub shipping: i64,
    /// On `subtotal − discount + shipping`, half up, once per order.
    pub tax: i64,
    /// What the customer pays.
    pub total: i64,
}

impl Totals {
    /// The totals of lines that sum to `subtotal`; `None` if a sum does not fit.
    ///
    /// `tax_rate` is in parts per million; half a minor unit is rounded up.
    pub fn of(subtotal: i64, shipping: i64, tax_rate: u32) -> Option<Self> {
        let net = subtotal.checked_add(shipping)?;
        let tax = (i128::from(net) * i128::from(tax_rate) + 500_000) / 1_000_000;
        let tax = i64::try_from(tax).ok()?;
        let total = net.checked_add(tax)?;
        Some(Self { subtotal, discount: 0, shipping, tax, total })
    }
}

/// What is fixed before the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The id.
    pub id: OrderId,
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tax_is_rounded_half_up_once_per_order() {
        let tax = |subtotal, rate| Totals::of(subtotal, 0, rate).map(|totals| totals.tax);
        assert_eq!(tax(1299, 200_000), Some(260)); // 259.8
        assert_eq!(tax(25, 100_000), Some(3)); // 2.5
        assert_eq!(tax(24, 100_000), Some(2)); // 2.4
        assert_eq!(tax(0, 200_000), Some(0));
    }

    proptest! {
        #[test]
        fn totals_add_up_or_are_refused_and_never_wrap(
            subtotal in 0..i64::MAX, shipping in 0..i64::MAX, rate in 0..=1_000_000u32,
        ) {
            if let Some(t) = Totals::of(subtotal, shipping, rate) {
                let sum = i128::from(t.subtotal) - i128::from(t.discount)
                    + i128::from(t.shipping) + i128::from(t.tax);
                prop_assert_eq!(i128::from(t.total), sum);
                prop_assert!(t.tax >= 0 && t.total >= t.subtotal);
            }
        }
    }
}
