//! Settings: layers of files, environment and command line become one typed tree.
//!
//! `config/default.toml` documents every setting and is compiled in. Every mistake is reported,
//! all of them at once, each with the place where the value was given.

mod layers;
mod limits;
mod listing;
mod people;
mod production;
mod read;
mod strength;
#[cfg(test)]
mod tests;

use crate::money::Currency;
use crate::rate_limit::Rates;
use ipnet::IpNet;
use lettre::message::Mailbox;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where settings come from besides the defaults; later ones win, in this order.
#[derive(Clone, Default)]
pub struct Sources {
    /// TOML files, later ones win.
    pub files: Vec<PathBuf>,
    /// Environment variables; those that do not begin with `DOORBUSTER__` are not looked at.
    pub environment: Vec<(String, String)>,
    /// What the command line says, by dotted key (`server.bind`).
    pub overrides: BTreeMap<String, String>,
}

impl Sources {
    /// Whether they say `env = "production"`, whatever else may be wrong with them.
    pub fn are_production(&self) -> bool {
        let env = layers::merge(self).0.remove("env");
        env.and_then(|value| value.into_string().ok()).is_some_and(|env| env == "production")
    }
}

/// All settings.
pub struct Config {
    /// How strict to be about settings that are only safe on a desk.
    pub env: Env,
    /// The HTTP server.
    pub server: Server,
    /// The database.
    pub postgres: Postgres,
    /// The optional cache and messenger.
    pub redis: Redis,
    /// What is read often.
    pub cache: Cache,
    /// Access to the admin part.
    pub admin: Admin,
    /// Sessions.
    pub session: Session,
    /// Carts.
    pub cart: Cart,
    /// `[customer]`
    pub customer: Customer,
    /// Staff.
    pub staff: Staff,
    /// Mail.
    pub mail: Mail,
    /// Placing orders.
    pub order: Order,
    /// Group commit.
    pub journal: Journal,
    /// The view of the stock.
    pub inventory: Inventory,
    /// Payment providers.
    pub payment: Payment,
    /// For how long rows are kept.
    pub retention: Retention,
    /// Limits that refuse work.
    pub limits: Limits,
    /// Logging.
    pub log: Log,
    /// The lines of [`Config::print`], made while loading.
    listing: String,
}

/// Where this runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Env {
    /// A desk, a test.
    Development,
    /// Customers.
    Production,
}

/// `[server]`
#[derive(Debug, Clone)]
pub struct Server {
    /// Address to listen on.
    pub bind: SocketAddr,
    /// What this instance does.
    pub role: Role,
    /// Worker threads, at least one: 0 in the settings has become the number of cores.
    pub workers: usize,
    /// In which a connection's first request must have said what it wants.
    pub head_timeout: Duration,
    /// For which a connection stays open without a request.
    pub keep_alive: Duration,
    /// After which a connection ends whose client takes nothing of its answer.
    pub stall: Duration,
    /// In which a request's body must have arrived.
    pub body_timeout: Duration,
    /// Bytes a second that a body must keep up after its first second.
    pub body_rate_min_bytes: u64,
    /// Open connections for each worker.
    pub connections_max: usize,
    /// How late a worker may be before browsing gives way to orders.
    pub browse_lag_max: Duration,
    /// For requests in flight after SIGTERM.
    pub drain: Duration,
    /// Between the end of readiness and the end of accepting.
    pub notice: Duration,
    /// Origins allowed by CORS; `*` is any.
    pub cors_origins: Vec<String>,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// What an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It answers clients.
    Api,
    /// It does what is due by itself.
    Worker,
    /// It does both.
    Both,
}

/// `[postgres]`
#[derive(Debug, Clone)]
pub struct Postgres {
    /// Connection URL, possibly with a password; empty if not given.
    pub url: Secret,
    /// That of read-only servers which follow it; empty if there are none.
    pub replica_url: Secret,
    /// Whether to migrate at start.
    pub migrate: bool,
    /// Connections that commit orders.
    pub journal_connections: usize,
    /// Connections that commit changes of carts.
    pub cart_connections: usize,
    /// Connections for reads.
    pub read_connections: usize,
    /// Connections for other writes.
    pub write_connections: usize,
    /// To wait for a free connection.
    pub wait: Duration,
    /// To wait for a new connection.
    pub connect: Duration,
    /// That a read may take.
    pub read_max: Duration,
    /// That a statement of a write outside the journals may take.
    pub write_max: Duration,
}

/// `[redis]`
#[derive(Debug, Clone)]
pub struct Redis {
    /// Connection URL, possibly with a password; empty is no Redis.
    pub url: Secret,
    /// To wait for an answer.
    pub timeout: Duration,
}

/// `[cache]`
#[derive(Debug, Clone)]
pub struct Cache {
    /// Bytes in memory, about.
    pub memory_max_bytes: u64,
    /// For which a read of what may change at any moment is shown.
    pub fresh: Duration,
}

/// `[admin]`
#[derive(Debug, Clone)]
pub struct Admin {
    /// The key that may do everything; empty is none.
    pub secret_key: Secret,
}

/// `[session]`
#[derive(Debug, Clone)]
pub struct Session {
    /// After its last use a session lasts for this long.
    pub idle: Duration,
    /// After its beginning a session lasts for this long at most.
    pub absolute: Duration,
    /// Actors that look tokens up.
    pub shards: usize,
}

