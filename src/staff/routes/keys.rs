//! API keys: shown once, stored hashed.

use crate::audit::{Change, change_and_record};
use crate::auth::{Admin, Scope, Token, TokenHash};
use crate::error::{Code, Problem, Violations};
use crate::id::ApiKeyId;
use crate::json::{Field, Instant, Json, JsonOrEmpty};
use crate::page::{List, PageQuery};
use crate::postgres::Postgres;
use crate::staff::credentials::{Credentials, PUBLISHABLE_KEY, SECRET_KEY};
use crate::staff::key::{Key, Kind};
use crate::staff::store::keys as store;
use crate::version::{IfMatch, etag};
use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Characters by which people tell keys apart: few enough to give nothing away.
const PREFIX_CHARS: usize = 10;
/// The longest that two keys stand side by side.
const OVERLAP_SECONDS_MAX: u64 = 30 * 24 * 60 * 60;

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Warehouse", "scopes": ["stock:read", "stock:write"]}))]
pub struct NewApiKey {
    /// `secret` unless said.
    #[serde(default)]
    kind: Kind,
    /// What people call it.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What a secret key may do: nothing beyond your own scopes.
    #[serde(default)]
    #[schema(max_items = 50)]
    scopes: Vec<Scope>,
    /// The sales channel that a publishable key names.
    #[serde(default)]
    #[schema(min_length = 2, max_length = 40, pattern = "^[a-z][a-z0-9-]{1,39}$")]
    channel: Option<String>,
    /// The pages that may send a publishable key; any, if there are none.
    #[serde(default)]
    #[schema(max_items = 50)]
    origins: Vec<String>,
    /// When it is over; never, unless said.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Instant>,
}

/// What to change of a key; `null` clears.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Warehouse in Leeds"}))]
pub struct UpdateApiKey {
    /// What people call it.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// What a secret key may do, on every instance within a second.
    #[serde(default)]
    #[schema(max_items = 50)]
    scopes: Option<Vec<Scope>>,
    /// The sales channel that a publishable key names.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 2, max_length = 40)]
    channel: Field<String>,
    /// The pages that may send a publishable key.
    #[serde(default)]
    #[schema(max_items = 50)]
    origins: Option<Vec<String>>,
    /// When it is over.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Field<Instant>,
}

/// For how long the key before is good, too.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"overlap_seconds": 3600}))]
pub struct RotateApiKey {
    /// 0, unless said, to 2,592,000: thirty days.
    #[serde(default)]
    #[schema(maximum = 2_592_000)]
    overlap_seconds: u64,
    /// When the new one is over; never, unless said.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Instant>,
}

/// A key that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeApiKey<'a> {
    /// Which.
    #[serde(flatten)]
    api_key: Key,
    /// The key itself; shown only here.
    #[schema(example = "sk_nXW1aV8H8TxAx2YcLDVPoFZbH1HHS8jWVJ0Ty0lG2kM")]
    key: &'a str,
}

fn unknown() -> Problem {
    Problem::not_found("API key")
}

fn read(id: &str) -> Result<ApiKeyId, Problem> {
    id.parse().map_err(|_| unknown())
}

fn shown(key: Key) -> HttpResponse {
    HttpResponse::Ok().insert_header(etag(key.version)).json(key)
}

fn made(key: Key, token: &Token) -> HttpResponse {
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, format!("/v1/admin/api-keys/{}", key.id)));
    response.insert_header(etag(key.version));
    response.json(MadeApiKey { api_key: key, key: token.expose() })
}

/// A new key of its kind, with the beginning by which people tell it apart.
fn fresh(kind: Kind) -> (Token, String) {
    let token = Token::fresh(match kind {
        Kind::Secret => SECRET_KEY,
        Kind::Publishable => PUBLISHABLE_KEY,
    });
    let prefix = token.expose().chars().take(PREFIX_CHARS).collect();
    (token, prefix)
}

