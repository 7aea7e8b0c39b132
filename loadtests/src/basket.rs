//! What `/v1/cart` shows, and the requests that change it.

use crate::client::Request;
use crate::order::Money;
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A cart, with the members that the oracle judges.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the names of the HTTP contract")]
pub struct Cart {
    pub version: i64,
    pub items: Vec<CartLine>,
    pub subtotal: Money,
    pub discount: Money,
    pub shipping: Money,
    pub tax: Money,
    pub total: Money,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub shipping_address: Option<Value>,
}

/// One line of a [`Cart`].
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the names of the HTTP contract")]
pub struct CartLine {
    pub id: String,
    pub variant_id: String,
    pub sku: String,
    pub quantity: i64,
    pub unit_price: Money,
    pub total: Money,
}

/// Units by SKU: what a cart comes down to.
pub type Units = BTreeMap<String, i64>;

impl Cart {
    /// Reads the body of an answer.
    pub fn read(body: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(body)
    }

    /// Units by SKU.  A SKU that stands in two lines is counted with both.
    pub fn units(&self) -> Units {
        let mut units = Units::new();
        for line in &self.items {
            *units.entry(line.sku.clone()).or_default() += line.quantity;
        }
        units
    }

    /// Where the amounts contradict each other, or the prices that are known.
    pub fn wrong_amounts(&self, prices: &BTreeMap<String, i64>) -> Vec<String> {
        let mut wrong = Vec::new();
        let currency = &self.total.currency;
        let mut sum = 0;
        for line in &self.items {
            let (sku, price) = (&line.sku, line.unit_price.amount);
            if prices.get(sku).is_some_and(|known| *known != price) {
                wrong.push(format!("{sku} costs {} there, and {price} here", prices[sku]));
            }
            if line.total.amount != price * line.quantity {
                let (quantity, total) = (line.quantity, line.total.amount);
                wrong.push(format!("{quantity} × {sku} at {price} come to {total}"));
            }
            if [&line.unit_price, &line.total].iter().any(|money| money.currency != *currency) {
                wrong.push(format!("{sku} is not in {currency}"));
            }
            sum += line.total.amount;
        }
        if self.subtotal.amount != sum {
            wrong.push(format!("lines of {sum} have a subtotal of {}", self.subtotal.amount));
        }
        let total =
            self.subtotal.amount - self.discount.amount + self.shipping.amount + self.tax.amount;
        if self.total.amount != total {
            wrong.push(format!("parts of {total} have a total of {}", self.total.amount));
        }
        wrong
    }
}

/// One change of the lines of a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Change {
    /// More units of these SKUs, all or nothing.
    Add(Vec<(String, i64)>),
    /// So many units of the SKU of a line; none removes it.
    Set {
        /// The id of the line.
        line: String,
        /// Its SKU.
        sku: String,
        /// Units.
        quantity: i64,
    },
    /// The line of this SKU goes.
    Remove {
        /// The id of the line.
        line: String,
        /// Its SKU.
        sku: String,
    },
}

impl Change {
    /// The request for it.
    pub fn request(&self) -> Request {
        match self {
            Self::Add(items) => {
                let item =
                    |(sku, quantity): &(String, i64)| json!({"sku": sku, "quantity": quantity});
                let body = match &items[..] {
                    [only] => item(only),
                    several => json!({"items": several.iter().map(item).collect::<Vec<_>>()}),
                };
                Request::new(Method::POST, "/v1/cart/items", body.to_string())
            }
            Self::Set { line, quantity, .. } => Request::new(
                Method::PATCH,
                format!("/v1/cart/items/{line}"),
                json!({"quantity": quantity}).to_string(),
            ),
            Self::Remove { line, .. } => {
                Request::new(Method::DELETE, format!("/v1/cart/items/{line}"), "")
            }
        }
    }

    /// What it makes of a cart; `None` if the line that it changes is not there.
    pub fn apply(&self, before: &Units) -> Option<Units> {
        let mut units = before.clone();
        match self {
            Self::Add(items) => {
                for (sku, quantity) in items {
                    *units.entry(sku.clone()).or_default() += quantity;
                }
            }
            Self::Set { sku, quantity: 0, .. } | Self::Remove { sku, .. } => {
                units.remove(sku)?;
            }
            Self::Set { sku, quantity, .. } => *units.get_mut(sku)? = *quantity,
        }
        Some(units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(lines: &[(&str, i64)]) -> Units {
        lines.iter().map(|(sku, quantity)| ((*sku).to_owned(), *quantity)).collect()
    }

    #[test]
    fn changes_of_lines_that_are_gone_do_nothing() {
        let cart = units(&[("A", 2)]);
        let named = |sku: &str| ("line_1".to_owned(), sku.to_owned());
        let set = |sku, quantity| {
            let (line, sku) = named(sku);
            Change::Set { line, sku, quantity }
        };
        let remove = |sku| {
            let (line, sku) = named(sku);
            Change::Remove { line, sku }
        };
        let add = Change::Add(vec![("A".to_owned(), 3), ("B".to_owned(), 1)]);
        assert_eq!(add.apply(&cart), Some(units(&[("A", 5), ("B", 1)])));
        assert_eq!(set("A", 7).apply(&cart), Some(units(&[("A", 7)])));
        assert_eq!(set("A", 0).apply(&cart), Some(units(&[])));
        assert_eq!(remove("A").apply(&cart), Some(units(&[])));
        assert_eq!((set("B", 1).apply(&cart), remove("B").apply(&cart)), (None, None));
    }
}
