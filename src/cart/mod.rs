//! Carts: what a shopper wants to buy.
//!
//! A cart is one row, read and changed on any instance. All changes go through a journal of their
//! own, which locks the carts of a batch, applies the rule to each in arrival order, and answers
//! after the commit. Nothing here is cached but the catalog's offers.

mod body;
#[allow(clippy::module_inception)]
mod cart;
mod change;
mod decide;
mod desk;
pub mod routes;
pub mod store;
#[cfg(test)]
mod tests;

pub use body::{CartBody, ItemBody};
pub use cart::{Cart, Item, LINES_MAX, Line, Priced, Shop};
pub use change::{Addition, Change, Details};
pub use decide::{Command, Locked, World, decide};
pub use desk::{Carts, Options};
