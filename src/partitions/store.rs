//! What is asked of PostgreSQL about partitions, and done to them.

use super::{By, Growth};
use crate::postgres::{describe, try_lock};
use std::time::Duration;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, Transaction};

/// Orders wait for one lock of a change of their tables no longer than this …
const LOCK_MAX: &str = "100ms";

/// … and then have so much time to themselves.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// How often a change is tried.
const TRIES_MAX: usize = 200;

/// How often months that change meanwhile are summed up again.
const CHANGES_MAX: usize = 5;

/// One run at a time ("partitio" in ASCII).
const LOCK: i64 = 0x7061_7274_6974_696f;

/// A partition that has an end.
pub struct Part {
    pub name: String,
    /// Where it ends: a text of the key's type, as [`By::first_of`] writes it.
    pub bound: String,
}

/// Readies a connection; an error if somebody else is at it. Ends what an earlier run has left.
pub async fn begin(client: &mut Client) -> Result<(), String> {
    let ready = format!(
        "SET timezone = 'UTC'; SET datestyle = 'ISO'; {}",
        include_str!("../../config/partitions.sql")
    );
    client.batch_execute(&ready).await.map_err(|error| describe(&error))?;
    match try_lock(client, LOCK).await.map_err(|error| describe(&error))? {
        true => release(client).await,
        false => Err("another run is dividing tables".to_owned()),
    }
}

/// Whether the table is divided already.
pub async fn is_divided(client: &Client, table: &str) -> Result<bool, String> {
    let sql = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass($1::text)";
    let row = client.query_one(sql, &[&table]).await;
    Ok(row.map_err(|error| describe(&error))?.get(0))
}

/// Lets nothing into the table from `bound` on, and makes sure that nothing is there. Nobody waits
/// for the second, however large the table is.
pub async fn bound(client: &mut Client, growth: &Growth, bound: &str) -> Result<(), String> {
    let key = growth.by.column();
    match hold(client, growth.table, &format!("{key} < '{bound}'")).await? {
        true => Ok(()),
        false => Err(format!("{} has rows of {bound} and later", growth.table)),
    }
}

/// Divides the table at the bound that was announced.
pub async fn divide(client: &mut Client, growth: &Growth, bound: &str) -> Result<(), String> {
    let (table, key) = (growth.table, growth.by.column());
    let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    let divide = format!("SELECT pg_temp.divide('{table}', '{key}', '{bound}')");
    patiently(client, table, &[lock, divide]).await
}

/// Adds a partition; false if rows of its time lie where everything else does.
pub async fn add(
    client: &mut Client,
    growth: &Growth,
    part: &Part,
    first: &str,
) -> Result<bool, String> {
    let (table, key, Part { name, bound }) = (growth.table, growth.by.column(), part);
    let rest = format!("{table}_rest");
    if !hold(client, &rest, &format!("{key} < '{first}' OR {key} >= '{bound}'")).await? {
        return Ok(false);
    }
    let add = format!("SELECT pg_temp.add_partition('{table}', '{name}', '{first}', '{bound}')");
    if let Err(why) = patiently(client, table, &[add]).await {
        // What failed first says more.
        let _ = withdraw(client, &rest).await;
        return Err(why);
    }
    Ok(true)
}

/// Sees to it that all rows of the table are so, and that new ones are: `partition_bound` then says
/// it, and a partition that follows from it needs no look at the rows. False if one is not; then
/// the table is as before.
async fn hold(client: &mut Client, table: &str, condition: &str) -> Result<bool, String> {
    let announce = format!(
        "ALTER TABLE {table} DROP CONSTRAINT IF EXISTS partition_bound,
             ADD CONSTRAINT partition_bound CHECK ({condition}) NOT VALID"
    );
    patiently(client, table, &[announce]).await?;
    let validate = format!("ALTER TABLE {table} VALIDATE CONSTRAINT partition_bound");
    let validated = match client.batch_execute(&validate).await {
        Ok(()) => return Ok(true),
        Err(error) if error.code() == Some(&SqlState::CHECK_VIOLATION) => Ok(false),
        Err(error) => Err(describe(&error)),
    };
    withdraw(client, table).await?;
    validated
}

/// Lets everything into the table again.
async fn withdraw(client: &mut Client, table: &str) -> Result<(), String> {
    let withdraw = format!("ALTER TABLE {table} DROP CONSTRAINT partition_bound");
    patiently(client, table, &[withdraw]).await
}

/// Drops a partition.
pub async fn drop(client: &mut Client, growth: &Growth, part: &Part) -> Result<(), String> {
    patiently(client, growth.table, &[format!("DROP TABLE {}", part.name)]).await
}

/// The partitions that end no later than `bound`, oldest first.
pub async fn ended(client: &Client, growth: &Growth, bound: &str) -> Result<Vec<Part>, String> {
    let kind = match growth.by {
        By::Id(_) => "uuid",
        By::Time(_) => "timestamptz",
    };
    // Materialized, or a bound of another table's partition might be read as one of this kind.
    let sql = format!(
        r"WITH parts AS MATERIALIZED (
              SELECT c.relname::text AS name,
                  (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']+)''\)'))[1]
                      AS bound
              FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
              WHERE i.inhparent = to_regclass($1::text))
          SELECT name, bound FROM parts
          WHERE bound::{kind} <= $2::text::{kind} ORDER BY bound::{kind}"
    );
    let rows = client.query(&sql, &[&growth.table, &bound]).await;
    let rows = rows.map_err(|error| describe(&error))?;
    Ok(rows.iter().map(|row| Part { name: row.get(0), bound: row.get(1) }).collect())
}

