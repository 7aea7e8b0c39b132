//! Who asks for something of the admin API, once the route's policy has let them in.

use super::identified;
use super::scope::{Scope, Scopes};
use crate::error::{Code, Problem};
use crate::id::{ApiKeyId, StaffId};
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use std::fmt;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;

/// Who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// Whoever holds the key of the configuration. It may do everything.
    Configured,
    /// Whoever may run this program with the database's password.
    CommandLine,
    /// Whoever holds an API key.
    Key(ApiKeyId),
    /// One of the staff.
    Staff(StaffId),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured => f.write_str("configured_key"),
            Self::CommandLine => f.write_str("command_line"),
            Self::Key(id) => id.fmt(f),
            Self::Staff(id) => id.fmt(f),
        }
    }
}

/// Whoever the policy of the route has let in. A handler that extracts it on a route whose policy
/// lets everybody in answers with an error, because nobody was identified.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Who.
    pub principal: Principal,
    /// What they may do.
    pub scopes: Arc<Scopes>,
    /// The operation that they ask for.
    pub operation: &'static str,
    /// From where.
    pub address: Option<IpAddr>,
    /// The id of the request.
    pub request_id: String,
}

impl Admin {
    /// Whoever runs a command on the database itself: nothing is kept from them.
    pub fn command_line(operation: &'static str) -> Self {
        Self {
            principal: Principal::CommandLine,
            scopes: Arc::new(Scope::ALL.iter().copied().collect()),
            operation,
            address: None,
            request_id: String::new(),
        }
    }

    /// The scope of their idempotency keys.
    pub fn key_scope(&self) -> String {
        self.principal.to_string()
    }

    /// Refuses to give others, or to take from them, what one does not have oneself.
    pub fn reaches(&self, scopes: &Scopes) -> Result<(), Problem> {
        match scopes.iter().find(|scope| !self.scopes.contains(scope)) {
            None => Ok(()),
            Some(beyond) => {
                let detail = format!("This reaches beyond your own scopes: `{beyond}`.");
                Err(self.refused(detail))
            }
        }
    }

    /// Refuses who does not have the scope.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        Err(self.refused(format!("This needs the scope `{scope}`.")))
    }

    /// Somebody known asks for more than they may: worth knowing.
    fn refused(&self, detail: String) -> Problem {
        let Self { principal, operation, address, request_id, .. } = self;
        let address = address.map(tracing::field::display);
        tracing::info!(actor = %principal, operation, address, request_id, detail, "refused");
        Problem::new(Code::Forbidden, detail)
    }

    /// Who of the staff it is; `forbidden` for a key.
    pub fn staff(&self) -> Result<StaffId, Problem> {
        match self.principal {
            Principal::Staff(id) => Ok(id),
            _ => Err(Problem::new(Code::Forbidden, "Only staff who are logged in.")),
        }
    }
}

impl FromRequest for Admin {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identified(request))
    }
}
