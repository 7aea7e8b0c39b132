//! Where the lanes of a journal take their batches from, and when one may leave while another is
//! on its way.

use super::{Lane, Work};
use crate::metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};

/// A transaction that waits for a lock, or for a slow disk, does not keep the others back for
/// longer.
const GATHER_MAX: Duration = Duration::from_millis(10);

/// The queue's end that the lanes share; whoever is free takes the next batch.
pub(super) struct Intake<E> {
    pub entries: mpsc::Receiver<E>,
    /// An entry that did not fit into the last batch.
    pub held_back: Option<E>,
}

impl<E> Intake<E> {
    pub fn new(entries: mpsc::Receiver<E>) -> Self {
        Self { entries, held_back: None }
    }

    /// The next batch: what waits, up to the limits. `None` once the journal is closed and empty.
    pub async fn next<W: Work<Entry = E>>(&mut self, lane: &Lane<W>) -> Option<Vec<E>> {
        let (work, limits) = (&lane.work, &lane.limits);
        let mut closing = lane.closing.clone();
        let first = match self.held_back.take() {
            Some(entry) => entry,
            None => tokio::select! {
                biased;
                entry = self.entries.recv() => entry?,
                _ = closing.wait_for(|closing| *closing) => return None,
            },
        };
        lane.turns.gather(|| self.entries.len() + 1 >= limits.gather_min).await;
        let mut total = work.weight(&first);
        let mut batch = vec![first];
        while batch.len() < limits.batch_max {
            let Ok(entry) = self.entries.try_recv() else { break };
            let weight = work.weight(&entry);
            total.lines += weight.lines;
            total.bytes += weight.bytes;
            if total.lines > limits.lines_max || total.bytes > limits.bytes_max {
                self.held_back = Some(entry);
                break;
            }
            batch.push(entry);
        }
        metrics::journal_queue(limits.name, self.entries.len());
        Some(batch)
    }
}

/// What the lanes of a journal know of each other.
#[derive(Default)]
pub(super) struct Turns {
    on_their_way: AtomicUsize,
    changed: Notify,
}

/// A batch on its way, until it is dropped.
pub(super) struct Turn(Arc<Turns>);

impl Turns {
    /// A batch leaves.
    pub fn leave(self: &Arc<Self>) -> Turn {
        self.on_their_way.fetch_add(1, Ordering::Relaxed);
        Turn(self.clone())
    }

    /// Waits until no batch is on its way, or enough wait to be worth a transaction of their own.
    pub async fn gather(&self, is_enough: impl Fn() -> bool) {
        let until = Instant::now() + GATHER_MAX;
        while self.on_their_way.load(Ordering::Relaxed) > 0 && !is_enough() {
            if timeout_at(until, self.changed.notified()).await.is_err() {
                break;
            }
        }
    }

    /// Enough may wait now.
    pub fn look(&self) {
        self.changed.notify_one();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.on_their_way.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn while_a_batch_is_on_its_way_the_next_one_waits_for_it_or_for_enough() {
        let turns = Arc::<Turns>::default();
        assert!(turns.gather(|| false).now_or_never().is_some(), "nothing is on its way");
        let turn = turns.leave();
        assert!(turns.gather(|| true).now_or_never().is_some(), "enough wait");
        let mut gathering = std::pin::pin!(turns.gather(|| false));
        assert!(gathering.as_mut().now_or_never().is_none());
        turns.look();
        assert!(gathering.as_mut().now_or_never().is_none(), "there is still not enough");
        drop(turn);
        assert!(gathering.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_batch_that_is_held_up_does_not_hold_up_the_next_one() {
        let turns = Arc::<Turns>::default();
        let _held_up = turns.leave();
        let begin = Instant::now();
        turns.gather(|| false).await;
        assert!(begin.elapsed() >= GATHER_MAX);
    }
}
