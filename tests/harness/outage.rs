//! The servers of a pair go away and come back, with the same data at the same place.

use super::Pair;
use super::process::{signal, succeed};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

impl Pair {
    /// PostgreSQL dies without a word to its clients, as in a crash.
    pub async fn stop_postgres(&self) {
        self.run_pg_ctl(&["stop", "-m", "immediate"]).await;
    }

    /// Starts it as it was started before, and waits until it has recovered.
    pub async fn start_postgres(&mut self) {
        // A restart takes the options of the last start, and only says that nothing was running.
        self.run_pg_ctl(&["restart"]).await;
        self.stops.push(self.pg_ctl(&["stop", "-m", "immediate"]));
    }

    /// All its processes stand still from now on, while their connections stay open, as on a host
    /// that hangs.
    pub fn freeze_postgres(&mut self) {
        let first = self.services.postgres_pid.to_string();
        succeed(signal("STOP", [&first]));
        let others = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children"));
        let others = others.unwrap();
        succeed(signal("STOP", others.split_whitespace()));
        self.stops.push(signal("KILL", others.split_whitespace().chain([&*first])));
    }

    /// Whether its first process lives, working or not.
    pub fn is_postgres_there(&self) -> bool {
        self.pg_ctl(&["status"]).status().unwrap().success()
    }

    /// While this takes its time, buyers go on.
    async fn run_pg_ctl(&self, arguments: &[&str]) {
        let mut command = tokio::process::Command::from(self.pg_ctl(arguments));
        assert!(command.status().await.unwrap().success());
    }

    fn pg_ctl(&self, arguments: &[&str]) -> Command {
        let data = Path::new(&self.services.postgres_data);
        let mut command = self.services.postgres_command("pg_ctl");
        command.args(arguments).arg("-D").arg(data).arg("-l").arg(data.join("again.log"));
        command
    }

    /// SIGKILL.
    pub fn kill_redis(&self) {
        self.signal_redis("KILL");
    }

    /// Sends a signal to Redis.
    pub fn signal_redis(&self, name: &str) {
        let pid = self.services.redis_pid.expect("redis-server is needed");
        succeed(signal(name, [pid]));
    }

    /// Removes everything that Redis holds; returns how many keys that were.
    pub fn flush_redis(&self) -> usize {
        let client = redis::Client::open(self.services.redis()).unwrap();
        let mut asked = client.get_connection().unwrap();
        let keys = redis::cmd("DBSIZE").query(&mut asked).unwrap();
        redis::cmd("FLUSHALL").exec(&mut asked).unwrap();
        keys
    }

    /// Starts Redis at the same socket with the same password.
    #[expect(
        clippy::zombie_processes,
        reason = "the pair kills it, and the tests end soon after"
    )]
    pub fn start_redis(&mut self) {
        let address = self.services.redis().strip_prefix("redis+unix://").unwrap();
        let (socket, password) = address.split_once("?pass=").unwrap();
        let settings = format!(
            "port 0\nunixsocket {socket}\nrequirepass {password}\nsave \"\"\nappendonly no\n"
        );
        let mut command = Command::new("redis-server");
        command.arg("-").stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(settings.as_bytes()).unwrap();
        self.stops.push(signal("KILL", [child.id()]));
    }
}
