//! What a bearer token of the admin API, or a publishable key, stands for.
//!
//! A look-up is believed for a moment, so revoking a key, logging out and another role are
//! effective on every instance within a second. PostgreSQL decides; without it nobody is let in.

use super::store::{keys, sessions};
use crate::auth::{Principal, Scopes, Secrets, Token, TokenHash, hash};
use crate::error::Problem;
use crate::gather::{Gather, Limits};
use crate::postgres::Postgres;
use crate::seen::Seen;
use crate::session::Periods;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the tokens of staff begin with.
pub const STAFF_TOKEN: &str = "dba_";
/// What invitations begin with.
pub const INVITATION: &str = "dbi_";
/// What secret keys begin with.
pub const SECRET_KEY: &str = "sk_";
/// What publishable keys begin with.
pub const PUBLISHABLE_KEY: &str = "pk_";

/// How long a look-up is believed, from the start of its read.
const BELIEVED: Duration = Duration::from_millis(700);
/// Credentials that are remembered, at most.
const REMEMBERED_MAX: usize = 10_000;
/// Credentials looked up with one statement.
const LIMITS: Limits =
    Limits { keys_max: 500, waiting_max: 10_000, read_max: Duration::from_secs(2) };

/// What a secret stands for.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Somebody who may use the admin API.
    Admin {
        /// Who.
        principal: Principal,
        /// What they may do.
        scopes: Arc<Scopes>,
    },
    /// A sales channel, and the pages that may name it; any, if there are none.
    Channel {
        /// The pages' origins.
        origins: Arc<[String]>,
    },
}

/// Looks credentials up. Cheap to clone.
#[derive(Clone)]
pub struct Credentials {
    reads: Gather<TokenHash, Credential>,
    seen: Arc<Mutex<Seen<Credential>>>,
    secrets: Arc<Secrets>,
    everything: Arc<Scopes>,
    periods: Periods,
}

impl Credentials {
    /// Reads what is not remembered on the runtime of the database connections.
    pub fn start(postgres: &Postgres, secrets: Arc<Secrets>, periods: Periods) -> Self {
        let pools = postgres.clone();
        let read = move |hashes: Vec<TokenHash>| {
            let pools = pools.clone();
            async move {
                let mut found = keys::credentials(&pools, &hashes).await?;
                found.extend(sessions::credentials(&pools, &hashes, periods).await?);
                Ok(found)
            }
        };
        Self {
            reads: Gather::start(postgres.runtime(), LIMITS, read),
            seen: Arc::new(Mutex::new(Seen::new(BELIEVED, REMEMBERED_MAX))),
            secrets,
            everything: Arc::new(crate::auth::Scope::ALL.iter().copied().collect()),
            periods,
        }
    }

    /// How long the sessions of staff last.
    pub fn periods(&self) -> Periods {
        self.periods
    }

    /// Whose bearer token this is, and what they may do.
    pub async fn admin(&self, token: &str) -> Result<Option<(Principal, Arc<Scopes>)>, Problem> {
        let sent = hash(token);
        if self.secrets.is_admin_key(&sent) {
            return Ok(Some((Principal::Configured, self.everything.clone())));
        }
        let is_one = [SECRET_KEY, STAFF_TOKEN].iter().any(|p| Token::parse(p, token).is_some());
        let found = if is_one { self.find(sent).await? } else { None };
        Ok(found.and_then(|found| match found {
            Credential::Admin { principal, scopes } => Some((principal, scopes)),
            Credential::Channel { .. } => None,
        }))
    }

    /// The origins that may send this publishable key, if it is one.
    pub async fn channel(&self, key: &str) -> Result<Option<Arc<[String]>>, Problem> {
        let Some(key) = Token::parse(PUBLISHABLE_KEY, key) else { return Ok(None) };
        Ok(self.find(key.hash()).await?.and_then(|found| match found {
            Credential::Channel { origins } => Some(origins),
            Credential::Admin { .. } => None,
        }))
    }

    async fn find(&self, sent: TokenHash) -> Result<Option<Credential>, Problem> {
        let at = Instant::now();
        if let Some(found) = self.seen().get(&sent, at) {
            return Ok(found);
        }
        let found = self.reads.get(sent).await?;
        self.seen().put(sent, found.clone(), at);
        Ok(found)
    }

    /// These were ended in a committed transaction: nobody here finds them again.
    pub fn forget(&self, ended: &[TokenHash]) {
        let (mut seen, now) = (self.seen(), Instant::now());
        ended.iter().for_each(|token| seen.put(*token, None, now));
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen<Credential>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
