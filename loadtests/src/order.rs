//! The bodies of `POST /v1/orders`: what is sent, and what an acknowledgement says.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An order as a client sends it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewOrder {
    /// What and how many.
    pub items: Vec<Item>,
    /// One address per order in all scenarios, so that a doubled order is seen in the database.
    pub email: String,
    /// Where to.
    pub shipping_address: Address,
    /// How it is paid.
    pub payment: Payment,
}

impl NewOrder {
    /// What buyer number n of a run wants; no other order has their address.
    pub fn of_buyer(n: usize, run: &str, items: Vec<Item>, payment: Payment) -> Self {
        Self {
            items,
            email: format!("buyer-{n}@{run}.example"),
            shipping_address: Address {
                name: format!("Buyer {n}"),
                line1: "1 High Street".to_owned(),
                city: "London".to_owned(),
                postal_code: "N1 9GU".to_owned(),
                country: "GB".to_owned(),
            },
            payment,
        }
    }

    /// As JSON.
    pub fn to_body(&self) -> serde_json::Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from)
    }
}

/// One line of a [`NewOrder`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The SKU.
    pub sku: String,
    /// Units.
    pub quantity: i64,
}

/// A shipping address, with the members that scenarios use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "an address explains itself")]
pub struct Address {
    pub name: String,
    pub line1: String,
    pub city: String,
    pub postal_code: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
}

/// How an order is paid.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Payment {
    /// The provider's name.
    pub provider: String,
    /// What the `test` provider shall do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// The providers that need nobody outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Provider {
    /// Invoice: the order is confirmed at once.
    Manual,
    /// The built-in test provider with the token `ok`: the order is paid at once.
    Test,
}

impl Provider {
    /// The `payment` member of an order.
    pub fn payment(self) -> Payment {
        match self {
            Self::Manual => Payment { provider: "manual".to_owned(), token: None },
            Self::Test => Payment { provider: "test".to_owned(), token: Some("ok".to_owned()) },
        }
    }
}

/// The order in a 201, with the members that the oracle judges.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the names of the HTTP contract")]
pub struct Acknowledged {
    pub id: String,
    /// A number or a string of digits.
    pub number: Value,
    pub status: String,
    pub items: Vec<AcknowledgedLine>,
    pub subtotal: Money,
    pub discount: Money,
    pub shipping: Money,
    pub tax: Money,
    pub total: Money,
    pub email: String,
    pub shipping_address: Value,
}

/// One line of an [`Acknowledged`] order.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the names of the HTTP contract")]
pub struct AcknowledgedLine {
    pub variant_id: String,
    pub sku: String,
    pub title: String,
    pub quantity: i64,
    pub unit_price: Money,
    pub total: Money,
}

/// An amount in the minor unit of its currency.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Money {
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}
