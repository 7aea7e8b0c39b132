//! Killing an instance at the worst moment: while it owes answers.

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use std::process::Command;
use std::sync::OnceLock;

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
    shot: OnceLock<Shot>,
}

/// What was true at the moment of the kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
        Self { target, pid, acknowledged_min, in_flight_min, shot: OnceLock::new() }
    }

    /// Fires if this is the moment.  Called with every departing request.
    pub fn consider(&self, target: usize, acknowledged: usize, in_flight: usize) {
        let now = target == self.target
            && acknowledged >= self.acknowledged_min
            && in_flight >= self.in_flight_min;
        if now && self.shot.get().is_none() {
            self.shot.get_or_init(|| Shot {
                pid: self.pid,
                acknowledged,
                in_flight,
                delivered: kill(self.pid),
            });
        }
    }

    /// What happened; an error if it never came to the kill, because then nothing was shown.
    pub fn shot(&self) -> anyhow::Result<Shot> {
        let shot = self.shot.get().with_context(|| {
            format!(
                "the instance was not killed: it never had {} requests acknowledged and {} in \
                 flight at once (more --connections or more --buyers?)",
                self.acknowledged_min, self.in_flight_min
            )
        })?;
        ensure!(shot.delivered, "SIGKILL could not be sent to process {}", self.pid);
        Ok(*shot)
    }
}

/// Refuses what `kill` would understand as a group of processes.
pub fn check_pid(pid: u32) -> anyhow::Result<u32> {
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
        let switch = KillSwitch::new(1, child.id(), 100, 50);
        for (target, acknowledged, in_flight) in [(0, 500, 500), (1, 99, 50), (1, 100, 49)] {
            switch.consider(target, acknowledged, in_flight);
            assert!(switch.shot().is_err());
        }
        switch.consider(1, 100, 50);
        switch.consider(1, 200, 60);
        let shot = switch.shot().unwrap();
        assert_eq!((shot.acknowledged, shot.in_flight), (100, 50));
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn groups_and_init_are_not_killed() {
        assert!(check_pid(0).is_err() && check_pid(1).is_err() && check_pid(u32::MAX).is_err());
        assert_eq!(check_pid(4711).unwrap(), 4711);
    }
}