/// `[customer]`
#[derive(Debug, Clone)]
pub struct Customer {
    /// Threads that hash passwords.
    pub password_threads: usize,
    /// Passwords that may wait for them.
    pub password_queue_max: usize,
}

/// `[staff]`
#[derive(Debug, Clone)]
pub struct Staff {
    /// After its last use a session of staff lasts for this long.
    pub session_idle: Duration,
    /// After its beginning it lasts for this long at most.
    pub session_absolute: Duration,
}

/// `[mail]`
#[derive(Debug, Clone)]
pub struct Mail {
    /// How mails leave, possibly with a password; empty: not at all.
    pub url: Secret,
    /// Who writes.
    pub from: Mailbox,
    /// Where the storefront is.
    pub link_base: String,
}

/// `[cart]`
#[derive(Debug, Clone)]
pub struct Cart {
    /// Carts being read or changed at the same time on this instance.
    pub in_flight_max: usize,
}

/// `[order]`
#[derive(Debug, Clone)]
pub struct Order {
    /// In which an order must be paid.
    pub pay_within: Duration,
    /// For each order, in minor units of the currency.
    pub shipping_price: i64,
    /// Tax in parts per million: 200,000 is 20 %.
    pub tax_rate_ppm: u32,
    /// Of all orders.
    pub currency: Currency,
    /// What access tokens are derived from; empty: the database keeps one.
    pub token_secret: Secret,
    /// Between two looks for unpaid orders.
    pub expiry_interval: Duration,
    /// Orders being placed at the same time on this instance.
    pub in_flight_max: usize,
    /// After which an undecided order is answered with 503.
    pub deadline: Duration,
}

/// `[journal]`
#[derive(Debug, Clone)]
pub struct Journal {
    /// Orders in one transaction.
    pub batch_max: usize,
    /// Order lines in one transaction.
    pub lines_max: usize,
    /// Bytes in one transaction.
    pub bytes_max: usize,
    /// Entries that are worth a transaction while another one is on its way.
    pub gather_min: usize,
    /// Entries waiting for a transaction.
    pub queue_max: usize,
    /// Attempts at one batch.
    pub attempts_max: u32,
    /// That a change should take; while changes take longer, fewer are let in at a time.
    pub latency_target: Duration,
}

/// `[inventory]`
#[derive(Debug, Clone)]
pub struct Inventory {
    /// For which a count may be the reason to say sold out.
    pub fresh: Duration,
    /// How many times the wanted quantity is plenty.
    pub plenty_factor: i64,
}

/// `[payment]`
#[derive(Debug, Clone)]
pub struct Payment {
    /// Whether the provider `test` may be used.
    pub test_provider: bool,
    /// Where that writes down what it has collected, if anywhere.
    pub test_books: Option<PathBuf>,
    /// To wait for a provider's answer.
    pub timeout: Duration,
    /// After which a payment without an answer is asked about again.
    pub resolve_after: Duration,
    /// After which a payment without an answer no longer keeps its order alive.
    pub processing_max: Duration,
}

/// `[retention]`
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Whether this instance removes anything.
    pub enabled: bool,
    /// Between two steps, at least.
    pub interval: Duration,
    /// The share of a connection's time that steps take at most.
    pub busy_percent: u32,
    /// Idempotency keys with their replies.
    pub idempotency_keys: Duration,
    /// Events.
    pub outbox: Duration,
    /// Mails.
    pub mails: Duration,
}

/// `[limits]`
#[derive(Debug, Clone)]
pub struct Limits {
    /// Whether the limits that refuse work are on.
    pub enabled: bool,
    /// Exports at the same time on this instance.
    pub exports_max: usize,
    /// After which an export ends whose client takes nothing.
    pub export_stall: Duration,
    /// For how much a client may ask.
    pub rates: Rates,
}

/// `[log]`
#[derive(Debug, Clone)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// What is logged, as `tracing_subscriber::EnvFilter` reads it.
    pub filter: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// A text that is kept out of logs: its `Debug` says only whether there is one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "<unset>" } else { "<set>" })
    }
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// One sentence for each mistake.
    pub problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(f, "the configuration is wrong: {only}"),
            many => {
                write!(f, "the configuration is wrong in {} places:", many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads all layers and checks every setting, alone and with the others.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let (values, problems) = layers::merge(sources);
        let mut reader = read::Reader::new(values, problems);
        let config = read::config(&mut reader);
        if let Some(config) = &config {
            read::check_together(config, &mut reader);
        }
        let (listing, problems) = reader.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(Self { listing, ..config }),
            _ => Err(ConfigError { problems }),
        }
    }

    /// Every setting as `key = value   # origin`; secrets and passwords are masked.
    pub fn print(&self) -> String {
        self.listing.clone()
    }

    /// The database's URL, for commands that cannot do without.
    pub fn postgres_url(&self) -> Result<&str, ConfigError> {
        if self.postgres.url.is_empty() {
            let problem = "postgres.url is not set: give DOORBUSTER__POSTGRES__URL or [postgres] \
                           url in a --config file, such as \
                           \"postgres://user:password@host:5432/database\"";
            return Err(ConfigError { problems: vec![problem.to_owned()] });
        }
        Ok(self.postgres.url.expose())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.listing)
    }
}
