//! What Linux knows of a process of this machine. Everything is `None` where it knows nothing.

use std::fs;
use std::time::Duration;

/// Ticks a second in /proc; the same on all architectures that run servers.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU that a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cpu {
    /// Its parent.
    pub parent: u32,
    /// Seconds of its own.
    pub own_seconds: f64,
    /// Seconds of its children that have ended.
    pub ended_children_seconds: f64,
}

/// The CPU of a process.
pub fn cpu(pid: u32) -> Option<Cpu> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The memory that a process holds, in bytes.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    kilobytes_of(&status, "VmRSS:")
}

/// A line of /proc/…/status or /proc/meminfo, in bytes.
pub fn kilobytes_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

/// The process that listens on a TCP port of this machine.
pub fn listening_on(port: u16) -> Option<u32> {
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let inode = sockets.into_iter().flatten().find_map(|table| listening_inode(&table, port))?;
    let socket = format!("socket:[{inode}]");
    pids().find(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd"));
        files.into_iter().flatten().flatten().any(|file| {
            fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket.as_str())
        })
    })
}

/// CPU seconds of a process, of its children, and of those that have ended.
pub fn family_seconds(parent: u32) -> Option<f64> {
    let first = cpu(parent)?;
    let children = pids().filter_map(cpu).filter(|child| child.parent == parent);
    let seconds = children.map(|child| child.own_seconds).sum::<f64>();
    Some(first.own_seconds + first.ended_children_seconds + seconds)
}

/// Whether a process is called so.
pub fn is_called(pid: u32, name: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
}

/// How much of all the machine's CPUs was busy, and how much there was, in seconds.
pub fn machine_seconds() -> Option<(f64, f64)> {
    parse_machine(&fs::read_to_string("/proc/stat").ok()?)
}

fn parse_machine(stat: &str) -> Option<(f64, f64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|tick| tick.parse().ok()).collect();
    // Guests' time is counted in `user` already.
    let all: f64 = ticks.iter().take(8).sum();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some(((all - idle) / TICKS_PER_SECOND, all / TICKS_PER_SECOND))
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parse_stat(stat: &str) -> Option<Cpu> {
    // The name may hold spaces and brackets; what follows the last one does not.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n)?.parse::<f64>().ok();
    Some(Cpu {
        parent: fields.get(1)?.parse().ok()?,
        own_seconds: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
        ended_children_seconds: (ticks(13)? + ticks(14)?) / TICKS_PER_SECOND,
    })
}

/// The inode of the socket that listens on a port.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    let port = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let here = fields.get(1)?.ends_with(&port) && *fields.get(3)? == LISTEN;
        here.then(|| fields.get(9)?.parse().ok())?
    })
}

/// CPUs in use, from seconds before and after a while.
pub fn cores(before: f64, after: f64, elapsed: Duration) -> f64 {
    ((after - before) / elapsed.as_secs_f64().max(0.001)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_a_strange_name_is_read_like_any_other() {
        let stat = "42 (a) R 1 (b) S 7 42 42 0 -1 4194304 75 0 1 0 250 50 30 10 20 0 9 0 322706";
        let cpu = parse_stat(stat).unwrap();
        assert_eq!((cpu.parent, cpu.own_seconds), (7, 3.0));
        assert_eq!(cpu.ended_children_seconds, 0.4);
        assert_eq!(parse_stat("42 (cut off) S 7"), None);
    }

    #[test]
    fn only_the_socket_that_listens_counts() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when
   0: 0100007F:1F90 0100007F:8133 01 0:0 00:00 00 101 0 111 1 0 100
   1: 0100007F:1F91 00000000:0000 0A 0:0 00:00 00 101 0 222 1 0 100
   2: 0100007F:1F90 00000000:0000 0A 0:0 00:00 00 101 0 333 1 0 100";
        assert_eq!(listening_inode(table, 8_080), Some(333));
        assert_eq!(listening_inode(table, 8_082), None);
    }

    #[test]
    fn the_machine_is_busy_when_it_is_not_idle() {
        let stat = "cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2 3\n";
        assert_eq!(parse_machine(stat), Some((2.0, 10.0)));
        assert_eq!(kilobytes_of("VmHWM: 9 kB\nVmRSS:\t  2 kB\n", "VmRSS:"), Some(2_048));
    }

    #[test]
    fn this_process_is_found_by_the_port_that_it_listens_on() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listening_on(port), Some(std::process::id()));
        drop(listener);
        assert_eq!(listening_on(port), None);
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        assert!(family_seconds(std::process::id()).is_some());
    }
}
