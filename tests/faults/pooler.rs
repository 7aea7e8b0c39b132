//! pgbouncer in session mode stands between an instance and PostgreSQL, and dies.

use crate::harness::{App, Database, free_port, services, until_listening};
use crate::sale::Sale;
use loadtests::generator::Arrivals;
use loadtests::order::Provider;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;
use tokio::time::sleep;

struct Pooler {
    /// The database behind it.
    url: String,
    port: u16,
    folder: PathBuf,
    child: Child,
}

impl Pooler {
    fn before(database: &Database) -> Self {
        let (account, place) = database.tcp_url.rsplit_once('@').unwrap();
        let (user, password) =
            account.strip_prefix("postgres://").unwrap().split_once(':').unwrap();
        let (server, name) = place.split_once('/').unwrap();
        let (host, server_port) = server.rsplit_once(':').unwrap();
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("pooler-{port}"));
        std::fs::create_dir(&folder).unwrap();
        let (owner, group) = services().owner();
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
            chown(&path, Some(owner), Some(group)).unwrap();
        }
        let url = format!("{account}@127.0.0.1:{port}/{name}");
        let child = Self::spawn(&folder, port);
        Self { url, port, folder, child }
    }

    fn spawn(folder: &Path, port: u16) -> Child {
        let mut command = services().command("pgbouncer");
        command.arg("-q").arg(folder.join("pgbouncer.ini")).current_dir(folder);
        let child = command.spawn().expect("pgbouncer is needed: make proxies");
        until_listening(port, "pgbouncer");
        child
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = Self::spawn(&self.folder, self.port);
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
    sale.open_shop(&app, 400).await;
    sale.hang_up_after(Duration::from_millis(150));
    let (moments, strikes) = ([700; 3].map(|about| sale.moment(about)), sale.strikes.clone());
    let deaths = async {
        for moment in moments {
            sleep(moment).await;
            let _outage = strikes.begins();
            pooler.kill();
            sleep(Duration::from_millis(300)).await;
            pooler.start_again();
        }
    };
    tokio::join!(sale.sell(400, Arrivals::Rate(100.0)), deaths);
    let met = sale.met();
    assert!(met > 10, "only {met} buyers met it");
    sale.settled("kill -9 of pgbouncer", &app).await;
}
