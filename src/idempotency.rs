//! Idempotency: key, effect and reply commit in one transaction.
//!
//! Only a committed effect is saved. A refusal saves nothing, and the same key is judged anew
//! next time. The journals claim keys for whole batches (see `order/store`, `cart/store`); here
//! is what everybody needs, and [`once`] for effects that have a transaction of their own.

use crate::error::{Code, Problem};
use crate::gather::{self, Gather};
use crate::postgres::{Class, Postgres, begin, class, commit};
use crate::retention::Sweep;
use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use bytes::Bytes;
use deadpool_postgres::{Pool, Transaction};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::time::sleep;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use utoipa::ToSchema;
use uuid::Uuid;

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// Keys are kept for longer than any client tries again; those that wait for a payment, without a
/// status, until it is settled.
pub const SWEEP: Sweep = Sweep {
    table: "idempotency_keys",
    since: "created_at",
    only: "status IS NOT NULL",
    keep: |settings| settings.idempotency_keys,
};

/// The scope that all anonymous callers share.
pub const ANONYMOUS: &str = "anonymous";

/// A key and the request that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Who chose the key.
    pub scope: Arc<str>,
    /// 1–255 visible ASCII characters.
    pub key: Arc<str>,
    /// SHA-256 over method, path and the body's canonical JSON.
    pub request_hash: [u8; 32],
}

/// Scope and name of a key.
pub type KeyId = (Arc<str>, Arc<str>);

impl Claim {
    /// Its scope and name.
    pub fn id(&self) -> KeyId {
        (self.scope.clone(), self.key.clone())
    }

    /// The claim of a request, if it carries a key.
    pub fn of(
        request: &HttpRequest,
        scope: &str,
        body_hash: &[u8; 32],
    ) -> Result<Option<Self>, Problem> {
        let mut sent = request.headers().get_all("idempotency-key");
        let Some(value) = sent.next() else { return Ok(None) };
        let only = Some(value).filter(|_| sent.next().is_none());
        let key = only.and_then(|value| value.to_str().ok()).filter(|key| {
            (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
        });
        let Some(key) = key else {
            let detail = "must be there once, with 1 to 255 visible ASCII characters";
            return Err(Problem::invalid("Idempotency-Key", detail));
        };
        let mut hash = Sha256::new();
        hash.update(request.method().as_str());
        hash.update([0]);
        hash.update(request.path());
        hash.update([0]);
        hash.update(body_hash);
        Ok(Some(Self {
            scope: scope.into(),
            key: key.into(),
            request_hash: hash.finalize().into(),
        }))
    }

    /// The key as if its request were in flight elsewhere.
    pub fn in_flight(&self) -> (KeyId, Saved) {
        let request_hash = self.request_hash.to_vec();
        let saved = Saved { request_hash, resource_id: None, reply: None };
        (self.id(), saved)
    }

    /// The claim of a request that must carry a key.
    pub fn required(
        request: &HttpRequest,
        scope: &str,
        body_hash: &[u8; 32],
    ) -> Result<Self, Problem> {
        Self::of(request, scope, body_hash)?.ok_or_else(|| {
            Problem::new(
                Code::IdempotencyKeyRequired,
                "Send an Idempotency-Key header: a new UUID for each order, the same one when \
                 you try again.",
            )
        })
    }
}

/// The claims of a batch, column by column, as `unnest` takes them.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Claims<'c> {
    pub scopes: Vec<&'c str>,
    pub keys: Vec<&'c str>,
    pub hashes: Vec<&'c [u8]>,
    /// What each key stands for.
    pub resources: Vec<Option<Uuid>>,
}

impl<'c> Claims<'c> {
    /// Takes the keys that are free, sorted, for a transaction with this mark (`$5`); of two claims
    /// of one key the first.
    pub const TAKE: &'static str =
        "INSERT INTO idempotency_keys (scope, key, request_hash, resource_id)
         SELECT k.scope, k.key, k.hash, k.resource_id
         FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[]) WITH ORDINALITY
              AS k (scope, key, hash, resource_id, position)
         WHERE current_setting('doorbuster.batch', true) = $5
         ORDER BY k.scope, k.key, k.position
         ON CONFLICT DO NOTHING RETURNING scope, key";

    /// The columns of these claims.
    pub fn of(claims: impl IntoIterator<Item = (&'c Claim, Option<Uuid>)>) -> Self {
        let mut columns = Self::default();
        for (claim, resource) in claims {
            columns.scopes.push(&claim.scope);
            columns.keys.push(&claim.key);
            columns.hashes.push(&claim.request_hash);
            columns.resources.push(resource);
        }
        columns
    }
}

