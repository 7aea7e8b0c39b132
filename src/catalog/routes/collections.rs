//! Collections: what the store shows of them, and with their products for staff.

use super::commit::{Effect, Written, commit, path_id, raced, show, versioned};
use super::{fresh, to_bytes};
use crate::audit::Change;
use crate::auth::Admin;
use crate::catalog::Storefront;
use crate::catalog::collection::{AdminCollection, Collection, CollectionDraft, CollectionPatch};
use crate::catalog::slug::is_slug;
use crate::catalog::store::collections as store;
use crate::error::{Code, FieldError, Problem, Violations};
use crate::id::{CollectionId, ProductId};
use crate::idempotency::{Claim, Reply};
use crate::json::Json;
use crate::page::{List, PageQuery};
use crate::postgres::{Postgres, reader};
use crate::version::IfMatch;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use deadpool_postgres::Transaction;

/// Lists the collections, the oldest first.
#[utoipa::path(
    get, path = "/v1/collections", tag = "catalog",
    params(
        PageQuery,
        ("If-None-Match" = Option<String>, Header, description = "ETags of answers at hand"),
    ),
    responses(
        (status = 200, description = "A page of collections", body = List<Collection>, headers(
            ("ETag" = String, description = "Strong; changes with the body"),
            ("Cache-Control" = String, description = "`public, max-age=1`"),
        )),
        (status = 304, description = "The answer at hand is current"),
    ),
)]
pub async fn list_collections(
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    Ok(fresh(&request, to_bytes(&list(&postgres, &query).await?)))
}

async fn list(postgres: &Postgres, query: &PageQuery) -> Result<List<Collection>, Problem> {
    let page = query.page()?;
    let collections = store::list(&postgres.readers, page).await?;
    Ok(page.list(collections, |collection| collection.id.uuid()))
}

/// Shows a collection.
#[utoipa::path(
    get, path = "/v1/collections/{slug}", tag = "catalog",
    params(
        ("slug" = String, Path, description = "The collection's slug", example = "summer"),
        ("If-None-Match" = Option<String>, Header, description = "ETags of answers at hand"),
    ),
    responses(
        (status = 200, description = "The collection", body = Collection, headers(
            ("ETag" = String, description = "Strong; changes with the body"),
            ("Cache-Control" = String, description = "`public, max-age=1`"),
        )),
        (status = 304, description = "The answer at hand is current"),
    ),
)]
pub async fn get_collection(
    request: HttpRequest,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let slug = request.match_info().query("slug");
    // PostgreSQL would refuse a NUL.
    let found = match is_slug(slug) {
        true => store::find_slug(&postgres.readers, slug).await?,
        false => None,
    };
    Ok(fresh(&request, to_bytes(&found.ok_or_else(unknown)?)))
}

/// Lists the collections, the oldest first.
#[utoipa::path(
    get, path = "/v1/admin/collections", tag = "admin", params(PageQuery),
    security(("admin_key" = [])),
    responses((status = 200, description = "A page of collections", body = List<Collection>)),
)]
pub async fn list_admin_collections(
    _: Admin,
    postgres: web::Data<Postgres>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let list = list(&postgres, &query).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(list))
}

/// Makes a collection.
#[utoipa::path(
    post, path = "/v1/admin/collections", tag = "admin", security(("admin_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header,
        description = "1 to 255 visible ASCII characters; makes a retry safe")),
    request_body(content = CollectionDraft, example = json!({
        "title": "Summer", "description": "For warm days.", "product_ids": [],
    })),
    responses((status = 201, description = "The collection", body = AdminCollection, headers(
        ("Location" = String, description = "The collection's path"),
        ("ETag" = String, description = "The version, for `If-Match`"),
        ("Idempotent-Replayed" = Option<String>, description = "`true`: a saved answer"),
    ))),
)]
pub async fn create_collection(
    admin: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    storefront: web::Data<Storefront>,
    body: Json<CollectionDraft>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::of(&request, &admin.key_scope(), &body.hash)?;
    let (id, draft) = (CollectionId::new(), body.value);
    let reply = commit(&postgres, &storefront, &admin, claim.as_ref(), async |transaction| {
        let draft = draft.check()?;
        check_products(transaction, &draft.product_ids).await?;
        if !store::insert(transaction, id, &draft).await? {
            let taken = FieldError::new("/slug", "is another collection's slug");
            return Err(Problem::of_fields(Code::Conflict, vec![taken]));
        }
        let made = store::find(transaction, id).await?.ok_or_else(unknown)?;
        let location = format!("/v1/admin/collections/{id}");
        let reply = Reply::created(Some(location), to_bytes(&made));
        let change = Change::made(id, &made)?;
        Ok(Effect { reply, written: Some(Written::beside_products(change)) })
    });
    Ok(versioned(reply.await?))
}

