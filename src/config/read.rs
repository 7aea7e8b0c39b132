//! From values to the typed tree: types, ranges, and what makes sense together.

use super::layers::{self, Values};
use super::listing::{line, listing, shown};
use super::{Admin, Cache, Cart, Config, Env, Inventory, Journal, Log};
use super::{
    LogFormat, Order, Payment, Postgres, Redis, Retention, Role, Secret, Server, Session,
};
use super::{limits, people, production};
use crate::redis::Place;
use ::config::{Value, ValueKind};
use actix_web::http::Uri;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

const DAY: i64 = 24 * 60 * 60;

/// Reads settings by key. A wrong value is noted and a stand-in returned, so that all mistakes
/// are found in one go.
pub(super) struct Reader {
    values: Values,
    problems: Vec<String>,
    /// Settings that have a problem already: checks that involve them would only confuse.
    faulty: BTreeSet<&'static str>,
    read: BTreeSet<&'static str>,
}

impl Reader {
    pub(super) fn new(values: Values, problems: Vec<String>) -> Self {
        Self { values, problems, faulty: BTreeSet::new(), read: BTreeSet::new() }
    }

    /// The listing of all settings and the problems found.
    pub(super) fn finish(mut self) -> (String, Vec<String>) {
        let unused: Vec<_> =
            self.values.keys().filter(|key| !self.read.contains(key.as_str())).collect();
        for key in unused {
            self.problems.push(format!("{key}: nothing reads this setting"));
        }
        (listing(&self.values), self.problems)
    }

    /// Notes that the value at `key` is not what was expected.
    pub(super) fn expected(&mut self, key: &'static str, expected: &str) {
        let value = self.values.get(key);
        let origin = value.and_then(Value::origin).unwrap_or("nowhere");
        let found = match value {
            // Never repeat what may be secret.
            Some(value) if !layers::is_secret(key) && !layers::is_url(key) => {
                format!(", found {}", shown(&value.kind))
            }
            _ => String::new(),
        };
        self.problems.push(format!("{key} (from {origin}): expected {expected}{found}"));
        self.faulty.insert(key);
    }

    pub(super) fn kind(&mut self, key: &'static str) -> Option<&ValueKind> {
        self.read.insert(key);
        self.values.get(key).map(|value| &value.kind)
    }

