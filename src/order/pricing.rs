//! From what a client asks for to what it costs. No price comes from a client.

use super::order::{Line, Placement};
use crate::catalog::Offer;
use crate::contact::Address;
use crate::error::{Code, FieldError, Problem, Violations};
use crate::id::{LineId, OrderId, ShopperId, VariantId};
use crate::inventory::StockKey;
use crate::money::{Currency, Money};
use crate::pricing::{Terms, Totals, choose_currency, price_in};
use std::collections::HashMap;
use std::sync::Arc;

/// An order as a client asks for it, checked as far as that is possible without the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Who places it, if there is a shopper.
    pub shopper: Option<ShopperId>,
    /// At a checkout: the version of the shopper's cart that this was made of.
    pub cart_version: Option<i64>,
    /// Each SKU once.
    pub items: Vec<DraftItem>,
    /// Who orders.
    pub email: String,
    /// Where it goes.
    pub shipping_address: Address,
    /// The order is priced in it; if none is asked for, in the shop's or one that all items share.
    pub currency: Option<Currency>,
    /// The order is refused if its total is another one.
    pub expected_total: Option<Money>,
}

/// A line as a client asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftItem {
    /// What.
    pub sku: String,
    /// Which variant it must be; whichever has the SKU if nobody says.
    pub variant: Option<VariantId>,
    /// Units, at least 1.
    pub quantity: i64,
    /// Where it first stood in the request.
    pub index: usize,
}

impl Draft {
    /// Joins the items of one SKU.
    pub fn merge(items: Vec<DraftItem>) -> Vec<DraftItem> {
        let mut merged: Vec<DraftItem> = Vec::with_capacity(items.len());
        let mut places: HashMap<String, usize> = HashMap::new();
        for item in items {
            match places.get(&item.sku) {
                // At most 2,000 items of at most 1,000,000 units: it fits.
                Some(&place) => merged[place].quantity += item.quantity,
                None => {
                    places.insert(item.sku.clone(), merged.len());
                    merged.push(item);
                }
            }
        }
        merged
    }

    /// Prices the draft: `offers` are those of its items, in their order.
    pub fn price(
        &self,
        offers: &[Option<Arc<Offer>>],
        terms: &Terms,
        id: OrderId,
        mut line_id: impl FnMut() -> LineId,
    ) -> Result<Placement, Problem> {
        let mut violations = Violations::default();
        for (item, offer) in self.items.iter().zip(offers) {
            let pointer = format!("/items/{}/sku", item.index);
            // The SKU in a cart may have become another variant's a moment ago.
            let is_it = |offer: &Arc<Offer>| item.variant.is_none_or(|v| v == offer.variant);
            violations.require(
                offer.as_ref().is_some_and(is_it),
                pointer,
                "there is no such SKU",
            );
        }
        violations.finish()?;
        let offers: Vec<&Offer> = offers.iter().flatten().map(|offer| &**offer).collect();
        let currency = self.currency(&offers, terms.currency)?;
        let mut lines = Vec::with_capacity(self.items.len());
        let mut subtotal = 0_i64;
        for (item, offer) in self.items.iter().zip(&offers) {
            let unit_price = price_in(offer, currency).unwrap_or_default();
            let total = item.quantity.checked_mul(unit_price);
            let total = total.ok_or_else(|| too_large(item.index))?;
            subtotal = subtotal.checked_add(total).ok_or_else(|| too_large(item.index))?;
            lines.push(Line {
                id: line_id(),
                stock: StockKey::of(offer.variant),
                sku: offer.sku.clone(),
                title: offer.title.clone(),
                quantity: item.quantity,
                unit_price,
                total,
                offer_version: offer.offer_version,
            });
        }
        let totals = Totals::of(subtotal, terms.shipping, terms.tax_rate);
        let totals = totals.ok_or_else(|| too_large(0))?;
        let (email, shipping_address) = (self.email.clone(), self.shipping_address.clone());
        let tax_rate = terms.tax_rate;
        let placement = Placement {
            id,
            shopper: self.shopper,
            lines,
            currency,
            totals,
            tax_rate,
            email,
            shipping_address,
        };
        self.as_expected(placement)
    }

    /// The one that is asked for, else the shop's, else the one that all items share.
    fn currency(&self, offers: &[&Offer], preferred: Currency) -> Result<Currency, Problem> {
        choose_currency(offers, self.currency, preferred).map_err(|(missing, currency)| {
            let pointer = format!("/items/{}/sku", self.items[missing].index);
            let detail = format!("is not sold in {currency}");
            Problem::validation(vec![FieldError::new(pointer, detail)])
        })
    }

    /// Names every line that is short, at its place in the request; `available` is per line.
    pub fn out_of_stock(&self, available: &[i64]) -> Problem {
        let lines = self.items.iter().zip(available);
        let short = lines.filter(|(item, available)| item.quantity > **available);
        let errors = short.map(|(item, available)| FieldError {
            sku: Some(item.sku.clone()),
            requested: Some(item.quantity),
            available: Some(*available),
            ..FieldError::new(
                format!("/items/{}/quantity", item.index),
                format!("only {available} of {} available", item.sku),
            )
        });
        Problem::of_fields(Code::OutOfStock, errors.collect())
    }

    fn as_expected(&self, placement: Placement) -> Result<Placement, Problem> {
        match self.expected_total {
            Some(expected) if expected != placement.total() => {
                let total = placement.total();
                let detail = format!(
                    "The total is {} {}, not {} {}.",
                    total.amount, total.currency, expected.amount, expected.currency
                );
                Err(Problem { total: Some(total), ..Problem::new(Code::PriceChanged, detail) })
            }
            _ => Ok(placement),
        }
    }
}