/// Shows a collection with its products.
#[utoipa::path(
    get, path = "/v1/admin/collections/{id}", tag = "admin", security(("admin_key" = [])),
    params(("id" = CollectionId, Path, example = "coll_01h455vb4pex5vsknk084sn02q")),
    responses((status = 200, description = "The collection", body = AdminCollection, headers(
        ("ETag" = String, description = "The version, for `If-Match`"),
    ))),
)]
pub async fn get_admin_collection(
    _: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&request, "collection")?;
    let found = store::find(&reader(&postgres.readers).await?, id).await?.ok_or_else(unknown)?;
    Ok(show(found.collection.version, &found))
}

/// Changes a collection (JSON Merge Patch).
///
/// `product_ids` replaces the list.
#[utoipa::path(
    patch, path = "/v1/admin/collections/{id}", tag = "admin", security(("admin_key" = [])),
    params(
        ("id" = CollectionId, Path, example = "coll_01h455vb4pex5vsknk084sn02q"),
        ("If-Match" = Option<String>, Header, description = "The version to start from"),
    ),
    request_body(content = CollectionPatch, example = json!({"title": "High summer"})),
    responses((status = 200, description = "The collection", body = AdminCollection, headers(
        ("ETag" = String, description = "The version, for `If-Match`"),
    ))),
)]
pub async fn update_collection(
    admin: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    storefront: web::Data<Storefront>,
    if_match: IfMatch,
    body: Json<CollectionPatch>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&request, "collection")?;
    let reply = commit(&postgres, &storefront, &admin, None, async |transaction| {
        let before = store::lock(transaction, id).await?.ok_or_else(unknown)?;
        let mut after = body.value.apply(&before)?;
        if_match.check(before.collection.version)?;
        let mut written = None;
        if after != before {
            check_products(transaction, &after.product_ids).await?;
            store::update(transaction, &before, &after).await.map_err(raced)?;
            after.collection.version += 1;
            let change = Change::changed(id, &before, &after)?;
            written = Some(Written::beside_products(change));
        }
        Ok(Effect { reply: Reply::ok(to_bytes(&after)), written })
    });
    Ok(versioned(reply.await?))
}

/// Deletes a collection; its products stay.
#[utoipa::path(
    delete, path = "/v1/admin/collections/{id}", tag = "admin", security(("admin_key" = [])),
    params(
        ("id" = CollectionId, Path, example = "coll_01h455vb4pex5vsknk084sn02q"),
        ("If-Match" = Option<String>, Header, description = "The version to start from"),
    ),
    responses((status = 204, description = "It is gone")),
)]
pub async fn delete_collection(
    admin: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    storefront: web::Data<Storefront>,
    if_match: IfMatch,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&request, "collection")?;
    let reply = commit(&postgres, &storefront, &admin, None, async |transaction| {
        let found = store::lock(transaction, id).await?.ok_or_else(unknown)?;
        if_match.check(found.collection.version)?;
        store::delete(transaction, id).await?;
        let written = Written::beside_products(Change::removed(id, &found)?);
        Ok(Effect { reply: Reply::ok(""), written: Some(written) })
    });
    reply.await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Refuses products that do not exist.
async fn check_products(transaction: &Transaction<'_>, ids: &[ProductId]) -> Result<(), Problem> {
    let known = store::lock_products(transaction, ids).await?;
    let mut violations = Violations::default();
    for (index, id) in ids.iter().enumerate() {
        let pointer = format!("/product_ids/{index}");
        violations.require(known.contains(id), pointer, "there is no such product");
    }
    violations.finish()
}

fn unknown() -> Problem {
    Problem::not_found("collection")
}
