//! The open-loop generator: when requests leave is decided before the first one does, so a slow
//! server cannot slow down its own test, and latency counts from the intended start.
//!
//! A request is bound to one instance.  When that one fails or asks to come later, it goes to
//! the next with the same idempotency key, as a real client does, until its deadline.

pub use crate::arrivals::Arrivals;
use crate::client::{Base, Connection, Failure, Request};
use crate::kill::KillSwitch;
use crate::live::Feed;
use crate::record::{Answer, Record, Timing};
use indicatif::ProgressBar;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// How to behave as clients.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The instances; request n is bound to number n modulo their count.
    pub bases: Vec<Base>,
    /// Connections in all, at least one per instance.
    pub connections: usize,
    /// How long one attempt may take.
    pub attempt_timeout: Duration,
    /// How long after its intended start a request is tried again.
    pub deadline: Duration,
    /// A longer `Retry-After` is cut to this.
    pub retry_after_max: Duration,
    /// The share of attempts that come on a new connection, 0 to 1; the others on one that was
    /// kept alive.
    pub new_connections: f64,
    /// A request that found no free connection for so long does not leave at all; `None` leaves
    /// however late.
    pub patience: Option<Duration>,
    /// Decides when requests leave, and when they are tried again, where that is left to chance.
    pub seed: u64,
    /// Kills an instance on the way.
    pub kill: Option<Arc<KillSwitch>>,
    /// Shows each record when it is final.
    pub live: Option<Feed>,
}

impl Settings {
    /// Patient clients of these instances; the seed is what they leave to chance.
    pub fn new(bases: Vec<Base>, connections: usize, seed: u64) -> Self {
        Self {
            bases,
            connections,
            attempt_timeout: Duration::from_secs(15),
            deadline: Duration::from_secs(60),
            retry_after_max: Duration::from_secs(5),
            new_connections: 0.0,
            patience: None,
            seed,
            kill: None,
            live: None,
        }
    }

    /// Sends a request to the instance of a lane, once.
    pub async fn attempt(
        &self,
        lane: usize,
        connection: &mut Connection,
        request: &Request,
    ) -> Result<Answer, Failure> {
        if self.new_connections > 0.0 && rand::random::<f64>() < self.new_connections {
            connection.close();
        }
        let Some(kill) = &self.kill else {
            return connection.send(request, self.attempt_timeout).await;
        };
        kill.departs(lane);
        let result = connection.send(request, self.attempt_timeout).await;
        kill.returns(lane, result.as_ref().is_ok_and(Answer::acknowledges));
        result
    }

    /// What is left to chance in the pause after so many attempts of a call of a client, from 0 to
    /// 1; it does not matter who is answered first.
    pub(crate) fn jitter(&self, client: usize, call: usize, attempts: u32) -> f64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, "pause", client, call, attempts).hash(&mut hasher);
        StdRng::seed_from_u64(hasher.finish()).random()
    }

    /// How long to wait before the next attempt; `None` if this result is final.
    /// `jitter` lies between 0 and 1.
    pub fn wait_after(
        &self,
        result: &Result<Answer, Failure>,
        attempts: u32,
        jitter: f64,
    ) -> Option<Duration> {
        // 50 ms doubling to 2 s, so that a deadline of a minute means some 40 attempts at most.
        let backoff = Duration::from_millis(50 << attempts.saturating_sub(1).min(6))
            .min(Duration::from_secs(2))
            .mul_f64(0.5 + jitter / 2.0);
        match result {
            Ok(answer) if !answer.asks_to_retry() => None,
            Ok(answer) => {
                let asked = Duration::from_secs(answer.retry_after_seconds.unwrap_or(0));
                Some(asked.min(self.retry_after_max).max(backoff))
            }
            Err(_) => Some(backoff),
        }
    }
}

/// Sends all requests and returns when each has its final answer or met its deadline.
/// Records come in the order of completion.
pub async fn run(
    requests: Vec<Request>,
    arrivals: Arrivals,
    settings: &Settings,
    bar: &ProgressBar,
) -> Vec<Record> {
    let count = requests.len();
    let mut records = Vec::with_capacity(count);
    let mut dice = StdRng::seed_from_u64(settings.seed);
    let keep = |(), record| {
        records.push(record);
        bar.inc(1);
    };
    match arrivals.schedule(count, &mut dice) {
        Some(starts) => {
            let plan = starts.into_iter().zip(requests);
            let plan =
                plan.map(|(start, request)| Departure { start: Some(start), request, tag: () });
            drive(plan, settings, keep).await;
        }
        None => {
            let plan = requests.into_iter();
            let plan = plan.map(|request| Departure { start: None, request, tag: () });
            drive(plan, settings, keep).await;
        }
    }
    records
}

