//! From prices to totals: the same rules for carts and for orders.

mod currency;
mod totals;

pub use currency::{choose_currency, price_in};
pub use totals::{Terms, Totals};
