//! Where the servers live and as which user they run.
//!
//! PostgreSQL refuses to run as root, so root hands both servers to another user, and keeps
//! their files where that user may go.

use super::EmbeddedError;
use super::folder::{Folder, short_name};
use nix::unistd::{User, getegid, geteuid};
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Used by root for data folders that the servers' user cannot enter.
const SYSTEM_FOLDER: &str = "/var/lib/doorbuster";

/// The places of one data folder's servers, and their user.
pub(super) struct Home {
    uid: u32,
    gid: u32,
    /// Root starts the servers as somebody else.
    switch: bool,
    /// PostgreSQL's data.
    pub(super) postgres: PathBuf,
    /// Redis's working folder.
    pub(super) redis: PathBuf,
    /// The sockets: a short path, because a socket's is limited to about 100 bytes.
    pub(super) sockets: PathBuf,
}

impl Home {
    /// Decides; makes nothing yet.
    pub(super) fn of(folder: &Folder) -> Result<Self, EmbeddedError> {
        let data = folder.path();
        let system = Path::new(SYSTEM_FOLDER).join(short_name(data, 8));
        let switch = geteuid().is_root();
        let (uid, gid) = match switch {
            true => servers_user([data, &system])?,
            false => (geteuid().as_raw(), getegid().as_raw()),
        };
        let files = if switch && !may_enter(data, uid, gid) { &system } else { data };
        let sockets = format!("/tmp/doorbuster-{}-{uid}", short_name(data, 4));
        Ok(Self {
            uid,
            gid,
            switch,
            postgres: files.join("postgres"),
            redis: files.join("redis"),
            sockets: sockets.into(),
        })
    }

    /// Makes what is missing. The sockets' folder starts empty: no server is running now.
    pub(super) fn make(&self) -> Result<(), EmbeddedError> {
        if let Some(files) = self.postgres.parent()
            && files.starts_with(SYSTEM_FOLDER)
        {
            fs::create_dir_all(files).map_err(EmbeddedError::file("make the folder", files))?;
            for path in [Path::new(SYSTEM_FOLDER), files] {
                let open = Permissions::from_mode(0o755);
                fs::set_permissions(path, open).map_err(EmbeddedError::file("open up", path))?;
            }
        }
        self.remove_sockets()?;
        self.make_private(&self.sockets)?;
        if !self.redis.is_dir() {
            self.make_private(&self.redis)?;
        }
        Ok(())
    }

    /// A new folder for the servers' user alone.
    pub(super) fn make_private(&self, path: &Path) -> Result<(), EmbeddedError> {
        let made = DirBuilder::new().mode(0o700).create(path);
        made.map_err(EmbeddedError::file("make the folder", path))?;
        self.hand_over(path)
    }

    /// Gives a file to the servers' user.
    pub(super) fn hand_over(&self, path: &Path) -> Result<(), EmbeddedError> {
        if !self.switch {
            return Ok(());
        }
        lchown(path, Some(self.uid), Some(self.gid))
            .map_err(EmbeddedError::file("hand over", path))
    }

    /// Removes the sockets' folder, unless it is somebody else's: anybody may write to `/tmp`.
    pub(super) fn remove_sockets(&self) -> Result<(), EmbeddedError> {
        let path = &self.sockets;
        let found = match fs::symlink_metadata(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            found => found.map_err(EmbeddedError::file("look at", path))?,
        };
        let ours = found.uid() == self.uid || found.uid() == geteuid().as_raw();
        if !found.is_dir() || !ours {
            let why = "belongs to somebody else, but the private servers' sockets go there: \
                       have it removed, or use another data folder";
            return Err(EmbeddedError::Unexpected { path: path.clone(), why });
        }
        fs::remove_dir_all(path).map_err(EmbeddedError::file("remove", path))
    }

    /// A command that runs as the servers' user.
    ///
    /// It is in a process group of its own: the terminal's Ctrl-C is for us, who then stop it.
    pub(super) fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).env("LC_ALL", "C").process_group(0);
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }
}

/// Whom root starts the servers as: the owner of the data that is there, or `postgres`, or
/// `nobody`.
fn servers_user(places: [&Path; 2]) -> Result<(u32, u32), EmbeddedError> {
    for place in places {
        if let Ok(data) = fs::metadata(place.join("postgres"))
            && data.uid() != 0
        {
            return Ok((data.uid(), data.gid()));
        }
    }
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .map(|user| (user.uid.as_raw(), user.gid.as_raw()))
        .ok_or_else(|| EmbeddedError::Unexpected {
            path: "/etc/passwd".into(),
            why: "knows neither a user `postgres` nor `nobody`, and PostgreSQL does not run as \
                  root: add one of them, or start as an ordinary user",
        })
}

/// Whether this user may search the folder and all folders above it.
fn may_enter(folder: &Path, uid: u32, gid: u32) -> bool {
    folder.ancestors().all(|path| {
        fs::metadata(path).is_ok_and(|found| {
            let search = match () {
                () if found.uid() == uid => 0o100,
                () if found.gid() == gid => 0o010,
                () => 0o001,
            };
            found.mode() & search != 0
        })
    })
}