/// A key that has not been taken back, locked, as far as it does not reach beyond whoever asks.
async fn lock(
    transaction: &Transaction<'_>,
    admin: &Admin,
    id: ApiKeyId,
) -> Result<(Key, TokenHash), Problem> {
    let (key, hash) = store::lock(transaction, id).await?.ok_or_else(unknown)?;
    admin.reaches(&key.scopes)?;
    Ok((key, hash))
}

fn refuse_revoked(key: &Key) -> Result<(), Problem> {
    match key.revoked_at {
        None => Ok(()),
        Some(_) => Err(Problem::new(Code::InvalidTransition, "This key was taken back.")),
    }
}

fn check_end(expires_at: Option<OffsetDateTime>, violations: &mut Violations) {
    let is_ahead = expires_at.is_none_or(|at| at > OffsetDateTime::now_utc());
    violations.require(is_ahead, "/expires_at", "must be in the future");
}

/// All keys, newest first, those taken back, too.
#[utoipa::path(
    get, path = "/v1/admin/api-keys", tag = "admin", params(PageQuery),
    security(("admin_key" = [])),
    responses((status = 200, description = "A page of keys", body = List<Key>)),
)]
pub async fn list_api_keys(
    _: Admin,
    query: web::Query<PageQuery>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let page = query.page()?;
    let rows = store::list(&postgres.readers, page).await?;
    Ok(HttpResponse::Ok().json(page.list(rows, |key| key.id.uuid())))
}

/// Make a key. It is shown only in this answer; an `Idempotency-Key` is ignored.
#[utoipa::path(
    post, path = "/v1/admin/api-keys", tag = "admin", request_body = NewApiKey,
    security(("admin_key" = [])),
    responses((status = 201, description = "The key", body = MadeApiKey<'static>,
        headers(("Location" = String), ("ETag" = String)))),
)]
pub async fn create_api_key(
    admin: Admin,
    body: Json<NewApiKey>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let NewApiKey { kind, name, scopes, channel, origins, expires_at } = body.value;
    let expires_at = expires_at.map(|Instant(at)| at);
    let (token, prefix) = fresh(kind);
    let key = Key {
        id: ApiKeyId::new(),
        kind,
        name,
        prefix,
        scopes: scopes.into_iter().collect(),
        channel,
        origins,
        expires_at,
        revoked_at: None,
        last_used_at: None,
        version: 1,
        created_at: OffsetDateTime::now_utc(),
    };
    let mut violations = Violations::default();
    key.check(&mut violations);
    check_end(expires_at, &mut violations);
    violations.finish()?;
    admin.reaches(&key.scopes)?;
    let inserted = change_and_record(&postgres.writers, &admin, async |transaction| {
        let key = store::insert(transaction, &key, &token.hash()).await?;
        let change = Change::made(key.id, &key)?;
        Ok((key, [change]))
    });
    Ok(made(inserted.await?, &token))
}

/// One key, never its secret.
#[utoipa::path(
    get, path = "/v1/admin/api-keys/{id}", tag = "admin", params(("id" = ApiKeyId, Path)),
    security(("admin_key" = [])),
    responses((status = 200, description = "The key", body = Key, headers(("ETag" = String)))),
)]
pub async fn get_api_key(
    _: Admin,
    id: web::Path<String>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    Ok(shown(store::find(&postgres.readers, read(&id)?).await?.ok_or_else(unknown)?))
}

