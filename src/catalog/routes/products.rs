//! Products, for staff.

use super::commit::{Effect, Written, commit, path_id, raced, show, versioned};
use super::to_bytes;
use crate::audit;
use crate::auth::Admin;
use crate::catalog::Storefront;
use crate::catalog::draft::ProductDraft;
use crate::catalog::patch::ProductPatch;
use crate::catalog::product::{self, AdminProduct, NewProduct, Status};
use crate::catalog::store::admin;
use crate::catalog::store::categories::lock_known;
use crate::catalog::store::write::{Insertion, Taken, insert};
use crate::error::{Code, FieldError, Problem, Violations};
use crate::id::{CategoryId, ProductId, VariantId};
use crate::idempotency::{Claim, Reply};
use crate::json::{Field, Json};
use crate::page::{List, PageQuery};
use crate::postgres::{Postgres, reader};
use crate::version::IfMatch;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use deadpool_postgres::Transaction;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which products.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ProductQuery {
    /// Only those of this status.
    #[param(value_type = Option<Status>)]
    status: Option<String>,
    /// Items on the page, 1 to 100; 20 unless said.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9a-fA-F]{32}$", example = "01933f2cc0007000800000000000000a")]
    cursor: Option<String>,
}

/// Lists products of every status, the oldest first.
#[utoipa::path(
    get, path = "/v1/admin/products", tag = "admin", params(ProductQuery),
    security(("admin_key" = [])),
    responses((status = 200, description = "A page of products", body = List<AdminProduct>)),
)]
pub async fn list_admin_products(
    _: Admin,
    postgres: web::Data<Postgres>,
    query: web::Query<ProductQuery>,
) -> Result<HttpResponse, Problem> {
    let ProductQuery { status, limit, cursor } = query.into_inner();
    let page = PageQuery { limit, cursor }.page()?;
    let status = status.as_deref().map(product::status).transpose();
    let status = status.map_err(|detail| Problem::invalid("status", detail))?;
    let products = admin::list(&postgres.readers, status, page).await?;
    let list = page.list(products, |product| product.id.uuid());
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(list))
}

/// Makes a product.
///
/// Every variant begins with an empty stock; POST /v1/admin/stock/adjustments fills it.
#[utoipa::path(
    post,
    path = "/v1/admin/products",
    tag = "admin",
    security(("admin_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header,
        description = "1 to 255 visible ASCII characters; makes a retry safe")),
    request_body(content = ProductDraft, example = json!({
        "title": "Mug",
        "description": "Holds tea.",
        "options": ["size"],
        "variants": [{
            "sku": "MUG-L",
            "prices": [{"amount": 1299, "currency": "GBP"}],
            "options": {"size": "L"},
        }],
    })),
    responses(
        (status = 201, description = "The product", body = AdminProduct, headers(
            ("Location" = String, description = "The product's path in the store"),
            ("ETag" = String, description = "The version, for `If-Match`"),
            ("Idempotent-Replayed" = Option<String>, description = "`true`: a saved answer"),
        )),
    ),
)]
pub async fn create_product(
    admin: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    storefront: web::Data<Storefront>,
    body: Json<ProductDraft>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::of(&request, &admin.key_scope(), &body.hash)?;
    let draft = body.value;
    let reply = commit(&postgres, &storefront, &admin, claim.as_ref(), async |transaction| {
        create(transaction, draft).await
    });
    Ok(versioned(reply.await?))
}

async fn create(transaction: &Transaction<'_>, draft: ProductDraft) -> Result<Effect, Problem> {
    let given = draft.category_ids.clone();
    let product: NewProduct = draft.check()?;
    check_categories(transaction, &given).await?;
    let made = match insert(transaction, std::slice::from_ref(&product)).await? {
        Insertion::Done(made) => made,
        Insertion::Taken(taken) => return Err(conflict(&taken, in_list)),
    };
    let id = made.first().map(|made| made.id).unwrap_or_default();
    let product = written(transaction, id).await?;
    let reply = Reply::created(Some(format!("/v1/products/{id}")), to_bytes(&product));
    let written = Written { change: audit::Change::made(id, &product)?, products: vec![id] };
    Ok(Effect { reply, written: Some(written) })
}

/// Shows a product, whatever its status.
#[utoipa::path(
    get, path = "/v1/admin/products/{id}", tag = "admin", security(("admin_key" = [])),
    params(("id" = ProductId, Path, example = "prod_01h455vb4pex5vsknk084sn02q")),
    responses((status = 200, description = "The product", body = AdminProduct, headers(
        ("ETag" = String, description = "The version, for `If-Match`"),
    ))),
)]
pub async fn get_admin_product(
    _: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&request, "product")?;
    let product = admin::find(&reader(&postgres.readers).await?, id).await?;
    let product = product.ok_or_else(|| Problem::not_found("product"))?;
    Ok(show(product.version, &product))
}

