//! In which currency items are priced, and what one of them costs in it.

use crate::catalog::Offer;
use crate::money::Currency;

/// The offer's price in the currency, if it is sold in it.
pub fn price_in(offer: &Offer, currency: Currency) -> Option<i64> {
    let price = offer.prices.iter().find(|price| price.currency == currency);
    price.map(|price| price.amount)
}

/// The currency that was asked for, else the shop's, else the one that all offers share. If there
/// is none: the first offer that is not sold in the one that should have been.
pub fn choose_currency(
    offers: &[&Offer],
    asked: Option<Currency>,
    shops: Currency,
) -> Result<Currency, (usize, Currency)> {
    let missing = |currency| offers.iter().position(|offer| price_in(offer, currency).is_none());
    let wanted = asked.unwrap_or(shops);
    let Some(index) = missing(wanted) else { return Ok(wanted) };
    let mut shared = offers.iter().take(1).flat_map(|offer| &offer.prices);
    let shared = shared.find(|price| missing(price.currency).is_none());
    match (asked, shared) {
        (None, Some(price)) => Ok(price.currency),
        _ => Err((index, wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VariantId;
    use crate::money::Money;

    fn offer(currencies: &[&str]) -> Offer {
        let price = |(index, code): (usize, &&str)| {
            Money::new(index as i64, code.parse().expect("a currency"))
        };
        Offer {
            variant: VariantId::new(),
            sku: "A".to_owned(),
            title: "A".to_owned(),
            prices: currencies.iter().enumerate().map(price).collect(),
            offer_version: 1,
            is_sold: true,
        }
    }

    #[test]
    fn the_shop_s_currency_goes_before_a_shared_one_unless_another_is_asked_for() {
        let code = |text: &str| text.parse::<Currency>().expect("a currency");
        let gbp = code("GBP");
        let (both, dollars, euros) = (offer(&["GBP", "USD"]), offer(&["USD"]), offer(&["EUR"]));
        assert_eq!(choose_currency(&[], None, gbp), Ok(gbp));
        assert_eq!(choose_currency(&[&both], None, gbp), Ok(gbp));
        assert_eq!(choose_currency(&[&both, &dollars], None, gbp), Ok(code("USD")));
        assert_eq!(choose_currency(&[&both], Some(code("USD")), gbp), Ok(code("USD")));
        assert_eq!(choose_currency(&[&dollars, &euros], None, gbp), Err((0, gbp)));
        let asked = Some(code("EUR"));
        assert_eq!(choose_currency(&[&euros, &both], asked, gbp), Err((1, code("EUR"))));
        assert_eq!((price_in(&both, code("USD")), price_in(&both, code("EUR"))), (Some(1), None));
    }
}
