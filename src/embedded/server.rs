//! One server process: starting it, waiting until it answers, and ending it.

use super::EmbeddedError;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Includes the recovery after a crash.
const START_MAX: Duration = Duration::from_secs(120);
const ANSWER_MAX: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
const QUOTED_LINES: usize = 8;

/// Signals that end a server, gentle ones first, each with the time that it gets.
pub(super) type Ending = &'static [(Signal, Duration)];

/// A running server. When dropped, it is asked to stop but not waited for.
pub(super) struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
    ending: Ending,
}

impl Server {
    /// Starts the program. Its output goes to a new log; the log before is kept as `.old`.
    pub(super) fn spawn(
        name: &'static str,
        mut command: Command,
        log: PathBuf,
        ending: Ending,
    ) -> Result<Self, EmbeddedError> {
        if log.exists() {
            let old = log.with_extension("log.old");
            fs::rename(&log, &old).map_err(EmbeddedError::file("rename", &log))?;
        }
        let output = File::create(&log).map_err(EmbeddedError::file("write", &log))?;
        let errors = output.try_clone().map_err(EmbeddedError::file("write", &log))?;
        command.stdout(Stdio::from(output)).stderr(Stdio::from(errors));
        let child = command.spawn().map_err(|error| EmbeddedError::Run {
            program: command.as_std().get_program().into(),
            error,
        })?;
        Ok(Self { name, child, log, ending })
    }

    /// Its process, or 0 once it has ended.
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// The pipe to its standard input, if it has one.
    pub(super) fn stdin(&mut self) -> Option<tokio::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// Waits until the server answers: `answers` is asked again and again.
    pub(super) async fn wait_ready<F>(&mut self, answers: F) -> Result<(), EmbeddedError>
    where
        F: AsyncFn() -> Result<bool, EmbeddedError>,
    {
        let give_up = Instant::now() + START_MAX;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.start_error(format!("stopped with {status}")));
            }
            if let Ok(answer) = timeout(ANSWER_MAX, answers()).await
                && answer?
            {
                return Ok(());
            }
            if Instant::now() > give_up {
                return Err(self.start_error(format!("gave no answer in {START_MAX:?}")));
            }
            sleep(POLL).await;
        }
    }

    fn start_error(&self, what: String) -> EmbeddedError {
        let log = self.log.clone();
        let text = fs::read(&log).unwrap_or_default();
        let tail = last_lines(&String::from_utf8_lossy(&text));
        EmbeddedError::Start { server: self.name, what, log, tail }
    }

    /// Asks the server to stop, without waiting.
    pub(super) fn ask_to_stop(&self) {
        // An id means that the process was not waited for, so the id is still its own.
        if let (Some(pid), Some((signal, _))) = (process(self.child.id()), self.ending.first()) {
            let _ = kill(pid, *signal);
        }
    }

    /// Stops the server and waits for its end.
    pub(super) async fn stop(mut self) -> Result<(), EmbeddedError> {
        let Some(pid) = process(self.child.id()) else { return Ok(()) };
        for (signal, time) in self.ending {
            let _ = kill(pid, *signal);
            if timeout(*time, self.child.wait()).await.is_ok() {
                return Ok(());
            }
        }
        Err(EmbeddedError::Stop { server: self.name, pid: pid.as_raw() })
    }

    /// Leaves the server running, as our sudden death would.
    #[cfg(test)]
    pub(super) fn abandon(mut self) {
        self.ending = &[];
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ask_to_stop();
    }
}

fn process(id: Option<u32>) -> Option<Pid> {
    id.and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw)
}

/// Ends a server that is not our child, and waits for its end.
pub(super) async fn end(
    server: &'static str,
    pid: i32,
    ending: Ending,
) -> Result<(), EmbeddedError> {
    for (signal, time) in ending {
        let _ = kill(Pid::from_raw(pid), *signal);
        let give_up = Instant::now() + *time;
        while Instant::now() < give_up {
            if !lives(pid) {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }
    Err(EmbeddedError::Stop { server, pid })
}

/// A process that ended but was never waited for has no command line left.
fn lives(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
        && command_line(pid).is_none_or(|line| !line.is_empty())
}

/// Whether the process is this server with this folder as an argument.
pub(super) fn is_server(pid: i32, program: &str, folder: &Path) -> bool {
    let Some(line) = command_line(pid) else { return false };
    let text = String::from_utf8_lossy(&line);
    let folder = folder.to_string_lossy();
    let mut words = text.split('\0');
    match cfg!(target_os = "linux") {
        true => {
            words.next().is_some_and(|first| first.contains(program))
                && words.any(|word| word == folder)
        }
        // `ps` does not show where a word ends.
        false => text.contains(program) && text.contains(&*folder),
    }
}

/// The words of a process's command line, separated by zero bytes on Linux.
fn command_line(pid: i32) -> Option<Vec<u8>> {
    if cfg!(target_os = "linux") {
        return fs::read(format!("/proc/{pid}/cmdline")).ok();
    }
    let ps = std::process::Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    ps.status.success().then_some(ps.stdout)
}

/// The end of a text, for quoting.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
}

/// A free port on this machine. Somebody else may take it before it is used: try again then.
pub(super) fn free_port() -> Result<u16, EmbeddedError> {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(EmbeddedError::file("find a free port on", Path::new("127.0.0.1")))
}

/// Whether starting once more may help: another process took the port, or what a killed server
/// left is still going away.
pub(super) fn worth_another_try(error: &EmbeddedError) -> bool {
    matches!(error, EmbeddedError::Start { tail, .. } if tail.contains("in use"))
}
