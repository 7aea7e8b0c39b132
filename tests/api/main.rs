//! The contract over HTTP, with SQL assertions beside.

#![allow(clippy::unwrap_used)]

#[path = "../harness/mod.rs"]
mod harness;

mod admin_orders;
mod bad_input;
mod carts;
mod catalog;
mod catalog_admin;
mod categories;
mod checkout;
mod collections;
mod command_line;
mod customers;
mod exports;
mod freshness;
mod idempotency;
mod openapi;
mod operations;
mod orders;
mod payments;
mod private_services;
mod retention;
mod search;
mod sessions;
mod stock;
mod variants;
