//! What starts and stops, in which order.
//!
//! Start: the runtime of the database connections, schema, secrets, Redis, the storefront, carts
//! and orders with their journals and actors, sessions, passwords, limits, credentials of staff,
//! then what works by itself (reaper, retention, eraser, postman), then the listener. Stop:
//! readiness, the listener and its requests, orders in flight, what works by itself, storefront,
//! journals.

mod parts;

pub use parts::{growths, postgres_options};

use crate::auth::Secrets;
use crate::cart::Carts;
use crate::cart::store::CartCommits;
use crate::catalog::{Offers, Storefront};
use crate::config::{Config, Role};
use crate::customer::{Eraser, Passwords};
use crate::export::Exports;
use crate::http::{self, Operations};
use crate::inventory::Inventory;
use crate::journal::{self, Journal, Lanes, Work};
use crate::mail::Postman;
use crate::money::Currency;
use crate::order::store::OrderCommits;
use crate::order::{Desk, Orders, Reaper};
use crate::payment::Providers;
use crate::peer::TrustedProxies;
use crate::postgres::Postgres;
use crate::rate_limit::RateLimits;
use crate::retention::Sweeper;
use crate::session::Sessions;
use crate::session::routes::CookieOrigins;
use crate::staff::{Credentials, Logins};
use actix::Arbiter;
use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::{self, Condition};
use actix_web::{App as HttpApp, HttpServer, web};
use metrics_exporter_prometheus::PrometheusHandle;
use parts::{
    carts, connect_redis, credentials, desk, exports, openapi, passwords, rate_limits,
    ready_schema, schedule, secrets, sessions, storefront, sweeps, templates, upkeep,
};
use socket2::SockRef;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};

/// A running instance.
pub struct App {
    config: Arc<Config>,
    services: Services,
    is_ready: Arc<AtomicBool>,
    workers: Option<Workers>,
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
    credentials: web::Data<Credentials>,
    logins: web::Data<Logins>,
    cookie_origins: web::Data<CookieOrigins>,
    carts: web::Data<Carts>,
    orders: web::Data<Orders>,
    exports: web::Data<Exports>,
    secrets: web::Data<Secrets>,
    rate_limits: web::Data<RateLimits>,
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
        let database_runtime = DatabaseRuntime::start(config.server.workers.min(2))?;
        let postgres = Postgres::new(&postgres_options(&config), database_runtime.handle())?;
        postgres.feel_pulse();
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
        let rate_limits = rate_limits(&config, &postgres, redis.clone()).await?;
        let credentials = credentials(&config, &postgres, secrets.clone());
        let orders = Orders::start(desk.clone(), arbiter.handle());
        let workers = Workers::start(&config, &desk, &secrets);
        let is_ready = Arc::new(AtomicBool::new(true));
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
            credentials: web::Data::new(credentials),
            logins: web::Data::new(Logins::start(&postgres, rate_limits.clone())?),
            cookie_origins: web::Data::new(CookieOrigins(config.server.cors_origins.clone())),
            carts: web::Data::new(carts),
            orders: web::Data::new(orders),
            exports: web::Data::new(exports(&config)),
            secrets: web::Data::from(secrets),
            rate_limits: web::Data::new(rate_limits),
            operations: web::Data::new(Operations {
                postgres: postgres.clone(),
                redis,
                metrics,
                is_ready: is_ready.clone(),
                openapi: openapi()?,
            }),
            postgres: web::Data::new(postgres),
        };
        Ok(Self {
            config: Arc::new(config),
            services,
            is_ready,
            workers,
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
                credentials,
                logins,
                cookie_origins,
                carts,
                orders,
                exports,
                secrets,
                rate_limits,
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
                .app_data(credentials)
                .app_data(logins)
                .app_data(cookie_origins)
                .app_data(carts)
                .app_data(orders)
                .app_data(exports)
                .app_data(secrets)
                .app_data(rate_limits)
                .app_data(operations)
                .app_data(http::LagMax(match config.limits.enabled {
                    true => config.server.browse_lag_max,
                    false => Duration::MAX,
                }))
                .app_data(TrustedProxies(config.server.trusted_proxies.clone()))
                .app_data(http::json_config(&config))
                .app_data(http::query_config())
                .configure(|app| http::routes(app, config.server.role))
                .wrap(Condition::new(!origins.is_empty(), http::cors(origins)))
                .wrap(middleware::from_fn(http::frame))
        });
        let config = &self.config.server;
        // The sockets of its connections take it over.
        SockRef::from(&listener).set_tcp_user_timeout(Some(config.stall))?;
        let server = server
            .client_request_timeout(config.head_timeout)
            .keep_alive(config.keep_alive)
            .on_connect(http::watch(config.stall + config.keep_alive + config.head_timeout))
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
        self.workers.into_iter().for_each(Workers::stop);
        self.services.storefront.stop();
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

/// What works by itself, in rounds, on every instance that does not only answer.
struct Workers {
    reaper: Reaper,
    eraser: Eraser,
    postman: Option<Postman>,
    sweeper: Option<Sweeper>,
}

impl Workers {
    fn start(config: &Config, desk: &Desk, secrets: &Arc<Secrets>) -> Option<Self> {
        if config.server.role == Role::Api {
            return None;
        }
        let postgres = &desk.postgres;
        Some(Self {
            reaper: Reaper::start(desk.clone(), schedule(config)),
            eraser: Eraser::start(postgres),
            postman: Postman::start(postgres, templates(), secrets.clone(), &config.mail),
            sweeper: Sweeper::start(postgres, sweeps(), config.retention),
        })
    }

    fn stop(self) {
        self.reaper.stop();
        self.eraser.stop();
        self.postman.into_iter().for_each(Postman::stop);
        self.sweeper.into_iter().for_each(Sweeper::stop);
    }
}

/// One runtime for all database connections, away from the HTTP workers.
pub struct DatabaseRuntime(Option<Runtime>);

impl DatabaseRuntime {
    /// Starts so many threads for it. Beside one HTTP worker a second one only takes turns with it.
    pub fn start(threads: usize) -> Result<Self, String> {
        let built = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
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
