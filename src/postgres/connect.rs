//! Opening connections: host by host, few at a time while nobody is there, on a runtime of our
//! choice.

use super::pulse::Pulse;
use super::{describe, set_up};
use crate::breaker::Breaker;
use deadpool_postgres::Connect;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_postgres::config::{Host, LoadBalanceHosts};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, NoTls};

/// Between two attempts to open a connection while none can be had. Each costs every standby a
/// process and a check of the password, and those of all lanes and requests would keep busy who is
/// about to become the primary.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(100);

/// Who has waited for so long in vain when they leave knows that nobody is there.
const SILENCE_MIN: Duration = Duration::from_secs(1);

/// Which of several hosts is asked first.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Turn {
    /// The one that answered last: the others would say no.
    LastFirst,
    /// Each in its turn.
    InTurn,
}

/// Opens connections whose tasks run on a runtime of our choice, until their server is given up.
#[derive(Clone)]
pub(super) struct OnRuntime {
    pub runtime: Handle,
    pub pulse: Pulse,
    breaker: Arc<Breaker>,
    turn: Turn,
    /// The place of the host to be asked first.
    first: Arc<AtomicUsize>,
    /// For all hosts together.
    connect_max: Duration,
}

type Connected = Result<(Client, JoinHandle<()>), Error>;

impl OnRuntime {
    /// Nothing is open yet, and nobody's pulse felt.
    pub fn new(runtime: Handle, turn: Turn, connect_max: Duration) -> Self {
        let breaker = Arc::new(Breaker::new(ATTEMPT_PAUSE));
        let first = Arc::default();
        Self { runtime, pulse: Pulse::new(), breaker, turn, first, connect_max }
    }

    /// A connection to the first host that takes it. If none does, the last one's error, or that of
    /// one that has no connection left if all say so.
    async fn open(self, config: Config) -> Connected {
        let hosts = each_host(&config);
        let share = self.connect_max / hosts.len() as u32;
        let first = match self.turn {
            Turn::LastFirst => self.first.load(Ordering::Relaxed),
            Turn::InTurn => self.first.fetch_add(1, Ordering::Relaxed),
        };
        let mut failed = None;
        for place in 0..hosts.len() {
            let place = first.wrapping_add(place) % hosts.len();
            let host = &hosts[place];
            // One whose processes hang leaves the others their share of the time.
            match timeout(share, self.open_at(host)).await {
                Ok(Ok(connected)) => {
                    if self.turn == Turn::LastFirst {
                        self.first.store(place, Ordering::Relaxed);
                    }
                    return Ok(connected);
                }
                Ok(Err(error)) => {
                    let (host, why) = (host.get_hosts(), describe(&error));
                    tracing::warn!(?host, error = %why, "a connection could not be opened");
                    if !(is_full(&error) && failed.is_some()) {
                        failed = Some(error);
                    }
                }
                Err(_) => {
                    tracing::warn!(host = ?host.get_hosts(), "a database says nothing");
                    failed = refused().await.err();
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None => refused().await,
        }
    }

    async fn open_at(&self, config: &Config) -> Connected {
        let pulse = self.pulse.watch();
        let (client, connection) = config.connect(NoTls).await?;
        let (known, server) = oneshot::channel();
        let task = self.runtime.spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::warn!(%error, "a database connection was lost");
                },
                () = pulse.stops(server) => {}
            }
        });
        // Nobody wants to know if the connection has ended already.
        let _ = known.send(set_up(&client).await?);
        Ok((client, task))
    }
}