/// An answer that can be given again, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The `Location` header of a created resource.
    pub location: Option<String>,
    /// JSON.
    pub body: Bytes,
    /// Whether this is a saved answer to an earlier request.
    pub replayed: bool,
}

impl Reply {
    /// The answer to a request that made what is at `location`.
    pub fn created(location: Option<String>, body: impl Into<Bytes>) -> Self {
        Self { status: 201, location, body: body.into(), replayed: false }
    }

    /// The answer to a request that changed something.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self { status: 200, location: None, body: body.into(), replayed: false }
    }

    /// The same answer, marked as replayed.
    pub fn replay(self) -> Self {
        Self { replayed: true, ..self }
    }
}

impl From<Reply> for HttpResponse {
    fn from(reply: Reply) -> Self {
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
        let mut response = HttpResponse::build(status);
        response.content_type("application/json");
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(location) = reply.location {
            response.insert_header((header::LOCATION, location));
        }
        if reply.replayed {
            response.insert_header(("Idempotent-Replayed", "true"));
        }
        response.body(reply.body)
    }
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The request it stands for.
    pub request_hash: Vec<u8>,
    /// What it made.
    pub resource_id: Option<Uuid>,
    /// The answer; none while an external payment is asked for.
    pub reply: Option<Reply>,
}

impl Saved {
    /// What is known of the keys with these scopes (`$1`) and names (`$2`). `OFFSET 0` keeps it
    /// to the index: planned on a fresh database, a join would scan the table for a long time.
    pub const LOOK_UP: &'static str =
        "SELECT s.* FROM unnest($1::text[], $2::text[]) AS k (scope, key), LATERAL (
             SELECT scope, key, request_hash, resource_id, status, location, body
             FROM idempotency_keys i WHERE i.scope = k.scope AND i.key = k.key OFFSET 0) s";

    /// Reads a row of [`Saved::LOOK_UP`].
    pub fn read(row: &Row) -> (KeyId, Self) {
        let status: Option<i16> = row.get(4);
        let body: Option<Vec<u8>> = row.get(6);
        let location: Option<String> = row.get(5);
        let reply = status.zip(body).map(|(status, body)| Reply {
            status: status.unsigned_abs(),
            location,
            body: body.into(),
            replayed: true,
        });
        let id = (row.get::<_, &str>(0).into(), row.get::<_, &str>(1).into());
        (id, Self { request_hash: row.get(2), resource_id: row.get(3), reply })
    }

    /// What is known of keys that others, or an earlier run, have taken: `taken` are the rows of
    /// [`Claims::TAKE`] for the claims, `known` those of [`Saved::LOOK_UP`], which may ask for
    /// more.
    pub fn others<'c>(
        claims: impl Iterator<Item = &'c Claim>,
        taken: &[Row],
        known: &[Row],
    ) -> HashMap<KeyId, Self> {
        let taken: HashSet<(&str, &str)> =
            taken.iter().map(|row| (row.get(0), row.get(1))).collect();
        // A key that was neither taken nor found has just been freed by somebody else: whoever
        // asks again takes it.
        let vanished = claims.filter(|claim| !taken.contains(&(&*claim.scope, &*claim.key)));
        let mut keys: HashMap<KeyId, Self> = vanished.map(Claim::in_flight).collect();
        let known = known.iter().filter(|row| !taken.contains(&(row.get(0), row.get(1))));
        keys.extend(known.map(Self::read));
        keys
    }

    /// The answer to `claim`, given that its key is known; `None` while its request is in progress.
    pub fn settled(self, claim: &Claim) -> Option<Result<Reply, Problem>> {
        if self.request_hash != claim.request_hash {
            return Some(Err(reused()));
        }
        self.reply.map(Ok)
    }

    /// The same for whoever does not wait.
    pub fn answer(self, claim: &Claim) -> Result<Reply, Problem> {
        self.settled(claim).unwrap_or_else(|| Err(in_progress()))
    }
}

/// Looks keys up; those that are asked for at the same time travel together.
pub fn look_ups(postgres: &Postgres) -> Gather<KeyId, Saved> {
    let limits =
        gather::Limits { keys_max: 500, waiting_max: 100_000, read_max: Duration::from_secs(2) };
    let readers = postgres.readers.clone();
    Gather::start(postgres.runtime(), limits, move |keys: Vec<KeyId>| {
        let readers = readers.clone();
        async move {
            let client = readers.get().await?;
            let statement = client.prepare_cached(Saved::LOOK_UP).await?;
            let (scopes, keys): (Vec<&str>, Vec<&str>) =
                keys.iter().map(|(scope, key)| (&**scope, &**key)).unzip();
            let rows = client.query(&statement, &[&scopes, &keys]).await?;
            Ok(rows.iter().map(Saved::read).collect())
        }
    })
}

