//! A private PostgreSQL and Redis, for `doorbuster dev` and for tests.
//!
//! They use the system's programs and belong to a data folder, which belongs to one process at a
//! time. Whatever kills that process, the folder's next owner stops what was left behind and
//! starts again with the same data.

mod error;
mod folder;
mod home;
mod postgres;
mod programs;
mod redis;
mod server;
#[cfg(test)]
mod tests;

pub use error::EmbeddedError;

use folder::Folder;
use home::Home;
use postgres::Postgres;
use redis::Redis;
use serde::{Deserialize, Serialize};
use server::Server;
use std::io::Write;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// The running servers of a data folder.
///
/// [`Pair::stop`] stops them in order; if the value is only dropped, they are asked to stop and
/// not waited for.
pub struct Pair {
    /// The database, over a unix socket.
    pub postgres_url: String,
    /// The same over TCP, on 127.0.0.1: for proxies and other programs.
    pub postgres_tcp_url: String,
    /// Redis over a unix socket; `None` if it is not installed.
    pub redis_url: Option<String>,
    /// The same over TCP, on 127.0.0.1.
    pub redis_tcp_url: Option<String>,
    /// PostgreSQL's main process.
    pub postgres_pid: u32,
    /// Redis's process.
    pub redis_pid: Option<u32>,
    /// The folder of PostgreSQL's programs.
    pub postgres_bin: PathBuf,
    /// The folder of PostgreSQL's data.
    pub postgres_data: PathBuf,
    // In the order in which they are dropped: the lock goes last.
    postgres: Server,
    redis: Option<Server>,
    home: Home,
    folder: Folder,
}

/// How to reach the servers of a running [`Pair`], from another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningPair {
    /// The database.
    pub postgres_url: String,
    /// Redis, if there is one.
    pub redis_url: Option<String>,
    /// The process that owns the data folder.
    pub pid: u32,
}

impl Pair {
    /// Takes the data folder, stops what a killed owner left behind, and starts both servers
    /// with a database `doorbuster`.
    pub async fn start(data: &Path) -> Result<Self, EmbeddedError> {
        let folder = Folder::own(data).await?;
        let home = Home::of(&folder)?;
        postgres::stop_left_over(&home.postgres).await?;
        redis::stop_left_over(&home).await?;
        home.make()?;
        let (postgres, redis) = start_both(&folder, &home).await?;
        folder.set_running(&RunningPair {
            postgres_url: postgres.url.clone(),
            redis_url: redis.as_ref().map(|redis| redis.url.clone()),
            pid: std::process::id(),
        })?;
        Ok(Self {
            postgres_url: postgres.url,
            postgres_tcp_url: postgres.tcp_url,
            redis_url: redis.as_ref().map(|redis| redis.url.clone()),
            redis_tcp_url: redis.as_ref().map(|redis| redis.tcp_url.clone()),
            postgres_pid: postgres.server.pid(),
            redis_pid: redis.as_ref().map(|redis| redis.server.pid()),
            postgres_bin: postgres.bin,
            postgres_data: home.postgres.clone(),
            postgres: postgres.server,
            redis: redis.map(|redis| redis.server),
            home,
            folder,
        })
    }

    /// Stops both servers, then gives up the data folder. Clients that are still connected are
    /// cut off; what was committed stays.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        self.folder.forget_running();
        let redis = async {
            match self.redis {
                Some(redis) => redis.stop().await,
                None => Ok(()),
            }
        };
        let (postgres, redis) = tokio::join!(self.postgres.stop(), redis);
        postgres.and(redis)?;
        self.home.remove_sockets()
    }

    /// What a sudden death leaves: servers that run, and a folder without an owner.
    #[cfg(test)]
    fn die(self) {
        self.postgres.abandon();
        self.redis.into_iter().for_each(Server::abandon);
    }
}

async fn start_both(
    folder: &Folder,
    home: &Home,
) -> Result<(Postgres, Option<Redis>), EmbeddedError> {
    let password = folder::secret(folder.path(), "servers.password", "")?;
    let redis = redis::start(folder, home, &password).await?;
    match postgres::start(folder, home, &password).await {
        Ok(postgres) => Ok((postgres, redis)),
        Err(error) => {
            // What is told is why the start failed, not how the rest of it ends.
            if let Some(redis) = redis {
                let _ = redis.server.stop().await;
            }
            let _ = home.remove_sockets();
            Err(error)
        }
    }
}

/// The servers that another process runs on this data folder now, if any.
pub fn running(data: &Path) -> Option<RunningPair> {
    folder::running(data)
}

/// The admin key of a data folder: `sk_` and 256 random bits, made on first use and kept in a
/// file for its owner alone.
pub fn admin_key(data: &Path) -> Result<String, EmbeddedError> {
    std::fs::create_dir_all(data).map_err(EmbeddedError::file("make the folder", data))?;
    folder::secret(data, "admin.key", "sk_")
}

/// Told when standard input closes: also when the program dies that holds its other end.
pub fn stdin_closed() -> oneshot::Receiver<()> {
    let (closed, stdin_closed) = oneshot::channel();
    // A plain thread: the runtime would wait for a blocked reader when it ends.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = closed.send(());
    });
    stdin_closed
}

/// Runs a pair for another program: prints one line of JSON that says where it is, and stops it
/// when standard input ends, so also when that program dies, or at SIGTERM or SIGINT.
pub async fn serve_until_stdin_closes(data: &Path) -> Result<(), EmbeddedError> {
    // Before the start: a signal that comes meanwhile must not leave servers behind.
    let listen = |kind| signal(kind).map_err(EmbeddedError::file("catch", Path::new("signals")));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let stdin_closed = stdin_closed();
    let pair = Pair::start(data).await?;
    let line = serde_json::json!({
        "postgres_url": pair.postgres_url,
        "postgres_tcp_url": pair.postgres_tcp_url,
        "redis_url": pair.redis_url,
        "redis_tcp_url": pair.redis_tcp_url,
        "postgres_pid": pair.postgres_pid,
        "redis_pid": pair.redis_pid,
        "postgres_bin": pair.postgres_bin.to_string_lossy(),
        "postgres_data": pair.postgres_data.to_string_lossy(),
    });
    let mut stdout = std::io::stdout();
    let told = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    if told.is_ok() {
        tokio::select! {
            _ = stdin_closed => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    pair.stop().await?;
    told.map_err(EmbeddedError::Output)
}
