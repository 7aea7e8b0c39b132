//! The catalog: products with their variants and prices, what the store shows of them and what
//! orders sell them for.
//!
//! A product is written by the admin API, by imports and by the demo; each gives every variant a
//! stock row in the same transaction. Whoever changes a product's title or status, or a price,
//! bumps `stock.offer_version` of the variants in the same transaction (see [`Offers`]).

mod demo;
mod draft;
pub mod import;
mod offers;
pub mod product;
pub mod routes;
mod slug;
mod store;
mod storefront;
#[cfg(test)]
mod tests;

pub use demo::load_demo;
pub use import::{ImportOptions, Report, import_file};
pub use offers::{Name, Offer, Offers};
pub use storefront::Storefront;
