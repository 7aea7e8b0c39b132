//! Where the lanes of a journal take their batches from, and when one may leave while another is
//! on its way, here or at another instance.

use super::{Lane, Limits, Work};
use crate::metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};

/// A transaction that waits for a lock, or for a slow disk, does not keep the others back for
/// longer.
const GATHER_MAX: Duration = Duration::from_millis(10);
/// A lane rests no longer than this, however slow its batch was: the others may not be there.
const REST_MAX: Duration = Duration::from_millis(30);

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

    /// The next batch: what waits, up to the limits, and not before the lane has rested. `None`
    /// once the journal is closed and empty.
    pub async fn next<W: Work<Entry = E>>(
        &mut self,
        lane: &Lane<W>,
        rested: Instant,
    ) -> Option<Vec<E>> {
        let limits = &lane.limits;
        let mut closing = lane.closing.clone();
        let first = match self.held_back.take() {
            Some(entry) => entry,
            None => tokio::select! {
                biased;
                entry = self.entries.recv() => entry?,
                _ = closing.wait_for(|closing| *closing) => return None,
            },
        };
        let waiting = || self.entries.len() + 1;
        lane.turns.rest(rested, limits.batch_max, waiting).await;
        lane.turns.gather(limits.gather_min, waiting).await;
        Some(self.batch(first, lane))
    }

    /// The same without waiting; `None` if there is none.
    pub fn ready<W: Work<Entry = E>>(&mut self, lane: &Lane<W>) -> Option<Vec<E>> {
        let first = self.held_back.take().or_else(|| self.entries.try_recv().ok())?;
        Some(self.batch(first, lane))
    }

    fn batch<W: Work<Entry = E>>(&mut self, first: E, lane: &Lane<W>) -> Vec<E> {
        let (work, limits) = (&lane.work, &lane.limits);
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
        batch
    }
}

impl Limits {
    /// How long a lane rests after a batch of so many that took so long. One that is alone cannot
    /// see whether another instance has a batch on its way, and small ones cost nearly as much as
    /// large ones: so it leaves half of the time to the others while many come.
    pub(super) fn rest(&self, entries: usize, took: Duration) -> Duration {
        match self.connections == 1 && entries >= self.gather_min {
            true => took.min(REST_MAX),
            false => Duration::ZERO,
        }
    }
}

/// What the lanes of a journal know of each other.
#[derive(Default)]
pub(super) struct Turns {
    on_their_way: AtomicUsize,
    /// Whoever gathers wants to be told when so many wait; 0 while nobody does.
    enough: AtomicUsize,
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
    pub async fn gather(&self, enough: usize, waiting: impl Fn() -> usize) {
        let until = Instant::now() + GATHER_MAX;
        let is_alone = || self.on_their_way.load(Ordering::Relaxed) == 0;
        self.wait(until, enough, || is_alone() || waiting() >= enough).await;
    }

    /// Waits until then, or until so many wait.
    pub async fn rest(&self, until: Instant, enough: usize, waiting: impl Fn() -> usize) {
        self.wait(until, enough, || waiting() >= enough).await;
    }

    async fn wait(&self, until: Instant, enough: usize, is_over: impl Fn() -> bool) {
        if is_over() || Instant::now() >= until {
            return;
        }
        // Whoever adds an entry looks here afterwards, so one of the two sees the other.
        self.enough.store(enough, Ordering::SeqCst);
        while !is_over() && timeout_at(until, self.changed.notified()).await.is_ok() {}
        self.enough.store(0, Ordering::SeqCst);
    }

    /// So many wait now.
    pub fn look(&self, waiting: usize) {
        let enough = self.enough.load(Ordering::SeqCst);
        if enough > 0 && waiting >= enough {
            self.changed.notify_one();
        }
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
    use super::super::Bounds;
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn only_a_lane_that_is_alone_rests_and_only_after_a_batch_worth_its_transaction() {
        let rest = |connections, entries, millis| {
            let in_flight = Bounds { fewest: 1, most: 1, target: Duration::MAX };
            let limits = Limits {
                name: "tests",
                connections,
                batch_max: 200,
                lines_max: 5_000,
                bytes_max: 1 << 20,
                gather_min: 32,
                queue_max: 200,
                attempts_max: 1,
                in_flight,
            };
            limits.rest(entries, Duration::from_millis(millis)).as_millis()
        };
        assert_eq!((rest(1, 32, 4), rest(1, 200, 70)), (4, 30));
        assert_eq!((rest(1, 31, 4), rest(2, 200, 4)), (0, 0));
    }

    #[tokio::test]
    async fn while_a_batch_is_on_its_way_the_next_one_waits_for_it_or_for_enough() {
        let turns = Arc::<Turns>::default();
        assert!(turns.gather(2, || 1).now_or_never().is_some(), "nothing is on its way");
        let turn = turns.leave();
        assert!(turns.gather(2, || 2).now_or_never().is_some(), "enough wait");
        let mut gathering = std::pin::pin!(turns.gather(2, || 1));
        assert!(gathering.as_mut().now_or_never().is_none());
        drop(turn);
        assert!(gathering.now_or_never().is_some());
    }

    #[tokio::test]
    async fn whoever_gathers_is_told_when_enough_wait_and_not_before() {
        let (turns, waiting) = (Arc::<Turns>::default(), AtomicUsize::new(1));
        let _on_its_way = turns.leave();
        let mut gathering = std::pin::pin!(turns.gather(2, || waiting.load(Ordering::Relaxed)));
        assert!(gathering.as_mut().now_or_never().is_none());
        waiting.store(2, Ordering::Relaxed);
        turns.look(1);
        assert!(gathering.as_mut().now_or_never().is_none(), "nobody has told it");
        turns.look(2);
        assert!(gathering.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_lane_rests_until_its_time_or_until_a_full_batch_waits() {
        let (turns, begin) = (Arc::<Turns>::default(), Instant::now());
        assert!(turns.rest(begin, 2, || 1).now_or_never().is_some(), "it has rested");
        turns.rest(begin + Duration::from_millis(20), 2, || 1).await;
        assert!(begin.elapsed() >= Duration::from_millis(20));
        let long = Instant::now() + Duration::from_secs(60);
        assert!(turns.rest(long, 2, || 2).now_or_never().is_some(), "a full batch waits");
    }

    #[tokio::test]
    async fn a_batch_that_is_held_up_does_not_hold_up_the_next_one() {
        let turns = Arc::<Turns>::default();
        let _held_up = turns.leave();
        let begin = Instant::now();
        turns.gather(2, || 1).await;
        assert!(begin.elapsed() >= GATHER_MAX);
    }
}
