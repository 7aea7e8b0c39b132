//! Sessions: who is asking, by an opaque token.
//!
//! A session is a guest's, or a customer's who has logged in. Its token is a secret of 256 bits
//! that is shown once; the database keeps only the hash. A look-up may be answered from memory for
//! a moment, so logging out is effective everywhere within a second.

mod actor;
pub mod routes;
#[allow(clippy::module_inception)]
mod session;
mod store;

pub use actor::Sessions;
pub use session::Session;
pub use store::{NewSession, Periods, Which, erase, held, list, log_in, log_out};

use crate::error::{Code, Problem};
use crate::id::{CustomerId, SessionId};

/// The scope of a customer's idempotency keys.
pub fn customer_scope(customer: CustomerId) -> String {
    format!("customer:{customer}")
}

/// The scope of a guest's idempotency keys.
pub fn guest_scope(session: SessionId) -> String {
    format!("session:{session}")
}

/// What the tokens of sessions begin with.
const TOKEN: &str = "dbs_";

/// There is no session, or it is over.
pub fn unauthorized() -> Problem {
    let detail = "Send the token of a session: `Authorization: Bearer dbs_…`.";
    Problem::new(Code::Unauthorized, detail)
}
