//! Migrations: forward only, checksummed, applied under a lock.
//!
//! Two instances may start together: the second waits for the first and finds nothing to do.
//! Expand, then contract: the previous release's code must run on the new schema, so a binary runs
//! on a newer one as long as that does not name a newer binary as its oldest.

use crate::postgres::{Postgres, describe};
use refinery::{Migration, Runner, Target};
use std::time::Duration;
use tokio::time::sleep;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

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
    ("V9__oldest_binary", include_str!("../migrations/0009_oldest_binary.sql")),
    ("V10__partitions", include_str!("../migrations/0010_partitions.sql")),
];

/// The key of the advisory lock ("doorbust" in ASCII).
const LOCK: i64 = 0x646f_6f72_6275_7374;

/// How often a migration may meet somebody who keeps a lock, and how long sellers have between.
const ATTEMPTS_MAX: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// The newest migration that this binary knows.
const KNOWN: i32 = MIGRATIONS.len() as i32;

/// Brings the schema up to this binary's version; returns how many migrations were applied. A
/// newer schema is left alone. Nobody who sells waits long behind a migration that itself waits for
/// a lock: after half a second it lets go, and is tried again.
///
/// Errors are sentences for the operator: the database is not reachable, its schema is too new
/// for this binary, or a migration that was applied has another checksum.
pub async fn run(postgres: &Postgres) -> Result<usize, String> {
    let mut client = postgres.connect().await?;
    // The lock goes with this connection, so a killed instance does not keep it.
    let lock = format!("SELECT pg_advisory_lock({LOCK})");
    client.batch_execute(&lock).await.map_err(|error| describe(&error))?;
    let before = version(&client).await?;
    if suits(&client, before).await? {
        return Ok(0);
    }
    client.batch_execute("SET lock_timeout = '500ms'").await.map_err(|error| describe(&error))?;
    for _ in 0..ATTEMPTS_MAX {
        match runner()?.run_async(&mut client).await {
            Ok(_) => return Ok((KNOWN - before.unwrap_or(0)).unsigned_abs() as usize),
            Err(error) if waited_for_a_lock(&error) => sleep(PAUSE).await,
            Err(error) => return Err(format!("the migrations cannot be applied: {error}")),
        }
    }
    Err("the migrations cannot be applied: somebody keeps a lock on the tables".to_owned())
}

fn waited_for_a_lock(error: &(dyn std::error::Error + 'static)) -> bool {
    let code = error.downcast_ref().and_then(tokio_postgres::Error::code);
    code == Some(&SqlState::LOCK_NOT_AVAILABLE) || error.source().is_some_and(waited_for_a_lock)
}

/// Fails unless the schema is the one this binary was built for, or a newer one that suits it.
pub async fn check(postgres: &Postgres) -> Result<(), String> {
    let client = postgres.connect().await?;
    let found = version(&client).await?;
    if found == Some(KNOWN) || suits(&client, found).await? {
        return Ok(());
    }
    let found = found.map_or("none".to_owned(), |version| version.to_string());
    let needed = format!("this binary needs {KNOWN}: run `doorbuster migrate`");
    Err(format!("the database has schema {found}, {needed}"))
}

/// Lets a role serve, and do nothing else: rows of this schema's tables, no schema, no rows of
/// those that only grow but new ones. Tables of later migrations get the same; what only grows
/// there is known to the next call.
///
/// Errors are sentences for the operator: the role does not exist or may do more than that.
pub async fn grant(postgres: &Postgres, role: &str) -> Result<(), String> {
    let mut client = postgres.connect().await?;
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

fn runner() -> Result<Runner, String> {
    let migrations: Result<Vec<_>, _> =
        MIGRATIONS.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect();
    let migrations = migrations.map_err(|error| format!("a migration is misnamed: {error}"))?;
    Ok(Runner::new(&migrations).set_target(Target::Latest).set_abort_divergent(true))
}

/// Whether the schema that was found is newer than this binary and still suits it; an error if it
/// is too new.
async fn suits(client: &Client, found: Option<i32>) -> Result<bool, String> {
    let Some(found) = found.filter(|found| *found > KNOWN) else { return Ok(false) };
    let row = client.query_one("SELECT migration FROM oldest_binary", &[]).await;
    let oldest: i32 = row.map_err(|error| describe(&error))?.get(0);
    if oldest <= KNOWN {
        tracing::info!(
            found,
            known = KNOWN,
            "the schema is newer than this binary, and suits it"
        );
        return Ok(true);
    }
    let needed = format!("it needs a binary that knows {oldest}");
    Err(format!("the schema {found} is too new for this binary, which knows {KNOWN}: {needed}"))
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
