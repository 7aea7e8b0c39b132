//! Retention under load: a rush while millions of old rows wait to be removed.

use crate::generator::Settings;
use crate::report::Report;
use crate::rush;
use crate::stored::connect;
use crate::target::run_name;
use anyhow::Context;
use tokio_postgres::Client;

/// The options of the rush, and how much is old.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "retention")]
pub struct Options {
    /// The rush meanwhile
    #[command(flatten)]
    pub rush: rush::Options,
    /// Old idempotency keys, and as many old events
    #[arg(long, default_value_t = 2_000_000, value_name = "COUNT")]
    old_rows: u32,
}

impl Options {
    /// The clients of the rush, or why there cannot be such a run.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        self.rush.target().access.database()?;
        self.rush.settings()
    }
}

/// Fills the tables with old rows, runs the rush, and says how many of them went meanwhile.
///
/// To be compared with the same run on instances that have `retention.enabled` switched off.
pub async fn retention(options: &Options) -> anyhow::Result<Report> {
    // Known before millions of rows are made.
    options.settings()?;
    let client = connect(options.rush.target().access.database()?).await?;
    fill(&client, options.old_rows).await.context("cannot make old rows")?;
    let before = removed(&client).await?;
    let report = rush::rush(&options.rush).await?;
    let after = removed(&client).await?;
    println!("retention removed {} rows during the rush", after - before);
    Ok(report)
}

async fn fill(client: &Client, rows: u32) -> Result<(), tokio_postgres::Error> {
    let run = run_name("old");
    let sql = format!(
        "INSERT INTO idempotency_keys
             (scope, key, request_hash, resource_id, status, location, body, created_at)
         SELECT '{run}', n, sha256(n::text::bytea), gen_random_uuid(), 201, '/old/' || n,
             repeat(md5(n::text), 25)::bytea, now() - interval '1000 hours'
         FROM generate_series(1, {rows}) n;
         INSERT INTO outbox (aggregate_id, type, payload, created_at)
         SELECT gen_random_uuid(), 'old', jsonb_build_object('order', repeat(md5(n::text), 12)),
             now() - interval '1000 hours'
         FROM generate_series(1, {rows}) n"
    );
    client.batch_execute(&sql).await?;
    // What a night would have done, so that neither run pays for it.
    client.batch_execute("VACUUM ANALYZE idempotency_keys, outbox").await?;
    client.batch_execute("CHECKPOINT").await
}

/// Rows ever deleted from the two tables.
async fn removed(client: &Client) -> anyhow::Result<i64> {
    let sql = "SELECT coalesce(sum(n_tup_del), 0)::bigint FROM pg_stat_user_tables
               WHERE relname IN ('idempotency_keys', 'outbox')";
    Ok(client.query_one(sql, &[]).await?.get(0))
}
