//! A whole shop, each part a host of its own: three databases under Patroni, two Redis under
//! Sentinels, three instances behind HAProxy. Power fails, or the network.

use crate::harness::{ADMIN_KEY, App, Database, books, times, within};
use crate::sale::Sale;
use crate::strikes::Strikes;
use loadtests::generator::Arrivals;
use loadtests::order::Provider;
use rand::Rng;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::sleep;

/// What `scripts/cluster.sh` runs, until this value or the test process goes.
struct Cluster {
    script: Child,
    shop: App,
}

impl Cluster {
    fn start() -> Self {
        let mut command = Self::command(&[]);
        command.env("PROGRAM", env!("CARGO_BIN_EXE_doorbuster")).envs([
            ("DOORBUSTER__ADMIN__SECRET_KEY", ADMIN_KEY),
            ("DOORBUSTER__SERVER__WORKERS", "2"),
            ("DOORBUSTER__LOG__FILTER", "warn"),
        ]);
        // By the name of its database, where the judges look for them.
        command.env("DOORBUSTER__PAYMENT__TEST_BOOKS", books("/postgres"));
        let mut script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(script.stdout.take().unwrap()).lines();
        let mut find = |name: &str| {
            let line = said.find_map(|line| Some(line.unwrap().strip_prefix(name)?.to_owned()));
            line.expect("the cluster did not start").trim().to_owned()
        };
        let (shop, databases) = (find("shop:"), find("databases:"));
        // For judges, who look only where writes go.
        let url = format!("{databases}?target_session_attrs=read-write&connect_timeout=2");
        let database = Database { url: url.clone(), tcp_url: url };
        Self { script, shop: App::elsewhere(&shop, &database) }
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
        within(Duration::from_secs(60), async || {
            // Each of them is several processes.
            sleep(Duration::from_millis(500)).await;
            let said = Self::say(words).await.filter(|said| said != other_than);
            said.ok_or_else(|| format!("{words:?}"))
        })
        .await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

/// All processes of the primary are killed, or its network goes; it comes back later.
async fn lose_a_primary(moment: Duration, is_power: bool, strikes: Strikes) {
    sleep(moment).await;
    let lost = Cluster::until(&["primary"], "").await;
    let (off, on) = if is_power { ("kill", "start") } else { ("cut", "join") };
    let stays_away = strikes.begins();
    Cluster::say(&[off, &lost]).await.unwrap();
    Cluster::until(&["primary"], &lost).await;
    drop(stays_away);
    sleep(Duration::from_secs(2)).await;
    Cluster::say(&[on, &lost]).await.unwrap();
}

/// An instance has no network for a while.
async fn cut_an_instance_off(moment: Duration, host: &str, strikes: Strikes) {
    sleep(moment).await;
    let _outage = strikes.begins();
    Cluster::say(&["cut", host]).await.unwrap();
    sleep(Duration::from_secs(4)).await;
    Cluster::say(&["join", host]).await.unwrap();
}

/// The Redis that takes writes has no network until the other one is in its place.
async fn cut_redis_off(moment: Duration, strikes: Strikes) {
    sleep(moment).await;
    let lost = Cluster::until(&["redis"], "").await;
    let _outage = strikes.begins();
    Cluster::say(&["cut", &lost]).await.unwrap();
    Cluster::until(&["redis"], &lost).await;
    sleep(Duration::from_secs(2)).await;
    Cluster::say(&["join", &lost]).await.unwrap();
}

#[tokio::test]
async fn whichever_host_of_a_shop_is_lost_nothing_acknowledged_goes_with_it() {
    let cluster = Cluster::start();
    let shop = &cluster.shop;
    let sale = async |buyers| {
        let mut sale = Sale::at(&[shop], Provider::Test, 32);
        sale.settings.attempt_timeout = Duration::from_secs(3);
        sale.is_behind_a_balancer = true;
        sale.open_shop(shop, buyers).await;
        sale
    };
    let failovers = times("FAILOVERS", 1);
    let mut sold = sale(600 * failovers).await;
    sold.patience = Duration::from_secs(1);
    // Whoever held the leader's key last keeps it until its time is over.
    sold.silence_max = Duration::from_secs(60);
    // With only the network gone there are two for a while, and one is wrong.
    for is_power in sold.in_turn([false, true]).take(failovers) {
        let failover = lose_a_primary(sold.moment(1_000), is_power, sold.strikes.clone());
        tokio::join!(sold.sell(600, Arrivals::Rate(20.0)), failover);
        Cluster::until(&["ready"], "").await;
    }
    let met = sold.met();
    assert!(met > 50 * failovers, "only {met} buyers met a failover");
    sold.settled("failover by Patroni", shop).await;

    let (cuts_min, mut cuts) = (times("HOSTS", 1), 0);
    let mut sold = sale(360 * cuts_min).await;
    sold.patience = Duration::from_secs(1);
    // While one request hangs at a host, HAProxy sends it no other, and nobody would meet its loss.
    while cuts < cuts_min || sold.struck_and_left_open() == 0 {
        cuts += 1;
        assert!(cuts < cuts_min + 6, "nobody met it");
        Cluster::until(&["ready"], "").await;
        let host = format!("app{}", sold.dice.random_range(1..=3));
        let outage = cut_an_instance_off(sold.moment(1_000), &host, sold.strikes.clone());
        tokio::join!(sold.sell(360, Arrivals::Rate(60.0)), outage);
    }
    sold.settled("one of three instances is cut off", shop).await;

    let mut sold = sale(360 * cuts_min).await;
    for _ in 0..cuts_min {
        Cluster::until(&["ready"], "").await;
        let outage = cut_redis_off(sold.moment(1_000), sold.strikes.clone());
        tokio::join!(sold.sell(360, Arrivals::Rate(60.0)), outage);
    }
    // Nobody needs Redis to buy.
    sold.assert_nobody_noticed();
    sold.settled("the primary Redis is cut off", shop).await;
}
