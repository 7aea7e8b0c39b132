//! The private Redis: a cache, so nothing of it is kept.

use super::EmbeddedError;
use super::folder::Folder;
use super::home::Home;
use super::programs;
use super::server::{self, Ending, Server, free_port, worth_another_try};
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

const NAME: &str = "Redis";
const SOCKET: &str = "redis.sock";
const TRIES: u32 = 5;

const ENDING: Ending =
    &[(Signal::SIGTERM, Duration::from_secs(10)), (Signal::SIGKILL, Duration::from_secs(5))];

const SETTINGS: &str = "\
bind 127.0.0.1
unixsocketperm 700
save \"\"
appendonly no
maxmemory 256mb
maxmemory-policy allkeys-lru
";

/// A running Redis.
pub(super) struct Redis {
    pub(super) server: Server,
    pub(super) url: String,
    pub(super) tcp_url: String,
}

/// Starts the server, if there is one on this machine.
pub(super) async fn start(
    folder: &Folder,
    home: &Home,
    password: &str,
) -> Result<Option<Redis>, EmbeddedError> {
    let Some(program) = programs::redis() else { return Ok(None) };
    let mut tries = 1;
    loop {
        match try_start(folder, home, password, &program).await {
            Err(e) if tries < TRIES && worth_another_try(&e) => tries += 1,
            outcome => return outcome.map(Some),
        }
    }
}

async fn try_start(
    folder: &Folder,
    home: &Home,
    password: &str,
    program: &Path,
) -> Result<Redis, EmbeddedError> {
    let port = free_port()?;
    let socket = home.sockets.join(SOCKET);
    let socket = socket.display();
    // It reads its settings from standard input: nobody sees the password, no file holds it.
    let mut command = home.command(program, &home.redis);
    command.arg("-").stdin(Stdio::piped());
    let mut server = Server::spawn(NAME, command, folder.path().join("redis.log"), ENDING)?;
    if let Some(mut input) = server.stdin() {
        let settings =
            format!("{SETTINGS}port {port}\nunixsocket {socket}\nrequirepass {password}\n");
        // A server that is gone already is told about by its log.
        let _ = input.write_all(settings.as_bytes()).await;
        let _ = input.shutdown().await;
    }
    let url = format!("redis+unix://{socket}?pass={password}");
    server.wait_ready(async || Ok(answers(&url).await)).await?;
    Ok(Redis { server, url, tcp_url: format!("redis://:{password}@127.0.0.1:{port}") })
}

async fn answers(url: &str) -> bool {
    let Ok(client) = redis::Client::open(url) else { return false };
    let Ok(mut connection) = client.get_multiplexed_async_connection().await else {
        return false;
    };
    redis::cmd("PING").exec_async(&mut connection).await.is_ok()
}

/// Stops the server that a killed owner left behind: whoever listens on our private socket.
pub(super) async fn stop_left_over(home: &Home) -> Result<(), EmbeddedError> {
    let Ok(stream) = UnixStream::connect(home.sockets.join(SOCKET)).await else { return Ok(()) };
    match stream.peer_cred().ok().and_then(|peer| peer.pid()) {
        Some(pid) if pid > 1 => server::end(NAME, pid, ENDING).await,
        _ => Ok(()),
    }
}
