//! A private PostgreSQL in a temporary folder, with the schema of the product.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub struct Postgres {
    folder: PathBuf,
    server: Child,
}

impl Postgres {
    pub async fn start() -> Self {
        let folder = PathBuf::from(format!("/tmp/loadtests-{:x}", rand::random::<u64>()));
        fs::create_dir(&folder).unwrap();
        if fs::metadata(&folder).unwrap().uid() == 0 {
            let chown = Command::new("chown").arg("postgres:").arg(&folder).status();
            assert!(chown.unwrap().success(), "root needs a user postgres");
        }
        let mut initdb = command("initdb", &folder);
        initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "-EUTF8", "-Ddata"]);
        assert!(initdb.status().unwrap().success());
        let mut server = command("postgres", &folder);
        server.args(["-Ddata", "-k.", "-clisten_addresses=", "-cfsync=off"]);
        let postgres = Self { folder, server: server.spawn().unwrap() };
        postgres.create("shop", "template1").await;
        let shop = loadtests::stored::connect(&postgres.url("shop")).await.unwrap();
        let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
        let files = fs::read_dir(migrations).unwrap().map(|file| file.unwrap().path());
        let mut files: Vec<PathBuf> = files.filter(|file| !file.ends_with("README.md")).collect();
        files.sort();
        for file in files {
            shop.batch_execute(&fs::read_to_string(file).unwrap()).await.unwrap();
        }
        postgres
    }

    pub fn url(&self, database: &str) -> String {
        format!("host={}/data user=postgres dbname={database}", self.folder.display())
    }

    /// Makes a database like another one, to which nobody is connected.
    pub async fn create(&self, name: &str, template: &str) {
        let statement = format!("CREATE DATABASE {name} TEMPLATE {template}");
        // It starts up, or the last connection to the template is just leaving.
        for _ in 0..200 {
            if let Ok(client) = loadtests::stored::connect(&self.url("postgres")).await
                && client.batch_execute(&statement).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("PostgreSQL did not take: {statement}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        Command::new("kill").arg("-INT").arg(self.server.id().to_string()).status().ok();
        self.server.wait().ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// A program of PostgreSQL, as the user who owns the folder: root must not run it.
fn command(program: &str, folder: &Path) -> Command {
    let newest = fs::read_dir("/usr/lib/postgresql").ok().and_then(|versions| {
        versions.map(|version| version.unwrap().path().join("bin").join(program)).max()
    });
    let mut command = Command::new(newest.unwrap_or_else(|| program.into()));
    let owner = fs::metadata(folder).unwrap();
    // Changes nothing where the caller is the owner.
    command.uid(owner.uid()).gid(owner.gid());
    command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
