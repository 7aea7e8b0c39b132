//! From prices to totals: the same rules for carts and for orders.

mod totals;

pub use totals::{Terms, Totals};
