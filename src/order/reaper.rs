//! The reaper: expires unpaid orders and finishes payments whose answer was lost. It runs on
//! every instance; what it finds is only a candidate, the decision falls under locks.

use super::actor::Desk;
use super::command::{Command, Outcome};
use super::step::{Due, Unsettled};
use super::store;
use crate::error::{Code, Problem};
use crate::metrics;
use futures_util::future::join_all;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Candidates of one round, so that a round stays short.
const ROUND_MAX: usize = 500;
/// Payments that are asked after in one round: a provider may be slow.
const RESOLVED_MAX: usize = 50;

/// When the reaper works.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Between two rounds.
    pub interval: Duration,
    /// A payment without an answer is asked after once it is this old.
    pub resolve_after: Duration,
    /// An unanswered payment keeps its order for this long beyond its `pay_by`.
    pub processing_max: Duration,
}

/// The running reaper.
pub struct Reaper(JoinSet<()>);

impl Reaper {
    /// Starts it on the runtime of the database connections, away from the HTTP workers.
    pub fn start(desk: Desk, schedule: Schedule) -> Self {
        let runtime = desk.postgres.runtime().clone();
        let (payer, rest) = (desk.clone(), schedule.interval);
        let mut work = JoinSet::new();
        // Apart, so that a provider that is slow keeps nobody's stock.
        let expiry = async move || expire(&desk, &schedule).await;
        work.spawn_on(rounds(rest, expiry), &runtime);
        let settlement = async move || resolve(&payer, &schedule).await;
        work.spawn_on(rounds(rest, settlement), &runtime);
        Self(work)
    }

    /// Stops it between two steps; whatever it had begun is durable or never happened.
    pub fn stop(mut self) {
        self.0.abort_all();
    }
}

/// Whether a round has left something for another one, at once.
type IsMoreDue = bool;

/// Works round after round, with a rest when nothing is left.
async fn rounds(rest: Duration, round: impl AsyncFn() -> Result<IsMoreDue, Problem>) {
    loop {
        let is_more_due = round().await.unwrap_or_else(|problem| {
            tracing::warn!(%problem, "the reaper's round failed; the next one follows");
            false
        });
        if !is_more_due {
            sleep(rest).await;
        }
    }
}

/// Expires the orders whose time is over.
async fn expire(desk: &Desk, schedule: &Schedule) -> Result<IsMoreDue, Problem> {
    let readers = &desk.postgres.readers;
    let ids = store::candidates_for_expiry(readers, schedule.processing_max, ROUND_MAX).await?;
    if ids.is_empty() {
        return Ok(false);
    }
    let orders = store::known(readers, &ids).await?;
    let commits = orders
        .into_iter()
        .map(async |order| desk.commit(&Command::Expire { order }, Vec::new()).await);
    let mut expired = 0;
    for outcome in join_all(commits).await {
        expired += usize::from(matches!(outcome?, Outcome::Answered(_)));
    }
    metrics::orders_expired(expired);
    Ok(ids.len() == ROUND_MAX && expired > 0)
}

/// Asks the providers about payments whose answer was lost, and records what they say.
async fn resolve(desk: &Desk, schedule: &Schedule) -> Result<IsMoreDue, Problem> {
    let writers = &desk.postgres.writers;
    let payments = store::take_unsettled(writers, schedule.resolve_after, RESOLVED_MAX).await?;
    let taken = payments.len();
    let resolved = payments.into_iter().map(|unsettled| resolve_one(desk, unsettled));
    join_all(resolved).await.into_iter().collect::<Result<(), Problem>>()?;
    Ok(taken == RESOLVED_MAX)
}

async fn resolve_one(desk: &Desk, unsettled: Unsettled) -> Result<(), Problem> {
    let known = store::known(&desk.postgres.readers, &[unsettled.order]).await?.pop();
    let known = known.ok_or_else(|| Problem::internal("a payment without its order"))?;
    let due = Due::lost(unsettled, known, |order| desk.secrets.order_token(order));
    let answer = desk.providers.resolve(&due.provider, &due.charge()).await;
    match desk.settle(due, answer).await {
        Err(problem) if problem.code == Code::PaymentDeclined => Ok(()),
        settled => settled.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::cell::Cell;

    #[tokio::test]
    async fn it_rests_only_when_nothing_is_left() {
        let count = Cell::new(0);
        let round = async || {
            count.set(count.get() + 1);
            Ok(count.get() < 3)
        };
        assert!(rounds(Duration::from_secs(3600), round).now_or_never().is_none());
        assert_eq!(count.get(), 3);
    }
}
