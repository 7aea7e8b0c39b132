//! Categories: the tree of the store, and its parts for staff.

use super::commit::{Effect, Written, commit, path_id, raced, show, versioned};
use super::{fresh, to_bytes};
use crate::audit::Change;
use crate::auth::Admin;
use crate::catalog::Storefront;
use crate::catalog::category::{Category, CategoryDraft, CategoryPatch, Node, tree};
use crate::catalog::store::categories as store;
use crate::error::{Code, Problem};
use crate::id::CategoryId;
use crate::idempotency::{Claim, Reply};
use crate::json::Json;
use crate::page::{List, PageQuery};
use crate::postgres::{Postgres, reader};
use crate::version::IfMatch;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};

/// Lists all categories, as a tree.
#[utoipa::path(
    get, path = "/v1/categories", tag = "catalog",
    params(("If-None-Match" = Option<String>, Header, description = "ETags of answers at hand")),
    responses(
        (status = 200, description = "The categories at the top, the others below them; one page",
            body = List<Node>, headers(
            ("ETag" = String, description = "Strong; changes with the body"),
            ("Cache-Control" = String, description = "`public, max-age=1`"),
        )),
        (status = 304, description = "The answer at hand is current"),
    ),
)]
pub async fn list_categories(
    request: HttpRequest,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let all = store::all(&reader(&postgres.readers).await?).await?;
    let list = List { items: tree(all, None), next_cursor: None };
    Ok(fresh(&request, to_bytes(&list)))
}

/// Shows a category with everything below it.
#[utoipa::path(
    get, path = "/v1/categories/{slug}", tag = "catalog",
    params(
        ("slug" = String, Path, description = "The category's slug", example = "kitchen"),
        ("If-None-Match" = Option<String>, Header, description = "ETags of answers at hand"),
    ),
    responses(
        (status = 200, description = "The category", body = Node, headers(
            ("ETag" = String, description = "Strong; changes with the body"),
            ("Cache-Control" = String, description = "`public, max-age=1`"),
        )),
        (status = 304, description = "The answer at hand is current"),
    ),
)]
pub async fn get_category(
    request: HttpRequest,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let slug = request.match_info().query("slug");
    let all = store::all(&reader(&postgres.readers).await?).await?;
    let found = all.iter().find(|category| category.slug == slug);
    let found = found.cloned().ok_or_else(unknown)?;
    let Category { id, slug, title, description, .. } = found;
    let node = Node { id, slug, title, description, children: tree(all, Some(id)) };
    Ok(fresh(&request, to_bytes(&node)))
}

/// Lists categories one by one, the oldest first.
#[utoipa::path(
    get, path = "/v1/admin/categories", tag = "admin", params(PageQuery),
    security(("admin_key" = [])),
    responses((status = 200, description = "A page of categories", body = List<Category>)),
)]
pub async fn list_admin_categories(
    _: Admin,
    postgres: web::Data<Postgres>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let page = query.page()?;
    let categories = store::list(&postgres.readers, page).await?;
    let list = page.list(categories, |category| category.id.uuid());
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(list))
}

/// Makes a category.
///
/// A shop has at most 2,000, in at most 10 levels.
#[utoipa::path(
    post, path = "/v1/admin/categories", tag = "admin", security(("admin_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header,
        description = "1 to 255 visible ASCII characters; makes a retry safe")),
    request_body(content = CategoryDraft, example = json!({
        "title": "Kitchen", "description": "Pots, pans and what goes with them.", "position": 1,
    })),
    responses((status = 201, description = "The category", body = Category, headers(
        ("Location" = String, description = "The category's path"),
        ("ETag" = String, description = "The version, for `If-Match`"),
        ("Idempotent-Replayed" = Option<String>, description = "`true`: a saved answer"),
    ))),
)]
pub async fn create_category(
    admin: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    storefront: web::Data<Storefront>,
    body: Json<CategoryDraft>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::of(&request, &admin.key_scope(), &body.hash)?;
    let draft = body.value;
    let reply = commit(&postgres, &storefront, &admin, claim.as_ref(), async |transaction| {
        let all = store::lock_all(transaction).await?;
        let category = draft.check(CategoryId::new(), &all)?;
        store::insert(transaction, std::slice::from_ref(&category)).await.map_err(raced)?;
        let location = format!("/v1/admin/categories/{}", category.id);
        let reply = Reply::created(Some(location), to_bytes(&category));
        let change = Change::made(category.id, &category)?;
        Ok(Effect { reply, written: Some(Written::beside_products(change)) })
    });
    Ok(versioned(reply.await?))
}