/// Change a key.
#[utoipa::path(
    patch, path = "/v1/admin/api-keys/{id}", tag = "admin", request_body = UpdateApiKey,
    params(("id" = ApiKeyId, Path), ("If-Match" = Option<String>, Header)),
    security(("admin_key" = [])),
    responses((status = 200, description = "The key", body = Key, headers(("ETag" = String)))),
)]
pub async fn update_api_key(
    admin: Admin,
    id: web::Path<String>,
    if_match: IfMatch,
    body: Json<UpdateApiKey>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let id = read(&id)?;
    let UpdateApiKey { name, scopes, channel, origins, expires_at } = body.value;
    let expires_at = expires_at.optional().map(|at| at.map(|Instant(at)| at));
    let mut violations = Violations::default();
    check_end(expires_at.flatten(), &mut violations);
    violations.finish()?;
    let updated = change_and_record(&postgres.writers, &admin, async |transaction| {
        let (before, _) = lock(transaction, &admin, id).await?;
        let old = before.clone();
        let after = Key {
            name: name.unwrap_or(old.name),
            scopes: scopes.map_or(old.scopes, |scopes| scopes.into_iter().collect()),
            channel: channel.optional().unwrap_or(old.channel),
            origins: origins.unwrap_or(old.origins),
            expires_at: expires_at.unwrap_or(old.expires_at),
            ..old
        };
        let mut violations = Violations::default();
        after.check(&mut violations);
        violations.finish()?;
        admin.reaches(&after.scopes)?;
        if_match.check(before.version)?;
        refuse_revoked(&before)?;
        if after == before {
            return Ok((before, None));
        }
        let after = store::update(transaction, &after).await?;
        let change = Change::changed(id, &before, &after)?;
        Ok((after, Some(change)))
    });
    Ok(shown(updated.await?))
}

/// Take a key back, on every instance within a second; again: 204.
#[utoipa::path(
    delete, path = "/v1/admin/api-keys/{id}", tag = "admin",
    params(("id" = ApiKeyId, Path), ("If-Match" = Option<String>, Header)),
    security(("admin_key" = [])),
    responses((status = 204, description = "It is worth nothing any more")),
)]
pub async fn delete_api_key(
    admin: Admin,
    id: web::Path<String>,
    if_match: IfMatch,
    credentials: web::Data<Credentials>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let id = read(&id)?;
    let revoked = change_and_record(&postgres.writers, &admin, async |transaction| {
        let (before, hash) = lock(transaction, &admin, id).await?;
        if_match.check(before.version)?;
        if before.revoked_at.is_some() {
            return Ok((hash, None));
        }
        let after = store::revoke(transaction, id).await?;
        Ok((hash, Some(Change::changed(id, &before, &after)?)))
    });
    credentials.forget(&[revoked.await?]);
    Ok(HttpResponse::NoContent().finish())
}

/// Make a key like this one, which is good for `overlap_seconds` more.
///
/// The new one is shown only in this answer; an `Idempotency-Key` is ignored.
#[utoipa::path(
    post, path = "/v1/admin/api-keys/{id}/rotate", tag = "admin",
    params(("id" = ApiKeyId, Path)), request_body = Option<RotateApiKey>,
    security(("admin_key" = [])),
    responses((status = 201, description = "The new key", body = MadeApiKey<'static>,
        headers(("Location" = String), ("ETag" = String)))),
)]
pub async fn rotate_api_key(
    admin: Admin,
    id: web::Path<String>,
    body: JsonOrEmpty<RotateApiKey>,
    credentials: web::Data<Credentials>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let id = read(&id)?;
    let RotateApiKey { overlap_seconds: seconds, expires_at } = body.value;
    let expires_at = expires_at.map(|Instant(at)| at);
    let mut violations = Violations::default();
    let detail = "must be from 0 to 2,592,000";
    violations.require(seconds <= OVERLAP_SECONDS_MAX, "/overlap_seconds", detail);
    check_end(expires_at, &mut violations);
    violations.finish()?;
    let rotated = change_and_record(&postgres.writers, &admin, async |transaction| {
        let (before, hash) = lock(transaction, &admin, id).await?;
        refuse_revoked(&before)?;
        if before.expires_at.is_some_and(|at| at <= OffsetDateTime::now_utc()) {
            return Err(Problem::new(Code::InvalidTransition, "This key is over: make another."));
        }
        let (token, prefix) = fresh(before.kind);
        let new = Key { id: ApiKeyId::new(), prefix, expires_at, ..before.clone() };
        let new = store::insert(transaction, &new, &token.hash()).await?;
        let after = store::end_after(transaction, id, Duration::from_secs(seconds)).await?;
        let changes = [Change::changed(id, &before, &after)?, Change::made(new.id, &new)?];
        Ok(((new, token, hash), changes))
    });
    let (new, token, hash) = rotated.await?;
    if seconds == 0 {
        credentials.forget(&[hash]);
    }
    Ok(made(new, &token))
}
