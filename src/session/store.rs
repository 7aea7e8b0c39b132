//! The SQL of sessions. Whether one is over is for PostgreSQL's clock to say.

use super::token::{Session, TokenHash};
use crate::error::Problem;
use crate::id::SessionId;
use deadpool_postgres::Pool;
use std::collections::HashMap;
use std::time::Duration;
use tokio_postgres::Row;
use uuid::Uuid;

/// How long sessions last.
#[derive(Debug, Clone, Copy)]
pub struct Periods {
    /// After its last use.
    pub idle: Duration,
    /// After its beginning.
    pub absolute: Duration,
}

/// A session that is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NewSession {
    /// The id.
    pub id: SessionId,
    /// What it is looked up by.
    pub token_hash: TokenHash,
}

/// Begins sessions, many with one statement.
pub async fn create(
    writers: &Pool,
    sessions: Vec<NewSession>,
    periods: Periods,
) -> Result<HashMap<NewSession, Session>, Problem> {
    let sql = "INSERT INTO sessions (id, token_hash, expires_at, ends_at)
               SELECT s.id, s.token_hash, now() + make_interval(secs => least($3::float8, $4)),
                   now() + make_interval(secs => $4)
               FROM unnest($1::uuid[], $2::bytea[]) AS s (id, token_hash)
               RETURNING id, created_at, expires_at";
    let client = writers.get().await?;
    let statement = client.prepare_cached(sql).await?;
    let (ids, hashes): (Vec<Uuid>, Vec<&[u8]>) =
        sessions.iter().map(|new| (new.id.uuid(), &new.token_hash[..])).unzip();
    let (idle, absolute) = (periods.idle.as_secs_f64(), periods.absolute.as_secs_f64());
    let rows = client.query(&statement, &[&ids, &hashes, &idle, &absolute]).await?;
    let by_id: HashMap<SessionId, Session> =
        rows.iter().map(session).map(|session| (session.id, session)).collect();
    let begun = |new: NewSession| by_id.get(&new.id).map(|session| (new, *session));
    Ok(sessions.into_iter().filter_map(begun).collect())
}

/// Reads id, beginning and end from the first three columns.
fn session(row: &Row) -> Session {
    Session { id: row.get::<_, Uuid>(0).into(), created_at: row.get(1), expires_at: row.get(2) }
}

/// The sessions of these tokens that are not over, and the tokens whose expiry is due to be moved
/// on: only once in a hundredth of the idle time, so that reads hardly ever write.
pub async fn find(
    readers: &Pool,
    tokens: &[TokenHash],
    periods: Periods,
) -> Result<(HashMap<TokenHash, Session>, Vec<TokenHash>), Problem> {
    let sql = "SELECT id, created_at, expires_at, token_hash,
                   expires_at < least(now() + make_interval(secs => $2::float8 * 0.99), ends_at)
               FROM sessions WHERE token_hash = ANY($1) AND expires_at > now()";
    let client = readers.get().await?;
    let statement = client.prepare_cached(sql).await?;
    let hashes: Vec<&[u8]> = tokens.iter().map(|hash| &hash[..]).collect();
    let rows = client.query(&statement, &[&hashes, &periods.idle.as_secs_f64()]).await?;
    let (mut found, mut due) = (HashMap::with_capacity(rows.len()), Vec::new());
    for row in &rows {
        let hash: &[u8] = row.get(3);
        let hash = TokenHash::try_from(hash).map_err(Problem::internal)?;
        found.insert(hash, session(row));
        if row.get(4) {
            due.push(hash);
        }
    }
    Ok((found, due))
}

/// Moves the expiry on. Who is being moved by somebody else is left to them; a session that was
/// ended meanwhile stays ended, because its `ends_at` has passed.
pub async fn touch(writers: &Pool, tokens: &[TokenHash], idle: Duration) -> Result<(), Problem> {
    let sql = "WITH due AS MATERIALIZED (
                   SELECT id FROM sessions WHERE token_hash = ANY($1) AND expires_at > now()
                   ORDER BY id FOR UPDATE SKIP LOCKED)
               UPDATE sessions s
               SET expires_at = least(now() + make_interval(secs => $2), s.ends_at)
               FROM due WHERE s.id = due.id";
    let client = writers.get().await?;
    let statement = client.prepare_cached(sql).await?;
    let hashes: Vec<&[u8]> = tokens.iter().map(|hash| &hash[..]).collect();
    client.execute(&statement, &[&hashes, &idle.as_secs_f64()]).await?;
    Ok(())
}

/// Ends the session.
pub async fn end(writers: &Pool, token: &TokenHash) -> Result<(), Problem> {
    let sql = "UPDATE sessions SET expires_at = now(), ends_at = now()
               WHERE token_hash = $1 AND expires_at > now()";
    let client = writers.get().await?;
    let statement = client.prepare_cached(sql).await?;
    client.execute(&statement, &[&&token[..]]).await?;
    Ok(())
}
