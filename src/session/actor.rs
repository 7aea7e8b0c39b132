//! `SessionActor` shards own the look-ups of tokens: each remembers for a moment what it read, and
//! reads many tokens together.

use super::session::Session;
use super::store::{self, NewSession, Periods};
use crate::auth::{Token, TokenHash};
use crate::error::{Code, Problem};
use crate::gather::{Gather, Limits};
use crate::postgres::Postgres;
use crate::seen::Seen;
use crate::supervisor::Supervised;
use actix::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long a look-up is believed, from the start of its read. With the way to the client it stays
/// below the second in which logging out is effective everywhere.
const BELIEVED: Duration = Duration::from_millis(700);
/// Tokens that a shard remembers, at most.
const TOKENS_MAX: usize = 100_000;
/// Look-ups at a time, at most: mailboxes have no bound of their own.
const LOOK_UPS_MAX: usize = 50_000;
/// Tokens looked up, or sessions begun, with one statement.
const LIMITS: Limits =
    Limits { keys_max: 500, waiting_max: LOOK_UPS_MAX, read_max: Duration::from_secs(2) };

/// The handle of the sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    shards: Arc<[Supervised<SessionActor>]>,
    /// Beginnings gather like reads: one insert for all that arrive during the one before.
    begin: Gather<NewSession, Session>,
    permits: Arc<Semaphore>,
    postgres: Postgres,
    periods: Periods,
}

impl Sessions {
    /// Starts one shard on each arbiter.
    pub fn start(periods: Periods, postgres: &Postgres, arbiters: &[ArbiterHandle]) -> Self {
        let shard = |arbiter: &ArbiterHandle| {
            let reads = reads(postgres, periods);
            let make = move || SessionActor {
                reads: reads.clone(),
                seen: Seen::new(BELIEVED, TOKENS_MAX),
            };
            Supervised::start("sessions", arbiter.clone(), make)
        };
        let writers = postgres.writers.clone();
        let begin = Gather::start(postgres.runtime(), LIMITS, move |new| {
            let writers = writers.clone();
            async move { store::create(&writers, new, periods).await }
        });
        Self {
            shards: arbiters.iter().map(shard).collect(),
            begin,
            permits: Arc::new(Semaphore::new(LOOK_UPS_MAX)),
            postgres: postgres.clone(),
            periods,
        }
    }

    /// How long sessions last.
    pub fn periods(&self) -> Periods {
        self.periods
    }

    /// Begins a session. If the answer is lost nobody knows its token, and it just expires.
    pub async fn create(&self) -> Result<(Token, Session), Problem> {
        let (token, new) = NewSession::with_token();
        let begun = self.begin.get(new).await?;
        let session = begun.ok_or_else(|| Problem::internal("a session was not begun"))?;
        Ok((token, session))
    }

    /// The session of a token, if there is one that is not over.
    pub async fn find(&self, token: TokenHash) -> Result<Option<Session>, Problem> {
        let Ok(_permit) = self.permits.try_acquire() else {
            return Err(Problem::new(Code::Overloaded, "Too many sessions are being looked up."));
        };
        self.shard(&token).send(Find(token)).await?
    }

    /// Ends the session of a token: here at once, elsewhere within a second.
    pub async fn end(&self, token: TokenHash) -> Result<(), Problem> {
        store::end(&self.postgres.writers, &token).await?;
        self.forget(token).await
    }

    /// The session of the token was ended in a committed transaction: nobody here finds it again.
    pub async fn forget(&self, token: TokenHash) -> Result<(), Problem> {
        self.shard(&token).send(Ended(token)).await
    }

    fn shard(&self, token: &TokenHash) -> &Supervised<SessionActor> {
        &self.shards[usize::from(token[0]) % self.shards.len()]
    }
}

/// Reads sessions, and moves on the expiry of those that are in use without waiting for it.
fn reads(postgres: &Postgres, periods: Periods) -> Gather<TokenHash, Session> {
    let postgres = postgres.clone();
    Gather::start(&postgres.runtime().clone(), LIMITS, move |tokens: Vec<TokenHash>| {
        let postgres = postgres.clone();
        async move {
            let (found, due) = store::find(&postgres.readers, &tokens, periods).await?;
            if !due.is_empty() {
                let writers = postgres.writers.clone();
                postgres.in_background("the expiry of sessions was not moved on", async move {
                    store::touch(&writers, &due, periods.idle).await
                });
            }
            Ok(found)
        }
    })
}

#[derive(Message)]
#[rtype(result = "Result<Option<Session>, Problem>")]
struct Find(TokenHash);

#[derive(Message)]
#[rtype(result = "()")]
struct Ended(TokenHash);

struct SessionActor {
    reads: Gather<TokenHash, Session>,
    seen: Seen<Session>,
}

impl Actor for SessionActor {
    type Context = Context<Self>;
}

impl Handler<Find> for SessionActor {
    type Result = ResponseActFuture<Self, Result<Option<Session>, Problem>>;

    fn handle(&mut self, Find(token): Find, _: &mut Self::Context) -> Self::Result {
        let at = Instant::now();
        if let Some(session) = self.seen.get(&token, at) {
            return Box::pin(fut::ready(Ok(session)));
        }
        let reads = self.reads.clone();
        let read = async move { reads.get(token).await };
        Box::pin(read.into_actor(self).map(move |found, actor, _| {
            if let Ok(session) = found {
                actor.seen.put(token, session, at);
            }
            found
        }))
    }
}

impl Handler<Ended> for SessionActor {
    type Result = ();

    fn handle(&mut self, Ended(token): Ended, _: &mut Self::Context) {
        self.seen.put(token, None, Instant::now());
    }
}