    pub(super) fn number<T>(&mut self, key: &'static str, range: RangeInclusive<i64>) -> T
    where
        T: TryFrom<i64> + Default,
    {
        let number = match self.kind(key) {
            Some(&ValueKind::I64(number)) if range.contains(&number) => T::try_from(number).ok(),
            _ => None,
        };
        number.unwrap_or_else(|| {
            let (from, to) = range.into_inner();
            self.expected(key, &format!("a whole number from {from} to {to}"));
            T::default()
        })
    }

    pub(super) fn seconds(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Duration {
        Duration::from_secs(self.number(key, range))
    }

    fn millis(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Duration {
        Duration::from_millis(self.number(key, range))
    }

    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        match self.kind(key) {
            Some(&ValueKind::Boolean(flag)) => flag,
            _ => {
                self.expected(key, "true or false");
                false
            }
        }
    }

    /// A text that `parse` takes.
    pub(super) fn text<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let parsed = match self.kind(key) {
            Some(ValueKind::String(text)) => parse(text),
            _ => None,
        };
        if parsed.is_none() {
            self.expected(key, expected);
        }
        parsed
    }

    pub(super) fn secret(
        &mut self,
        key: &'static str,
        expected: &str,
        valid: impl Fn(&str) -> bool,
    ) -> Secret {
        let parse =
            |text: &str| (text.is_empty() || valid(text)).then(|| Secret::from(text.to_owned()));
        self.text(key, expected, parse).unwrap_or_default()
    }

    fn origins(&mut self, key: &'static str) -> Vec<String> {
        let origins = match self.kind(key) {
            Some(ValueKind::Array(items)) => items
                .iter()
                .map(|item| match &item.kind {
                    ValueKind::String(text) if is_origin(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        origins.unwrap_or_else(|| {
            self.expected(key, "a list of origins such as \"https://shop.example\", or \"*\"");
            Vec::new()
        })
    }

    fn tax_rate(&mut self, key: &'static str) -> u32 {
        let rate = match self.kind(key) {
            Some(ValueKind::String(text)) => parts_per_million(text),
            Some(ValueKind::I64(number)) => parts_per_million(&number.to_string()),
            _ => None,
        };
        rate.unwrap_or_else(|| {
            let expected = "a fraction from 0 to 1 with at most 6 decimals (0.2 means 20 %)";
            self.expected(key, expected);
            0
        })
    }

    /// Whether nobody has set the value.
    fn is_default(&self, key: &str) -> bool {
        self.values.get(key).and_then(Value::origin) == Some(layers::DEFAULT)
    }

    /// Notes that settings do not make sense together, unless one of them is wrong already.
    pub(super) fn together(&mut self, keys: &[&'static str], sensible: bool, sentence: &str) {
        if sensible || keys.iter().any(|key| self.faulty.contains(key)) {
            return;
        }
        let given: Vec<_> = keys
            .iter()
            .filter_map(|key| Some((key, self.values.get(*key)?)))
            .map(|(key, value)| {
                format!("{} from {}", line(key, value), value.origin().unwrap_or("nowhere"))
            })
            .collect();
        self.problems.push(format!("{sentence} ({})", given.join("; ")));
    }
}

/// A decimal fraction from 0 to 1 as parts per million, digit by digit: a float would round.
pub(super) fn parts_per_million(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
        return None;
    }
    let parts: u32 = format!("{decimals:0<6}").parse().ok()?;
    let rate = whole.parse::<u32>().ok()?.checked_mul(1_000_000)?.checked_add(parts)?;
    (rate <= 1_000_000).then_some(rate)
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    text == "*"
        || host.is_some_and(|host| {
            let uri = text.parse::<Uri>();
            uri.is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()))
                && !host.contains(['/', '?', '#', '@'])
        })
}

/// The settings; `None` if one for which there is no stand-in is wrong.
pub(super) fn config(r: &mut Reader) -> Option<Config> {
    let env = r.text("env", "\"development\" or \"production\"", |text| match text {
        "development" => Some(Env::Development),
        "production" => Some(Env::Production),
        _ => None,
    });
    let (server, postgres, redis, cache) = (server(r), postgres(r), redis(r), cache(r));
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let visible_only = "visible ASCII characters without spaces";
    let admin = Admin { secret_key: r.secret("admin.secret_key", visible_only, visible) };
    let token_secret = r.secret("order.token_secret", visible_only, visible);
    let order = order(r, token_secret);
    let session = session(r);
    let customer = people::customer(r);
    let staff = people::staff(r);
    let mail = people::mail(r);
    let cart = Cart { in_flight_max: r.number("cart.in_flight_max", 1..=10_000_000) };
    let (journal, inventory, mut payment) = (journal(r), inventory(r), payment(r));
    // What nobody asked for is simply off in production; who asks for it is refused.
    let is_unasked = r.is_default("payment.test_provider");
    payment.test_provider &= env != Some(Env::Production) || !is_unasked;
    let (retention, log) = (retention(r), log(r));
    let limits = limits::limits(r);
    Some(Config {
        env: env.unwrap_or(Env::Development),
        server,
        postgres,
        redis,
        cache,
        admin,
        session,
        cart,
        customer,
        staff,
        mail: mail?,
        order: order?,
        journal,
        inventory,
        payment,
        retention,
        limits,
        log,
        listing: String::new(),
    })
}

fn server(r: &mut Reader) -> Server {
    let bind = r.text("server.bind", "an address and a port such as \"0.0.0.0:8080\"", |text| {
        text.parse::<SocketAddr>().ok()
    });
    let role = r.text("server.role", "\"api\", \"worker\" or \"both\"", |text| match text {
        "api" => Some(Role::Api),
        "worker" => Some(Role::Worker),
        "both" => Some(Role::Both),
        _ => None,
    });
    let workers = match r.number("server.workers", 0..=1024) {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    Server {
        bind: bind.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
        role: role.unwrap_or(Role::Both),
        workers,
        head_timeout: r.seconds("server.head_timeout_seconds", 1..=600),
        keep_alive: r.seconds("server.keep_alive_seconds", 1..=600),
        stall: r.seconds("server.stall_seconds", 1..=600),
        body_timeout: r.seconds("server.body_timeout_seconds", 1..=600),
        body_rate_min_bytes: r.number("server.body_rate_min_bytes", 0..=1_000_000),
        connections_max: r.number("server.connections_max", 1..=1_000_000),
        browse_lag_max: r.millis("server.browse_lag_max_ms", 5..=10_000),
        notice: r.seconds("server.notice_seconds", 0..=300),
        drain: r.seconds("server.drain_seconds", 0..=3600),
        cors_origins: r.origins("server.cors_origins"),
        trusted_proxies: limits::networks(r, "server.trusted_proxies"),
    }
}

fn postgres(r: &mut Reader) -> Postgres {
    let expected = "a URL such as \"postgres://user:password@host:5432/database\"";
    let valid = |text: &str| text.parse::<tokio_postgres::Config>().is_ok();
    Postgres {
        url: r.secret("postgres.url", expected, valid),
        replica_url: r.secret("postgres.replica_url", expected, valid),
        migrate: r.flag("postgres.migrate"),
        journal_connections: r.number("postgres.journal_connections", 1..=64),
        cart_connections: r.number("postgres.cart_connections", 1..=64),
        read_connections: r.number("postgres.read_connections", 1..=1000),
        write_connections: r.number("postgres.write_connections", 1..=1000),
        wait: r.seconds("postgres.wait_seconds", 1..=60),
        connect: r.seconds("postgres.connect_seconds", 1..=60),
        read_max: r.seconds("postgres.read_max_seconds", 3..=300),
        write_max: r.seconds("postgres.write_max_seconds", 6..=300),
    }
}

fn redis(r: &mut Reader) -> Redis {
    let expected = "a URL such as \"redis://:password@host:6379/0\"";
    let valid = |text: &str| Place::parse(text, Duration::ZERO).is_ok();
    Redis {
        url: r.secret("redis.url", expected, valid),
        timeout: r.millis("redis.timeout_ms", 1..=10_000),
    }
}

fn session(r: &mut Reader) -> Session {
    Session {
        idle: r.seconds("session.idle_seconds", 60..=3650 * DAY),
        absolute: r.seconds("session.absolute_seconds", 60..=3650 * DAY),
        shards: r.number("session.shards", 1..=64),
    }
}

fn cache(r: &mut Reader) -> Cache {
    Cache {
        memory_max_bytes: r.number("cache.memory_max_bytes", 1_048_576..=1 << 40),
        // Together with the way to the client it has to stay below a second.
        fresh: r.millis("cache.fresh_ms", 10..=900),
    }
}

fn order(r: &mut Reader, token_secret: Secret) -> Option<Order> {
    let currency = r
        .text("order.currency", "an ISO 4217 currency such as \"GBP\"", |text| text.parse().ok());
    Some(Order {
        pay_within: r.seconds("order.pay_within_seconds", 1..=90 * DAY),
        shipping_price: r.number("order.shipping_price", 0..=1_000_000_000_000),
        tax_rate_ppm: r.tax_rate("order.tax_rate"),
        token_secret,
        expiry_interval: r.millis("order.expiry_interval_ms", 10..=60_000),
        in_flight_max: r.number("order.in_flight_max", 1..=10_000_000),
        deadline: r.seconds("order.deadline_seconds", 1..=300),
        // Last, so that everything else has been looked at.
        currency: currency?,
    })
}

fn journal(r: &mut Reader) -> Journal {
    Journal {
        batch_max: r.number("journal.batch_max", 1..=1_000),
        // The largest order has 2,000 lines and comes in a body of 256 KiB.
        lines_max: r.number("journal.lines_max", 2_000..=1_000_000),
        bytes_max: r.number("journal.bytes_max", 1_048_576..=536_870_912),
        gather_min: r.number("journal.gather_min", 1..=1_000),
        queue_max: r.number("journal.queue_max", 1..=10_000_000),
        attempts_max: r.number("journal.attempts_max", 1..=100),
        latency_target: r.millis("journal.latency_target_ms", 10..=60_000),
    }
}

fn inventory(r: &mut Reader) -> Inventory {
    Inventory {
        fresh: r.millis("inventory.fresh_ms", 1..=900),
        plenty_factor: r.number("inventory.plenty_factor", 1..=1_000_000),
    }
}

fn payment(r: &mut Reader) -> Payment {
    let file = |text: &str| Some((!text.is_empty()).then(|| text.into()));
    Payment {
        test_provider: r.flag("payment.test_provider"),
        test_books: r.text("payment.test_books", "a file, or nothing", file).flatten(),
        timeout: r.seconds("payment.timeout_seconds", 1..=300),
        resolve_after: r.seconds("payment.resolve_after_seconds", 1..=DAY),
        processing_max: r.seconds("payment.processing_max_seconds", 1..=90 * DAY),
    }
}

fn retention(r: &mut Reader) -> Retention {
    let mut hours =
        |key, range: RangeInclusive<i64>| Duration::from_secs(3600 * r.number::<u64>(key, range));
    // The contract promises a day for keys.
    let idempotency_keys = hours("retention.idempotency_key_hours", 24..=8_760);
    let outbox = hours("retention.outbox_hours", 24..=8_760);
    let mails = hours("retention.mail_hours", 24..=8_760);
    Retention {
        enabled: r.flag("retention.enabled"),
        interval: r.millis("retention.interval_ms", 10..=3_600_000),
        busy_percent: r.number("retention.busy_percent", 1..=50),
        idempotency_keys,
        outbox,
        mails,
    }
}

fn log(r: &mut Reader) -> Log {
    let format = r.text("log.format", "\"text\" or \"json\"", |text| match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    });
    let expected =
        "a level such as \"info\", or levels by module such as \"info,doorbuster=debug\"";
    let filter = r.text("log.filter", expected, |text| {
        let valid = tracing_subscriber::EnvFilter::try_new(text).is_ok();
        valid.then(|| text.to_owned())
    });
    Log { format: format.unwrap_or(LogFormat::Text), filter: filter.unwrap_or_default() }
}

/// What each setting for itself cannot tell.
pub(super) fn check_together(config: &Config, r: &mut Reader) {
    let Config { session, cart, order, journal, payment, postgres, server, .. } = config;
    r.together(
        &["session.idle_seconds", "session.absolute_seconds"],
        session.idle <= session.absolute,
        "session.idle_seconds must not be above session.absolute_seconds",
    );
    r.together(
        &["journal.queue_max", "journal.batch_max"],
        journal.queue_max >= journal.batch_max,
        "journal.queue_max must be at least journal.batch_max, or no batch is ever full",
    );
    r.together(
        &["journal.queue_max", "order.in_flight_max"],
        journal.queue_max >= order.in_flight_max,
        "journal.queue_max must be at least order.in_flight_max: every order in flight waits there",
    );
    r.together(
        &["journal.queue_max", "cart.in_flight_max"],
        journal.queue_max >= cart.in_flight_max,
        "journal.queue_max must be at least cart.in_flight_max: every cart in use may wait there",
    );
    r.together(
        &["postgres.wait_seconds", "order.deadline_seconds"],
        postgres.wait <= order.deadline,
        "postgres.wait_seconds must not be above order.deadline_seconds: nobody waits that long",
    );
    r.together(
        &["server.drain_seconds", "order.deadline_seconds"],
        server.drain >= order.deadline,
        "server.drain_seconds must be at least order.deadline_seconds, or a stop cuts orders off",
    );
    r.together(
        &["payment.processing_max_seconds", "payment.resolve_after_seconds"],
        payment.processing_max > payment.resolve_after,
        "payment.processing_max_seconds must be above payment.resolve_after_seconds, or nobody \
         asks for the answer",
    );
    r.together(
        &["payment.processing_max_seconds", "payment.timeout_seconds"],
        payment.processing_max > payment.timeout,
        "payment.processing_max_seconds must be above payment.timeout_seconds",
    );
    r.together(
        &["server.cors_origins"],
        server.cors_origins.len() < 2 || server.cors_origins.iter().all(|origin| origin != "*"),
        "server.cors_origins: \"*\" already means every origin, give it alone",
    );
    if config.env == Env::Production {
        production::check(config, r);
    }
}
