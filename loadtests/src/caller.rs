//! A client that does one thing after another: it knows all instances, keeps a connection to
//! each, and comes again as the [`Settings`] say.

use crate::client::{Connection, Failure, Request};
use crate::generator::{Settings, micros};
use crate::record::{Answer, Record, Timing};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// A client of all instances.
pub struct Caller {
    settings: Arc<Settings>,
    connections: Vec<Connection>,
    /// The instance that is spoken to.
    lane: usize,
    /// When the run began.
    started: Instant,
    /// Which of the clients it is.
    n: usize,
    /// How many requests it has sent again and again; each pauses differently.
    calls: usize,
}

impl Caller {
    /// The `n`th of a run that began then; it speaks to the first instance.
    pub fn new(settings: &Arc<Settings>, n: usize, started: Instant) -> Self {
        let connections = settings.bases.iter().cloned().map(Connection::new).collect();
        Self { settings: settings.clone(), connections, lane: 0, started, n, calls: 0 }
    }

    /// Speaks to instance n modulo their count from now on.
    pub fn turn_to(&mut self, n: usize) {
        self.lane = n % self.connections.len();
    }

    /// Sends a request until there is a final answer, at the next instance after a failure.
    pub async fn call(&mut self, request: &Request) -> Record {
        let mut record = Record::of(request);
        let begun = Instant::now();
        self.go_on(request, &mut record, begun).await;
        record
    }

    /// Sends it once, at or after its intended moment.
    pub async fn ask(&mut self, request: &Request, intended: Instant) -> Record {
        let mut record = Record::of(request);
        record.timing.lag_us = micros(intended.elapsed());
        match self.attempt(request).await {
            Ok(answer) => record.answers.push(answer),
            Err(failure) => record.fail(failure),
        }
        self.time(&mut record, intended);
        record
    }

    /// Sends it until an instance may have seen it: without a key nobody knows whether coming
    /// again would do it twice.
    pub async fn call_once(&mut self, request: &Request) -> Record {
        let mut record = Record::of(request);
        let begun = Instant::now();
        for _ in 0..self.connections.len() {
            match self.attempt(request).await {
                Ok(answer) => record.answers.push(answer),
                Err(failure) => {
                    record.fail(failure);
                    if failure == Failure::Connect {
                        self.turn_to(self.lane + 1);
                        continue;
                    }
                }
            }
            break;
        }
        self.time(&mut record, begun);
        record
    }

    /// Sends it and hangs up when there is no answer so soon, as a shopper in a tunnel; then,
    /// with a key, calls again under it.
    pub async fn call_impatiently(&mut self, request: &Request, patience: Duration) -> Record {
        let mut record = Record::of(request);
        let begun = Instant::now();
        let lane = self.lane;
        let answer = timeout(patience, self.attempt(request)).await;
        match answer {
            Ok(Ok(answer)) => record.answers.push(answer),
            Ok(Err(failure)) => record.fail(failure),
            Err(_) => {
                record.lost += 1;
                // What was sent on it may still be answered, to nobody.
                self.connections[lane] = Connection::new(self.settings.bases[lane].clone());
            }
        }
        if record.answers.is_empty() && request.key.is_some() {
            self.turn_to(lane + 1);
            self.go_on(request, &mut record, begun).await;
        }
        self.time(&mut record, begun);
        record
    }

    async fn go_on(&mut self, request: &Request, record: &mut Record, begun: Instant) {
        self.calls += 1;
        for attempts in 1.. {
            let result = self.attempt(request).await;
            let jitter = self.settings.jitter(self.n, self.calls, attempts);
            let wait = self.settings.wait_after(&result, attempts, jitter);
            match result {
                Ok(answer) => record.answers.push(answer),
                Err(failure) => record.fail(failure),
            }
            let wait = wait.filter(|wait| begun.elapsed() + *wait < self.settings.deadline);
            let Some(wait) = wait else { break };
            sleep(wait).await;
            self.turn_to(self.lane + 1);
        }
        self.time(record, begun);
    }

    async fn attempt(&mut self, request: &Request) -> Result<Answer, Failure> {
        let connection = &mut self.connections[self.lane];
        self.settings.attempt(self.lane, connection, request).await
    }

    fn time(&self, record: &mut Record, begun: Instant) {
        let latency_us = micros(begun.elapsed());
        let answered_at_us = micros(self.started.elapsed());
        record.timing = Timing { latency_us, answered_at_us, ..record.timing };
    }
}

/// The dice of one of many clients, the same in every run with this seed.
pub fn dice(seed: u64, client: usize) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_shl(32) ^ client as u64)
}
