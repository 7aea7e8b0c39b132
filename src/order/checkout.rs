//! From a cart to a draft: what a checkout orders, or everything that it lacks.

use super::pricing::{Draft, DraftItem};
use crate::cart::Cart;
use crate::catalog::Offer;
use crate::error::{Code, FieldError, Problem};
use crate::id::{ShopperId, VariantId};
use crate::money::Money;
use std::collections::HashMap;
use std::sync::Arc;

/// A checkout as a client asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// Whose cart becomes an order.
    pub shopper: ShopperId,
    /// The order is refused if its total is another one.
    pub expected_total: Option<Money>,
}

impl Checkout {
    /// The order that the cart makes; `offers` are those of its items.
    ///
    /// Refused with `cart_empty`, or with `checkout_incomplete` naming everything that is missing.
    pub fn draft(
        &self,
        cart: &Cart,
        offers: &HashMap<VariantId, Arc<Offer>>,
    ) -> Result<Draft, Problem> {
        if cart.items.is_empty() {
            return Err(Problem::new(Code::CartEmpty, "There is nothing in the cart."));
        }
        let mut missing = Vec::new();
        let mut items = Vec::with_capacity(cart.items.len());
        for (index, item) in cart.items.iter().enumerate() {
            match offers.get(&item.variant).filter(|offer| offer.is_sold) {
                Some(offer) => {
                    let (sku, quantity) = (offer.sku.clone(), item.quantity);
                    items.push(DraftItem { sku, variant: Some(item.variant), quantity, index });
                }
                None => {
                    let detail = "is no longer sold: remove it";
                    missing.push(FieldError::new(format!("/items/{index}"), detail));
                }
            }
        }
        let mut need = |is_there: bool, field: &str| {
            if !is_there {
                let detail = "is missing: PATCH /v1/cart sets it";
                missing.push(FieldError::new(format!("/{field}"), detail));
            }
        };
        need(cart.email.is_some(), "email");
        need(cart.shipping_address.is_some(), "shipping_address");
        match (&cart.email, &cart.shipping_address) {
            (Some(email), Some(shipping_address)) if missing.is_empty() => Ok(Draft {
                shopper: Some(self.shopper),
                cart_version: Some(cart.version),
                items,
                email: email.clone(),
                shipping_address: shipping_address.clone(),
                currency: cart.currency,
                expected_total: self.expected_total,
            }),
            _ => Err(Problem::of_fields(Code::CheckoutIncomplete, missing)),
        }
    }
}
