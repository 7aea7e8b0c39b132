//! `dev`: a whole shop on this machine, from one command.

use super::serve::{Stop, listen, serve};
use doorbuster::app::{DatabaseRuntime, postgres_options};
use doorbuster::catalog::load_demo;
use doorbuster::config::{Config, Sources};
use doorbuster::embedded::{self, Pair};
use doorbuster::postgres::Postgres;
use doorbuster::{migrate, telemetry};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

/// Starts the private pair, loads the demo catalog if there is no product yet, and serves.
pub fn run(mut sources: Sources, port: u16, data: &Path) -> Result<ExitCode, String> {
    if sources.are_production() {
        return Err("`dev` is for a desk: in production use `serve`, which takes no key from a \
                    folder and no page of any origin"
            .to_owned());
    }
    actix_web::rt::System::new().block_on(async {
        let stop = Stop::listen()?;
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], port)))?;
        let pair = Pair::start(data).await.map_err(|error| error.to_string())?;
        let served = async {
            let admin_key = embedded::admin_key(data).map_err(|error| error.to_string())?;
            let mut set = |key: &str, value: &str| {
                sources.overrides.entry(key.to_owned()).or_insert(value.to_owned());
            };
            // Storefronts in development come from anywhere, and nobody waits for a balancer.
            set("server.cors_origins", "*");
            set("server.notice_seconds", "0");
            set("postgres.url", &pair.postgres_url);
            set("admin.secret_key", &admin_key);
            let mails = std::path::absolute(data.join("mails"));
            let mails = mails.map_err(|error| error.to_string())?;
            set("mail.url", &format!("file://{}", mails.display()));
            if let Some(url) = &pair.redis_url {
                set("redis.url", url);
            }
            let config = super::load(&sources)?;
            telemetry::install(&config.log)?;
            prepare(&config).await?;
            let key = config.admin.secret_key.expose().to_owned();
            serve(config, listener, stop, |address| {
                print!("{}", banner(address, &key, data, &pair))
            })
            .await
        };
        let served = served.await;
        let stopped = pair.stop().await.map_err(|error| error.to_string());
        served.and(stopped)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Migrates, and loads the demo catalog into an empty shop.
async fn prepare(config: &Config) -> Result<(), String> {
    let runtime = DatabaseRuntime::start(1)?;
    let postgres = Postgres::new(&postgres_options(config), runtime.handle())?;
    migrate::run(&postgres).await?;
    load_demo(&postgres).await.map(drop).map_err(|error| error.to_string())
}

fn banner(address: SocketAddr, admin_key: &str, data: &Path, pair: &Pair) -> String {
    let redis = match &pair.redis_url {
        Some(_) => "private, running",
        None => "not installed: working without it",
    };
    format!(
        r#"
  doorbuster {version}, development

  API          http://{address}
  Docs         http://{address}/docs/
  Readiness    http://{address}/readyz
  PostgreSQL   private, running (data in {data})
  Redis        {redis}
  Mails        files in {data}/mails
  Admin key    {admin_key}

  Place an order:

curl -i http://{address}/v1/orders \
  -H 'Content-Type: application/json' -H "Idempotency-Key: $(date +%s%N)" \
  -d '{{"items":[{{"sku":"MUG-1","quantity":1}}],"email":"ada@example.com",
       "shipping_address":{{"name":"Ada","line1":"12 St James Square","city":"London",
                           "postal_code":"SW1Y 4JH","country":"GB"}},
       "payment":{{"provider":"test","token":"ok"}}}}'

  And look at it:

curl http://{address}/v1/admin/orders -H 'Authorization: Bearer {admin_key}'

  Ctrl-C stops everything; the data stays for the next start.

"#,
        version = env!("CARGO_PKG_VERSION"),
        data = data.display(),
    )
}
