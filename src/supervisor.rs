//! Actors that come back. actix's own `Supervisor` does not restart an actor after a panic:
//! every later send says "mailbox closed". Here the next send notices and starts a fresh one,
//! which knows nothing and reads what it needs from PostgreSQL.

use crate::error::Problem;
use crate::metrics;
use actix::dev::ToEnvelope;
use actix::{Actor, Addr, ArbiterHandle, Context, Handler, Message};
use std::sync::{Arc, PoisonError, RwLock};

/// A handle of one actor that outlives the actor's panics. Cheap to clone.
pub struct Supervised<A: Actor<Context = Context<A>>>(Arc<Inner<A>>);

struct Inner<A: Actor<Context = Context<A>>> {
    name: &'static str,
    arbiter: ArbiterHandle,
    make: Box<dyn Fn() -> A + Send + Sync>,
    current: RwLock<Addr<A>>,
}

impl<A: Actor<Context = Context<A>>> Clone for Supervised<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Actor<Context = Context<A>> + Send> Supervised<A> {
    /// Starts the actor that `make` makes on `arbiter`; `name` is its label in metrics.
    pub fn start<F>(name: &'static str, arbiter: ArbiterHandle, make: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
    {
        let actor = make();
        let current = RwLock::new(A::start_in_arbiter(&arbiter, move |_| actor));
        Self(Arc::new(Inner { name, arbiter, make: Box::new(make), current }))
    }

    /// Sends a message and waits for its result. If the actor panics over it, this request and
    /// those already in the mailbox fail, and the next one finds a fresh actor.
    ///
    /// Mailboxes do not bound `Addr::send`: whoever calls this holds a permit of a limit.
    pub async fn send<M>(&self, message: M) -> Result<M::Result, Problem>
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
        A::Context: ToEnvelope<A, M>,
    {
        let sent = self.address().send(message).await;
        sent.map_err(|error| Problem::internal(format!("{}: {error}", self.0.name)))
    }

    /// The living actor's address.
    pub fn address(&self) -> Addr<A> {
        let current = self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if current.connected() { current } else { self.restart() }
    }

    fn restart(&self) -> Addr<A> {
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        if !current.connected() {
            tracing::error!(actor = self.0.name, "the actor has died; a fresh one starts");
            metrics::actor_restart(self.0.name);
            let actor = (self.0.make)();
            *current = A::start_in_arbiter(&self.0.arbiter, move |_| actor);
        }
        current.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix::Arbiter;

    /// Counts what it has handled.
    struct Counter(u32);

    impl Actor for Counter {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "u32")]
    enum Ask {
        Count,
        Panic,
    }

    impl Handler<Ask> for Counter {
        type Result = u32;

        fn handle(&mut self, ask: Ask, _: &mut Self::Context) -> u32 {
            match ask {
                Ask::Count => self.0 += 1,
                Ask::Panic => panic!("asked to panic"),
            }
            self.0
        }
    }

    #[actix::test]
    async fn an_actor_that_panics_fails_one_request_and_comes_back_knowing_nothing() {
        let counter = Supervised::start("counter", Arbiter::new().handle(), || Counter(0));
        assert_eq!(counter.send(Ask::Count).await.unwrap(), 1);
        assert_eq!(counter.send(Ask::Count).await.unwrap(), 2);
        for _ in 0..3 {
            let dying = counter.address();
            let problem = counter.send(Ask::Panic).await.unwrap_err();
            assert_eq!(problem.code, crate::error::Code::Internal);
            // The panic drops the answer first and the mailbox a moment later.
            while dying.connected() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            assert_eq!(counter.clone().send(Ask::Count).await.unwrap(), 1);
        }
    }
}
