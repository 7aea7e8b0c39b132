//! doorbuster: a headless storefront backend for the days when everybody comes at once.

// Platform: knows no feature.
pub mod auth;
pub mod config;
pub mod embedded;
pub mod error;
pub mod id;
pub mod idempotency;
pub mod journal;
pub mod json;
pub mod metrics;
pub mod migrate;
pub mod money;
pub mod page;
pub mod postgres;
pub mod supervisor;
