//! What starts and stops, in which order.
//!
//! Start: the runtime of the database connections, schema, secrets, Redis, the storefront, carts
//! and orders with their journals and actors, sessions, reaper, retention, then the listener. Stop:
//! readiness, the listener and its requests, orders in flight, reaper, storefront, retention,
//! journals.

use crate::auth::{Secrets, hex, shared_secret};
use crate::cache::Shared;
use crate::cart::store::CartCommits;
use crate::cart::{self, Carts};
use crate::catalog::{Offers, Storefront, StorefrontSettings};
use crate::config::Config;
use crate::customer::Passwords;
use crate::export::Exports;
use crate::http::{self, Operations};
use crate::idempotency;
use crate::inventory::{self, Inventory};
use crate::journal::{self, Journal, Lanes, Work};
use crate::migrate;
use crate::money::Currency;
use crate::order;
use crate::order::store::{Clock, Numbers, OrderCommits};
use crate::order::{Desk, Orders, Periods, Reaper, Schedule};
use crate::payment::Providers;
use crate::postgres::{self, Postgres};
use crate::pricing::Terms;
use crate::redis::Redis;
use crate::retention::{Sweep, Sweeper};
use crate::session::routes::CookieOrigins;
use crate::session::{self, Sessions};
use actix::{Arbiter, ArbiterHandle};
use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::{self, Condition};
use actix_web::{App as HttpApp, HttpServer, web};
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::{Handle, Runtime};

/// A running instance.
pub struct App {
    config: Arc<Config>,
    services: Services,
    is_ready: Arc<AtomicBool>,
    reaper: Reaper,
    sweeper: Option<Sweeper>,
    lanes: Lanes,
    cart_lanes: Lanes,
    arbiter: Arbiter,
    session_arbiters: Vec<Arbiter>,
    _database_runtime: DatabaseRuntime,
}

/// Starts a journal: [`journal::start`], or one that commits nothing.
pub type StartJournal<W> =
    fn(Arc<W>, journal::Limits, &Postgres) -> (Journal<<W as Work>::Entry>, Lanes);

/// What starts the journals.
#[derive(Clone, Copy)]
pub struct StartJournals {
    /// That of the orders.
    pub orders: StartJournal<OrderCommits>,
    /// That of the carts.
    pub carts: StartJournal<CartCommits>,
}

/// What the handlers use. Cheap to clone.
#[derive(Clone)]
struct Services {
    postgres: web::Data<Postgres>,
    inventory: web::Data<Inventory>,
    shop_currency: web::Data<Currency>,
    storefront: web::Data<Storefront>,
    providers: web::Data<Providers>,
    sessions: web::Data<Sessions>,
    passwords: web::Data<Passwords>,
    cookie_origins: web::Data<CookieOrigins>,
    carts: web::Data<Carts>,
    orders: web::Data<Orders>,
    exports: web::Data<Exports>,
    secrets: web::Data<Secrets>,
    operations: web::Data<Operations>,
}

impl App {
    /// Starts everything but the listener. Errors are sentences for the operator.
    ///
    /// Must be called inside an actix system.
    pub async fn start(
        config: Config,
        metrics: Option<PrometheusHandle>,
    ) -> Result<Self, String> {
        let journals = StartJournals { orders: journal::start, carts: journal::start };
        Self::start_with(journals, config, metrics).await
    }