/// Changes a product (JSON Merge Patch).
///
/// `variants` replaces the list: an element changes the variant that its `id` or `sku` names, or
/// makes a new one; a variant that is not in the list is archived. `status` brings an archived
/// product back.
#[utoipa::path(
    patch, path = "/v1/admin/products/{id}", tag = "admin", security(("admin_key" = [])),
    params(
        ("id" = ProductId, Path, example = "prod_01h455vb4pex5vsknk084sn02q"),
        ("If-Match" = Option<String>, Header, description = "The version to start from"),
    ),
    request_body(content = ProductPatch, example = json!({
        "title": "Tall mug",
        "description": null,
        "tags": ["kitchen"],
        "variants": [
            {"sku": "MUG-L", "prices": [{"amount": 1399, "currency": "GBP"}]},
        ],
    })),
    responses((status = 200, description = "The product", body = AdminProduct, headers(
        ("ETag" = String, description = "The version, for `If-Match`"),
    ))),
)]
pub async fn update_product(
    admin: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    storefront: web::Data<Storefront>,
    if_match: IfMatch,
    body: Json<ProductPatch>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&request, "product")?;
    let patch = body.value;
    let reply = commit(&postgres, &storefront, &admin, None, async |transaction| {
        if let Field::Value(ids) = &patch.category_ids {
            check_categories(transaction, ids).await?;
        }
        let decide = |before: &AdminProduct| patch.apply(before, VariantId::new);
        let change = change(transaction, id, &if_match, in_list, decide).await?;
        change.effect(Reply::ok(to_bytes(&change.product)))
    });
    Ok(versioned(reply.await?))
}

/// Archives a product.
///
/// It leaves the store; carts, orders and its SKUs keep what they have. Nothing is removed:
/// PATCH with `{"status": "active"}` brings it back.
#[utoipa::path(
    delete, path = "/v1/admin/products/{id}", tag = "admin", security(("admin_key" = [])),
    params(
        ("id" = ProductId, Path, example = "prod_01h455vb4pex5vsknk084sn02q"),
        ("If-Match" = Option<String>, Header, description = "The version to start from"),
    ),
    responses((status = 204, description = "It is archived, or was already")),
)]
pub async fn delete_product(
    admin: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    storefront: web::Data<Storefront>,
    if_match: IfMatch,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&request, "product")?;
    let reply = commit(&postgres, &storefront, &admin, None, async |transaction| {
        let decide = |before: &AdminProduct| {
            Ok(AdminProduct { status: Status::Archived, ..before.clone() })
        };
        let change = change(transaction, id, &if_match, in_list, decide).await?;
        change.effect(Reply::ok(""))
    });
    reply.await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A product after a change.
pub(super) struct Change {
    pub product: AdminProduct,
    /// What it was, if anything was written.
    before: Option<AdminProduct>,
}

impl Change {
    /// What the transaction did.
    pub fn effect(&self, reply: Reply) -> Result<Effect, Problem> {
        let Self { product, before } = self;
        let written = before.as_ref().map(|before| {
            let change = audit::Change::changed(product.id, before, product)?;
            Ok::<_, Problem>(Written { change, products: vec![product.id] })
        });
        Ok(Effect { reply, written: written.transpose()? })
    }
}

/// Changes a product as `decide` says, from a version that `if_match` allows. `sku_at` points to
/// the SKU of a variant in the request.
pub(super) async fn change(
    transaction: &Transaction<'_>,
    id: ProductId,
    if_match: &IfMatch,
    sku_at: impl Fn(usize) -> String,
    decide: impl FnOnce(&AdminProduct) -> Result<AdminProduct, Problem>,
) -> Result<Change, Problem> {
    let before = admin::lock(transaction, id).await?;
    let before = before.ok_or_else(|| Problem::not_found("product"))?;
    let after = decide(&before)?;
    // Behind the request's own errors, as HTTP wants it (RFC 9110, 13.2.1).
    if_match.check(before.version)?;
    if after == before {
        return Ok(Change { product: before, before: None });
    }
    let taken = admin::update(transaction, &before, &after).await.map_err(raced)?;
    if !taken.is_empty() {
        return Err(conflict(&taken, sku_at));
    }
    Ok(Change { product: written(transaction, id).await?, before: Some(before) })
}

async fn written(transaction: &Transaction<'_>, id: ProductId) -> Result<AdminProduct, Problem> {
    let product = admin::find(transaction, id).await?;
    product.ok_or_else(|| Problem::internal("a product that was written is not there"))
}

fn in_list(variant: usize) -> String {
    format!("/variants/{variant}/sku")
}

fn conflict(taken: &[Taken], sku_at: impl Fn(usize) -> String) -> Problem {
    let errors = taken.iter().map(|taken| match taken {
        Taken::Slug(_) => FieldError::new("/slug", "is another product's slug"),
        Taken::Sku(_, variant) => FieldError::new(sku_at(*variant), "is another product's SKU"),
    });
    Problem::of_fields(Code::Conflict, errors.collect())
}

/// Refuses categories that do not exist; the others stay until the end of the transaction.
async fn check_categories(
    transaction: &Transaction<'_>,
    ids: &[CategoryId],
) -> Result<(), Problem> {
    if ids.is_empty() {
        return Ok(());
    }
    let known = lock_known(transaction, ids).await?;
    let mut violations = Violations::default();
    for (index, id) in ids.iter().enumerate() {
        let pointer = format!("/category_ids/{index}");
        violations.require(known.contains(id), pointer, "there is no such category");
    }
    violations.finish()
}
