//! The way of every change of the catalog: one transaction, which ends with the entry in the audit
//! log and the catalog's epoch; then the storefront is told; then the client is answered.

use crate::audit::{Change, record};
use crate::auth::Admin;
use crate::catalog::Storefront;
use crate::catalog::store::write::{bump_epoch, variants_of};
use crate::error::{Code, Problem};
use crate::id::{Id, ProductId};
use crate::idempotency::{Claim, Reply, once};
use crate::postgres::Postgres;
use crate::version::etag;
use actix_web::http::header::{CACHE_CONTROL, ETAG, TryIntoHeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;
use type_safe_id::StaticType;

/// What a transaction did, before it is committed.
pub(super) struct Effect {
    /// What the client will be told.
    pub reply: Reply,
    /// What was written, if anything was.
    pub written: Option<Written>,
}

/// What a transaction wrote.
pub(super) struct Written {
    /// For the audit log.
    pub change: Change,
    /// The products that the store shows differently.
    pub products: Vec<ProductId>,
}

impl Written {
    /// A change that touches no product.
    pub fn beside_products(change: Change) -> Self {
        Self { change, products: Vec::new() }
    }
}

/// Runs `effect` in a transaction of its own; at most once for a claim.
pub(super) async fn commit<F>(
    postgres: &Postgres,
    storefront: &Storefront,
    admin: &Admin,
    claim: Option<&Claim>,
    effect: F,
) -> Result<Reply, Problem>
where
    F: AsyncFnOnce(&Transaction<'_>) -> Result<Effect, Problem>,
{
    let (mut changed, mut variants) = (None, Vec::new());
    let reply = once(&postgres.writers, claim, async |transaction| {
        let effect = effect(transaction).await?;
        if let Some(Written { change, products }) = effect.written {
            variants = variants_of(transaction, &products).await?;
            record(transaction, admin, &change).await?;
            bump_epoch(transaction).await?;
            changed = Some(products);
        }
        Ok(effect.reply)
    });
    let reply = reply.await?;
    if let Some(products) = changed {
        storefront.changed(&products, &variants).await;
    }
    Ok(reply)
}

/// What stands at the unique index was not there a moment ago.
pub(super) fn raced(error: Error) -> Problem {
    match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => {
            Problem::new(Code::Conflict, "A slug or SKU of this request is taken.")
        }
        _ => error.into(),
    }
}

/// The id in the path of a request for `what`.
pub(super) fn path_id<K: StaticType>(
    request: &HttpRequest,
    what: &str,
) -> Result<Id<K>, Problem> {
    request.match_info().query("id").parse().map_err(|_| Problem::not_found(what))
}

/// A resource under the `ETag` of its version.
pub(super) fn show(version: i64, resource: &impl Serialize) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header(etag(version)).insert_header((CACHE_CONTROL, "no-store"));
    response.json(resource)
}

/// A reply under the `ETag` of the version that its body tells, also when it is replayed.
pub(super) fn versioned(reply: Reply) -> HttpResponse {
    #[derive(Deserialize)]
    struct Versioned {
        version: i64,
    }
    let version = serde_json::from_slice::<Versioned>(&reply.body).ok();
    let tag = version.and_then(|body| etag(body.version).try_into_value().ok());
    let mut response = HttpResponse::from(reply);
    if let Some(tag) = tag {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}
