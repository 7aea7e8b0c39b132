//! What can go wrong with the private servers, each as a sentence that says what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why the private servers did not start or stop.
///
/// Every sentence holds its cause, so there is no chain of sources to print after it.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No `initdb` and `postgres` anywhere.
    #[error(
        "PostgreSQL's server programs were not found: run `{install}`, or put the folder that \
         holds initdb and postgres on the PATH"
    )]
    PostgresMissing {
        /// The command that installs them here.
        install: &'static str,
    },

    /// The folder's database needs another release of PostgreSQL.
    #[error(
        "{folder} was made by PostgreSQL {made_by}, but only release {found} was found: install \
         PostgreSQL {made_by}, or start with another data folder"
    )]
    PostgresRelease {
        /// The database's folder.
        folder: PathBuf,
        /// Its release.
        made_by: String,
        /// The releases that are installed.
        found: String,
    },

    /// Another process owns the data folder.
    #[error(
        "the data folder {data} is in use by {}: stop that first, or choose another folder",
        .pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
    )]
    InUse {
        /// The data folder.
        data: PathBuf,
        /// Its owner.
        pid: Option<i32>,
    },

    /// A file or folder cannot be used.
    #[error("cannot {doing} {path}: {error}; {}", advice(.error))]
    File {
        /// What was tried: `write`.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },

    /// A file or folder holds something unexpected.
    #[error("{path} {why}")]
    Unexpected {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: &'static str,
    },

    /// A program did not run at all.
    #[error("cannot run {program}: {error}; check that it is installed and may be executed")]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system said.
        error: io::Error,
    },

    /// `initdb` failed.
    #[error("cannot make a database in {folder}; initdb said:\n{output}")]
    Initdb {
        /// Where it was to be.
        folder: PathBuf,
        /// The last lines that it printed.
        output: String,
    },

    /// A server stopped, or did not answer, while starting.
    #[error("{server} did not start: it {what}; {}", quote(.log, .tail))]
    Start {
        /// `PostgreSQL` or `Redis`.
        server: &'static str,
        /// What it did instead.
        what: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },

    /// A server survived every signal.
    #[error(
        "{server} (process {pid}) does not stop: end it with `kill -9 {pid}`, then start again"
    )]
    Stop {
        /// `PostgreSQL` or `Redis`.
        server: &'static str,
        /// Its process.
        pid: i32,
    },

    /// PostgreSQL runs but refuses us.
    #[error(
        "PostgreSQL refused: {}; if the folder's files were changed, move the folder away and \
         start again", .0.as_db_error().map_or_else(|| .0.to_string(), |e| e.message().to_owned())
    )]
    Database(tokio_postgres::Error),

    /// The line for the reader of standard output could not be written.
    #[error("cannot write to standard output: {0}; keep its reader open")]
    Output(io::Error),
}

impl EmbeddedError {
    /// For `map_err`: what was tried on which file.
    pub(super) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { doing, path, error }
    }
}

impl From<tokio_postgres::Error> for EmbeddedError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some disk space",
        io::ErrorKind::PermissionDenied => {
            "use a folder that you may write, or start as the user who owns this one"
        }
        io::ErrorKind::ReadOnlyFilesystem => "use a folder on a disk that can be written",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "a file stands where a folder is needed: use another data folder"
        }
        _ => "check the data folder and its disk",
    }
}

fn quote(log: &Path, tail: &str) -> String {
    let log = log.display();
    match tail {
        "" => format!("its log {log} is empty, so check that the disk is not full"),
        tail => format!("the end of its log {log}:\n{tail}"),
    }
}
