//! Staff: who works for the shop, what each may do, and the keys of programs.
//!
//! A role is a named set of scopes. Staff log in with a password and, if they have turned it on, a
//! code of their authenticator; programs show a secret key. Both end up as the same thing, an
//! `auth::Admin` with scopes, which the policy of each route asks for.

mod credentials;
mod invitation;
mod key;
mod logins;
mod role;
pub mod routes;
#[allow(clippy::module_inception)]
mod staff;
pub mod store;
mod totp;

pub use credentials::{Credential, Credentials};
pub use invitation::{INVITED, Invitation, NewStaff, invite};
pub use logins::Logins;

use crate::error::{Code, Problem};

/// No credential of the admin API, or one that is not good any more.
pub fn unauthorized() -> Problem {
    let detail =
        "Send a secret key or the token of a member of staff: `Authorization: Bearer …`.";
    Problem::new(Code::Unauthorized, detail)
}
