//! doorbuster: a headless storefront backend for the days when everybody comes at once.

// Platform: knows no feature.
pub mod auth;
pub mod embedded;
pub mod error;
pub mod id;
pub mod idempotency;
pub mod journal;
pub mod metrics;
pub mod migrate;
pub mod money;
pub mod postgres;