impl Connect for OnRuntime {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Connected> {
        let open = self.clone().open(config.clone());
        async move {
            if !self.breaker.admits(Instant::now()) {
                return refused().await;
            }
            let mut attempt = Attempt { of: self, begun: Instant::now(), went: None };
            // Whoever waits no longer for a server that says nothing takes the attempt along.
            let mut opening = JoinSet::new();
            opening.spawn_on(open, &self.runtime);
            let connected = match opening.join_next().await {
                Some(Ok(connected)) => connected,
                Some(Err(error)) if error.is_panic() => refused().await,
                // The runtime has stopped, so the process is about to end.
                _ => std::future::pending().await,
            };
            attempt.went = Some(connected.as_ref().map_or_else(is_full, |_| true));
            connected
        }
        .boxed()
    }
}

/// An attempt to open a connection, which tells the breaker how it went when it is over.
struct Attempt<'c> {
    of: &'c OnRuntime,
    begun: Instant,
    /// Whether somebody is there; nothing for who did not wait for the answer.
    went: Option<bool>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        // Whoever left at once says nothing about the server.
        let is_silent = self.went.is_none() && self.begun.elapsed() >= SILENCE_MIN;
        if is_silent {
            // Whoever is never patient enough for the share of one would never ask the next.
            self.of.first.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(is_there) = self.went.or(is_silent.then_some(false)) {
            self.of.breaker.report(is_there, Instant::now());
        }
    }
}

/// Whether somebody is there who has no connection left, and answers those that it has.
fn is_full(error: &Error) -> bool {
    error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS)
}

/// The failure of a connection that is closed at once: only the library makes its errors.
async fn refused() -> Connected {
    let mut nobody = Config::new();
    let (client, _) = nobody.user("nobody").connect_raw(tokio::io::empty(), NoTls).await?;
    Ok((client, tokio::spawn(async {})))
}

/// How to reach each host of a URL alone, and how long to wait for what it has received.
fn each_host(config: &Config) -> Vec<Config> {
    let hosts = config.get_hosts();
    let mut each = match hosts {
        [] | [_] => vec![config.clone()],
        hosts => (0..hosts.len()).map(|place| alone(config, place)).collect(),
    };
    for config in &mut each {
        config
            .application_name("doorbuster")
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(10))
            // Of several addresses of its name.
            .load_balance_hosts(LoadBalanceHosts::Random);
    }
    each
}

/// What a URL says of one of its hosts.
fn alone(config: &Config, place: usize) -> Config {
    let mut one = Config::new();
    match &config.get_hosts()[place] {
        Host::Tcp(name) => one.host(name),
        Host::Unix(folder) => one.host_path(folder),
    };
    if let Some(address) = config.get_hostaddrs().get(place) {
        one.hostaddr(*address);
    }
    // One port is that of all.
    let ports = config.get_ports();
    if let Some(port) = ports.get(place).or(ports.first()) {
        one.port(*port);
    }
    config.get_user().map(|user| one.user(user));
    config.get_password().map(|password| one.password(password));
    config.get_dbname().map(|name| one.dbname(name));
    config.get_options().map(|options| one.options(options));
    one.keepalives(config.get_keepalives())
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .target_session_attrs(config.get_target_session_attrs());
    one
}

#[cfg(test)]
mod tests {
    use super::super::{Options, Postgres};
    use super::*;
    use std::sync::atomic::AtomicU64;
    use tokio::net::TcpListener;
    use tokio_postgres::config::SslMode;

    /// What is meant to be there, and how long it has for an answer.
    fn postgres_at(listeners: &[&TcpListener], wait: Duration) -> Postgres {
        let hosts = listeners.iter().map(|one| one.local_addr().unwrap().to_string());
        let options = Options {
            url: format!("postgres://nobody@{}/nothing", hosts.collect::<Vec<_>>().join(",")),
            replica_url: String::new(),
            read_connections: 4,
            write_connections: 1,
            wait,
            connect: wait,
            read_max: wait,
            write_max: wait,
        };
        Postgres::new(&options, Handle::current()).unwrap()
    }

