//! `InventoryActor` owns the view of the stock and its shared reads.

use super::stock::StockKey;
use super::store;
use super::view::{Passed, Verdict, View, Want};
use crate::error::Problem;
use crate::postgres::{Postgres, unavailable};
use crate::supervisor::Supervised;
use actix::prelude::*;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Rows that the view remembers, at most.
const ROWS_MAX: usize = 1_000_000;

/// A shared read that takes longer answers nobody.
const READ_MAX: Duration = Duration::from_secs(2);

/// The settings of the view.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long a count read from PostgreSQL is conclusive.
    pub fresh: Duration,
}

/// The handle of the inventory. Cheap to clone.
#[derive(Clone)]
pub struct Inventory(Supervised<InventoryActor>);

impl Inventory {
    /// Starts the actor.
    pub fn start(options: Options, postgres: Postgres, arbiter: ArbiterHandle) -> Self {
        let make = move || InventoryActor {
            postgres: postgres.clone(),
            view: View::new(options.fresh, ROWS_MAX),
            waiting: Vec::new(),
            wanted: BTreeSet::new(),
            reading: false,
        };
        Self(Supervised::start("inventory", arbiter, make))
    }

    /// What the fresh view says of an order. May wait for a shared read of its rows.
    pub async fn check(&self, wants: Vec<Want>) -> Result<Passed, Problem> {
        self.0.send(Check(wants)).await?
    }

    /// Tells the view counts that were true in PostgreSQL at `at` or later.
    pub async fn observe(&self, available: Vec<(StockKey, i64)>, at: Instant) {
        if let Err(problem) = self.0.send(Observe { available, at }).await {
            // The view is only a hint; the fresh actor reads again.
            tracing::warn!(%problem, "the view missed an update");
        }
    }
}

#[derive(Message)]
#[rtype(result = "Result<Passed, Problem>")]
struct Check(Vec<Want>);

#[derive(Message)]
#[rtype(result = "()")]
struct Observe {
    available: Vec<(StockKey, i64)>,
    at: Instant,
}

struct Waiting {
    wants: Vec<Want>,
    asked: Instant,
    answer: oneshot::Sender<Result<Passed, Problem>>,
}

struct InventoryActor {
    postgres: Postgres,
    view: View,
    /// Orders that look short on stale counts.
    waiting: Vec<Waiting>,
    /// The rows that they need; read together, one read at a time.
    wanted: BTreeSet<StockKey>,
    reading: bool,
}

impl Actor for InventoryActor {
    type Context = Context<Self>;
}

impl Handler<Check> for InventoryActor {
    type Result = ResponseFuture<Result<Passed, Problem>>;

    fn handle(&mut self, Check(wants): Check, context: &mut Self::Context) -> Self::Result {
        match self.view.judge(&wants, Instant::now()) {
            Verdict::Passed(passed) => Box::pin(std::future::ready(Ok(passed))),
            Verdict::Look(rows) => {
                let (answer, answered) = oneshot::channel();
                self.waiting.push(Waiting { wants, asked: Instant::now(), answer });
                self.wanted.extend(rows);
                self.read(context);
                Box::pin(async {
                    answered.await.unwrap_or_else(|_| Err(Problem::internal("the view is gone")))
                })
            }
        }
    }
}

impl Handler<Observe> for InventoryActor {
    type Result = ();

    fn handle(&mut self, Observe { available, at }: Observe, _: &mut Self::Context) {
        for (key, available) in available {
            self.view.observe(key, available, at);
        }
    }
}

impl InventoryActor {
    /// Reads the wanted rows, unless a read is on its way: then they go with the next.
    fn read(&mut self, context: &mut Context<Self>) {
        if self.reading || self.wanted.is_empty() {
            return;
        }
        self.reading = true;
        let rows: Vec<StockKey> = std::mem::take(&mut self.wanted).into_iter().collect();
        let (postgres, at) = (self.postgres.clone(), Instant::now());
        let read = async move {
            let counts = timeout(READ_MAX, store::available(&postgres.readers, &rows)).await;
            counts.unwrap_or_else(|_| Err(unavailable()))
        };
        context.spawn(read.into_actor(self).map(move |counts, actor, context| {
            actor.reading = false;
            match counts {
                Ok(counts) => {
                    counts
                        .into_iter()
                        .for_each(|(key, count)| actor.view.observe(key, count, at));
                    actor.judge_waiting(at);
                }
                Err(problem) => {
                    for waiting in actor.waiting.drain(..) {
                        let _ = waiting.answer.send(Err(problem.clone()));
                    }
                    actor.wanted.clear();
                }
            }
            actor.read(context);
        }));
    }

    /// Judges those who wait on what was read at `at`. Who asked before is not kept waiting for
    /// a second read, however slow the first one was: then the commit decides.
    fn judge_waiting(&mut self, at: Instant) {
        let now = Instant::now();
        for waiting in std::mem::take(&mut self.waiting) {
            match self.view.judge(&waiting.wants, now) {
                _ if waiting.answer.is_closed() => {}
                Verdict::Passed(passed) => {
                    let _ = waiting.answer.send(Ok(passed));
                }
                Verdict::Look(_) if waiting.asked <= at => {
                    let unknown = vec![None; waiting.wants.len()];
                    let _ = waiting.answer.send(Ok(Passed::Go(unknown)));
                }
                Verdict::Look(rows) => {
                    self.wanted.extend(rows);
                    self.waiting.push(waiting);
                }
            }
        }
    }
}
