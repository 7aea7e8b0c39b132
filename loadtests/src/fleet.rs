//! Instances of one's own, beside a private PostgreSQL and Redis, for the time of a run.

use crate::client::Base;
use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// All buyers come from this machine: limits of an address, and of the admin's key, are as wide as
/// they can be, but count as ever.
const WIDE: [&str; 4] =
    ["PER_ADDRESS", "PER_CREDENTIAL", "SESSIONS_PER_ADDRESS", "ORDERS_PER_ADDRESS"];

/// How long a process may take to say that it is ready.
const START_MAX: Duration = Duration::from_secs(60);
/// How long it may take to end when it is asked to.
const STOP_MAX: Duration = Duration::from_secs(15);

/// Instances and what they run on.  Everything ends and is removed when this is dropped.
#[derive(Debug)]
pub struct Fleet {
    /// The instances.
    pub urls: Vec<Base>,
    /// Their database.
    pub database: String,
    /// The secret key of their admin.
    pub admin_key: String,
    binary: PathBuf,
    redis: Option<String>,
    /// Stopped first, in this order.
    instances: Vec<Child>,
    services: Option<Child>,
    folder: PathBuf,
}

/// What `doorbuster services` says when they run.
#[derive(Deserialize)]
struct Services {
    postgres_url: String,
    redis_url: Option<String>,
}

impl Fleet {
    /// Starts so many instances of this program (`None` is the one beside the running program),
    /// which sell what this file holds, or the demo catalog.
    pub fn start(
        count: usize,
        binary: Option<&Path>,
        catalog: Option<&Path>,
    ) -> anyhow::Result<Self> {
        ensure!((1..=32).contains(&count), "--start: 1 to 32 instances");
        let binary = match binary {
            Some(binary) => binary.to_owned(),
            None => std::env::current_exe()?.with_file_name("doorbuster"),
        };
        ensure!(binary.is_file(), "{} is not there: --binary names it", binary.display());
        // Short: the paths of sockets are limited.
        let folder = std::env::temp_dir().join(format!("fleet-{:08x}", rand::random::<u32>()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut fleet = Self {
            urls: Vec::new(),
            database: String::new(),
            admin_key: format!(
                "sk_{:032x}{:016x}",
                rand::random::<u128>(),
                rand::random::<u64>()
            ),
            binary,
            redis: None,
            instances: Vec::new(),
            services: None,
            folder,
        };
        // PostgreSQL may run as another user.
        fs::set_permissions(&fleet.folder, Permissions::from_mode(0o755))?;
        fleet.start_services()?;
        fleet.finish(&["migrate".as_ref()])?;
        match catalog {
            Some(file) => fleet.finish(&["import".as_ref(), "catalog".as_ref(), file])?,
            None => fleet.finish(&["import".as_ref(), "demo".as_ref()])?,
        }
        for _ in 0..count {
            fleet.start_instance()?;
        }
        Ok(fleet)
    }

    fn start_services(&mut self) -> anyhow::Result<()> {
        let mut command = self.command("services");
        command.arg("--data").arg(self.folder.join("pair")).stdin(Stdio::piped());
        let (child, line) = first_line(&mut command);
        self.services = child;
        let line = line.context("doorbuster services")?;
        let services: Services = serde_json::from_str(&line)
            .with_context(|| format!("doorbuster services said {line:?}"))?;
        (self.database, self.redis) = (services.postgres_url, services.redis_url);
        Ok(())
    }

    fn start_instance(&mut self) -> anyhow::Result<()> {
        let mut command = self.command("serve");
        // Standard input stays open as long as this process lives, however it dies.
        command.arg("--until-stdin-closes").stdin(Stdio::piped());
        command.env("DOORBUSTER__SERVER__BIND", "127.0.0.1:0");
        for limit in WIDE.map(|limit| format!("DOORBUSTER__LIMITS__{limit}")) {
            if std::env::var_os(&limit).is_none() {
                command.env(limit, "1000000/second burst 1000000");
            }
        }
        let (child, line) = first_line(&mut command);
        self.instances.extend(child);
        let line = line.context("doorbuster serve")?;
        let url = line.strip_prefix("doorbuster: serving ");
        let url = url.with_context(|| format!("doorbuster serve said {line:?}"))?;
        self.urls.push(url.parse()?);
        Ok(())
    }

    /// The instances' processes.
    pub fn pids(&self) -> Vec<u32> {
        self.instances.iter().map(Child::id).collect()
    }

    /// Runs a command to its end.
    fn finish(&self, arguments: &[&Path]) -> anyhow::Result<()> {
        let mut command = self.command(arguments[0]);
        let output = command.args(&arguments[1..]).stdin(Stdio::null()).output()?;
        // What an import finds wrong stands on its standard output.
        let said = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        let name = arguments[0].display();
        ensure!(output.status.success(), "doorbuster {name}: {}", said.join("\n").trim());
        Ok(())
    }

    /// What `doorbuster verify` finds to be violated.
    pub fn verify(&self) -> anyhow::Result<Vec<String>> {
        let output = self.command("verify").stdin(Stdio::null()).output()?;
        match output.status.code() {
            Some(0) => Ok(Vec::new()),
            Some(1) => {
                let text = String::from_utf8_lossy(&output.stdout);
                let lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
                Ok(if lines.is_empty() { vec!["violated".to_owned()] } else { lines })
            }
            _ => bail!("doorbuster verify: {}", output.status),
        }
    }

    fn command(&self, what: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg(what).env("DOORBUSTER__ADMIN__SECRET_KEY", &self.admin_key);
        if std::env::var_os("DOORBUSTER__LOG__FILTER").is_none() {
            command.env("DOORBUSTER__LOG__FILTER", "warn");
        }
        if !self.database.is_empty() {
            command.env("DOORBUSTER__POSTGRES__URL", &self.database);
        }
        if let Some(redis) = &self.redis {
            command.env("DOORBUSTER__REDIS__URL", redis);
        }
        // Ctrl-C at the terminal is for the load test, which stops them in order.
        command.process_group(0);
        command
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for instance in &self.instances {
            signal(instance, "-TERM");
        }
        for mut instance in self.instances.drain(..) {
            end(&mut instance);
        }
        if let Some(mut services) = self.services.take() {
            // They run until their standard input closes.
            drop(services.stdin.take());
            end(&mut services);
        }
        // What is left of it is no harm; there is nobody to tell.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Starts a process; its first line, if it says one in time.  The rest of its output is read and
/// forgotten, lest it waits for a reader.
fn first_line(command: &mut Command) -> (Option<Child>, anyhow::Result<String>) {
    let mut child = match command.stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => return (None, Err(error.into())),
    };
    let (send, receive) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Only the first one is waited for.
                let _ = send.send(line);
            }
        });
    }
    let line = receive.recv_timeout(START_MAX);
    (Some(child), line.context("did not say that it was ready"))
}

/// By the command, because the system call needs unsafe code.
fn signal(child: &Child, signal: &str) {
    // One that is gone already is no error.
    let mut kill = Command::new("kill");
    let _ = kill.args([signal, &child.id().to_string()]).stderr(Stdio::null()).status();
}

/// Waits for its end, and kills it if that takes too long.
fn end(child: &mut Child) {
    let begun = Instant::now();
    while begun.elapsed() < STOP_MAX {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}
