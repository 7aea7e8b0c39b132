//! doorbuster: a headless storefront backend for the days when everybody comes at once.
pub mod embedded;
pub mod error;
pub mod money;
