//! Sessions: who is asking, by an opaque token.
//!
//! A session is a guest's, or a customer's who has logged in. Its token is a secret of 256 bits
//! that is shown once; the database keeps only the hash. A look-up may be answered from memory for
//! a moment, so logging out is effective everywhere within a second.

mod actor;
pub mod routes;
mod seen;
mod store;
mod token;

pub use actor::Sessions;
pub use store::{NewSession, Periods, list, log_in, log_out};
pub use token::{Session, Token, TokenHash};

use crate::error::{Code, Problem};

/// There is no session, or it is over.
pub fn unauthorized() -> Problem {
    let detail = "Send the token of a session: `Authorization: Bearer dbs_…`.";
    Problem::new(Code::Unauthorized, detail)
}
