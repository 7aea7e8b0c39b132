//! The contract over HTTP, with SQL assertions beside.

#![allow(clippy::unwrap_used)]

#[path = "../harness/mod.rs"]
mod harness;

mod admin_orders;
mod api_keys;
mod audit;
mod authorization;
mod backups;
mod bad_input;
mod browsers;
mod carts;
mod catalog;
mod catalog_admin;
mod categories;
mod checkout;
mod collections;
mod command_line;
mod customer_erasure;
mod customer_proofs;
mod customers;
mod database_role;
mod exports;
mod freshness;
mod hostile;
mod idempotency;
mod locks;
mod mail;
mod openapi;
mod operations;
mod orders;
mod overload;
mod partitions;
mod payments;
mod prices;
mod private_services;
mod rate_limits;
mod retention;
mod roles_of_instances;
mod schema;
mod search;
mod secrets;
mod sessions;
mod slow_clients;
mod staff;
mod stock;
mod variants;
