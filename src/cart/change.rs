//! What can be done with a cart, and what it leaves: the rule. Pure.

use super::cart::{Cart, Item, LINES_MAX, Shop};
use crate::contact::Address;
use crate::error::{FieldError, Problem, Violations};
use crate::id::{ItemId, VariantId};
use crate::inventory::QUANTITY_MAX;
use crate::money::Currency;
use crate::pricing::price_in;
use std::collections::HashMap;

/// What can be done with a cart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Add these, all or none.
    Add(Vec<Addition>),
    /// From now on so many of a line; 0 takes it out.
    Set {
        /// The line.
        item: ItemId,
        /// 0 to 1,000,000.
        quantity: i64,
    },
    /// Change what stands beside the lines.
    Describe(Box<Details>),
}

/// Something to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// The line's id, if it becomes a new one.
    pub id: ItemId,
    /// What; none if the catalog does not know what was named.
    pub variant: Option<VariantId>,
    /// Units, 1 to 1,000,000.
    pub quantity: i64,
    /// Where it stands in the request, as a JSON pointer.
    pub at: String,
    /// By which field of the request it was named.
    pub named_by: &'static str,
}

/// What stands beside the lines: `Some(None)` clears, `None` leaves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// Who buys.
    pub email: Option<Option<String>>,
    /// Where it goes.
    pub shipping_address: Option<Option<Address>>,
    /// How it goes there.
    pub shipping_option: Option<Option<String>>,
    /// What it is priced in.
    pub currency: Option<Option<Currency>>,
}

impl Change {
    /// The variants that the rule asks the shop for.
    pub fn variants(&self) -> impl Iterator<Item = VariantId> {
        let additions = match self {
            Self::Add(additions) => additions.as_slice(),
            _ => &[],
        };
        additions.iter().filter_map(|addition| addition.variant)
    }
}

impl Cart {
    /// The cart after the change, of the same version; or why it is refused.
    pub fn changed(&self, change: &Change, shop: &Shop) -> Result<Self, Problem> {
        match change {
            Change::Add(additions) => self.with(additions, shop),
            Change::Set { item, quantity } => self.with_quantity(*item, *quantity, shop),
            Change::Describe(details) => self.described(details, shop),
        }
    }

    /// This cart with the lines of another one, as far as the limits of carts go: what is in both
    /// adds up. What stands beside the lines is kept, and taken from the other where it is empty.
    pub fn merged(&self, other: &Self) -> Self {
        let mut after = self.clone();
        for item in &other.items {
            let place = after.items.iter().position(|own| own.variant == item.variant);
            match place {
                Some(place) => {
                    let own = &mut after.items[place];
                    own.quantity = (own.quantity + item.quantity).min(QUANTITY_MAX);
                }
                None if after.items.len() < LINES_MAX => after.items.push(*item),
                None => {}
            }
        }
        // What lay there before shall stay for sale.
        if self.items.is_empty() {
            after.currency = after.currency.or(other.currency);
        }
        after.email = after.email.or_else(|| other.email.clone());
        let (address, option) = (&other.shipping_address, &other.shipping_option);
        after.shipping_address = after.shipping_address.or_else(|| address.clone());
        after.shipping_option = after.shipping_option.or_else(|| option.clone());
        after
    }

    fn with(&self, additions: &[Addition], shop: &Shop) -> Result<Self, Problem> {
        let mut violations = Violations::default();
        for addition in additions {
            let is_sold = addition.variant.is_some_and(|variant| shop.sold(variant).is_some());
            violations.require(is_sold, addition.name(), "there is no such variant for sale");
        }
        violations.finish()?;
        let mut after = self.clone();
        let mut violations = Violations::default();
        let places = self.items.iter().enumerate().map(|(place, item)| (item.variant, place));
        let mut places: HashMap<VariantId, usize> = places.collect();
        for addition in additions {
            let Some(variant) = addition.variant else { continue };
            let place = *places.entry(variant).or_insert_with(|| {
                after.items.push(Item { id: addition.id, variant, quantity: 0 });
                after.items.len() - 1
            });
            // At most 2,000 additions of at most 1,000,000 units: it fits.
            after.items[place].quantity += addition.quantity;
            let is_allowed = after.items[place].quantity <= QUANTITY_MAX;
            let detail = "there would be more than 1,000,000 of it in the cart";
            violations.require(is_allowed, addition.quantity(), detail);
        }
        let is_allowed = after.items.len() <= LINES_MAX;
        violations.require(is_allowed, "/items", "a cart holds at most 2,000 lines");
        // If not all are sold in one currency, it is not what lay there before that has to go.
        let chosen = shop.currency(after.variants(), after.currency);
        let currency = chosen.unwrap_or_else(|_| self.currency(shop));
        for addition in additions {
            let offer = addition.variant.and_then(|variant| shop.sold(variant));
            let has_price = offer.is_some_and(|offer| price_in(offer, currency).is_some());
            let detail = format!("is not sold in {currency}");
            violations.require(has_price, addition.name(), &detail);
        }
        violations.finish()?;
        let at = additions.last().map_or_else(String::new, Addition::quantity);
        after.fitting(shop, &at)
    }

    fn with_quantity(&self, item: ItemId, quantity: i64, shop: &Shop) -> Result<Self, Problem> {
        let place = self.items.iter().position(|known| known.id == item);
        let place = place.ok_or_else(|| Problem::not_found("item"))?;
        let mut after = self.clone();
        let before = after.items[place].quantity;
        match quantity {
            0 => drop(after.items.remove(place)),
            quantity => after.items[place].quantity = quantity,
        }
        // Less is always welcome.
        if quantity <= before { Ok(after) } else { after.fitting(shop, "/quantity") }
    }

    fn described(&self, details: &Details, shop: &Shop) -> Result<Self, Problem> {
        let Details { email, shipping_address, shipping_option, currency } =
            Details::clone(details);
        let mut after = self.clone();
        after.email = email.unwrap_or(after.email);
        after.shipping_address = shipping_address.unwrap_or(after.shipping_address);
        after.shipping_option = shipping_option.unwrap_or(after.shipping_option);
        after.currency = currency.unwrap_or(after.currency);
        if after.currency == self.currency {
            return Ok(after);
        }
        if let Err((currency, offer)) = shop.currency(after.variants(), after.currency) {
            let detail = format!("{} is not sold in {currency}", offer.sku);
            return Err(Problem::validation(vec![FieldError::new("/currency", detail)]));
        }
        after.fitting(shop, "/currency")
    }

    /// Itself, if its total fits.
    fn fitting(self, shop: &Shop, at: &str) -> Result<Self, Problem> {
        match self.price(shop).totals {
            Some(_) => Ok(self),
            None => {
                let too_large = FieldError::new(at, "the cart's total is too large");
                Err(Problem::validation(vec![too_large]))
            }
        }
    }
}

impl Addition {
    fn name(&self) -> String {
        format!("{}/{}", self.at, self.named_by)
    }

    fn quantity(&self) -> String {
        format!("{}/quantity", self.at)
    }
}
