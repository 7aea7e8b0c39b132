//! Migrations: forward only, checksummed, applied under a lock.
//!
//! Two instances may start together: the second waits for the first and finds nothing to do.
//! Expand, then contract: the previous release's code must run on the new schema.

use crate::postgres::{Postgres, describe};
use refinery::{Migration, Runner, Target};
use tokio_postgres::Client;

/// Every migration, in order. A merged one never changes; `tests/tidy.rs` holds the checksums.
pub const MIGRATIONS: &[(&str, &str)] = &[
    ("V1__first_sale", include_str!("../migrations/0001_first_sale.sql")),
    ("V2__catalog", include_str!("../migrations/0002_catalog.sql")),
    ("V3__search", include_str!("../migrations/0003_search.sql")),
    ("V4__sessions_and_carts", include_str!("../migrations/0004_sessions_and_carts.sql")),
    ("V5__checkout", include_str!("../migrations/0005_checkout.sql")),
    ("V6__customers", include_str!("../migrations/0006_customers.sql")),
    ("V7__mail", include_str!("../migrations/0007_mail.sql")),
    ("V8__staff", include_str!("../migrations/0008_staff.sql")),
];

/// The key of the advisory lock ("doorbust" in ASCII).
const LOCK: i64 = 0x646f_6f72_6275_7374;

/// Brings the schema up to this binary's version; returns how many migrations were applied.
///
/// Errors are sentences for the operator: the database is not reachable, its schema is newer
/// than this binary, or a migration that was applied has another checksum.
pub async fn run(postgres: &Postgres) -> Result<usize, String> {
    let mut client = connect(postgres).await?;
    // The lock goes with this connection, so a killed instance does not keep it.
    let lock = format!("SELECT pg_advisory_lock({LOCK})");
    client.batch_execute(&lock).await.map_err(|error| describe(&error))?;
    refuse_newer_schema(&client).await?;
    let report = runner()?
        .run_async(&mut client)
        .await
        .map_err(|error| format!("the migrations cannot be applied: {error}"))?;
    Ok(report.applied_migrations().len())
}

/// Fails unless the schema is exactly the one this binary was built for.
pub async fn check(postgres: &Postgres) -> Result<(), String> {
    let client = connect(postgres).await?;
    refuse_newer_schema(&client).await?;
    match version(&client).await? {
        Some(found) if found == MIGRATIONS.len() as i32 => Ok(()),
        found => Err(format!(
            "the database has schema {}, this binary needs {}: run `doorbuster migrate`",
            found.map_or("none".to_owned(), |version| version.to_string()),
            MIGRATIONS.len(),
        )),
    }
}

/// Lets a role serve, and do nothing else: rows of this schema's tables, no schema, no rows of
/// those that only grow but new ones. Tables of later migrations get the same; what only grows
/// there is known to the next call.
///
/// Errors are sentences for the operator: the role does not exist or may do more than that.
pub async fn grant(postgres: &Postgres, role: &str) -> Result<(), String> {
    let mut client = connect(postgres).await?;
    let refused = |error: tokio_postgres::Error| format!("the role {role}: {}", describe(&error));
    let transaction = client.transaction().await.map_err(refused)?;
    let lock = format!("SELECT pg_advisory_xact_lock({LOCK})");
    transaction.batch_execute(&lock).await.map_err(refused)?;
    let quoted = transaction.query_one("SELECT quote_ident($1)", &[&role]).await;
    let quoted: String = quoted.map_err(refused)?.get(0);
    let grants = include_str!("../config/role-grants.sql").replace(":role", &quoted);
    transaction.batch_execute(&grants).await.map_err(refused)?;
    let excess = include_str!("../config/role-excess.sql");
    let excess = transaction.query_one(excess, &[&role]).await.map_err(refused)?;
    match excess.get::<_, Option<String>>(0) {
        None => transaction.commit().await.map_err(refused),
        Some(excess) => Err(format!("the role {role} may do more than serve: {excess}")),
    }
}

async fn connect(postgres: &Postgres) -> Result<Client, String> {
    let connected = postgres.connect().await;
    connected.map_err(|error| format!("the database cannot be reached: {}", describe(&error)))
}

fn runner() -> Result<Runner, String> {
    let migrations: Result<Vec<_>, _> =
        MIGRATIONS.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect();
    let migrations = migrations.map_err(|error| format!("a migration is misnamed: {error}"))?;
    Ok(Runner::new(&migrations).set_target(Target::Latest).set_abort_divergent(true))
}

async fn refuse_newer_schema(client: &Client) -> Result<(), String> {
    match version(client).await? {
        Some(found) if found > MIGRATIONS.len() as i32 => Err(format!(
            "the database has schema {found}, newer than the {} of this binary: upgrade it",
            MIGRATIONS.len(),
        )),
        _ => Ok(()),
    }
}

/// The newest migration that was applied; `None` in an empty database.
async fn version(client: &Client) -> Result<Option<i32>, String> {
    let exists = "SELECT to_regclass('refinery_schema_history') IS NOT NULL";
    let newest = "SELECT max(version) FROM refinery_schema_history";
    let row = client.query_one(exists, &[]).await.map_err(|error| describe(&error))?;
    if !row.get::<_, bool>(0) {
        return Ok(None);
    }
    let row = client.query_one(newest, &[]).await.map_err(|error| describe(&error))?;
    Ok(row.get(0))
}
