//! The parts of an instance, each made of what the configuration says of it.

use super::StartJournal;
use crate::auth::{Secrets, hex, shared_secret};
use crate::cache::Shared;
use crate::cart::store::CartCommits;
use crate::cart::{self, Carts};
use crate::catalog::{KEPT_FORMAT, Offers, Storefront, StorefrontSettings};
use crate::config::Config;
use crate::customer::{self, Passwords};
use crate::export::Exports;
use crate::http;
use crate::idempotency;
use crate::inventory::{self, Inventory};
use crate::journal::{self, Bounds, Lanes};
use crate::mail::{self, Template};
use crate::migrate;
use crate::order::store::{Clock, Numbers, OrderCommits};
use crate::order::{self, Desk, Periods, Schedule};
use crate::partitions::Growth;
use crate::payment::Providers;
use crate::postgres::{self, Postgres};
use crate::pricing::Terms;
use crate::rate_limit::RateLimits;
use crate::redis::Redis;
use crate::retention::Sweep;
use crate::session::{self, Sessions};
use crate::staff::{self, Credentials};
use actix::{Arbiter, ArbiterHandle};
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use tokio::runtime::Handle;

/// How to reach the configured database.
pub fn postgres_options(config: &Config) -> postgres::Options {
    let config = &config.postgres;
    postgres::Options {
        url: config.url.expose().to_owned(),
        replica_url: config.replica_url.expose().to_owned(),
        read_connections: config.read_connections,
        write_connections: config.write_connections,
        wait: config.wait,
        connect: config.connect,
        read_max: config.read_max,
        write_max: config.write_max,
    }
}

/// The schema that this binary needs: made, or only looked at.
pub(super) async fn ready_schema(config: &Config, postgres: &Postgres) -> Result<(), String> {
    match config.postgres.migrate {
        true => migrate::run(postgres).await.map(drop),
        false => migrate::check(postgres).await,
    }
}

pub(super) async fn secrets(config: &Config, postgres: &Postgres) -> Result<Secrets, String> {
    let configured = config.order.token_secret.expose();
    let order_tokens = match configured.is_empty() {
        true => {
            shared_secret(postgres, "order_tokens").await.map_err(|error| error.to_string())?
        }
        false => configured.as_bytes().to_vec(),
    };
    if config.admin.secret_key.is_empty() {
        tracing::warn!("admin.secret_key is not set: only staff and API keys open the admin API");
    }
    Ok(Secrets::new(config.admin.secret_key.expose(), order_tokens))
}

pub(super) async fn connect_redis(
    config: &Config,
    runtime: Handle,
) -> Result<Option<Redis>, String> {
    if config.redis.url.is_empty() {
        tracing::info!("no redis.url: working without Redis");
        return Ok(None);
    }
    let redis = Redis::new(config.redis.url.expose(), config.redis.timeout, runtime)?;
    if !redis.is_up().await {
        tracing::warn!("Redis does not answer: working without it until it does");
    }
    Ok(Some(redis))
}

/// The limits of clients, which all instances of a shop share through Redis.
pub(super) async fn rate_limits(
    config: &Config,
    postgres: &Postgres,
    redis: Option<Redis>,
) -> Result<RateLimits, String> {
    if !config.limits.enabled {
        return Ok(RateLimits::off());
    }
    let secret = shared_secret(postgres, "limits").await.map_err(|error| error.to_string())?;
    Ok(RateLimits::new(config.limits.rates.clone(), redis, secret))
}

pub(super) async fn storefront(
    config: &Config,
    postgres: &Postgres,
    offers: Offers,
    redis: Option<Redis>,
) -> Result<Storefront, String> {
    let settings = StorefrontSettings {
        bytes_max: config.cache.memory_max_bytes,
        fresh: config.cache.fresh,
        // Twice, for there are two kinds; the other reads keep the other half.
        searches: (config.postgres.read_connections / 4).max(1),
    };
    let shared = match redis {
        Some(redis) => {
            // Several shops may share one Redis; all instances of one shop agree on its name.
            let name = shared_secret(postgres, "cache").await;
            let name = name.map_err(|error| error.to_string())?;
            Some(Shared::new(redis, &hex(&name[..8]), KEPT_FORMAT))
        }
        None => None,
    };
    Ok(Storefront::start(postgres, settings, offers, shared))
}

