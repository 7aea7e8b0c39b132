//! Several Redis: a primary that Sentinels watch, or a cluster. Each server at a port of its own.

use super::free_port;
use super::process::{signal, succeed};
use redis::Client;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The servers, which end with this value.
pub struct RedisServers {
    /// For `redis.url`.
    pub url: String,
    /// Those that hold keys: the port of each, and its process.
    servers: Vec<(u16, Child)>,
    stopped: Vec<Child>,
    sentinels: Vec<Child>,
    folder: PathBuf,
}

const SENTINELS: u16 = 3;

impl RedisServers {
    /// A primary and its replica under the eyes of three Sentinels.
    pub fn under_sentinels() -> Self {
        let mut all = Self::new();
        let primary = all.serve(&[]);
        all.serve(&["--replicaof", &format!("127.0.0.1 {primary}")]);
        let ports: Vec<_> = (0..SENTINELS).map(|_| all.sentinel(primary)).collect();
        let hosts = ports.iter().map(|port| format!("127.0.0.1:{port}"));
        all.url = format!("redis+sentinel://{}/shop", hosts.collect::<Vec<_>>().join(","));
        // They tell each other of the replica, which they learn of from the primary.
        for port in ports {
            let names = ["num-slaves", "num-other-sentinels"];
            all.until(|| {
                let known: Vec<String> = asked(port, &["SENTINEL", "MASTER", "shop"]).ok()?;
                let value = |name: &&str| {
                    let at = known.iter().position(|word| word == name)?;
                    known[at + 1].parse::<u16>().ok()
                };
                let counts: Option<Vec<_>> = names.iter().map(value).collect();
                (counts? == [1, SENTINELS - 1]).then_some(())
            });
        }
        all
    }

    /// Three primaries, each with a replica.
    pub fn in_a_cluster() -> Self {
        let mut all = Self::new();
        for _ in 0..6 {
            let bus = free_port().to_string();
            let timeout = ["--cluster-node-timeout", "1000"];
            let cluster = ["--cluster-enabled", "yes", "--cluster-port", &bus];
            all.serve(&[timeout.as_slice(), &cluster].concat());
        }
        let hosts = all.servers.iter().map(|(port, _)| format!("127.0.0.1:{port}"));
        let hosts: Vec<_> = hosts.collect();
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]).args(&hosts);
        create.args(["--cluster-replicas", "1", "--cluster-yes"]).stdout(Stdio::null());
        assert!(create.status().unwrap().success());
        all.url = format!("redis+cluster://{}", hosts.join(","));
        for n in 0..all.servers.len() {
            let port = all.servers[n].0;
            all.until(|| {
                let info: String = asked(port, &["CLUSTER", "INFO"]).ok()?;
                info.contains("cluster_state:ok").then_some(())
            });
        }
        // Whoever has no copy yet takes no primary's place.
        all.until(|| (0..6).all(|n| all.is_linked(n)).then_some(()));
        all
    }

    /// Kills the primary that holds products, and waits until another one takes writes for it.
    pub fn kill_primary(&mut self) {
        let mut primary = self.lose_primary(|primary| primary.kill().unwrap());
        primary.wait().unwrap();
    }

    /// The same, but it only stops, and so its connections stay open.
    pub fn stop_primary(&mut self) {
        let stop = |primary: &mut Child| {
            succeed(signal("STOP", [primary.id()]));
        };
        let primary = self.lose_primary(stop);
        self.stopped.push(primary);
    }

    fn lose_primary(&mut self, lose: impl Fn(&mut Child)) -> Child {
        let is_it = |(port, _): &(u16, Child)| is_primary(*port) && products(*port) > 0;
        let at = self.servers.iter().position(is_it).expect("a primary with products");
        let primaries = self.primaries();
        let (_, mut primary) = self.servers.swap_remove(at);
        lose(&mut primary);
        self.until(|| (self.primaries() == primaries).then_some(()));
        primary
    }

    /// Removes everything that they hold.
    pub fn flush(&self) {
        for (port, _) in self.servers.iter().filter(|(port, _)| is_primary(*port)) {
            asked::<()>(*port, &["FLUSHALL"]).unwrap();
        }
    }

    /// How many products they hold.
    pub fn products(&self) -> usize {
        self.servers.iter().map(|(port, _)| products(*port)).sum()
    }

    fn primaries(&self) -> usize {
        self.servers.iter().filter(|(port, _)| is_primary(*port)).count()
    }

    /// Whether it is a primary, or a replica with a copy.
    fn is_linked(&self, n: usize) -> bool {
        let info: String = asked(self.servers[n].0, &["INFO", "REPLICATION"]).unwrap();
        info.contains("role:master") || info.contains("master_link_status:up")
    }

    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("redis-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder).unwrap();
        Self {
            url: String::new(),
            servers: Vec::new(),
            stopped: Vec::new(),
            sentinels: Vec::new(),
            folder,
        }
    }

    fn serve(&mut self, arguments: &[&str]) -> u16 {
        let port = free_port();
        let folder = self.folder.join(port.to_string());
        std::fs::create_dir(&folder).unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "no", "--repl-diskless-sync-delay", "0", "--dir"]);
        let child = command.arg(folder).args(arguments).stdout(Stdio::null()).spawn().unwrap();
        self.servers.push((port, child));
        self.until(|| asked::<String>(port, &["PING"]).ok());
        port
    }

    fn sentinel(&mut self, primary: u16) -> u16 {
        let port = free_port();
        let file = self.folder.join(format!("sentinel-{port}.conf"));
        let settings = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor shop 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 3000\n"
        );
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(file).arg("--sentinel").stdout(Stdio::null());
        self.sentinels.push(command.spawn().unwrap());
        self.until(|| asked::<String>(port, &["PING"]).ok());
        port
    }

    fn until<T>(&self, found: impl Fn() -> Option<T>) -> T {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(Instant::now() < until, "Redis does not come to it");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for RedisServers {
    fn drop(&mut self) {
        let servers = self.servers.iter_mut().map(|(_, child)| child);
        for child in servers.chain(&mut self.stopped).chain(&mut self.sentinels) {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn asked<T: redis::FromRedisValue>(port: u16, words: &[&str]) -> redis::RedisResult<T> {
    let client = Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_connection_with_timeout(Duration::from_millis(500))?;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query(&mut connection)
}

/// How many products the server holds. What instances remember of limits may lie elsewhere.
fn products(port: u16) -> usize {
    asked(port, &["KEYS", "*}:products:*"]).map_or(0, |keys: Vec<String>| keys.len())
}

fn is_primary(port: u16) -> bool {
    asked(port, &["INFO", "REPLICATION"]).is_ok_and(|info: String| info.contains("role:master"))
}
