//! A shop with a catalog of the wanted size: on a private PostgreSQL and Redis, or on a database
//! that was seeded before.

use super::servers::Server;
use anyhow::Context;
use doorbuster::app::{DatabaseRuntime, postgres_options};
use doorbuster::config::{Config, Sources};
use doorbuster::embedded::Pair;
use doorbuster::migrate;
use doorbuster::postgres::Postgres;
use loadtests::seed;
use std::path::PathBuf;

/// Products that are read.
const READ: i64 = 1_000;

/// Where the catalog comes from.
pub enum Catalog {
    /// A new one of so many products.
    New(i64),
    /// One that is there.
    At(String),
}

/// A running shop.
pub struct Shop {
    /// All that it has.
    pub products: i64,
    /// Those of the products that are read.
    pub slugs: Vec<String>,
    pub server: Server,
    own: Option<(Pair, PathBuf)>,
}

impl Shop {
    /// Makes it if need be, and opens it.
    pub async fn open(catalog: &Catalog) -> anyhow::Result<Self> {
        let runtime = DatabaseRuntime::start(2).map_err(anyhow::Error::msg)?;
        let (own, url, redis) = match catalog {
            Catalog::At(url) => (None, url.clone(), None),
            Catalog::New(products) => {
                let name = format!("doorbuster-reads-{}-{products}", std::process::id());
                let folder = std::env::temp_dir().join(name);
                let pair = Pair::start(&folder).await?;
                let (url, redis) = (pair.postgres_url.clone(), pair.redis_url.clone());
                (Some((pair, folder)), url, redis)
            }
        };
        let overrides = [("postgres.url".to_owned(), url.clone())].into();
        let config = Config::load(&Sources { overrides, ..Sources::default() })?;
        let postgres = Postgres::new(&postgres_options(&config), runtime.handle());
        let postgres = postgres.map_err(anyhow::Error::msg)?;
        migrate::run(&postgres).await.map_err(anyhow::Error::msg)?;
        if let Catalog::New(products) = *catalog {
            seed::seed(&seed::Options { products, database: url.clone() }).await?;
        }
        let client = postgres.readers.get().await.context("the database is not there")?;
        let products = client.query_one("SELECT count(*) FROM products", &[]).await?.get(0);
        let sql = "SELECT slug FROM products WHERE status = 'active' ORDER BY md5(slug) LIMIT $1";
        let slugs = client.query(sql, &[&READ]).await?.iter().map(|row| row.get(0)).collect();
        let server = Server::doorbuster(&url, redis.as_deref())?;
        Ok(Self { products, slugs, server, own })
    }

    /// Ends it, and removes what it has made.
    pub async fn close(self) -> anyhow::Result<()> {
        self.server.stop()?;
        if let Some((pair, folder)) = self.own {
            pair.stop().await?;
            std::fs::remove_dir_all(folder)?;
        }
        Ok(())
    }
}
