//! Customers: people with an account.
//!
//! Logging in turns a guest's session into a customer's: the token is replaced, the cart becomes
//! a part of the customer's, and so do the orders. Passwords are hashed by threads of their own.

#[allow(clippy::module_inception)]
mod customer;
mod eraser;
mod limits;
mod mails;
mod passwords;
pub mod routes;
mod store;

pub use customer::{check_email, check_password, check_text, email_key};
pub use eraser::Eraser;
pub use mails::MAILS;
pub use passwords::Passwords;
pub use store::SWEEPS;
