//! doorbuster: a headless storefront backend for the days when everybody comes at once.
pub mod config;
pub mod error;
pub mod json;
pub mod money;