/// What leaves: the tables, each with the partitions.
pub type Leaving<'g> = [(&'g Growth, Vec<Part>)];

/// Takes partitions out of their tables and into the schema `archive`, together with what their
/// features keep of them. Nobody is kept from changing them meanwhile: then it begins again. That
/// the tables themselves change takes a moment in the end.
pub async fn archive(client: &mut Client, leaving: &Leaving<'_>) -> Result<(), String> {
    let archived = watch_and_detach(client, leaving).await;
    if archived.is_err() {
        release(client).await?;
    }
    archived
}

async fn watch_and_detach(client: &mut Client, leaving: &Leaving<'_>) -> Result<(), String> {
    for (growth, parts) in leaving {
        for Part { name, .. } in parts {
            let or = growth.archival().moves.map(|columns| format!(" OR UPDATE OF {columns}"));
            let watch = format!(
                "CREATE TRIGGER leaving AFTER INSERT{} ON {name}
                     FOR EACH ROW EXECUTE FUNCTION note_change()",
                or.unwrap_or_default()
            );
            patiently(client, name, &[watch]).await?;
        }
    }
    for _ in 0..CHANGES_MAX {
        if keep_and_detach(client, leaving).await? {
            return Ok(());
        }
    }
    Err("these months change all the time; try again".to_owned())
}

/// In one transaction: nobody sees the sums twice, or neither. False if something has changed
/// meanwhile, and so nothing is done.
async fn keep_and_detach(client: &mut Client, leaving: &Leaving<'_>) -> Result<bool, String> {
    let failed = |error: Error| describe(&error);
    client.execute("DELETE FROM archive_changes", &[]).await.map_err(failed)?;
    let mut transaction = client.transaction().await.map_err(failed)?;
    for unfinished in leaving.iter().filter_map(|(growth, _)| growth.archival().unfinished) {
        let row = transaction.query_one(&told(unfinished, leaving), &[]).await.map_err(failed)?;
        if let Some(why) = row.get::<_, Option<String>>(0) {
            return Err(why);
        }
    }
    for carry in leaving.iter().filter_map(|(growth, _)| growth.archival().carry) {
        transaction.batch_execute(&told(carry, leaving)).await.map_err(failed)?;
    }
    let tables: Vec<&str> = leaving.iter().map(|(growth, _)| growth.table).collect();
    let mut steps =
        vec![format!("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE", tables.join(", ONLY "))];
    for (growth, parts) in leaving {
        for Part { name, .. } in parts {
            steps.push(format!("ALTER TABLE {} DETACH PARTITION {name}", growth.table));
            steps.push(format!("DROP TRIGGER leaving ON {name}"));
            steps.push(format!("ALTER TABLE {name} SET SCHEMA archive"));
        }
    }
    transaction.batch_execute("CREATE SCHEMA IF NOT EXISTS archive").await.map_err(failed)?;
    patiently_within(&mut transaction, &tables.join(", "), &steps).await?;
    // All partitions are locked now, so whoever was at one has committed.
    let sql = "SELECT EXISTS (SELECT FROM archive_changes)";
    if transaction.query_one(sql, &[]).await.map_err(failed)?.get(0) {
        return Ok(false);
    }
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

/// Watches partitions that were to leave no longer.
async fn release(client: &mut Client) -> Result<(), String> {
    let sql = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'leaving'
               AND tgfoid = 'note_change'::regproc";
    let rows = client.query(sql, &[]).await.map_err(|error| describe(&error))?;
    for row in &rows {
        let part: &str = row.get(0);
        patiently(client, part, &[format!("DROP TRIGGER leaving ON {part}")]).await?;
    }
    Ok(())
}

/// `:orders` stands for what leaves of the table `orders`.
fn told(sql: &str, leaving: &Leaving<'_>) -> String {
    leaving.iter().fold(sql.to_owned(), |sql, (growth, parts)| {
        let each = parts.iter().map(|part| format!("SELECT * FROM {}", part.name));
        let all = each.collect::<Vec<_>>().join(" UNION ALL ");
        sql.replace(&format!(":{} ", growth.table), &format!("({all}) "))
    })
}

/// All of it, or nothing and again a moment later, as long as somebody else uses the table.
async fn patiently(client: &mut Client, table: &str, steps: &[String]) -> Result<(), String> {
    let mut transaction = client.transaction().await.map_err(|error| describe(&error))?;
    patiently_within(&mut transaction, table, steps).await?;
    transaction.commit().await.map_err(|error| describe(&error))
}

async fn patiently_within(
    transaction: &mut Transaction<'_>,
    tables: &str,
    steps: &[String],
) -> Result<(), String> {
    let failed = |error: Error| describe(&error);
    // Nobody who reads or writes waits for this, but vacuum gives way to whoever waits a second.
    let calm = format!(
        "SET LOCAL lock_timeout = '5s'; LOCK TABLE {tables} IN SHARE UPDATE EXCLUSIVE MODE;
         SET LOCAL lock_timeout = '{LOCK_MAX}'"
    );
    transaction.batch_execute(&calm).await.map_err(failed)?;
    let steps = steps.join("; ");
    for _ in 0..TRIES_MAX {
        let attempt = transaction.transaction().await.map_err(failed)?;
        match attempt.batch_execute(&steps).await {
            Ok(()) => return attempt.commit().await.map_err(failed),
            Err(error) if is_busy(&error) => attempt.rollback().await.map_err(failed)?,
            Err(error) => return Err(describe(&error)),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    Err(format!("somebody has used {tables} all the time; try again"))
}

fn is_busy(error: &Error) -> bool {
    [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED]
        .iter()
        .any(|state| error.code() == Some(state))
}
