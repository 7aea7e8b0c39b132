//! Opening connections: host by host, few at a time while nobody is there, on a runtime of our
//! choice.

use super::describe;
use super::pulse::Pulse;
use crate::breaker::Breaker;
use deadpool_postgres::Connect;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_postgres::config::{Host, LoadBalanceHosts};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, NoTls};

/// Ends a transaction whose client says nothing. An instance that is paused or cut off must keep
/// neither locks, for which orders may wait, nor a snapshot, behind which no vacuum cleans.
const IDLE_MAX: &str = "SET idle_in_transaction_session_timeout = '3s'";

/// Between two attempts to open a connection while none can be had. Each costs every standby a
/// process and a check of the password, and those of all lanes and requests would keep busy who is
/// about to become the primary.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(100);

/// Who has waited for so long in vain when they leave knows that nobody is there.
const SILENCE_MIN: Duration = Duration::from_secs(1);

/// Which of several hosts is asked first.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Order {
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
    order: Order,
    /// The place of the host to be asked first.
    first: Arc<AtomicUsize>,
    /// For all hosts together.
    connect_max: Duration,
}

type Connected = Result<(Client, JoinHandle<()>), Error>;

impl OnRuntime {
    /// Nothing is open yet, and nobody's pulse felt.
    pub fn new(runtime: Handle, order: Order, connect_max: Duration) -> Self {
        let breaker = Arc::new(Breaker::new(ATTEMPT_PAUSE));
        let first = Arc::default();
        Self { runtime, pulse: Pulse::new(), breaker, order, first, connect_max }
    }

    /// A connection to the first host that takes it. If none does, the error of one that has no
    /// connection left, or the last one's.
    async fn open(self, config: Config) -> Connected {
        let hosts = each_host(&config);
        let share = self.connect_max / hosts.len() as u32;
        let first = self.first.load(Ordering::Relaxed);
        let mut failed = None;
        for place in (first..).take(hosts.len()) {
            let host = &hosts[place % hosts.len()];
            // One whose processes hang leaves the others their share of the time.
            match timeout(share, self.open_at(host)).await {
                Ok(Ok(connected)) => {
                    let next = place % hosts.len() + usize::from(self.order == Order::InTurn);
                    self.first.store(next, Ordering::Relaxed);
                    return Ok(connected);
                }
                Ok(Err(_)) if failed.as_ref().is_some_and(is_full) => {}
                Ok(Err(error)) => failed = Some(error),
                Err(_) => tracing::warn!(host = ?host.get_hosts(), "a database says nothing"),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => refused().await,
        }
    }

    async fn open_at(&self, config: &Config) -> Connected {
        let stops = self.pulse.stops();
        let (client, connection) = config.connect(NoTls).await?;
        let task = self.runtime.spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::warn!(%error, "a database connection was lost");
                },
                () = stops => {}
            }
        });
        client.batch_execute(IDLE_MAX).await?;
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
            let mut attempt =
                Attempt { breaker: &self.breaker, begun: Instant::now(), went: None };
            // Whoever waits no longer for a server that says nothing takes the attempt along.
            let mut opening = JoinSet::new();
            opening.spawn_on(open, &self.runtime);
            // Nothing if the runtime has stopped, so the process is about to end.
            let Some(Ok(connected)) = opening.join_next().await else {
                return std::future::pending().await;
            };
            attempt.went = Some(match &connected {
                Ok(_) => true,
                Err(error) => {
                    tracing::warn!(error = %describe(error), "a connection could not be opened");
                    is_full(error)
                }
            });
            connected
        }
        .boxed()
    }
}

/// An attempt to open a connection, which tells the breaker how it went when it is over.
struct Attempt<'b> {
    breaker: &'b Breaker,
    begun: Instant,
    /// Whether somebody is there; nothing for who did not wait for the answer.
    went: Option<bool>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        // Whoever left at once says nothing about the server.
        let is_silent = self.begun.elapsed() >= SILENCE_MIN;
        if let Some(is_there) = self.went.or(is_silent.then_some(false)) {
            self.breaker.report(is_there, Instant::now());
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
    one.ssl_mode(config.get_ssl_mode())
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
