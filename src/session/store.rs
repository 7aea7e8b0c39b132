//! The SQL of sessions. Whether one is over is for PostgreSQL's clock to say.

use super::TOKEN;
use super::session::Session;
use crate::auth::{Token, TokenHash, read_hash};
use crate::error::Problem;
use crate::id::{CustomerId, SessionId};
use crate::postgres::reader;
use deadpool_postgres::{Pool, Transaction};
use std::collections::HashMap;
use std::time::Duration;
use tokio_postgres::{GenericClient, Row};
use uuid::Uuid;

/// Sessions of a customer at a time: whatever is done with all of them stays small.
const OF_A_CUSTOMER_MAX: i64 = 100;
/// What is over that goes with one log-in, at most.
const REMOVED_MAX: i64 = 1_000;

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

impl NewSession {
    /// A new one, and the token that nobody else knows.
    pub fn with_token() -> (Token, Self) {
        let token = Token::fresh(TOKEN);
        let new = Self { id: SessionId::new(), token_hash: token.hash() };
        (token, new)
    }
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
               RETURNING id, created_at, expires_at, customer_id";
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

/// Reads id, beginning, end and customer from the first four columns.
fn session(row: &Row) -> Session {
    Session {
        id: row.get::<_, Uuid>(0).into(),
        created_at: row.get(1),
        expires_at: row.get(2),
        customer: row.get::<_, Option<Uuid>>(3).map(CustomerId::from),
    }
}

/// The sessions of these tokens that are not over, and the tokens whose expiry is due to be moved
/// on: only once in a hundredth of the idle time, so that reads hardly ever write.
pub async fn find(
    readers: &Pool,
    tokens: &[TokenHash],
    periods: Periods,
) -> Result<(HashMap<TokenHash, Session>, Vec<TokenHash>), Problem> {
    let sql = "SELECT id, created_at, expires_at, customer_id, token_hash,
                   expires_at < least(now() + make_interval(secs => $2::float8 * 0.99), ends_at)
               FROM sessions WHERE token_hash = ANY($1) AND expires_at > now()";
    let client = readers.get().await?;
    let statement = client.prepare_cached(sql).await?;
    let hashes: Vec<&[u8]> = tokens.iter().map(|hash| &hash[..]).collect();
    let rows = client.query(&statement, &[&hashes, &periods.idle.as_secs_f64()]).await?;
    let (mut found, mut due) = (HashMap::with_capacity(rows.len()), Vec::new());
    for row in &rows {
        let hash = read_hash(row, 4)?;
        found.insert(hash, session(row));
        if row.get(5) {
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

/// In the transaction of a customer's logging in: ends the session that they came with, if it is
/// not over, and begins a new one, so that nobody who knew the old token is logged in, too. Of 100
/// the oldest goes. Tells the session that ended, if it was a guest's.
pub async fn log_in(
    transaction: &Transaction<'_>,
    former: Option<&TokenHash>,
    new: &NewSession,
    customer: CustomerId,
    periods: Periods,
) -> Result<(Option<SessionId>, Session), Problem> {
    // By the clock, not by when this transaction began: another login may have ended it since.
    let sql = "UPDATE sessions SET expires_at = now(), ends_at = now()
               WHERE token_hash = $1 AND expires_at > clock_timestamp()
               RETURNING id, customer_id";
    let former = former.map(|hash| &hash[..]);
    let statement = transaction.prepare_cached(sql).await?;
    let ended = transaction.query_opt(&statement, &[&former]).await?;
    let guest = ended.filter(|row| row.get::<_, Option<Uuid>>(1).is_none());
    let guest = guest.map(|row| row.get::<_, Uuid>(0).into());
    make_room(transaction, customer).await?;
    let sql = "INSERT INTO sessions (id, token_hash, customer_id, expires_at, ends_at)
               VALUES ($1, $2, $3, now() + make_interval(secs => least($4::float8, $5)),
                   now() + make_interval(secs => $5))
               RETURNING id, created_at, expires_at, customer_id";
    let (idle, absolute) = (periods.idle.as_secs_f64(), periods.absolute.as_secs_f64());
    let (id, hash, customer) = (new.id.uuid(), &new.token_hash[..], customer.uuid());
    let statement = transaction.prepare_cached(sql).await?;
    let row =
        transaction.query_one(&statement, &[&id, &hash, &customer, &idle, &absolute]).await?;
    Ok((guest, session(&row)))
}

/// Removes what would be too many with one more: those that are over first, then the oldest.
/// Nobody is waited for: what somebody else has locked is left for the next log-in.
async fn make_room(transaction: &Transaction<'_>, customer: CustomerId) -> Result<(), Problem> {
    let sql = "WITH surplus AS MATERIALIZED (
                   SELECT id FROM sessions WHERE id IN (
                       SELECT id FROM sessions WHERE customer_id = $1
                       ORDER BY expires_at > now() DESC, created_at DESC, id DESC
                       OFFSET $2 LIMIT $3)
                   ORDER BY id FOR UPDATE SKIP LOCKED)
               DELETE FROM sessions s USING surplus WHERE s.id = surplus.id";
    let statement = transaction.prepare_cached(sql).await?;
    let (kept, removed) = (OF_A_CUSTOMER_MAX - 1, REMOVED_MAX);
    transaction.execute(&statement, &[&customer.uuid(), &kept, &removed]).await?;
    Ok(())
}

/// The customer's sessions that are not over, newest first; at most 100.
pub async fn list(readers: &Pool, customer: CustomerId) -> Result<Vec<Session>, Problem> {
    let sql = "SELECT id, created_at, expires_at, customer_id FROM sessions
               WHERE customer_id = $1 AND expires_at > now()
               ORDER BY created_at DESC, id DESC LIMIT $2";
    let client = reader(readers).await?;
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&customer.uuid(), &OF_A_CUSTOMER_MAX]).await?;
    Ok(rows.iter().map(session).collect())
}

/// Which sessions of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// One of them.
    Only(SessionId),
    /// All but one.
    AllBut(SessionId),
}

