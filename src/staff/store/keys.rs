//! The SQL of API keys.

use crate::auth::{Principal, TokenHash, parse_scopes, read_hash, scope_names};
use crate::error::Problem;
use crate::id::ApiKeyId;
use crate::page::Page;
use crate::postgres::{Postgres, reader};
use crate::staff::credentials::Credential;
use crate::staff::key::{Key, Kind};
use deadpool_postgres::{GenericClient, Pool, Transaction};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// The columns that [`read`] reads.
const COLUMNS: &str = "id, kind, name, prefix, scopes, channel, origins, expires_at, revoked_at,
    last_used_at, version, created_at";

fn read(row: &Row) -> Key {
    let kind = match row.get::<_, &str>(1) {
        "publishable" => Kind::Publishable,
        _ => Kind::Secret,
    };
    Key {
        id: row.get::<_, Uuid>(0).into(),
        kind,
        name: row.get(2),
        prefix: row.get(3),
        scopes: parse_scopes(row.get::<_, Vec<&str>>(4)),
        channel: row.get(5),
        origins: row.get(6),
        expires_at: row.get(7),
        revoked_at: row.get(8),
        last_used_at: row.get(9),
        version: row.get(10),
        created_at: row.get(11),
    }
}

/// What the keys with these hashes stand for that are neither over nor taken back. That they were
/// used is noted once a minute.
pub async fn credentials(
    postgres: &Postgres,
    hashes: &[TokenHash],
) -> Result<HashMap<TokenHash, Credential>, Problem> {
    let sql = "SELECT key_hash, id, kind, scopes, origins,
                   last_used_at IS NULL OR last_used_at < now() - interval '1 minute'
               FROM api_keys
               WHERE key_hash = ANY($1) AND revoked_at IS NULL
                   AND (expires_at IS NULL OR expires_at > now())";
    let hashes: Vec<&[u8]> = hashes.iter().map(|hash| &hash[..]).collect();
    let client = postgres.readers.get().await?;
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&hashes]).await?;
    let due = rows.iter().filter(|row| row.get(5)).map(|row| row.get(1)).collect();
    note_use(postgres, due);
    let credential = |row: &Row| {
        let hash = read_hash(row, 0)?;
        let id: ApiKeyId = row.get::<_, Uuid>(1).into();
        let credential = match row.get::<_, &str>(2) {
            "secret" => Credential::Admin {
                principal: Principal::Key(id),
                scopes: Arc::new(parse_scopes(row.get::<_, Vec<&str>>(3))),
            },
            _ => Credential::Channel { origins: row.get::<_, Vec<String>>(4).into() },
        };
        Ok((hash, credential))
    };
    rows.iter().map(credential).collect()
}

/// Nobody waits for it, and nothing depends on it.
fn note_use(postgres: &Postgres, due: Vec<Uuid>) {
    if due.is_empty() {
        return;
    }
    let writers = postgres.writers.clone();
    postgres.in_background("the use of keys was not noted", async move {
        let sql = "UPDATE api_keys SET last_used_at = now() WHERE id = ANY($1)";
        writers.get().await?.execute(sql, &[&due]).await?;
        Ok(())
    });
}

/// Keys, newest first.
pub async fn list(readers: &Pool, page: Page) -> Result<Vec<Key>, Problem> {
    let sql = format!(
        "SELECT {COLUMNS} FROM api_keys WHERE ($1::uuid IS NULL OR id < $1)
         ORDER BY id DESC LIMIT $2"
    );
    let client = reader(readers).await?;
    let statement = client.prepare_cached(&sql).await?;
    let rows = client.query(&statement, &[&page.after, &page.fetch()]).await?;
    Ok(rows.iter().map(read).collect())
}

/// A key.
pub async fn find(readers: &Pool, id: ApiKeyId) -> Result<Option<Key>, Problem> {
    let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE id = $1");
    let client = reader(readers).await?;
    let statement = client.prepare_cached(&sql).await?;
    Ok(client.query_opt(&statement, &[&id.uuid()]).await?.map(|row| read(&row)))
}

/// A key and its hash, locked.
pub async fn lock(
    transaction: &Transaction<'_>,
    id: ApiKeyId,
) -> Result<Option<(Key, TokenHash)>, Problem> {
    let sql = format!("SELECT {COLUMNS}, key_hash FROM api_keys WHERE id = $1 FOR UPDATE");
    let row = transaction.query_opt(&sql, &[&id.uuid()]).await?;
    let hashed = |row: Row| {
        let hash = read_hash(&row, 12)?;
        Ok((read(&row), hash))
    };
    row.map(hashed).transpose()
}

/// Adds a key.
pub async fn insert(
    transaction: &Transaction<'_>,
    key: &Key,
    hash: &TokenHash,
) -> Result<Key, Problem> {
    let sql = format!(
        "INSERT INTO api_keys (id, kind, name, prefix, key_hash, scopes, channel, origins,
             expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING {COLUMNS}"
    );
    let (id, scopes, hash) = (key.id.uuid(), scope_names(&key.scopes), &hash[..]);
    let kind = key.kind.as_str();
    let values: [&(dyn ToSql + Sync); 9] = [
        &id,
        &kind,
        &key.name,
        &key.prefix,
        &hash,
        &scopes,
        &key.channel,
        &key.origins,
        &key.expires_at,
    ];
    Ok(read(&transaction.query_one(&sql, &values).await?))
}

/// Saves what may be changed of a locked key.
pub async fn update(transaction: &Transaction<'_>, key: &Key) -> Result<Key, Problem> {
    let sql = format!(
        "UPDATE api_keys SET name = $2, scopes = $3, channel = $4, origins = $5, expires_at = $6,
             version = version + 1, updated_at = now()
         WHERE id = $1 RETURNING {COLUMNS}"
    );
    let (id, scopes) = (key.id.uuid(), scope_names(&key.scopes));
    let values: [&(dyn ToSql + Sync); 6] =
        [&id, &key.name, &scopes, &key.channel, &key.origins, &key.expires_at];
    Ok(read(&transaction.query_one(&sql, &values).await?))
}

/// Takes a locked key back.
pub async fn revoke(transaction: &Transaction<'_>, id: ApiKeyId) -> Result<Key, Problem> {
    let sql = format!(
        "UPDATE api_keys SET revoked_at = now(), version = version + 1, updated_at = now()
         WHERE id = $1 RETURNING {COLUMNS}"
    );
    Ok(read(&transaction.query_one(&sql, &[&id.uuid()]).await?))
}

/// Ends a locked key after `overlap`, unless it ends before.
pub async fn end_after(
    transaction: &Transaction<'_>,
    id: ApiKeyId,
    overlap: Duration,
) -> Result<Key, Problem> {
    let sql = format!(
        "UPDATE api_keys
         SET expires_at = least(expires_at, now() + make_interval(secs => $2)),
             version = version + 1, updated_at = now()
         WHERE id = $1 RETURNING {COLUMNS}"
    );
    let row = transaction.query_one(&sql, &[&id.uuid(), &overlap.as_secs_f64()]).await?;
    Ok(read(&row))
}
