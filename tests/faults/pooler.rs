//! pgbouncer in session mode stands between an instance and PostgreSQL, and dies.

use crate::harness::{App, Database, services};
use crate::sale::Sale;
use loadtests::generator::Arrivals;
use loadtests::order::Provider;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::time::sleep;

struct Pooler {
    /// The database behind it.
    url: String,
    port: u16,
    folder: PathBuf,
    /// It refuses to run as root.
    owner: (u32, u32),
    child: Child,
}

impl Pooler {
    fn before(database: &Database) -> Self {
        let (account, place) = database.tcp_url.rsplit_once('@').unwrap();
        let (user, password) =
            account.strip_prefix("postgres://").unwrap().split_once(':').unwrap();
        let (server, name) = place.split_once('/').unwrap();
        let (host, server_port) = server.rsplit_once(':').unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("pooler-{port}"));
        std::fs::create_dir(&folder).unwrap();
        let metadata = std::fs::metadata(&services().postgres_data).unwrap();
        let owner = (metadata.uid(), metadata.gid());
        let settings = format!(
            "[databases]\n* = host={host} port={server_port}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\npool_mode = session\n\
             auth_type = plain\nauth_file = users\nunix_socket_dir =\n"
        );
        for (file, text) in
            [("pgbouncer.ini", settings), ("users", format!("\"{user}\" \"{password}\"\n"))]
        {
            let path = folder.join(file);
            std::fs::write(&path, text).unwrap();
            chown(&path, Some(owner.0), Some(owner.1)).unwrap();
        }
        let url = format!("{account}@127.0.0.1:{port}/{name}");
        let child = Self::spawn(&folder, owner);
        let pooler = Self { url, port, folder, owner, child };
        pooler.listens();
        pooler
    }

    fn spawn(folder: &Path, owner: (u32, u32)) -> Child {
        let mut command = Command::new("pgbouncer");
        command.arg("-q").arg(folder.join("pgbouncer.ini")).current_dir(folder);
        command.uid(owner.0).gid(owner.1).stderr(Stdio::null());
        command.spawn().expect("pgbouncer is needed: make services")
    }

    fn listens(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "pgbouncer does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = Self::spawn(&self.folder, self.owner);
        self.listens();
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn a_pooler_that_dies_takes_connections_with_it_and_nothing_else() {
    let database = Database::new().await;
    let mut pooler = Pooler::before(&database);
    let app = App::reaching(&pooler.url, &database, &[]).await;
    let mut sale = Sale::at(&[&app], Provider::Test, 64);
    sale.offer(2, 1_000_000).await;
    sale.let_shoppers_in(&app).await;
    let deaths = async {
        for _ in 0..3 {
            sleep(Duration::from_millis(700)).await;
            pooler.kill();
            sleep(Duration::from_millis(300)).await;
            pooler.start_again();
        }
    };
    tokio::join!(sale.sell(800, Arrivals::Rate(200.0)), deaths);
    let met = sale.met();
    assert!(met > 10, "only {met} buyers met it");
    let checked = sale.settled("kill -9 of pgbouncer", 3, &app).await;
    assert_eq!((checked.acknowledged, checked.unknown), (800, 0));
}
