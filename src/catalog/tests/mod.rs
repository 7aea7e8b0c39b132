//! With a real database: these need PostgreSQL's programs.

mod import;
mod offers;
mod routes;
mod storefront;

use crate::embedded::Pair;
use crate::migrate;
use crate::postgres::{Options, Postgres};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_postgres::types::FromSql;

/// An empty shop in a database of its own, which goes away with the test.
struct Shop {
    postgres: Postgres,
    folder: PathBuf,
    _pair: Pair,
}

impl Shop {
    async fn open() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("doorbuster-catalog-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let pair = Pair::start(&folder).await.expect("PostgreSQL's programs");
        let options = Options {
            url: pair.postgres_url.clone(),
            read_connections: 2,
            write_connections: 4,
            wait: Duration::from_secs(10),
            connect: Duration::from_secs(10),
            read_max: Duration::from_secs(10),
            write_max: Duration::from_secs(60),
            replica_url: String::new(),
        };
        let postgres = Postgres::new(&options, Handle::current()).unwrap();
        migrate::run(&postgres).await.unwrap();
        Self { postgres, folder, _pair: pair }
    }

    /// The one value that a query returns.
    async fn value<T: for<'r> FromSql<'r>>(&self, sql: &str) -> T {
        let client = self.postgres.readers.get().await.unwrap();
        client.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn execute(&self, sql: &str) {
        self.postgres.writers.get().await.unwrap().batch_execute(sql).await.unwrap();
    }

    /// How many rows break what every stock row and its ledger promise.
    async fn stock_violations(&self) -> i64 {
        self.value(
            "SELECT count(*) FROM stock s FULL JOIN (
                 SELECT variant_id, location_id, sum(supplied)::bigint AS supplied,
                     sum(available)::bigint AS available
                 FROM stock_ledger e
                 WHERE cause <> 'adjustment'
                     OR EXISTS (SELECT FROM stock_adjustments a WHERE a.id = e.reference
                                AND a.variant_id = e.variant_id AND a.quantity = e.supplied)
                 GROUP BY variant_id, location_id
             ) e USING (variant_id, location_id)
             WHERE s.supplied IS DISTINCT FROM coalesce(e.supplied, 0)
                OR s.available IS DISTINCT FROM coalesce(e.available, 0)",
        )
        .await
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
