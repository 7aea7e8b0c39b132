//! The SQL of the sessions of staff.

use crate::auth::{Principal, TokenHash, parse_scopes, read_hash};
use crate::error::Problem;
use crate::id::StaffId;
use crate::postgres::Postgres;
use crate::retention::Sweep;
use crate::session::Periods;
use crate::staff::credentials::Credential;
use crate::staff::role::find_built_in;
use deadpool_postgres::{Pool, Transaction};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

/// Sessions of staff that are over.
pub const SWEEP: Sweep = Sweep {
    table: "staff_sessions",
    since: "expires_at",
    only: "true",
    keep: |_| Duration::from_secs(60 * 60),
};

/// What the sessions with these hashes stand for that are not over: their member of staff, with
/// the scopes of the role that they have now. Their expiry is moved on once in a tenth of the idle
/// time, which is short, so that they hardly ever write.
pub async fn credentials(
    postgres: &Postgres,
    hashes: &[TokenHash],
    periods: Periods,
) -> Result<HashMap<TokenHash, Credential>, Problem> {
    let sql = "SELECT s.token_hash, s.staff_id, f.role, r.scopes,
                   s.expires_at < least(now() + make_interval(secs => $2::float8 * 0.9), s.ends_at)
               FROM staff_sessions s JOIN staff f ON f.id = s.staff_id
                   LEFT JOIN staff_roles r ON r.name = f.role
               WHERE s.token_hash = ANY($1) AND s.expires_at > now()";
    let hashes: Vec<&[u8]> = hashes.iter().map(|hash| &hash[..]).collect();
    let client = postgres.readers.get().await?;
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&hashes, &periods.idle.as_secs_f64()]).await?;
    let due = rows.iter().filter(|row| row.get(4)).map(|row| row.get(0)).collect();
    touch(postgres, due, periods.idle);
    let credential = |row: &Row| {
        let hash = read_hash(row, 0)?;
        let principal = Principal::Staff(row.get::<_, Uuid>(1).into());
        let scopes = match find_built_in(row.get(2)) {
            Some(role) => role.scopes,
            None => parse_scopes(row.get::<_, Option<Vec<&str>>>(3).unwrap_or_default()),
        };
        Ok((hash, Credential::Admin { principal, scopes: Arc::new(scopes) }))
    };
    rows.iter().map(credential).collect()
}

/// Moves the expiry of sessions in use on, without anybody waiting for it. One that was ended
/// meanwhile stays ended, because its `ends_at` has passed.
fn touch(postgres: &Postgres, due: Vec<Vec<u8>>, idle: Duration) {
    if due.is_empty() {
        return;
    }
    let writers = postgres.writers.clone();
    postgres.in_background("the expiry of sessions was not moved on", async move {
        let sql = "WITH due AS MATERIALIZED (
                       SELECT token_hash FROM staff_sessions
                       WHERE token_hash = ANY($1) AND expires_at > now()
                       ORDER BY token_hash FOR UPDATE SKIP LOCKED)
                   UPDATE staff_sessions s
                   SET expires_at = least(now() + make_interval(secs => $2), s.ends_at)
                   FROM due WHERE s.token_hash = due.token_hash";
        writers.get().await?.execute(sql, &[&due, &idle.as_secs_f64()]).await?;
        Ok(())
    });
}

/// Begins a session; tells when it is over unless it is used.
pub async fn begin(
    transaction: &Transaction<'_>,
    token: &TokenHash,
    staff: StaffId,
    periods: Periods,
) -> Result<OffsetDateTime, Problem> {
    let sql = "INSERT INTO staff_sessions (token_hash, staff_id, expires_at, ends_at)
               VALUES ($1, $2, now() + make_interval(secs => least($3::float8, $4)),
                   now() + make_interval(secs => $4))
               RETURNING expires_at";
    let (idle, absolute) = (periods.idle.as_secs_f64(), periods.absolute.as_secs_f64());
    let (token, staff) = (&token[..], staff.uuid());
    let row = transaction.query_one(sql, &[&token, &staff, &idle, &absolute]).await?;
    Ok(row.get(0))
}

/// Ends one session.
pub async fn end(writers: &Pool, token: &TokenHash) -> Result<(), Problem> {
    let sql = "UPDATE staff_sessions SET expires_at = now(), ends_at = now()
               WHERE token_hash = $1 AND expires_at > now()";
    writers.get().await?.execute(sql, &[&&token[..]]).await?;
    Ok(())
}

/// Ends all sessions of a member of staff but one; tells which.
pub async fn end_all(
    transaction: &Transaction<'_>,
    staff: StaffId,
    but: Option<&TokenHash>,
) -> Result<Vec<TokenHash>, Problem> {
    let sql = "WITH own AS MATERIALIZED (
                   SELECT token_hash FROM staff_sessions
                   WHERE staff_id = $1 AND expires_at > now() AND token_hash IS DISTINCT FROM $2
                   ORDER BY token_hash FOR UPDATE)
               UPDATE staff_sessions s SET expires_at = now(), ends_at = now()
               FROM own WHERE s.token_hash = own.token_hash RETURNING s.token_hash";
    let but = but.map(|token| &token[..]);
    let rows = transaction.query(sql, &[&staff.uuid(), &but]).await?;
    rows.iter().map(|row| read_hash(row, 0)).collect()
}
