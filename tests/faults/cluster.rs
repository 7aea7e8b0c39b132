//! Three databases under Patroni, each a host of its own: power fails, or the network.

use crate::harness::{App, Database};
use crate::sale::Sale;
use crate::times;
use loadtests::generator::Arrivals;
use loadtests::order::Provider;
use rand::Rng;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// What `scripts/cluster.sh` runs, until this value or the test process goes.
struct Cluster {
    script: Child,
    database: Database,
}

impl Cluster {
    fn start() -> Self {
        let mut command = Self::command(&["databases"]);
        let mut script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("postgres://"), "the cluster did not start");
        // For judges, who look only where writes go.
        let url = format!("{}?target_session_attrs=read-write&connect_timeout=2", url.trim());
        Self { script, database: Database { url: url.clone(), tcp_url: url } }
    }

    fn command(words: &[&str]) -> Command {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/cluster.sh");
        let mut command = Command::new(script);
        command.args(words);
        command
    }

    /// What the script says to these words, if it succeeds.
    async fn say(words: &[&str]) -> Option<String> {
        let output = tokio::process::Command::from(Self::command(words)).output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| said.trim().to_owned())
    }

    /// The same, once it succeeds and says something else than this.
    async fn until(words: &[&str], other_than: &str) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(said) = Self::say(words).await.filter(|said| said != other_than) {
                return said;
            }
            assert!(Instant::now() < until, "{words:?}");
            sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

#[tokio::test]
async fn patroni_s_failovers_take_nothing_acknowledged_with_them() {
    let cluster = Cluster::start();
    let database = &cluster.database;
    let first = App::with(database, &[]).await;
    let second = App::with(database, &[]).await;
    let mut sale = Sale::at(&[&first, &second], Provider::Test, 32);
    sale.offer(1, 1_000_000).await;
    sale.let_shoppers_in(&first).await;
    let failovers = times("FAILOVERS", 1);
    for _ in 0..failovers {
        // Power fails, or only the network: then there are two for a while, and one is wrong.
        let is_power = sale.dice.random_bool(0.5);
        let failover = async {
            sleep(Duration::from_secs(1)).await;
            let lost = Cluster::until(&["primary"], "").await;
            let (off, on) = if is_power { ("kill", "start") } else { ("cut", "join") };
            Cluster::say(&[off, &lost]).await.unwrap();
            Cluster::until(&["primary"], &lost).await;
            sleep(Duration::from_secs(2)).await;
            Cluster::say(&[on, &lost]).await.unwrap();
        };
        tokio::join!(sale.sell(900, Arrivals::Rate(30.0)), failover);
        Cluster::until(&["ready"], "").await;
    }
    let met = sale.met();
    assert!(met > 50 * failovers, "only {met} buyers met a failover");
    let checked = sale.settled("failover by Patroni", failovers, &second).await;
    assert_eq!((checked.acknowledged, checked.unknown), (900 * failovers as u64, 0));
}
