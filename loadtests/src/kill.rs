//! Killing an instance at the worst moment: while it owes answers.

use crate::client::Base;
use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Sends SIGKILL to one instance, once, when it has acknowledged and still owes enough.
#[derive(Debug)]
pub struct KillSwitch {
    /// The index of the instance's URL.
    pub target: usize,
    /// Its process.
    pub pid: u32,
    /// Requests that it must have acknowledged.
    pub acknowledged_min: usize,
    /// Requests that must be waiting for its answer.
    pub in_flight_min: usize,
    /// What its instance did and owes so far.
    acknowledged: AtomicUsize,
    in_flight: AtomicUsize,
    shot: OnceLock<(Shot, Instant)>,
}

/// Whom to kill, and when.
#[derive(Debug, Clone, clap::Args)]
// Its group would be named like that of the options around it.
#[group(skip)]
pub struct Options {
    /// Send SIGKILL to this process in the middle of the run
    #[arg(long, value_name = "PID")]
    kill_pid: Option<u32>,
    /// … once its instance has acknowledged this many requests
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    kill_after_acknowledged: usize,
    /// … and this many requests wait for its answers; more on a slower machine
    #[arg(long, default_value_t = 10, value_name = "COUNT")]
    kill_in_flight: usize,
    /// The URL of that instance [default: the first one]
    #[arg(long, value_name = "URL")]
    kill_url: Option<String>,
}

impl Options {
    /// The switch for one of these instances, each with at most so many requests in flight.
    pub fn switch(
        &self,
        urls: &[Base],
        its_connections: usize,
    ) -> anyhow::Result<Option<Arc<KillSwitch>>> {
        let Some(pid) = self.kill_pid else {
            ensure!(self.kill_url.is_none(), "--kill-url needs --kill-pid");
            return Ok(None);
        };
        let target = match &self.kill_url {
            None => 0,
            Some(url) => {
                let url = url.parse()?;
                let place = urls.iter().position(|base| *base == url);
                place.with_context(|| format!("--kill-url {url} is none of the --url"))?
            }
        };
        let (acknowledged, in_flight) = (self.kill_after_acknowledged, self.kill_in_flight);
        ensure!(
            its_connections >= in_flight,
            "{its_connections} connections per instance cannot have {in_flight} requests in \
             flight: more clients at once, or less --kill-in-flight"
        );
        Ok(Some(Arc::new(KillSwitch::new(target, check_pid(pid)?, acknowledged, in_flight))))
    }
}

/// What was true at the moment of the kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shot {
    /// The process.
    pub pid: u32,
    /// Requests that the instance had acknowledged.
    pub acknowledged: usize,
    /// Requests that were waiting for its answer.
    pub in_flight: usize,
    /// Whether the signal could be sent.
    pub delivered: bool,
}

impl KillSwitch {
    /// Armed, not fired.
    pub fn new(target: usize, pid: u32, acknowledged_min: usize, in_flight_min: usize) -> Self {
        Self {
            target,
            pid,
            acknowledged_min,
            in_flight_min,
            acknowledged: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            shot: OnceLock::new(),
        }
    }

    /// A request is about to leave for an instance; fires if this is the moment.
    pub fn departs(&self, target: usize) {
        if target != self.target {
            return;
        }
        let in_flight = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        let now = acknowledged >= self.acknowledged_min && in_flight >= self.in_flight_min;
        if now && self.shot.get().is_none() {
            self.shot.get_or_init(|| {
                let (pid, delivered) = (self.pid, kill(self.pid));
                (Shot { pid, acknowledged, in_flight, delivered }, Instant::now())
            });
        }
    }

    /// A request to an instance has ended.
    pub fn returns(&self, target: usize, acknowledged: bool) {
        if target == self.target {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            self.acknowledged.fetch_add(usize::from(acknowledged), Ordering::Relaxed);
        }
    }

    /// What happened; an error if it never came to the kill, because then nothing was shown.
    pub fn shot(&self) -> anyhow::Result<Shot> {
        let (shot, _) = self.shot.get().with_context(|| {
            format!(
                "the instance was not killed: it never had {} requests acknowledged and {} in \
                 flight at once (more clients at once, a longer run, or less --kill-in-flight?)",
                self.acknowledged_min, self.in_flight_min
            )
        })?;
        ensure!(shot.delivered, "SIGKILL could not be sent to process {}", self.pid);
        Ok(*shot)
    }

    /// When it had fired, if it has.
    pub fn fired_at(&self) -> Option<Instant> {
        self.shot.get().map(|(_, at)| *at)
    }
}

/// Refuses what `kill` would understand as a group of processes.
fn check_pid(pid: u32) -> anyhow::Result<u32> {
    if pid <= 1 || i32::try_from(pid).is_err() {
        bail!("{pid} is not the process of an instance");
    }
    Ok(pid)
}

/// By the command, because the system call needs unsafe code; it takes about a millisecond.
fn kill(pid: u32) -> bool {
    Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fires_once_and_only_at_its_moment() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let switch = KillSwitch::new(1, child.id(), 2, 2);
        for target in [0, 0, 0, 1, 1, 1] {
            switch.departs(target);
        }
        // Three are in flight, but too few acknowledged; then it is the other way round.
        (0..3).for_each(|_| switch.returns(1, true));
        switch.departs(1);
        assert!(switch.shot().is_err() && switch.fired_at().is_none());
        switch.departs(1);
        switch.departs(1);
        let shot = switch.shot().unwrap();
        assert_eq!((shot.acknowledged, shot.in_flight), (3, 2));
        assert!(switch.fired_at().is_some());
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn groups_and_init_are_not_killed() {
        assert!(check_pid(0).is_err() && check_pid(1).is_err() && check_pid(u32::MAX).is_err());
        assert_eq!(check_pid(4711).unwrap(), 4711);
    }
}
