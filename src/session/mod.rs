//! Sessions: who is asking, by an opaque token.
//!
//! A session is for guests. Its token is a secret of 256 bits that is shown once; the database
//! keeps only the hash. A look-up may be answered from memory for a moment, so logging out is
//! effective everywhere within a second.

mod actor;
pub mod routes;
mod seen;
mod store;
mod token;

pub use actor::Sessions;
pub use store::Periods;
pub use token::{Session, Token, TokenHash};