/// Keys of a guest that follow into an account, at most.
const HANDED_OVER_MAX: i64 = 1_000;
/// Keys that do not, and go at once, at most; the others go when their time is over.
const LEFT_BEHIND_MAX: i64 = 10_000;
/// Keys that are erased in one transaction.
const ERASED_MAX: i64 = 10_000;

/// How often the customer may use one of them while they are handed over.
const HAND_OVER_TRIES: usize = 3;

/// How long a log-in waits for the guest's payments: somewhat longer than a provider may take.
const PAYMENT_WAIT: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Before a guest logs in: waits until each of their keys has its reply, because only those can be
/// handed over; for five seconds at most.
pub async fn until_replied(readers: &Pool, guest: &str) -> Result<(), Problem> {
    let sql = "SELECT EXISTS (SELECT FROM idempotency_keys WHERE scope = $1 AND status IS NULL)";
    let until = Instant::now() + PAYMENT_WAIT;
    loop {
        let client = readers.get().await?;
        let statement = client.prepare_cached(sql).await?;
        let is_waiting: bool = client.query_one(&statement, &[&guest]).await?.get(0);
        drop(client);
        if !is_waiting || Instant::now() >= until {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A guest has logged in: the keys that have their reply are the customer's, so that a request that
/// is repeated is answered and not carried out again. Those that the customer has stay theirs.
pub async fn hand_over(
    transaction: &mut Transaction<'_>,
    guest: &str,
    customer: &str,
) -> Result<(), Problem> {
    hand_over_replied(transaction, guest, customer).await?;
    // The guest's session ends, so nobody asks for the others' replies, which may tell of the
    // customer; what placed an order stands for it, as in [`erase`].
    let sql = "WITH left_behind AS MATERIALIZED (
                   SELECT key, location LIKE '/v1/orders/%' AS is_order FROM idempotency_keys
                   WHERE scope = $1 AND status IS NOT NULL
                   ORDER BY key LIMIT $2 FOR UPDATE SKIP LOCKED),
               gone AS (
                   DELETE FROM idempotency_keys g USING left_behind l
                   WHERE g.scope = $1 AND g.key = l.key AND l.is_order IS NOT TRUE)
               UPDATE idempotency_keys g
               SET scope = 'erased', key = resource_id::text, body = '{}' FROM left_behind l
               WHERE g.scope = $1 AND g.key = l.key AND l.is_order";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&guest, &LEFT_BEHIND_MAX]).await?;
    Ok(())
}

async fn hand_over_replied(
    transaction: &mut Transaction<'_>,
    guest: &str,
    customer: &str,
) -> Result<(), Problem> {
    // Nobody is waited for: who is still working on a key answers whoever asked.
    let sql = "WITH own AS MATERIALIZED (
                   SELECT key FROM idempotency_keys g
                   WHERE scope = $1 AND status IS NOT NULL AND NOT EXISTS (
                       SELECT FROM idempotency_keys c WHERE c.scope = $2 AND c.key = g.key)
                   ORDER BY key LIMIT $3 FOR UPDATE OF g SKIP LOCKED)
               UPDATE idempotency_keys g SET scope = $2 FROM own
               WHERE g.scope = $1 AND g.key = own.key";
    let statement = transaction.prepare_cached(sql).await?;
    for _ in 0..HAND_OVER_TRIES {
        let attempt = transaction.transaction().await?;
        match attempt.execute(&statement, &[&guest, &customer, &HANDED_OVER_MAX]).await {
            Ok(_) => return Ok(attempt.commit().await?),
            // The customer has used one of them in this moment; now that is seen.
            Err(error) if matches!(class(&error), Class::Guard | Class::Retry) => {
                attempt.rollback().await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::new(Code::Overloaded, "It met others too often."))
}

/// Whose keys these were is gone. Those that placed an order stand for it without their reply, so
/// that no order is without its key; the others go. Keys that wait for a payment are left. Tells
/// whether there may be more: 10,000 go at a time.
pub async fn erase(transaction: &Transaction<'_>, scope: &str) -> Result<bool, Problem> {
    // Whoever is giving one its reply is waited for.
    let wait = "SELECT FROM idempotency_keys WHERE scope = $1 AND status IS NULL
                ORDER BY key FOR UPDATE";
    transaction.query(wait, &[&scope]).await?;
    let lock = "SELECT key FROM idempotency_keys WHERE scope = $1 AND status IS NOT NULL
                ORDER BY key LIMIT $2 FOR UPDATE";
    let locked = transaction.query(lock, &[&scope, &ERASED_MAX]).await?;
    let keys: Vec<&str> = locked.iter().map(|row| row.get(0)).collect();
    let sql = "UPDATE idempotency_keys SET scope = 'erased', key = resource_id::text, body = '{}'
               WHERE scope = $1 AND key = ANY($2) AND location LIKE '/v1/orders/%'";
    transaction.execute(sql, &[&scope, &keys]).await?;
    let sql = "DELETE FROM idempotency_keys WHERE scope = $1 AND key = ANY($2)";
    transaction.execute(sql, &[&scope, &keys]).await?;
    Ok(i64::try_from(keys.len()) == Ok(ERASED_MAX))
}

/// An idempotency key as its owner may look it up.
#[derive(Serialize, ToSchema)]
#[schema(as = HeldKey)]
pub struct Held {
    /// Its name.
    #[schema(example = "0190f3d2-7c1e-7a52-9d8e-1f2a3b4c5d6e")]
    pub key: String,
    /// The status of the saved reply.
    #[schema(required)]
    pub status: Option<i16>,
    /// What it made.
    #[schema(required)]
    pub location: Option<String>,
    /// When it was used.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// What is held of the next keys of a scope behind `after`, but for the replies, which show what
/// is held elsewhere.
pub async fn held(
    readers: &Pool,
    scope: &str,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Held>, Problem> {
    let sql = "SELECT key, status, location, created_at FROM idempotency_keys
               WHERE scope = $1 AND ($2::text IS NULL OR key > $2) ORDER BY key LIMIT $3";
    let client = readers.get().await?;
    let rows = client.query(sql, &[&scope, &after, &limit]).await?;
    let held = rows.iter().map(|row| Held {
        key: row.get(0),
        status: row.get(1),
        location: row.get(2),
        created_at: row.get(3),
    });
    Ok(held.collect())
}

/// The key stands for another request.
pub fn reused() -> Problem {
    let detail = "This Idempotency-Key was used with another request; send a new key.";
    Problem::new(Code::IdempotencyKeyReused, detail)
}

/// The first request with the key is still being worked on.
pub fn in_progress() -> Problem {
    let detail = "The first request with this Idempotency-Key is still in progress.";
    Problem::new(Code::RequestInProgress, detail)
}

/// Runs `effect` and saves its reply under the claim, in one transaction: at most once.
pub async fn once<F>(writers: &Pool, claim: Option<&Claim>, effect: F) -> Result<Reply, Problem>
where
    F: AsyncFnOnce(&Transaction<'_>) -> Result<Reply, Problem>,
{
    let mut client = writers.get().await?;
    let transaction = begin(&mut client).await?;
    if let Some(claim) = claim
        && let Some(saved) = take(&transaction, claim).await?
    {
        return saved.answer(claim);
    }
    let reply = effect(&transaction).await?;
    if let Some(claim) = claim {
        let sql = "UPDATE idempotency_keys SET status = $3, location = $4, body = $5
                   WHERE scope = $1 AND key = $2";
        let (scope, key, body) = (&*claim.scope, &*claim.key, &*reply.body);
        let status = i16::try_from(reply.status).map_err(Problem::internal)?;
        transaction.execute(sql, &[&scope, &key, &status, &reply.location, &body]).await?;
    }
    commit(transaction).await?;
    Ok(reply)
}

/// Takes the key, or returns what is known of it; waits up to 5 s for a request in flight.
async fn take(transaction: &Transaction<'_>, claim: &Claim) -> Result<Option<Saved>, Problem> {
    let sql = "INSERT INTO idempotency_keys (scope, key, request_hash) VALUES ($1, $2, $3)
               ON CONFLICT DO NOTHING";
    let (scope, key, hash) = (&*claim.scope, &*claim.key, &claim.request_hash[..]);
    let taken = transaction.execute(sql, &[&scope, &key, &hash]).await;
    match taken {
        Ok(1) => return Ok(None),
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            return Err(in_progress());
        }
        taken => taken?,
    };
    let (scopes, keys) = (vec![scope], vec![key]);
    let row = transaction.query_opt(Saved::LOOK_UP, &[&scopes, &keys]).await?;
    // Gone again between the two statements: it was refused, so the client may try again.
    row.map(|row| Some(Saved::read(&row).1)).ok_or_else(in_progress)
}
