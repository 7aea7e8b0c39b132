//! The contract over HTTP, with SQL assertions beside.

#![allow(clippy::unwrap_used)]

#[path = "../harness/mod.rs"]
mod harness;

mod bad_input;
mod catalog;
mod command_line;
mod freshness;
mod idempotency;
mod operations;
mod orders;
mod payments;
mod private_services;
mod stock;