    /// The same with other journals, for benches.
    pub async fn start_with(
        journals: StartJournals,
        config: Config,
        metrics: Option<PrometheusHandle>,
    ) -> Result<Self, String> {
        let database_runtime = DatabaseRuntime::start()?;
        let postgres = Postgres::new(&postgres_options(&config), database_runtime.handle())?;
        ready_schema(&config, &postgres).await?;
        let secrets = Arc::new(secrets(&config, &postgres).await?);
        let redis = connect_redis(&config, database_runtime.handle()).await?;
        let offers = Offers::new(postgres.clone());
        let storefront = storefront(&config, &postgres, offers.clone(), redis.clone()).await?;
        let arbiter = Arbiter::new();
        let (carts, cart_lanes) = carts(journals.carts, &config, &postgres, offers.clone());
        let (desk, lanes) = desk(
            journals.orders,
            &config,
            &postgres,
            secrets.clone(),
            carts.clone(),
            offers,
            arbiter.handle(),
        );
        let (sessions, session_arbiters) = sessions(&config, &postgres);
        let passwords = passwords(&config)?;
        let in_flight_max = in_flight_max(&config, config.order.in_flight_max);
        let orders = Orders::start(desk.clone(), in_flight_max, arbiter.handle());
        let reaper = Reaper::start(desk.clone(), schedule(&config));
        let sweeper = Sweeper::start(&postgres, sweeps(), config.retention);
        let exports = Exports::new(config.limits.exports_max, config.limits.export_stall);
        let is_ready = Arc::new(AtomicBool::new(true));
        let openapi = http::document().to_json().map_err(|error| error.to_string())?;
        if let Some(metrics) = metrics.clone() {
            database_runtime.handle().spawn(upkeep(metrics));
        }
        let services = Services {
            inventory: web::Data::new(desk.inventory.clone()),
            shop_currency: web::Data::new(config.order.currency),
            storefront: web::Data::new(storefront),
            providers: web::Data::new(desk.providers.clone()),
            sessions: web::Data::new(sessions),
            passwords: web::Data::new(passwords),
            cookie_origins: web::Data::new(CookieOrigins(config.server.cors_origins.clone())),
            carts: web::Data::new(carts),
            orders: web::Data::new(orders),
            exports: web::Data::new(exports),
            secrets: web::Data::from(secrets),
            operations: web::Data::new(Operations {
                postgres: postgres.clone(),
                redis,
                metrics,
                is_ready: is_ready.clone(),
                openapi: Bytes::from(openapi),
            }),
            postgres: web::Data::new(postgres),
        };
        let config = Arc::new(config);
        Ok(Self {
            config,
            services,
            is_ready,
            reaper,
            sweeper,
            lanes,
            cart_lanes,
            arbiter,
            session_arbiters,
            _database_runtime: database_runtime,
        })
    }

    /// Serves the listener until it is stopped.
    pub fn serve(&self, listener: TcpListener) -> std::io::Result<Server> {
        let (config, services) = (self.config.clone(), self.services.clone());
        let server = HttpServer::new(move || {
            let Services {
                postgres,
                inventory,
                shop_currency,
                storefront,
                providers,
                sessions,
                passwords,
                cookie_origins,
                carts,
                orders,
                exports,
                secrets,
                operations,
            } = services.clone();
            let origins = &config.server.cors_origins;
            HttpApp::new()
                .app_data(postgres)
                .app_data(inventory)
                .app_data(shop_currency)
                .app_data(storefront)
                .app_data(providers)
                .app_data(sessions)
                .app_data(passwords)
                .app_data(cookie_origins)
                .app_data(carts)
                .app_data(orders)
                .app_data(exports)
                .app_data(secrets)
                .app_data(operations)
                .app_data(http::json_config(&config))
                .app_data(http::query_config())
                .configure(http::routes)
                .wrap(Condition::new(!origins.is_empty(), http::cors(origins)))
                .wrap(middleware::from_fn(http::frame))
        });
        let config = &self.config.server;
        let server = server
            .workers(config.workers)
            .max_connections(config.connections_max)
            .shutdown_timeout(config.drain.as_secs())
            .disable_signals()
            .listen(listener)?;
        Ok(server.run())
    }

    /// Stops in order: nothing acknowledged is lost, nothing accepted goes unanswered.
    pub async fn stop(self, server: ServerHandle) {
        self.is_ready.store(false, Ordering::Relaxed);
        tokio::time::sleep(self.config.server.notice).await;
        server.stop(true).await;
        let drained = self.services.orders.drained();
        if tokio::time::timeout(self.config.server.drain, drained).await.is_err() {
            tracing::warn!("some orders were still in flight when the time to drain was over");
        }
        self.reaper.stop();
        self.services.storefront.stop();
        self.sweeper.into_iter().for_each(Sweeper::stop);
        let closed = async { tokio::join!(self.lanes.close(), self.cart_lanes.close()) };
        if tokio::time::timeout(self.config.server.drain, closed).await.is_err() {
            tracing::warn!("the journal did not get its last answers from the database");
        }
        self.arbiter.stop();
        for arbiter in self.session_arbiters {
            arbiter.stop();
        }
    }
}

/// One runtime for all database connections, away from the HTTP workers.
pub struct DatabaseRuntime(Option<Runtime>);

impl DatabaseRuntime {
    /// Starts its threads.
    pub fn start() -> Result<Self, String> {
        let built = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("database")
            .enable_all()
            .build();
        let runtime = built
            .map_err(|error| format!("no thread for the database can be started: {error}"))?;
        Ok(Self(Some(runtime)))
    }

    /// To run things on it.
    pub fn handle(&self) -> Handle {
        match &self.0 {
            Some(runtime) => runtime.handle().clone(),
            // Only `drop` takes it.
            None => Handle::current(),
        }
    }
}

