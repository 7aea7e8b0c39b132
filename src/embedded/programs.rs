//! Finding the system's server programs.

use super::EmbeddedError;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders with one folder per release of PostgreSQL in them, and what those are called.
const RELEASES: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
];

/// Package managers, and what they are asked for PostgreSQL.
const INSTALLERS: [(&str, &str); 6] = [
    ("apt-get", "sudo apt-get install postgresql"),
    ("dnf", "sudo dnf install postgresql-server"),
    ("brew", "brew install postgresql@17"),
    ("apk", "sudo apk add postgresql"),
    ("pacman", "sudo pacman -S postgresql"),
    ("zypper", "sudo zypper install postgresql-server"),
];

/// The folder of PostgreSQL's programs: of the release that made the data, or of the first one
/// on the PATH, or of the newest.
pub(super) fn postgres(data: &Path) -> Result<PathBuf, EmbeddedError> {
    let installed = postgres_folders();
    let Some(first) = installed.first() else {
        let manager = INSTALLERS.iter().find(|(manager, _)| on_path(manager).is_some());
        let install = manager.map_or("sudo apt-get install postgresql", |(_, install)| install);
        return Err(EmbeddedError::PostgresMissing { install });
    };
    let Ok(made_by) = fs::read_to_string(data.join("PG_VERSION")) else {
        return Ok(first.clone());
    };
    let made_by = made_by.trim().to_owned();
    let releases: Vec<_> =
        installed.into_iter().filter_map(|bin| Some((release(&bin)?, bin))).collect();
    let fitting = releases.iter().find(|(release, _)| *release == made_by);
    fitting.map(|(_, bin)| bin.clone()).ok_or_else(|| EmbeddedError::PostgresRelease {
        folder: data.to_owned(),
        made_by,
        found: releases.iter().map(|(release, _)| &**release).collect::<Vec<_>>().join(", "),
    })
}

/// Redis, or its sibling Valkey.
pub(super) fn redis() -> Option<PathBuf> {
    on_path("redis-server").or_else(|| on_path("valkey-server"))
}

fn postgres_folders() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = on_path("postgres")
        // A link on the PATH leads to the folder that holds the other programs too.
        .and_then(|postgres| postgres.canonicalize().ok())
        .and_then(|postgres| postgres.parent().map(Path::to_owned))
        .into_iter()
        .collect();
    let mut by_release: Vec<(u32, PathBuf)> = RELEASES
        .iter()
        .flat_map(|(parent, prefix)| {
            fs::read_dir(parent).into_iter().flatten().zip(std::iter::repeat(*prefix))
        })
        .filter_map(|(entry, prefix)| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path().join("bin")))
        })
        .collect();
    by_release.sort_by(|a, b| b.cmp(a));
    found.extend(by_release.into_iter().map(|(_, bin)| bin));
    found.extend(output(Path::new("pg_config"), "--bindir").map(PathBuf::from));
    found.retain(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file());
    found
}

/// `postgres (PostgreSQL) 15.8 (Debian …)` is release `15`.
fn release(bin: &Path) -> Option<String> {
    let version = output(&bin.join("postgres"), "--version")?;
    let number = version.split_whitespace().find(|word| word.starts_with(char::is_numeric))?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    Some(number[..digits].to_owned())
}

fn output(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
