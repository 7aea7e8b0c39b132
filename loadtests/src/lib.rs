//! Load tests for doorbuster, from outside: they speak HTTP to instances and read PostgreSQL,
//! and share no code with the product.
//!
//! Scenarios ([`rush`], [`replay`], [`browse`], [`search`], [`cart`], [`checkout`]) plan requests;
//! the [`generator`] sends them open loop, a [`caller`] one after the other, and both keep every
//! answer in a [`record`]; the [`oracle`] compares those with each other and with what is
//! [`stored`]; a [`monitor`] looks on; and the [`report`] says how fast it was and whether it was
//! true.  [`hammer`] is the closed loop for benches. [`seed`] fills a catalog,
//! [`search_latency`] searches it.
//!
//! A [`scenario`] may also be a file; [`run`] does what it says, when its [`arrivals`] say it, if
//! need be beside a [`fleet`] of its own.

pub mod arrivals;
pub mod basket;
pub mod browse;
pub mod caller;
pub mod cart;
pub mod catalog;
pub mod checkout;
pub mod client;
pub mod dataset;
pub mod fleet;
pub mod generator;
pub mod guest;
pub mod hammer;
pub mod journey;
pub mod kill;
pub mod live;
pub mod monitor;
pub mod oracle;
pub mod order;
pub mod present;
pub mod record;
pub mod replay;
pub mod report;
pub mod retention;
pub mod route;
pub mod run;
pub mod rush;
pub mod scenario;
pub mod search;
pub mod search_latency;
pub mod seed;
pub mod setup;
pub mod stored;
pub mod supply;
pub mod target;
pub mod type_id;
pub mod writer;
