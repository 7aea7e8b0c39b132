//! Real parts for tests: one private PostgreSQL and Redis for the test binary, a database for
//! each test, the server as a process of its own.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::zombie_processes)]

mod balancer;
mod client;
mod customer;
mod database;
mod mail;
mod outage;
mod partitions;
mod port;
mod process;
mod redis;
pub mod retention;
mod second;
mod times;
mod wait;

pub use balancer::Balancer;
pub use client::*;
pub use customer::*;
pub use database::{Database, Pair, Services, books, services};
pub use mail::{Letterbox, Mail, MailServer};
pub use partitions::month;
pub use port::{free_port, until_listening};
pub use process::{ADMIN_KEY, App, signal, succeed};
pub use redis::RedisServers;
pub use second::Second;
pub use times::times;
pub use wait::{until, within};
