//! A cart and what it costs today.

use crate::catalog::Offer;
use crate::contact::Address;
use crate::id::{ItemId, VariantId};
use crate::money::Currency;
use crate::pricing::{Terms, Totals, choose_currency, price_in};
use std::collections::HashMap;
use std::sync::Arc;

/// Lines of a cart, at most: as many as an order may have.
pub const LINES_MAX: usize = 2_000;

/// What a shopper wants to buy. The default is the cart of one who has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cart {
    /// Grows by one with every effective change.
    pub version: i64,
    /// One line per variant, in the order of first adding.
    pub items: Vec<Item>,
    /// The currency that was asked for, if any.
    pub currency: Option<Currency>,
    /// Who buys.
    pub email: Option<String>,
    /// Where it goes.
    pub shipping_address: Option<Address>,
    /// How it goes there.
    pub shipping_option: Option<String>,
}

/// A line of a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The id.
    pub id: ItemId,
    /// What.
    pub variant: VariantId,
    /// Units, at least 1.
    pub quantity: i64,
}

/// What a cart is priced with: the offers of its variants, as they were a moment ago.
#[derive(Debug, Clone)]
pub struct Shop {
    /// Unknown variants are left out.
    pub offers: HashMap<VariantId, Arc<Offer>>,
    /// What is charged beside the prices.
    pub terms: Terms,
}

/// What a cart costs today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    /// Of all amounts.
    pub currency: Currency,
    /// One for each item, in their order.
    pub lines: Vec<Line>,
    /// `None` if a sum does not fit.
    pub totals: Option<Totals>,
}

/// What an item costs today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Of one unit; nothing if it has no price in the currency.
    pub unit_price: i64,
    /// quantity × unit price.
    pub total: i64,
    /// Whether it is for sale, in this currency.
    pub is_available: bool,
}

impl Shop {
    /// The offer of a variant that is for sale.
    pub fn sold(&self, variant: VariantId) -> Option<&Offer> {
        self.offers.get(&variant).map(|offer| &**offer).filter(|offer| offer.is_sold)
    }

    /// What all of these can be sold in: `asked`, else the shop's currency, else a shared one; if
    /// there is none, the one that should have been and the first that is not sold in it.
    pub fn currency(
        &self,
        variants: impl IntoIterator<Item = VariantId>,
        asked: Option<Currency>,
    ) -> Result<Currency, (Currency, &Offer)> {
        let offers: Vec<&Offer> = variants.into_iter().filter_map(|v| self.sold(v)).collect();
        let chosen = choose_currency(&offers, asked, self.terms.currency);
        chosen.map_err(|(index, currency)| (currency, offers[index]))
    }
}

impl Cart {
    /// The variants in it.
    pub fn variants(&self) -> impl Iterator<Item = VariantId> {
        self.items.iter().map(|item| item.variant)
    }

    /// What it is priced in.
    pub fn currency(&self, shop: &Shop) -> Currency {
        shop.currency(self.variants(), self.currency).unwrap_or_else(|(wanted, _)| wanted)
    }

    /// What it costs. What is no longer for sale counts as long as it lies in the cart.
    pub fn price(&self, shop: &Shop) -> Priced {
        let currency = self.currency(shop);
        let line = |item: &Item| {
            let offer = shop.offers.get(&item.variant);
            let price = offer.and_then(|offer| price_in(offer, currency));
            let unit_price = price.unwrap_or_default();
            Line {
                unit_price,
                total: unit_price.saturating_mul(item.quantity),
                is_available: price.is_some() && shop.sold(item.variant).is_some(),
            }
        };
        let lines: Vec<Line> = self.items.iter().map(line).collect();
        let exact = |(item, line): (&Item, &Line)| line.unit_price.checked_mul(item.quantity);
        let mut totals = self.items.iter().zip(&lines).map(exact);
        let subtotal = totals.try_fold(0_i64, |sum, total| sum.checked_add(total?));
        let shipping = if self.items.is_empty() { 0 } else { shop.terms.shipping };
        let totals = subtotal.and_then(|sum| Totals::of(sum, shipping, shop.terms.tax_rate));
        Priced { currency, lines, totals }
    }
}
