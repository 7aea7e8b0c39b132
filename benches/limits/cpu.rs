//! Time on the processors, by process: it says more than the clock on a machine that is shared.

use std::time::Duration;

/// Ticks of `/proc` a second, on every Linux.
const TICKS: u64 = 100;

/// What a server, PostgreSQL and Redis have used until now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    pub server: Duration,
    pub postgres: Duration,
    pub redis: Duration,
}

impl Used {
    /// Reads it; `postgres` is the process whose children are the sessions.
    pub fn now(server: Option<u32>, postgres: u32, redis: Option<u32>) -> Self {
        let stat_of = |process: u32| stat(&process.to_string()).unwrap_or_default();
        let of = |process: Option<u32>| process.map(stat_of).unwrap_or_default().own;
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let processes = entries.filter_map(|entry| stat(entry.file_name().to_str()?));
        let sessions = processes.filter(|process| process.parent == postgres);
        let sessions: Duration = sessions.map(|session| session.own).sum();
        Self {
            server: of(server),
            redis: of(redis),
            postgres: sessions + stat_of(postgres).ended_children,
        }
    }

    /// What was used since an earlier look.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            server: self.server.saturating_sub(earlier.server),
            postgres: self.postgres.saturating_sub(earlier.postgres),
            redis: self.redis.saturating_sub(earlier.redis),
        }
    }
}

/// The times that a process and those of its children that have ended have used.
#[derive(Default)]
struct Process {
    parent: u32,
    own: Duration,
    ended_children: Duration,
}

fn stat(process: &str) -> Option<Process> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in the second field may contain anything, brackets and blanks too.
    let (_, fields) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let time = |user: u64, system: u64| Duration::from_millis((user + system) * 1000 / TICKS);
    Some(Process {
        parent: fields.get(1)?.parse().ok()?,
        own: time(ticks(11)?, ticks(12)?),
        ended_children: time(ticks(13)?, ticks(14)?),
    })
}
