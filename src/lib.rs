//! doorbuster: a headless storefront backend for the days when everybody comes at once.
//!
//! The map: the first block starts and stops everything and lists what is reachable; the second
//! is the platform, which knows no feature; the third are the features, each of which uses only
//! those before it. Inside a feature dependencies run one way: rules → store → actor → routes.

// Registers: a feature adds a few lines here, and they are read as a whole.
pub mod app;
pub mod http;
pub mod metrics;
pub mod migrate;
pub mod verify;

// Platform.
pub mod audit;
pub mod auth;
pub mod breaker;
pub mod cache;
pub mod config;
pub mod contact;
pub mod embedded;
pub mod error;
pub mod export;
pub mod gather;
pub mod id;
pub mod idempotency;
pub mod journal;
pub mod json;
pub mod mail;
pub mod money;
pub mod page;
pub mod partitions;
pub mod peer;
pub mod postgres;
pub mod query;
pub mod rate_limit;
pub mod redis;
pub mod retention;
pub mod seen;
pub mod supervisor;
pub mod telemetry;
pub mod version;

// Features.
pub mod catalog;
pub mod inventory;
pub mod pricing;
pub mod session;
pub mod cart;
pub mod payment;
pub mod order;
pub mod customer;
pub mod staff;