/// A request of a plan.
#[derive(Debug, Clone)]
pub struct Departure<T> {
    /// When it shall leave, from the start of the run; `None`: when a connection is free.
    pub start: Option<Duration>,
    /// What to send.
    pub request: Request,
    /// Whatever its record is known by.
    pub tag: T,
}

/// Sends what the plan says, one after the other, and hands over each record when it is final.
/// The plan is asked for the next departure when the last one has left, so that a long run needs
/// no memory for it; it must not depend on what comes back.
pub async fn drive<T: Send + 'static>(
    plan: impl Iterator<Item = Departure<T>> + Send + 'static,
    settings: &Settings,
    mut done: impl FnMut(T, Record),
) {
    let instances = settings.bases.len();
    let (send, mut finished) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        lanes: (0..instances).map(|_| Queue::default()).collect(),
        settings: settings.clone(),
        started: Instant::now(),
        done: send,
    });
    // Aborted when this function returns or is dropped.
    let mut tasks = JoinSet::new();
    for n in 0..settings.connections.max(instances) {
        tasks.spawn(work(shared.clone(), n % instances));
    }
    let mut dispatcher = JoinSet::new();
    dispatcher.spawn(dispatch(shared.clone(), plan));

    settings.live.iter().for_each(Feed::begin);
    let (mut count, mut planned) = (0, None);
    while planned.is_none_or(|planned| count < planned) {
        tokio::select! {
            Some((tag, record)) = finished.recv() => {
                settings.live.iter().for_each(|live| live.add(&record));
                done(tag, record);
                count += 1;
            }
            // A plan that panics has no more requests than have left.
            Some(all) = dispatcher.join_next() => planned = Some(all.unwrap_or(count)),
            else => break,
        }
    }
}

/// What all tasks of a run know.
struct Shared<T> {
    /// What waits for each instance.
    lanes: Vec<Queue<Job<T>>>,
    settings: Settings,
    started: Instant,
    done: mpsc::UnboundedSender<(T, Record)>,
}

struct Job<T> {
    /// Which one it is of the plan.
    n: usize,
    request: Request,
    tag: T,
    /// `None`: whenever it leaves.
    intended: Option<Instant>,
    lane: usize,
    attempts: u32,
    record: Record,
}

/// A queue with many consumers.
struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    ready: Semaphore,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { items: Mutex::default(), ready: Semaphore::new(0) }
    }
}

impl<T> Queue<T> {
    fn change<R>(&self, change: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        change(&mut self.items.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push_back(&self, item: T) {
        self.change(|items| items.push_back(item));
        self.ready.add_permits(1);
    }

    fn push_front(&self, item: T) {
        self.change(|items| items.push_front(item));
        self.ready.add_permits(1);
    }

    /// `None` never happens: the semaphore is not closed and counts the items.
    async fn pop(&self) -> Option<T> {
        self.ready.acquire().await.ok()?.forget();
        self.change(VecDeque::pop_front)
    }
}

/// Queues each request when its time has come; how many there were.
async fn dispatch<T>(shared: Arc<Shared<T>>, plan: impl Iterator<Item = Departure<T>>) -> usize {
    let mut count = 0;
    for (n, Departure { start, request, tag }) in plan.enumerate() {
        let intended = start.map(|start| shared.started + start);
        match intended.filter(|intended| *intended > Instant::now()) {
            Some(intended) => sleep_until(intended).await,
            // Who is behind shall not keep the others from working.
            None if n % 64 == 0 => tokio::task::yield_now().await,
            None => {}
        }
        let lane = n % shared.lanes.len();
        let record = Record::of(&request);
        let job = Job { n, request, tag, intended, lane, attempts: 0, record };
        shared.lanes[lane].push_back(job);
        count += 1;
    }
    count
}

/// One connection's task.
async fn work<T: Send + 'static>(shared: Arc<Shared<T>>, lane: usize) {
    let mut connection = Connection::new(shared.settings.bases[lane].clone());
    while let Some(mut job) = shared.lanes[lane].pop().await {
        if shared.settings.patience.is_some_and(|patience| job.waited() > patience) {
            let intended = job.intended.unwrap_or(shared.started);
            finish(&shared, job, intended);
            continue;
        }
        let result = attempt(&shared, &mut connection, &mut job).await;
        let jitter = shared.settings.jitter(job.n, 1, job.attempts);
        let wait = shared.settings.wait_after(&result, job.attempts, jitter);
        match result {
            Ok(answer) => job.record.answers.push(answer),
            Err(failure) => job.record.fail(failure),
        }
        let intended = job.intended.unwrap_or(shared.started);
        match wait.filter(|wait| intended.elapsed() + *wait < shared.settings.deadline) {
            Some(wait) => retry(&shared, job, wait),
            None => finish(&shared, job, intended),
        }
    }
}

impl<T> Job<T> {
    /// How long it has waited for a connection; nothing, once it has left.
    fn waited(&self) -> Duration {
        let intended = self.intended.filter(|_| self.attempts == 0);
        intended.map(|intended| intended.elapsed()).unwrap_or_default()
    }
}

async fn attempt<T>(
    shared: &Shared<T>,
    connection: &mut Connection,
    job: &mut Job<T>,
) -> Result<Answer, Failure> {
    let now = Instant::now();
    let intended = *job.intended.get_or_insert(now);
    if job.attempts == 0 {
        job.record.timing.lag_us = micros(now - intended);
    }
    job.attempts += 1;
    shared.settings.attempt(job.lane, connection, &job.request).await
}

/// Sends it to the next instance after a while, before those that have not tried yet.
fn retry<T: Send + 'static>(shared: &Arc<Shared<T>>, mut job: Job<T>, wait: Duration) {
    let shared = shared.clone();
    tokio::spawn(async move {
        sleep(wait).await;
        job.lane = (job.lane + 1) % shared.lanes.len();
        shared.lanes[job.lane].push_front(job);
    });
}

