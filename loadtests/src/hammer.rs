//! A closed loop for benches: every connection sends its next request when it has its answer.
//! It finds out how much an instance can do, not how long clients wait on a busy day.

use crate::client::{Base, Connection, Request};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After so many requests in all.
    Requests(u64),
    /// After this time; requests that are on their way are still counted.
    Elapsed(Duration),
}

/// What a hammered instance did.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Answers a second, of any status.
    pub per_second: f64,
    /// Half of the answers took at most this long.
    pub p50: Duration,
    /// 99 of 100 answers took at most this long.
    pub p99: Duration,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer.
    pub failures: u64,
}

/// Sends what `request` makes of 0, 1, 2 … to `url` over so many connections.
pub async fn hammer(
    url: &str,
    request: impl Fn(u64) -> Request + Send + Sync + 'static,
    connections: usize,
    until: Until,
) -> anyhow::Result<Measured> {
    let base: Base = url.parse()?;
    let request = Arc::new(request);
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections.max(1) {
        let (base, request, next) = (base.clone(), request.clone(), next.clone());
        tasks.spawn(async move {
            let mut connection = Connection::new(base);
            let mut share = Share::new()?;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let over = match until {
                    Until::Requests(count) => n >= count,
                    Until::Elapsed(time) => started.elapsed() >= time,
                };
                if over {
                    return Ok::<_, anyhow::Error>(share);
                }
                share.measure(&mut connection, &request(n)).await;
            }
        });
    }
    let mut all = Share::new()?;
    while let Some(share) = tasks.join_next().await {
        all.add(share??)?;
    }
    let answers: u64 = all.statuses.values().sum();
    Ok(Measured {
        per_second: answers as f64 / started.elapsed().as_secs_f64(),
        p50: Duration::from_micros(all.latency_us.value_at_quantile(0.5)),
        p99: Duration::from_micros(all.latency_us.value_at_quantile(0.99)),
        statuses: all.statuses,
        failures: all.failures,
    })
}

/// What one connection measured.
struct Share {
    latency_us: Histogram<u64>,
    statuses: BTreeMap<u16, u64>,
    failures: u64,
}

impl Share {
    fn new() -> anyhow::Result<Self> {
        // Up to a minute; `saturating_record` does not let a histogram grow.
        let latency_us = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        Ok(Self { latency_us, statuses: BTreeMap::new(), failures: 0 })
    }

    async fn measure(&mut self, connection: &mut Connection, request: &Request) {
        let left = Instant::now();
        match connection.send(request, Duration::from_secs(30)).await {
            Ok(answer) => {
                let latency = u64::try_from(left.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.latency_us.saturating_record(latency);
                *self.statuses.entry(answer.status).or_default() += 1;
            }
            Err(_) => {
                self.failures += 1;
                // An instance that is gone shall not be asked a million times.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    fn add(&mut self, other: Self) -> anyhow::Result<()> {
        self.latency_us.add(other.latency_us)?;
        self.failures += other.failures;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        Ok(())
    }
}
