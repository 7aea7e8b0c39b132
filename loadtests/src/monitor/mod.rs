//! What instances, their database and this machine did during a run, once a second.
//!
//! It looks on from a thread of its own, and never disturbs the run: what is missing (no
//! `/metrics`, another machine, a process that was killed) is missing in the report.

pub mod metrics;
pub mod process;
mod sample;

pub use sample::{InstanceSample, JournalSample, MachineSample, Mean};

use crate::client::{Base, Connection, Request};
use metrics::Scrape;
use sample::Before;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long an instance may take to answer.
const PATIENCE: Duration = Duration::from_millis(800);

/// Everything that was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Monitored {
    /// Each instance.
    pub instances: Vec<Instance>,
    /// The machine of the generator, and what of it runs there.
    pub machine: Vec<MachineSample>,
}

/// One instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its address.
    pub url: String,
    /// Its process, if that is on this machine.
    pub pid: Option<u32>,
    /// Once a second, in order.
    pub samples: Vec<InstanceSample>,
}

/// Whom to look at.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// The instances.
    pub bases: Vec<Base>,
    /// Their processes, in the same order, where those cannot be found by their ports.
    pub pids: Vec<u32>,
    /// The first process of PostgreSQL, if it is on this machine.
    pub postgres: Option<u32>,
}

/// A monitor that runs.
pub struct Monitor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Monitored>>,
}

impl Monitor {
    /// Begins to look. If there is no thread to be had, nothing is seen.
    pub fn start(watched: Watched) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let watch = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_or_else(
                |_| Monitored::default(),
                |runtime| runtime.block_on(watch(watched, &stopped)),
            )
        };
        let thread = std::thread::Builder::new().name("monitor".to_owned()).spawn(watch).ok();
        Self { stop, thread }
    }

    /// What was seen, with seconds counted from the start of the run (microseconds since 1970).
    pub async fn stop(mut self, started_at_us: u64) -> Monitored {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return Monitored::default() };
        let seen = tokio::task::spawn_blocking(|| thread.join().unwrap_or_default()).await;
        let mut seen = seen.unwrap_or_default();
        seen.count_from(started_at_us);
        seen
    }
}

/// A scenario that gave up does not leave its monitor behind.
impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Monitored {
    /// Turns seconds since 1970 into seconds of the run; without a known start the first sample
    /// is the start.
    fn count_from(&mut self, started_at_us: u64) {
        let instances = || self.instances.iter().flat_map(|instance| &instance.samples);
        let first = self.machine.first().map(|sample| sample.at_seconds);
        let first = first.or_else(|| instances().next().map(|sample| sample.at_seconds));
        let start = match started_at_us {
            0 => first.unwrap_or(0.0),
            us => us as f64 / 1e6,
        };
        let seconds = |at: f64| ((at - start) * 1_000.0).round() / 1_000.0;
        for sample in self.instances.iter_mut().flat_map(|instance| &mut instance.samples) {
            sample.at_seconds = seconds(sample.at_seconds);
        }
        for sample in &mut self.machine {
            sample.at_seconds = seconds(sample.at_seconds);
        }
    }
}

async fn watch(watched: Watched, stop: &AtomicBool) -> Monitored {
    let mut eyes: Vec<Eye> = watched
        .bases
        .iter()
        .enumerate()
        .map(|(n, base)| Eye::new(base, watched.pids.get(n).copied()))
        .collect();
    let mut machine = Vec::new();
    let mut before = Before::read(watched.postgres);
    let mut next = Instant::now() + INTERVAL;
    for eye in &mut eyes {
        eye.look().await;
    }
    while !stop.load(Ordering::Relaxed) {
        // In small steps, so that nobody waits a second for the end.
        let left = next.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            tokio::time::sleep(left.min(Duration::from_millis(50))).await;
            continue;
        }
        next = (next + INTERVAL).max(Instant::now());
        for eye in &mut eyes {
            eye.look().await;
        }
        let now = Before::read(watched.postgres);
        machine.push(before.until(&now, unix_seconds()));
        before = now;
    }
    Monitored { instances: eyes.into_iter().map(|eye| eye.seen).collect(), machine }
}

/// What looks at one instance.
struct Eye {
    connection: Connection,
    seen: Instance,
    before: Option<sample::Raw>,
}

impl Eye {
    fn new(base: &Base, pid: Option<u32>) -> Self {
        let port = base.local_port();
        let pid = pid.or_else(|| process::listening_on(port?));
        let seen = Instance { url: base.to_string(), pid, samples: Vec::new() };
        Self { connection: Connection::new(base.clone()), seen, before: None }
    }

    async fn look(&mut self) {
        let answer = self.connection.send(&Request::get("/metrics"), PATIENCE).await;
        let scrape = answer
            .ok()
            .filter(|answer| answer.status == 200)
            .map(|answer| Scrape::parse(&String::from_utf8_lossy(&answer.body)));
        let now = sample::Raw::read(scrape, self.seen.pid);
        if let Some(before) = &self.before {
            self.seen.samples.push(now.since(before, unix_seconds()));
        }
        self.before = Some(now);
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_reached_is_missing_and_disturbs_nobody() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let bases = vec![format!("http://{gone}").parse().unwrap()];
        let monitor = Monitor::start(Watched { bases, ..Watched::default() });
        tokio::time::sleep(Duration::from_millis(2_400)).await;
        let seen = monitor.stop(0).await;
        let instance = &seen.instances[0];
        assert!((1..=2).contains(&instance.samples.len()), "{seen:?}");
        assert_eq!((instance.pid, instance.samples[0].cpu_cores), (None, None));
        assert_eq!(instance.samples[0].orders_in_flight, None);
        assert_eq!(seen.machine[0].at_seconds, 0.0);
        assert!(seen.machine[0].generator_cpu_cores.is_some());
    }
}