fn finish<T>(shared: &Shared<T>, job: Job<T>, intended: Instant) {
    let now = Instant::now();
    let Job { tag, mut record, attempts, .. } = job;
    if attempts == 0 {
        record.timing.lag_us = micros(now - intended);
    }
    record.timing = Timing {
        latency_us: micros(now - intended),
        answered_at_us: micros(now - shared.started),
        ..record.timing
    };
    // Fails only when nobody waits for the run any more.
    let _ = shared.done.send((tag, record));
}

/// In whole microseconds.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn settings() -> Settings {
        Settings::new(vec!["http://a:1".parse().unwrap()], 1, 1)
    }

    fn answer(status: u16, retry_after_seconds: Option<u64>, body: &'static str) -> Answer {
        Answer {
            from: "http://a:1".into(),
            status,
            retry_after_seconds,
            body: Bytes::from_static(body.as_bytes()),
            ..Answer::default()
        }
    }

    #[test]
    fn final_answers_are_final() {
        for (status, body) in [
            (201, "{}"),
            (409, r#"{"code":"out_of_stock"}"#),
            (422, r#"{"code":"validation_failed"}"#),
            (500, r#"{"code":"internal"}"#),
        ] {
            let result = Ok(answer(status, None, body));
            assert_eq!(settings().wait_after(&result, 1, 0.5), None, "{status}");
        }
    }

    #[test]
    fn retry_after_is_honoured_up_to_its_cap() {
        let wait = |seconds| {
            let result = Ok(answer(503, seconds, r#"{"code":"overloaded"}"#));
            settings().wait_after(&result, 1, 1.0)
        };
        assert_eq!(wait(None), Some(Duration::from_millis(50)));
        assert_eq!(wait(Some(1)), Some(Duration::from_secs(1)));
        assert_eq!(wait(Some(3_600)), Some(Duration::from_secs(5)));
        let busy = answer(409, Some(1), r#"{"code":"request_in_progress"}"#);
        let waits = settings().wait_after(&Ok(busy), 1, 1.0);
        assert_eq!(waits, Some(Duration::from_secs(1)));
    }

    #[test]
    fn the_seed_and_the_request_decide_how_long_to_pause() {
        let jitter = |seed, client, call, attempts| {
            Settings { seed, ..settings() }.jitter(client, call, attempts)
        };
        assert_eq!(jitter(1, 1, 1, 1), jitter(1, 1, 1, 1));
        let others = [jitter(2, 1, 1, 1), jitter(1, 2, 1, 1), jitter(1, 1, 2, 1)];
        assert!(others.iter().all(|other| *other != jitter(1, 1, 1, 1)));
        assert_ne!(jitter(1, 1, 1, 1), jitter(1, 1, 1, 2));
    }

    #[test]
    fn a_minute_of_failures_is_a_bounded_number_of_attempts() {
        let mut waited = Duration::ZERO;
        let mut attempts = 0;
        while waited < Duration::from_secs(60) {
            attempts += 1;
            waited += settings().wait_after(&Err(Failure::Connect), attempts, 0.5).unwrap();
        }
        assert!((30..50).contains(&attempts), "{attempts}");
    }
}