    #[tokio::test]
    async fn a_host_that_says_nothing_leaves_the_next_its_share_of_the_time() {
        let (silent, next) = (TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
        let (silent, next) = (silent.await.unwrap(), next.await.unwrap());
        let postgres = postgres_at(&[&silent, &next], Duration::from_secs(2));
        let begun = Instant::now();
        let asked = async { next.accept().await.unwrap() };
        tokio::select! {
            failed = postgres.connect() => panic!("{:?}", failed.err()),
            _ = asked => assert!(begun.elapsed() >= Duration::from_secs(1)),
        }
    }

    #[tokio::test]
    async fn whoever_leaves_before_a_host_that_hangs_has_had_its_share_asks_the_next_one_then() {
        for (turn, patience) in [
            (Turn::InTurn, Duration::from_millis(20)),
            (Turn::LastFirst, SILENCE_MIN + Duration::from_millis(20)),
        ] {
            let all =
                [TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.1:0").await];
            let all = all.map(Result::unwrap);
            let address = |one: &TcpListener| one.local_addr().unwrap().to_string();
            let url =
                format!("postgres://nobody@{},{}/nothing", address(&all[0]), address(&all[1]));
            let opener = OnRuntime::new(Handle::current(), turn, Duration::from_secs(10));
            for _ in 0..all.len() {
                assert!(timeout(patience, opener.connect(&url.parse().unwrap())).await.is_err());
            }
            for one in &all {
                timeout(SILENCE_MIN, one.accept()).await.unwrap().unwrap();
            }
        }
    }

    #[test]
    fn a_url_has_a_port_for_all_hosts_or_one_for_each() {
        assert!(super::super::config("postgres://one,two:2/shop", "it").is_ok());
        let three = super::super::config("host=one,two,three port=1,2", "it");
        assert!(three.unwrap_err().contains("3 hosts, 2 ports"));
    }

    #[test]
    fn what_a_url_says_of_all_hosts_it_says_of_each() {
        let url = "postgres://me:secret@one:1,two:2/shop?sslmode=require&options=-c%20a%3Db";
        let each = each_host(&url.parse().unwrap());
        assert_eq!(each.len(), 2);
        for (config, (host, port)) in each.iter().zip([("one", 1), ("two", 2)]) {
            assert_eq!(config.get_hosts(), [Host::Tcp(host.to_owned())]);
            assert_eq!((config.get_ports(), config.get_user()), (&[port][..], Some("me")));
            assert_eq!(config.get_password(), Some("secret".as_bytes()));
            assert_eq!(
                (config.get_dbname(), config.get_options()),
                (Some("shop"), Some("-c a=b"))
            );
            assert_eq!(config.get_ssl_mode(), SslMode::Require);
        }
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_asked_by_few() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wait = SILENCE_MIN + Duration::from_millis(100);
        let postgres = postgres_at(&[&listener], wait);
        let all = futures_util::future::join_all((0..3).map(|_| postgres.connect()));
        assert!(all.await.iter().all(Result::is_err));
        let begun = Instant::now();
        assert!(postgres.connect().await.is_err() && begun.elapsed() < SILENCE_MIN);
        tokio::time::sleep(ATTEMPT_PAUSE).await;
        assert!(postgres.connect().now_or_never().is_none(), "nobody tries any more");
    }

    #[tokio::test]
    async fn while_no_connection_can_be_had_few_are_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let postgres = postgres_at(&[&listener], Duration::from_secs(5));
        let asked = Arc::new(AtomicU64::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let begun = Instant::now();
        for _ in 0..200 {
            assert!(postgres.readers.get().await.is_err() && postgres.connect().await.is_err());
        }
        let asked = || asked.load(Ordering::Relaxed);
        let (times, pauses) = (asked(), begun.elapsed().as_millis() / ATTEMPT_PAUSE.as_millis());
        assert!((3..=4 + pauses as u64).contains(&times), "{times} times in {pauses} pauses");
        tokio::time::sleep(ATTEMPT_PAUSE).await;
        assert!(postgres.connect().await.is_err());
        assert!(asked() > times, "nobody tries any more");
    }
}