/// Shows a category.
#[utoipa::path(
    get, path = "/v1/admin/categories/{id}", tag = "admin", security(("admin_key" = [])),
    params(("id" = CategoryId, Path, example = "cat_01h455vb4pex5vsknk084sn02q")),
    responses((status = 200, description = "The category", body = Category, headers(
        ("ETag" = String, description = "The version, for `If-Match`"),
    ))),
)]
pub async fn get_admin_category(
    _: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&request, "category")?;
    let category = store::find(&postgres.readers, id).await?.ok_or_else(unknown)?;
    Ok(show(category.version, &category))
}

/// Changes a category (JSON Merge Patch).
///
/// What is below it moves with it.
#[utoipa::path(
    patch, path = "/v1/admin/categories/{id}", tag = "admin", security(("admin_key" = [])),
    params(
        ("id" = CategoryId, Path, example = "cat_01h455vb4pex5vsknk084sn02q"),
        ("If-Match" = Option<String>, Header, description = "The version to start from"),
    ),
    request_body(content = CategoryPatch, example = json!({"title": "Kitchen", "position": 2})),
    responses((status = 200, description = "The category", body = Category, headers(
        ("ETag" = String, description = "The version, for `If-Match`"),
    ))),
)]
pub async fn update_category(
    admin: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    storefront: web::Data<Storefront>,
    if_match: IfMatch,
    body: Json<CategoryPatch>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&request, "category")?;
    let reply = commit(&postgres, &storefront, &admin, None, async |transaction| {
        let all = store::lock_all(transaction).await?;
        let before = one(&all, id)?;
        let mut after = body.value.apply(before, &all)?;
        if_match.check(before.version)?;
        let mut written = None;
        if after != *before {
            store::update(transaction, &after).await.map_err(raced)?;
            after.version += 1;
            let change = Change::changed(id, before, &after)?;
            written = Some(Written::beside_products(change));
        }
        Ok(Effect { reply: Reply::ok(to_bytes(&after)), written })
    });
    Ok(versioned(reply.await?))
}

/// Deletes a category.
///
/// Its products stay, and leave the category. One with children is 409 `conflict`.
#[utoipa::path(
    delete, path = "/v1/admin/categories/{id}", tag = "admin", security(("admin_key" = [])),
    params(
        ("id" = CategoryId, Path, example = "cat_01h455vb4pex5vsknk084sn02q"),
        ("If-Match" = Option<String>, Header, description = "The version to start from"),
    ),
    responses((status = 204, description = "It is gone")),
)]
pub async fn delete_category(
    admin: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    storefront: web::Data<Storefront>,
    if_match: IfMatch,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&request, "category")?;
    let reply = commit(&postgres, &storefront, &admin, None, async |transaction| {
        let all = store::lock_all(transaction).await?;
        let category = one(&all, id)?;
        if_match.check(category.version)?;
        if all.iter().any(|other| other.parent_id == Some(id)) {
            let detail = "There are categories below it: move or delete them first.";
            return Err(Problem::new(Code::Conflict, detail));
        }
        let products = store::delete(transaction, id).await?;
        let written = Written { change: Change::removed(id, category)?, products };
        Ok(Effect { reply: Reply::ok(""), written: Some(written) })
    });
    reply.await?;
    Ok(HttpResponse::NoContent().finish())
}

fn one(all: &[Category], id: CategoryId) -> Result<&Category, Problem> {
    all.iter().find(|category| category.id == id).ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::not_found("category")
}