/// Ends sessions of the customer. Tells the tokens of those that were ended.
pub async fn log_out(
    client: &impl GenericClient,
    customer: CustomerId,
    which: Which,
) -> Result<Vec<TokenHash>, Problem> {
    let sql = "WITH own AS MATERIALIZED (
                   SELECT id FROM sessions WHERE customer_id = $1 AND expires_at > now()
                       AND ($2::uuid IS NULL OR (id = $2) = $3)
                   ORDER BY id FOR UPDATE)
               UPDATE sessions s SET expires_at = now(), ends_at = now()
               FROM own WHERE s.id = own.id RETURNING s.token_hash";
    let (one, is_meant) = match which {
        Which::All => (None, true),
        Which::Only(id) => (Some(id.uuid()), true),
        Which::AllBut(id) => (Some(id.uuid()), false),
    };
    let rows = client.query(sql, &[&customer.uuid(), &one, &is_meant]).await?;
    rows.iter().map(|row| read_hash(row, 0)).collect()
}

/// Whose sessions these were is gone, and so are they. Tells their tokens.
pub async fn erase(
    transaction: &Transaction<'_>,
    customer: CustomerId,
) -> Result<Vec<TokenHash>, Problem> {
    let sql = "WITH own AS MATERIALIZED (
                   SELECT id FROM sessions WHERE customer_id = $1 ORDER BY id FOR UPDATE)
               DELETE FROM sessions s USING own WHERE s.id = own.id RETURNING s.token_hash";
    let rows = transaction.query(sql, &[&customer.uuid()]).await?;
    rows.iter().map(|row| read_hash(row, 0)).collect()
}

/// Everything that is held of the customer's sessions, also of those that are over.
pub async fn held(readers: &Pool, customer: CustomerId) -> Result<Vec<Session>, Problem> {
    let sql = "SELECT id, created_at, expires_at, customer_id FROM sessions
               WHERE customer_id = $1 ORDER BY id";
    let client = reader(readers).await?;
    let rows = client.query(sql, &[&customer.uuid()]).await?;
    Ok(rows.iter().map(session).collect())
}