fn too_large(index: usize) -> Problem {
    let pointer = format!("/items/{index}/quantity");
    Problem::validation(vec![FieldError::new(pointer, "the order's total is too large")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::QUANTITY_MAX;
    use proptest::prelude::*;

    fn offer(sku: &str, prices: &[(i64, &str)]) -> Option<Arc<Offer>> {
        let prices = prices
            .iter()
            .map(|(amount, currency)| Money::new(*amount, currency.parse().expect("a currency")));
        Some(Arc::new(Offer {
            variant: VariantId::new(),
            sku: sku.to_owned(),
            title: sku.to_owned(),
            prices: prices.collect(),
            offer_version: 1,
            is_sold: true,
        }))
    }

    fn draft(quantities: &[i64], expected_total: Option<Money>) -> Draft {
        let item = |(index, quantity): (usize, &i64)| DraftItem {
            sku: format!("S{index}"),
            variant: None,
            quantity: *quantity,
            index,
        };
        Draft {
            shopper: None,
            cart_version: None,
            currency: expected_total.map(|total| total.currency),
            items: quantities.iter().enumerate().map(item).collect(),
            email: "a@b.example".to_owned(),
            shipping_address: Address {
                name: "A".to_owned(),
                line1: "1".to_owned(),
                line2: None,
                city: "C".to_owned(),
                region: None,
                postal_code: None,
                country: "GB".to_owned(),
                phone: None,
            },
            expected_total,
        }
    }

    fn terms(shipping: i64, tax_rate: u32) -> Terms {
        Terms { currency: "GBP".parse().expect("a currency"), shipping, tax_rate }
    }

    fn price(draft: &Draft, offers: &[Option<Arc<Offer>>]) -> Result<Placement, Problem> {
        draft.price(offers, &terms(399, 200_000), OrderId::new(), LineId::new)
    }

    #[test]
    fn the_catalog_decides_the_price() {
        let offers = [offer("S0", &[(1299, "GBP")]), offer("S1", &[(50, "GBP")])];
        let placement = price(&draft(&[2, 3], None), &offers).expect("an order");
        assert_eq!(placement.totals.subtotal, 2748);
        assert_eq!(placement.totals.tax, 629); // 20 % of 3147, half up
        assert_eq!(placement.totals.total, 3776);
    }

    #[test]
    fn another_total_than_the_expected_one_is_refused_with_the_current_one() {
        let gbp = |amount| Money::new(amount, "GBP".parse().expect("a currency"));
        let offers = [offer("S0", &[(100, "GBP")])];
        let problem = price(&draft(&[1], Some(gbp(1))), &offers).expect_err("another total");
        assert_eq!((problem.code, problem.total), (Code::PriceChanged, Some(gbp(599))));
        assert!(price(&draft(&[1], Some(gbp(599))), &offers).is_ok());
    }

    #[test]
    fn items_without_a_price_in_the_shop_s_currency_share_another_or_are_refused() {
        let offers = [offer("S0", &[(1, "EUR"), (2, "USD")]), offer("S1", &[(3, "USD")])];
        let placement = price(&draft(&[1, 1], None), &offers).expect("an order");
        assert_eq!(placement.currency.as_str(), "USD");
        let offers = [offer("S0", &[(1, "EUR")]), offer("S1", &[(3, "USD")])];
        assert!(price(&draft(&[1, 1], None), &offers).is_err());
    }

    #[test]
    fn what_lies_in_a_cart_is_not_replaced_by_what_has_its_sku_now() {
        let offers = [offer("S0", &[(1, "GBP")])];
        let mut draft = draft(&[1], None);
        draft.items[0].variant = offers[0].as_ref().map(|offer| offer.variant);
        assert!(price(&draft, &offers).is_ok());
        draft.items[0].variant = Some(VariantId::new());
        let problem = price(&draft, &offers).expect_err("another variant");
        assert_eq!(problem.errors[0].pointer, "/items/0/sku");
    }

    #[test]
    fn unknown_skus_are_named_all_at_once() {
        let offers = [None, offer("S1", &[(1, "GBP")]), None];
        let problem = price(&draft(&[1, 1, 1], None), &offers).expect_err("unknown");
        let pointers: Vec<&str> =
            problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/items/0/sku", "/items/2/sku"]);
    }

    #[test]
    fn lines_of_one_sku_become_one_line() {
        let item = |sku: &str, quantity, index| {
            let sku = sku.to_owned();
            DraftItem { sku, variant: None, quantity, index }
        };
        let merged = Draft::merge(vec![item("A", 2, 0), item("B", 1, 1), item("A", 3, 2)]);
        assert_eq!(merged, vec![item("A", 5, 0), item("B", 1, 1)]);
    }

    proptest! {
        #[test]
        fn pricing_never_wraps_and_lines_sum_to_the_subtotal(
            quantities in prop::collection::vec(1..=QUANTITY_MAX, 1..20),
            price_of_one in prop_oneof![0..=1_000_000_000_000i64, 0..=i64::MAX],
        ) {
            let sold: Vec<_> = (0..quantities.len())
                .map(|index| offer(&format!("S{index}"), &[(price_of_one, "GBP")]))
                .collect();
            match price(&draft(&quantities, None), &sold) {
                Ok(placement) => {
                    let sum: i128 = placement.lines.iter().map(|l| i128::from(l.total)).sum();
                    prop_assert_eq!(sum, i128::from(placement.totals.subtotal));
                }
                Err(problem) => prop_assert_eq!(problem.code, Code::ValidationFailed),
            }
        }
    }
}
