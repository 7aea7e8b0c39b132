//! The catalog: products with their variants and prices, what the store shows of them and what
//! orders sell them for.
//!
//! A product is written by the admin API, by imports and by the demo; each gives every variant a
//! stock row in the same transaction. Whoever changes a product's title or status, or a price,
//! bumps `stock.offer_version` of the variants in the same transaction (see [`Offers`]).

mod category;
mod collection;
mod demo;
mod draft;
mod field;
pub mod import;
pub mod listing;
mod offers;
mod patch;
mod picture;
pub mod product;
pub mod routes;
mod search;
mod slug;
pub mod store;
mod storefront;
mod template;
#[cfg(test)]
mod tests;

pub use demo::load_demo;
pub use import::{ImportOptions, Report, import_file};
pub use offers::{Name, Offer, Offers};
pub use storefront::{KEPT_FORMAT, Settings as StorefrontSettings, Storefront};
