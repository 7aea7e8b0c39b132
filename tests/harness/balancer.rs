//! The balancers whose configurations are in the repository, in front of three instances.

use super::{free_port, until_listening};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A balancer as a process.
pub struct Balancer {
    /// Which one.
    pub name: &'static str,
    pub url: String,
    child: Child,
    folder: PathBuf,
}

impl Balancer {
    /// nginx with `config/nginx.conf`, but for the addresses.
    pub fn nginx(instances: [&str; 3]) -> Self {
        let mut ground = Ground::new("nginx.conf", instances);
        // Where users may write who are not root.
        let own = ground.folder.display();
        let text = ground.text.replace("/var/log/nginx", &own.to_string());
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let paths = temporary.map(|kind| format!("{kind}_temp_path {own};"));
        let globals = format!("daemon off; pid {own}/pid; error_log {own}/log error;");
        let mut command = Command::new("nginx");
        command.args(["-e", &format!("{own}/log"), "-g", &globals, "-c"]);
        ground.text = text.replace("http {", &format!("http {{\n{}", paths.join("\n")));
        ground.start("nginx", command)
    }

    /// HAProxy with `config/haproxy.cfg`, but for the addresses.
    pub fn haproxy(instances: [&str; 3]) -> Self {
        let mut command = Command::new("haproxy");
        command.args(["-db", "-q", "-f"]);
        Ground::new("haproxy.cfg", instances).start("HAProxy", command)
    }
}

/// What a balancer needs before it starts.
struct Ground {
    port: u16,
    folder: PathBuf,
    /// The configuration.
    text: String,
}

impl Ground {
    /// That of the repository, with these instances and a port of its own.
    fn new(config: &str, [first, second, third]: [&str; 3]) -> Self {
        let port = free_port();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(config);
        let mut text = std::fs::read_to_string(shipped).unwrap();
        // One more, as whoever has more than two would write it.
        let line = text.lines().find(|line| line.contains("10.0.0.12:8080")).unwrap();
        let more = line.replace("10.0.0.12", "10.0.0.13").replace("server b", "server c");
        text = text.replace(line, &format!("{line}\n{more}"));
        let examples = ["10.0.0.11:8080", "10.0.0.12:8080", "10.0.0.13:8080"];
        for (example, instance) in examples.iter().zip([first, second, third]) {
            assert!(text.contains(example));
            text = text.replace(example, instance.strip_prefix("http://").unwrap());
        }
        let text = text.replace(" :8000", &format!(" 127.0.0.1:{port}"));
        let text = text.replace("listen 8000", &format!("listen 127.0.0.1:{port}"));
        let folder = std::env::temp_dir().join(format!("balancer-{port}"));
        std::fs::create_dir(&folder).unwrap();
        Self { port, folder, text }
    }

    /// The configuration is the last argument of the command.
    fn start(self, name: &'static str, mut command: Command) -> Balancer {
        let Self { port, folder, text } = self;
        let file = folder.join("config");
        std::fs::write(&file, text).unwrap();
        let child = command.arg(file).stdin(Stdio::null()).spawn();
        let child = child.expect("nginx and haproxy are needed: make proxies");
        until_listening(port, name);
        Balancer { name, url: format!("http://127.0.0.1:{port}"), child, folder }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // nginx takes its workers along only if it is asked to.
        let _ = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
