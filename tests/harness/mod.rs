//! Real parts for tests: one private PostgreSQL and Redis for the test binary, a database for
//! each test, the server as a process of its own.
#![allow(dead_code, unused_imports)]

mod client;
mod database;
mod outage;
mod process;

pub use client::*;
pub use database::{Database, Pair, services};
pub use process::{ADMIN_KEY, App};
