//! Time on the processors, by process: it says more than the clock on a machine that is shared.

use std::time::Duration;

/// Ticks of `/proc` a second, on every Linux.
const TICKS: f64 = 100.0;

/// What a server and PostgreSQL have used until now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    pub server: Duration,
    pub postgres: Duration,
}

impl Used {
    /// Reads it; `postgres` is the process whose children are the sessions.
    pub fn now(server: u32, postgres: u32) -> Self {
        let (server, _) = stat(&server.to_string()).unwrap_or_default();
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let processes = entries.filter_map(|entry| stat(entry.file_name().to_str()?));
        let sessions = processes.filter(|(_, parent)| *parent == postgres);
        Self { server, postgres: sessions.map(|(used, _)| used).sum() }
    }

    /// What was used since an earlier look.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            server: self.server.saturating_sub(earlier.server),
            postgres: self.postgres.saturating_sub(earlier.postgres),
        }
    }
}

/// The time that a process has used, and its parent.
fn stat(process: &str) -> Option<(Duration, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in the second field may contain anything, brackets and blanks too.
    let (_, fields) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks: f64 =
        fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some((Duration::from_secs_f64(ticks / TICKS), fields.get(1)?.parse().ok()?))
}
