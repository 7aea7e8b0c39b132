//! The server as a process: started, killed, stopped.

use super::database::books;
use super::{Database, until};
use std::fs::{DirEntry, File, read, read_dir, read_to_string, remove_file};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The admin key of every test server.
pub const ADMIN_KEY: &str = "sk_test_0123456789abcdef0123456789abcdef";

/// The command that sends a signal to processes.
pub fn signal<P: ToString>(name: &str, pids: impl IntoIterator<Item = P>) -> Command {
    let mut command = Command::new("kill");
    command.args(["-s", name]).args(pids.into_iter().map(|pid| pid.to_string()));
    command
}

/// Runs a command that takes no time.
pub fn succeed(mut command: Command) {
    assert!(command.status().unwrap().success());
}

/// A running server.
pub struct App {
    pub url: String,
    pub database: Database,
    pub http: reqwest::Client,
    /// None if somebody else runs it.
    child: Option<Child>,
    log: Option<PathBuf>,
    /// With which it was started.
    settings: Vec<(String, String)>,
}

impl App {
    /// A server with a database of its own, without Redis.
    pub async fn start() -> Self {
        Self::with(&Database::new().await, &[]).await
    }

    /// A server with a database of its own and these settings: `("ORDER__TAX_RATE", "0.2")`.
    pub async fn configured(settings: &[(&str, &str)]) -> Self {
        Self::with(&Database::new().await, settings).await
    }

    /// A server on that database with these settings.
    pub async fn with(database: &Database, settings: &[(&str, &str)]) -> Self {
        Self::reaching(&database.url, database, settings).await
    }

    /// The same, but the server reaches its database by another URL, that of a proxy say.
    pub async fn reaching(url: &str, database: &Database, settings: &[(&str, &str)]) -> Self {
        let mut command = Self::command(url);
        command.envs(settings.iter().map(|(key, value)| (format!("DOORBUSTER__{key}"), value)));
        let own = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        let mut app = Self::spawn(command, database, None);
        app.settings = settings.iter().map(own).collect();
        app
    }

    /// A server on that database with more in its environment.
    pub async fn in_environment(database: &Database, environment: &[(&str, &str)]) -> Self {
        let mut command = Self::command(&database.url);
        command.envs(environment.iter().copied());
        Self::spawn(command, database, None)
    }

    /// A server with a database of its own whose words are kept: see [`App::log`].
    pub async fn watched(settings: &[(&str, &str)]) -> Self {
        let database = Database::new().await;
        let mut command = Self::command(&database.url);
        command.envs(settings.iter().map(|(key, value)| (format!("DOORBUSTER__{key}"), value)));
        let path = std::env::temp_dir().join(format!("{}.log", uuid::Uuid::now_v7()));
        command.stderr(File::create(&path).unwrap());
        Self::spawn(command, &database, Some(path))
    }

    /// Whatever serves at that address on that database, run by somebody else.
    pub fn elsewhere(url: &str, database: &Database) -> Self {
        Self::at(url, database, None, None)
    }

    fn spawn(mut command: Command, database: &Database, log: Option<PathBuf>) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("doorbuster: serving ").expect("it did not start");
        Self::at(url, database, Some(child), log)
    }

    fn at(url: &str, database: &Database, child: Option<Child>, log: Option<PathBuf>) -> Self {
        // An idle connection is left before the server closes it (`server.keep_alive_seconds`).
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .pool_idle_timeout(Duration::from_secs(3))
            .build()
            .unwrap();
        let (url, database) = (url.to_owned(), database.clone());
        Self { url, database, http, child, log, settings: Vec::new() }
    }

    /// What a watched server has said on standard error.
    pub fn log(&self) -> String {
        let path = self.log.as_ref().expect("a watched server");
        String::from_utf8_lossy(&read(path).unwrap()).into_owned()
    }

    /// The command of a server, not started yet.
    pub fn command(database_url: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
        let inherited = std::env::vars().filter(|(key, _)| key.starts_with("DOORBUSTER__"));
        for (key, _) in inherited {
            command.env_remove(key);
        }
        command.arg("serve").envs([
            ("DOORBUSTER__SERVER__BIND", "127.0.0.1:0"),
            ("DOORBUSTER__SERVER__WORKERS", "2"),
            ("DOORBUSTER__POSTGRES__URL", database_url),
            ("DOORBUSTER__POSTGRES__READ_CONNECTIONS", "2"),
            ("DOORBUSTER__POSTGRES__WRITE_CONNECTIONS", "2"),
            ("DOORBUSTER__ADMIN__SECRET_KEY", ADMIN_KEY),
            ("DOORBUSTER__LOG__FILTER", "error"),
        ]);
        command.env("DOORBUSTER__PAYMENT__TEST_BOOKS", books(database_url));
        command
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("a process of ours")
    }

    pub fn pid(&self) -> i32 {
        self.child.as_ref().expect("a process of ours").id() as i32
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child().kill().unwrap();
        self.child().wait().unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        succeed(signal(name, [self.pid()]));
    }

    /// SIGSTOP, and until none of its threads runs any more: one that waits for a processor would
    /// still do what is on its way to it.
    pub async fn falls_asleep(&self) {
        self.signal("STOP");
        let tasks = format!("/proc/{}/task", self.pid());
        let is_awake = |task: std::io::Result<DirEntry>| {
            let stat = read_to_string(task.unwrap().path().join("stat"));
            // A thread that has ended meanwhile does not run either.
            stat.is_ok_and(|stat| !stat.contains(") T "))
        };
        let sleeps = async || match read_dir(&tasks).unwrap().any(is_awake) {
            true => Err("it does not fall asleep"),
            false => Ok(()),
        };
        until(sleeps).await;
    }

    /// Starts it again at the same address with its settings, once it has ended: one of
    /// [`App::with`].
    pub async fn start_again(&mut self) {
        let address = self.url.strip_prefix("http://").unwrap().to_owned();
        let known = self.settings.iter().filter(|(key, _)| key != "SERVER__BIND");
        let mut settings: Vec<_> = known.map(|(key, value)| (&**key, &**value)).collect();
        settings.push(("SERVER__BIND", &address));
        *self = Self::with(&self.database, &settings).await;
    }

    /// Waits for the end of a server that was asked to stop.
    pub fn wait(&mut self) -> Option<i32> {
        self.child().wait().unwrap().code()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.log.iter().for_each(|path| drop(remove_file(path)));
    }
}
