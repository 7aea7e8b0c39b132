//! Inventory: stock per variant and location, its ledger, and the view that says "sold out".

mod actor;
pub mod routes;
mod stock;
pub mod store;
mod view;

pub use actor::{Inventory, Options};
pub use stock::{Cause, DEFAULT_LOCATION, Level, Movement, QUANTITY_MAX, StockKey};
pub use view::{Passed, Verdict, View, Want};
