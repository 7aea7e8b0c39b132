//! The data folder: its one owner, its secrets and what is known about the servers in it.

use super::{EmbeddedError, RunningPair};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Another process may hold the lock for an instant, to see whether somebody owns the folder.
const LOCK_WAIT: Duration = Duration::from_secs(1);

const LOCK: &str = "lock";
const RUNNING: &str = "running.json";

/// A data folder that belongs to this process until the value is dropped.
///
/// The system releases the lock of a process that dies, however it dies.
pub(super) struct Folder {
    path: PathBuf,
    lock: File,
}

impl Folder {
    /// Makes the folder if it is missing, and takes its lock.
    pub(super) async fn own(data: &Path) -> Result<Self, EmbeddedError> {
        fs::create_dir_all(data).map_err(EmbeddedError::file("make the folder", data))?;
        let path = data.canonicalize().map_err(EmbeddedError::file("open", data))?;
        let file = path.join(LOCK);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&file)
            .map_err(EmbeddedError::file("open", &file))?;
        let give_up = Instant::now() + LOCK_WAIT;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(e)) => {
                    return Err(EmbeddedError::file("lock", &file)(e));
                }
                Err(TryLockError::WouldBlock) if Instant::now() < give_up => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(EmbeddedError::InUse { pid: owner(&path), data: path });
                }
            }
        }
        let written = lock
            .set_len(0)
            .and_then(|()| lock.write_all(std::process::id().to_string().as_bytes()));
        let folder = Self { path, lock };
        written.map_err(EmbeddedError::file("write", &file))?;
        folder.forget_running();
        Ok(folder)
    }

    /// The folder's full path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes where the servers are, for [`running`].
    pub(super) fn set_running(&self, pair: &RunningPair) -> Result<(), EmbeddedError> {
        let file = self.path.join(RUNNING);
        let text = serde_json::to_vec(pair)
            .map_err(std::io::Error::from)
            .map_err(EmbeddedError::file("write", &file))?;
        self.forget_running();
        write_new(&file, &text).map_err(EmbeddedError::file("write", &file))
    }

    /// Removes the note of [`Folder::set_running`].
    pub(super) fn forget_running(&self) {
        // What cannot be removed is not believed either: it names another owner than the lock.
        let _ = fs::remove_file(self.path.join(RUNNING));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closing would do, were no copy of the descriptor on its way to a new process.
        let _ = self.lock.unlock();
    }
}

/// The pair that a live owner of this folder has noted.
pub(super) fn running(data: &Path) -> Option<RunningPair> {
    let lock = File::open(data.join(LOCK)).ok()?;
    if !matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let pair: RunningPair = serde_json::from_slice(&fs::read(data.join(RUNNING)).ok()?).ok()?;
    (owner(data) == i32::try_from(pair.pid).ok()).then_some(pair)
}

fn owner(data: &Path) -> Option<i32> {
    fs::read_to_string(data.join(LOCK)).ok()?.trim().parse().ok()
}

/// The secret in this file of the data folder, made if it is missing: the prefix and 256 random
/// bits.
pub(super) fn secret(
    data: &Path,
    name: &str,
    prefix: &'static str,
) -> Result<String, EmbeddedError> {
    let file = data.join(name);
    if !file.exists() {
        // Whole or not at all, and the first of two who make it at once wins.
        let draft = data.join(format!("{name}.{}", hex(&rand::random::<[u8; 4]>())));
        let text = format!("{prefix}{}\n", hex(&rand::random::<[u8; 32]>()));
        let made = write_new(&draft, text.as_bytes()).and_then(|()| fs::hard_link(&draft, &file));
        let _ = fs::remove_file(&draft);
        if let Err(e) = made
            && e.kind() != ErrorKind::AlreadyExists
        {
            return Err(EmbeddedError::file("write", &file)(e));
        }
    }
    let text = fs::read_to_string(&file).map_err(EmbeddedError::file("read", &file))?;
    let secret = text.trim();
    let body = secret.strip_prefix(prefix).unwrap_or_default();
    if body.len() < 32 || !body.bytes().all(|b| b.is_ascii_alphanumeric()) {
        let why = "holds no usable secret: restore it, or move the data folder away";
        return Err(EmbeddedError::Unexpected { path: file, why });
    }
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&file, private).map_err(EmbeddedError::file("protect", &file))?;
    Ok(secret.to_owned())
}

/// Writes a file that must not exist yet, for its owner alone.
pub(super) fn write_new(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// The first digits of a hash of the path: a short name for it.
pub(super) fn short_name(path: &Path, bytes: usize) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    hex(&digest[..bytes.min(digest.len())])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