/// The journal and everything that works on orders.
pub(super) fn desk(
    start: StartJournal<OrderCommits>,
    config: &Config,
    postgres: &Postgres,
    secrets: Arc<Secrets>,
    carts: Carts,
    offers: Offers,
    arbiter: ArbiterHandle,
) -> (Desk, Lanes) {
    let options = inventory::Options { fresh: config.inventory.fresh };
    let inventory = Inventory::start(options, postgres.clone(), arbiter);
    let commits = OrderCommits {
        periods: Periods {
            pay_within: config.order.pay_within,
            processing_max: config.payment.processing_max,
        },
        plenty_factor: config.inventory.plenty_factor,
        inventory: inventory.clone(),
        numbers: Numbers::default(),
        clock: Clock::default(),
    };
    let (connections, most) = (config.postgres.journal_connections, config.order.in_flight_max);
    let limits = limits("orders", connections, most, config);
    let (journal, lanes) = start(Arc::new(commits), limits, postgres);
    let desk = Desk {
        journal,
        inventory,
        offers,
        carts,
        providers: Providers::new(&config.payment),
        keys: idempotency::look_ups(postgres),
        secrets,
        postgres: postgres.clone(),
        terms: terms(config),
        patience: config.order.deadline,
    };
    (desk, lanes)
}

pub(super) fn passwords(config: &Config) -> Result<Passwords, String> {
    Passwords::start(config.customer.password_threads, config.customer.password_queue_max)
}

/// The document that is served.
pub(super) fn openapi() -> Result<Bytes, String> {
    http::document().to_json().map(Bytes::from).map_err(|error| error.to_string())
}

pub(super) fn exports(config: &Config) -> Exports {
    Exports::new(config.limits.exports_max, config.limits.export_stall)
}

/// Who may use the admin API.
pub(super) fn credentials(
    config: &Config,
    postgres: &Postgres,
    secrets: Arc<Secrets>,
) -> Credentials {
    let (idle, absolute) = (config.staff.session_idle, config.staff.session_absolute);
    Credentials::start(postgres, secrets, session::Periods { idle, absolute })
}

/// The sessions, and the threads of their shards.
pub(super) fn sessions(config: &Config, postgres: &Postgres) -> (Sessions, Vec<Arbiter>) {
    let arbiters: Vec<Arbiter> = (0..config.session.shards).map(|_| Arbiter::new()).collect();
    let handles: Vec<ArbiterHandle> = arbiters.iter().map(Arbiter::handle).collect();
    let (idle, absolute) = (config.session.idle, config.session.absolute);
    (Sessions::start(session::Periods { idle, absolute }, postgres, &handles), arbiters)
}

/// The carts and their journal.
pub(super) fn carts(
    start: StartJournal<CartCommits>,
    config: &Config,
    postgres: &Postgres,
    offers: Offers,
) -> (Carts, Lanes) {
    let terms = terms(config);
    let commits = CartCommits { offers: offers.clone(), terms };
    let (connections, most) = (config.postgres.cart_connections, config.cart.in_flight_max);
    let limits = limits("carts", connections, most, config);
    let (journal, lanes) = start(Arc::new(commits), limits, postgres);
    let options = cart::Options { terms, patience: config.order.deadline };
    (Carts::new(journal, postgres, offers, options), lanes)
}

/// What the shop charges beside the prices.
pub(super) fn terms(config: &Config) -> Terms {
    Terms {
        currency: config.order.currency,
        shipping: config.order.shipping_price,
        tax_rate: config.order.tax_rate_ppm,
    }
}

/// The limits of a journal; both have the same, but for their connections and how many may be in
/// flight at most.
fn limits(
    name: &'static str,
    connections: usize,
    in_flight_max: usize,
    config: &Config,
) -> journal::Limits {
    let journal = &config.journal;
    let in_flight = match config.limits.enabled {
        true => Bounds {
            // A batch on each connection, and one that gathers.
            fewest: journal.batch_max * (connections + 1),
            most: in_flight_max,
            target: journal.latency_target,
        },
        // As many as fit into the queue.
        false => Bounds {
            fewest: journal.queue_max,
            most: journal.queue_max,
            target: journal.latency_target,
        },
    };
    journal::Limits {
        name,
        connections,
        batch_max: journal.batch_max,
        lines_max: journal.lines_max,
        bytes_max: journal.bytes_max,
        gather_min: journal.gather_min,
        queue_max: journal.queue_max,
        attempts_max: journal.attempts_max,
        in_flight,
    }
}

pub(super) fn schedule(config: &Config) -> Schedule {
    Schedule {
        interval: config.order.expiry_interval,
        resolve_after: config.payment.resolve_after,
        processing_max: config.payment.processing_max,
    }
}

/// What is removed when its time is over.
pub(super) fn sweeps() -> Vec<Sweep> {
    let own = [idempotency::SWEEP, mail::SWEEP, staff::store::sessions::SWEEP];
    [&own, cart::store::SWEEPS, order::store::SWEEPS, customer::SWEEPS].concat()
}

/// What is divided by time in a large shop.
pub fn growths() -> Vec<Growth> {
    [order::store::GROWTHS, &[inventory::store::GROWTH]].concat()
}

/// What mails can say.
pub(super) fn templates() -> Vec<Template> {
    [customer::MAILS, &[staff::INVITED]].concat()
}

/// Keeps the histograms' memory bounded.
pub(super) async fn upkeep(metrics: PrometheusHandle) {
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        metrics.run_upkeep();
    }
}