impl Drop for DatabaseRuntime {
    /// Without waiting, because a runtime must not be waited for inside another one.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// How to reach the configured database.
pub fn postgres_options(config: &Config) -> postgres::Options {
    let config = &config.postgres;
    postgres::Options {
        url: config.url.expose().to_owned(),
        read_connections: config.read_connections,
        write_connections: config.write_connections,
        wait: config.wait,
        connect: config.connect,
    }
}

/// The schema that this binary needs: made, or only looked at.
async fn ready_schema(config: &Config, postgres: &Postgres) -> Result<(), String> {
    match config.postgres.migrate {
        true => migrate::run(postgres).await.map(drop),
        false => migrate::check(postgres).await,
    }
}

async fn secrets(config: &Config, postgres: &Postgres) -> Result<Secrets, String> {
    let configured = config.order.token_secret.expose();
    let order_tokens = match configured.is_empty() {
        true => {
            shared_secret(postgres, "order_tokens").await.map_err(|error| error.to_string())?
        }
        false => configured.as_bytes().to_vec(),
    };
    if config.admin.secret_key.is_empty() {
        tracing::warn!("admin.secret_key is not set: the admin API is closed");
    }
    Ok(Secrets::new(config.admin.secret_key.expose(), order_tokens))
}

async fn connect_redis(config: &Config, runtime: Handle) -> Result<Option<Redis>, String> {
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

async fn storefront(
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
            Some(Shared::new(redis, &hex(&name[..8])))
        }
        None => None,
    };
    Ok(Storefront::start(postgres, settings, offers, shared))
}

/// The journal and everything that works on orders.
fn desk(
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
    let limits = limits("orders", config.postgres.journal_connections, config);
    let (journal, lanes) = start(Arc::new(commits), limits, postgres);
    let desk = Desk {
        journal,
        inventory,
        offers,
        carts,
        providers: Providers::new(config.payment.test_provider, config.payment.timeout),
        keys: idempotency::look_ups(postgres),
        secrets,
        postgres: postgres.clone(),
        terms: terms(config),
        deadline: config.order.deadline,
    };
    (desk, lanes)
}

fn passwords(config: &Config) -> Result<Passwords, String> {
    Passwords::start(config.customer.password_threads, config.customer.password_queue_max)
}

/// The sessions, and the threads of their shards.
fn sessions(config: &Config, postgres: &Postgres) -> (Sessions, Vec<Arbiter>) {
    let arbiters: Vec<Arbiter> = (0..config.session.shards).map(|_| Arbiter::new()).collect();
    let handles: Vec<ArbiterHandle> = arbiters.iter().map(Arbiter::handle).collect();
    let (idle, absolute) = (config.session.idle, config.session.absolute);
    (Sessions::start(session::Periods { idle, absolute }, postgres, &handles), arbiters)
}

/// The carts and their journal.
fn carts(
    start: StartJournal<CartCommits>,
    config: &Config,
    postgres: &Postgres,
    offers: Offers,
) -> (Carts, Lanes) {
    let terms = terms(config);
    let commits = CartCommits { offers: offers.clone(), terms };
    let limits = limits("carts", config.postgres.cart_connections, config);
    let (journal, lanes) = start(Arc::new(commits), limits, postgres);
    let options = cart::Options {
        terms,
        deadline: config.order.deadline,
        in_flight_max: in_flight_max(config, config.cart.in_flight_max),
    };
    (Carts::new(journal, postgres, offers, options), lanes)
}

/// What the shop charges beside the prices.
fn terms(config: &Config) -> Terms {
    Terms {
        currency: config.order.currency,
        shipping: config.order.shipping_price,
        tax_rate: config.order.tax_rate_ppm,
    }
}

/// The limits of a journal; both have the same, but for their connections.
fn limits(name: &'static str, connections: usize, config: &Config) -> journal::Limits {
    journal::Limits {
        name,
        connections,
        batch_max: config.journal.batch_max,
        lines_max: config.journal.lines_max,
        bytes_max: config.journal.bytes_max,
        gather_min: config.journal.gather_min,
        queue_max: config.journal.queue_max,
        attempts_max: config.journal.attempts_max,
    }
}

/// How many requests may be in flight; without limits, as many as fit into the queue behind.
fn in_flight_max(config: &Config, configured: usize) -> u32 {
    let requests = if config.limits.enabled { configured } else { config.journal.queue_max };
    u32::try_from(requests).unwrap_or(u32::MAX)
}

fn schedule(config: &Config) -> Schedule {
    Schedule {
        interval: config.order.expiry_interval,
        resolve_after: config.payment.resolve_after,
        processing_max: config.payment.processing_max,
    }
}

/// What is removed when its time is over.
fn sweeps() -> Vec<Sweep> {
    [&[idempotency::SWEEP], cart::store::SWEEPS, order::store::SWEEPS].concat()
}

/// Keeps the histograms' memory bounded.
async fn upkeep(metrics: PrometheusHandle) {
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        metrics.run_upkeep();
    }
}
