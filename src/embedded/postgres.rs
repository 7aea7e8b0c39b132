//! The private PostgreSQL.
//!
//! It keeps its promises (fsync, synchronous commit, full page writes): what is measured and
//! tested here is what a real installation does.

use super::EmbeddedError;
use super::folder::{Folder, write_new};
use super::home::Home;
use super::programs;
use super::server::{self, Ending, Server, free_port, last_lines, worth_another_try};
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

const NAME: &str = "PostgreSQL";
const USER: &str = "doorbuster";
const DATABASE: &str = "doorbuster";
const TRIES: u32 = 5;

/// Fast shutdown, immediate shutdown, and the hard way.
const ENDING: Ending = &[
    (Signal::SIGINT, Duration::from_secs(30)),
    (Signal::SIGQUIT, Duration::from_secs(10)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

const SETTINGS: [&str; 6] = [
    "listen_addresses=127.0.0.1",
    "max_connections=500", // of 32 instances
    "shared_buffers=256MB",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
];

/// A running PostgreSQL.
pub(super) struct Postgres {
    pub(super) server: Server,
    pub(super) url: String,
    pub(super) tcp_url: String,
    pub(super) bin: PathBuf,
}

/// Starts the server on the folder's database, which is made if it is missing.
pub(super) async fn start(
    folder: &Folder,
    home: &Home,
    password: &str,
) -> Result<Postgres, EmbeddedError> {
    let bin = programs::postgres(&home.postgres)?;
    if !home.postgres.exists() {
        make_cluster(&bin, home, password).await?;
    } else if !home.postgres.join("PG_VERSION").is_file() {
        let why = "is not a PostgreSQL database: move it away, or use another data folder";
        return Err(EmbeddedError::Unexpected { path: home.postgres.clone(), why });
    }
    let mut tries = 1;
    let postgres = loop {
        match try_start(folder, home, password, &bin).await {
            Err(e) if tries < TRIES && worth_another_try(&e) => tries += 1,
            outcome => break outcome?,
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    make_database(&postgres.url).await?;
    Ok(postgres)
}

async fn try_start(
    folder: &Folder,
    home: &Home,
    password: &str,
    bin: &Path,
) -> Result<Postgres, EmbeddedError> {
    let port = free_port()?;
    let mut command = home.command(&bin.join("postgres"), Path::new("/"));
    command.arg("-D").arg(&home.postgres).stdin(Stdio::null());
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    let sockets = home.sockets.display();
    command.args(["-c", &format!("port={port}")]);
    command.args(["-c", &format!("unix_socket_directories={sockets}")]);
    let server = Server::spawn(NAME, command, folder.path().join("postgres.log"), ENDING)?;
    let host = sockets.to_string().replace('/', "%2F");
    let mut postgres = Postgres {
        server,
        url: format!("postgres://{USER}:{password}@{host}:{port}/{DATABASE}"),
        tcp_url: format!("postgres://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"),
        bin: bin.to_owned(),
    };
    let url = &postgres.url;
    postgres.server.wait_ready(async || answers(url).await).await?;
    Ok(postgres)
}

async fn make_cluster(bin: &Path, home: &Home, password: &str) -> Result<(), EmbeddedError> {
    // Under another name until it is whole: the next start begins anew if this one is killed.
    let draft = home.postgres.with_extension("new");
    let password_file = home.sockets.join("password");
    write_new(&password_file, password.as_bytes())
        .map_err(EmbeddedError::file("write", &password_file))?;
    home.hand_over(&password_file)?;
    let mut output = String::new();
    // Not every system knows C.UTF-8, which orders like C but knows every script's letters.
    for locale in ["C.UTF-8", "C"] {
        if draft.exists() {
            fs::remove_dir_all(&draft).map_err(EmbeddedError::file("remove", &draft))?;
        }
        home.make_private(&draft)?;
        let program = bin.join("initdb");
        let mut command = home.command(&program, Path::new("/"));
        command.args(["--no-sync", "--encoding=UTF8", "--auth=scram-sha-256"]);
        command.arg(format!("--username={USER}")).arg(format!("--locale={locale}"));
        command.arg("--pwfile").arg(&password_file).arg("-D").arg(&draft);
        let done = command.stdin(Stdio::null()).output().await;
        let done = done.map_err(|error| EmbeddedError::Run { program, error })?;
        if done.status.success() {
            let _ = fs::remove_file(&password_file);
            return fs::rename(&draft, &home.postgres)
                .map_err(EmbeddedError::file("rename", &draft));
        }
        output = last_lines(&String::from_utf8_lossy(&done.stderr));
        if !output.contains("locale") {
            break;
        }
    }
    let _ = fs::remove_dir_all(&draft);
    Err(EmbeddedError::Initdb { folder: home.postgres.clone(), output })
}

/// Not yet is `false`; a refusal that waiting cannot change is an error.
async fn answers(url: &str) -> Result<bool, EmbeddedError> {
    match connect(url, "postgres").await {
        Ok(_) => Ok(true),
        Err(e) if e.code().is_some_and(|code| *code != SqlState::CANNOT_CONNECT_NOW) => {
            Err(e.into())
        }
        Err(_) => Ok(false),
    }
}

async fn make_database(url: &str) -> Result<(), EmbeddedError> {
    let client = connect(url, "postgres").await?;
    let known =
        client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&DATABASE]).await?;
    if known.is_none() {
        client.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
    }
    Ok(())
}

async fn connect(
    url: &str,
    database: &str,
) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let mut config: tokio_postgres::Config = url.parse()?;
    let (client, connection) = config.dbname(database).connect(NoTls).await?;
    // It ends when the client is dropped.
    tokio::spawn(connection);
    Ok(client)
}

/// Stops the server that a killed owner of this folder left behind, if it is still there.
pub(super) async fn stop_left_over(data: &Path) -> Result<(), EmbeddedError> {
    let file = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&file) else { return Ok(()) };
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let Ok(pid) = first.trim().parse::<i32>() else { return Ok(()) };
    if pid > 1 && server::is_server(pid, "postgres", data) {
        server::end(NAME, pid, ENDING).await?;
    }
    if file.exists() {
        // By now this id may be another process's, and PostgreSQL would wait for that one. It
        // takes its parent's id for stale, and still looks for live back ends of the old server.
        let text = format!("{}\n{rest}", std::process::id());
        fs::write(&file, text).map_err(EmbeddedError::file("write", &file))?;
    }
    Ok(())
}
