//! The reaper: expires unpaid orders and finishes payments whose answer was lost. It runs on
//! every instance; what it finds is only a candidate, the decision falls under locks.

use super::actor::Desk;
use super::command::{Command, Outcome};
use super::step::{Due, Unsettled};
use super::store;
use crate::error::{Code, Problem};
use crate::metrics;
use crate::payment::Answer;
use futures_util::future::join_all;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Candidates of one round: a transaction's worth, so that a round stays short and is no crowd.
const ROUND_MAX: usize = 200;
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

/// Works round after round: each says whether more is due. The first waits, too: lanes connect.
async fn rounds(rest: Duration, round: impl AsyncFn() -> Result<bool, Problem>) {
    let mut pause = rest;
    loop {
        sleep(pause).await;
        let begun = Instant::now();
        pause = match round().await {
            // Whoever sells has half of the time.
            Ok(true) => begun.elapsed(),
            Ok(false) => rest,
            Err(problem) => {
                tracing::warn!(%problem, "the reaper's round failed; the next one follows");
                rest
            }
        };
    }
}

/// How many came off; if one failed, the log says why, and a later round finds it again.
fn come_off(results: Vec<Result<bool, Problem>>) -> usize {
    if let Some(problem) = results.iter().find_map(|result| result.as_ref().err()) {
        tracing::warn!(%problem, "the reaper could not do all; the next round follows");
    }
    results.into_iter().filter(|result| matches!(result, Ok(true))).count()
}

/// Expires the orders whose time is over.
async fn expire(desk: &Desk, schedule: &Schedule) -> Result<bool, Problem> {
    let readers = &desk.postgres.readers;
    let ids = store::candidates_for_expiry(readers, schedule.processing_max, ROUND_MAX).await?;
    if ids.is_empty() {
        return Ok(false);
    }
    let orders = store::known(readers, &ids).await?;
    let commits = orders.into_iter().map(async |order| {
        let outcome =
            desk.commit(&Command::Expire { order }, Vec::new(), desk.deadline()).await?;
        Ok(matches!(outcome, Outcome::Answered(_)))
    });
    let expired = come_off(join_all(commits).await);
    metrics::orders_expired(expired);
    Ok(ids.len() == ROUND_MAX && expired > 0)
}

/// Asks the providers about payments whose answer was lost, and records what they say.
async fn resolve(desk: &Desk, schedule: &Schedule) -> Result<bool, Problem> {
    let writers = &desk.postgres.writers;
    let payments = store::take_unsettled(writers, schedule.resolve_after, RESOLVED_MAX).await?;
    let taken = payments.len();
    let resolved = payments.into_iter().map(|unsettled| resolve_one(desk, unsettled));
    let settled = come_off(join_all(resolved).await);
    // A provider that has no answers is not asked again and again.
    Ok(taken == RESOLVED_MAX && settled > taken / 2)
}

/// Whether the provider has said what became of it.
async fn resolve_one(desk: &Desk, unsettled: Unsettled) -> Result<bool, Problem> {
    let known = store::known(&desk.postgres.readers, &[unsettled.order]).await?.pop();
    let known = known.ok_or_else(|| Problem::internal("a payment without its order"))?;
    let due = Due::lost(unsettled, known, |order| desk.secrets.order_token(order));
    let answer = desk.providers.resolve(&due.provider, &due.charge()).await;
    let is_answered = !matches!(answer, Answer::Unknown);
    match desk.settle(due, answer).await {
        Err(problem) if problem.code != Code::PaymentDeclined => Err(problem),
        _ => Ok(is_answered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[tokio::test]
    async fn it_rests_only_when_nothing_is_left() {
        let begun = RefCell::new(Vec::new());
        let round = async || {
            begun.borrow_mut().push(Instant::now());
            Ok(begun.borrow().len() < 3)
        };
        let work = rounds(Duration::from_millis(200), round);
        let four = async {
            while begun.borrow().len() < 4 {
                sleep(Duration::from_millis(5)).await
            }
        };
        tokio::select! { () = work => {}, () = four => {} }
        let gaps: Vec<Duration> =
            begun.borrow().windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps[0] < gaps[2] && gaps[1] < gaps[2], "{gaps:?}");
    }
}
