//! What the shop charges beside the prices, and what that comes to.

use crate::money::Currency;

/// What the shop charges beside the prices.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Prices are in this currency where every item has one in it.
    pub currency: Currency,
    /// Flat, in minor units of the order's currency.
    pub shipping: i64,
    /// Parts per million.
    pub tax_rate: u32,
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
