//! Variants with their prices, for staff.

use super::commit::{commit, path_id, show, versioned};
use super::products::{Change, change};
use super::to_bytes;
use crate::auth::Admin;
use crate::catalog::Storefront;
use crate::catalog::draft::VariantDraft;
use crate::catalog::patch::{VariantPatch, add};
use crate::catalog::product::{AdminProduct, OwnedVariant};
use crate::catalog::store::admin;
use crate::error::Problem;
use crate::id::{ProductId, VariantId};
use crate::idempotency::{Claim, Reply};
use crate::json::{Field, Json};
use crate::postgres::{Postgres, reader};
use crate::version::IfMatch;
use actix_web::{HttpRequest, HttpResponse, web};
use deadpool_postgres::{GenericClient, Transaction};

/// Adds a variant to a product, behind the others.
#[utoipa::path(
    post, path = "/v1/admin/products/{id}/variants", tag = "admin",
    security(("admin_key" = [])),
    params(
        ("id" = ProductId, Path, example = "prod_01h455vb4pex5vsknk084sn02q"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "1 to 255 visible ASCII characters; makes a retry safe"),
    ),
    request_body(content = VariantDraft, example = json!({
        "sku": "MUG-XL", "prices": [{"amount": 1599, "currency": "GBP"}],
    })),
    responses((status = 201, description = "The variant", body = OwnedVariant, headers(
        ("Location" = String, description = "The variant's path"),
        ("ETag" = String, description = "The product's version, for `If-Match`"),
        ("Idempotent-Replayed" = Option<String>, description = "`true`: a saved answer"),
    ))),
)]
pub async fn create_variant(
    admin: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    storefront: web::Data<Storefront>,
    body: Json<VariantDraft>,
) -> Result<HttpResponse, Problem> {
    let product = path_id(&request, "product")?;
    let claim = Claim::of(&request, &admin.key_scope(), &body.hash)?;
    let (id, draft, any) = (VariantId::new(), body.value, IfMatch::default());
    let reply = commit(&postgres, &storefront, &admin, claim.as_ref(), async |transaction| {
        let decide = |before: &AdminProduct| add(before, &draft, id);
        let change = change(transaction, product, &any, sku, decide).await?;
        let body = to_bytes(&owned(&change.product, id)?);
        let location = format!("/v1/admin/variants/{id}");
        change.effect(Reply::created(Some(location), body))
    });
    Ok(versioned(reply.await?))
}

/// Shows a variant, whatever its status.
#[utoipa::path(
    get, path = "/v1/admin/variants/{id}", tag = "admin", security(("admin_key" = [])),
    params(("id" = VariantId, Path, example = "var_01h455vb4pex5vsknk084sn02q")),
    responses((status = 200, description = "The variant", body = OwnedVariant, headers(
        ("ETag" = String, description = "The product's version, for `If-Match`"),
    ))),
)]
pub async fn get_variant(
    _: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&request, "variant")?;
    let client = reader(&postgres.readers).await?;
    let product = admin::find(&client, product_of(&client, id).await?).await?;
    let variant = owned(&product.ok_or_else(unknown)?, id)?;
    Ok(show(variant.version, &variant))
}

/// Changes a variant (JSON Merge Patch).
///
/// `{"status": "active"}` brings an archived one back.
#[utoipa::path(
    patch, path = "/v1/admin/variants/{id}", tag = "admin", security(("admin_key" = [])),
    params(
        ("id" = VariantId, Path, example = "var_01h455vb4pex5vsknk084sn02q"),
        ("If-Match" = Option<String>, Header, description = "The product's version"),
    ),
    request_body(content = VariantPatch, example = json!({
        "prices": [{"amount": 1399, "currency": "GBP"}, {"amount": 1599, "currency": "EUR"}],
    })),
    responses((status = 200, description = "The variant", body = OwnedVariant, headers(
        ("ETag" = String, description = "The product's version, for `If-Match`"),
    ))),
)]
pub async fn update_variant(
    admin: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    storefront: web::Data<Storefront>,
    if_match: IfMatch,
    body: Json<VariantPatch>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&request, "variant")?;
    let reply = commit(&postgres, &storefront, &admin, None, async |transaction| {
        let change = patch(transaction, id, &if_match, body.value).await?;
        let body = to_bytes(&owned(&change.product, id)?);
        change.effect(Reply::ok(body))
    });
    Ok(versioned(reply.await?))
}

/// Archives a variant.
///
/// It leaves the store; carts and orders keep it, and its SKU stays taken. Nothing is removed:
/// PATCH with `{"status": "active"}` brings it back.
#[utoipa::path(
    delete, path = "/v1/admin/variants/{id}", tag = "admin", security(("admin_key" = [])),
    params(
        ("id" = VariantId, Path, example = "var_01h455vb4pex5vsknk084sn02q"),
        ("If-Match" = Option<String>, Header, description = "The product's version"),
    ),
    responses((status = 204, description = "It is archived, or was already")),
)]
pub async fn delete_variant(
    admin: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    storefront: web::Data<Storefront>,
    if_match: IfMatch,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&request, "variant")?;
    let archive =
        VariantPatch { status: Field::Value("archived".to_owned()), ..Default::default() };
    let reply = commit(&postgres, &storefront, &admin, None, async |transaction| {
        let change = patch(transaction, id, &if_match, archive).await?;
        change.effect(Reply::ok(""))
    });
    reply.await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn patch(
    transaction: &Transaction<'_>,
    id: VariantId,
    if_match: &IfMatch,
    patch: VariantPatch,
) -> Result<Change, Problem> {
    let product = product_of(transaction, id).await?;
    change(transaction, product, if_match, sku, |before| patch.apply(before, id)).await
}

async fn product_of(client: &impl GenericClient, id: VariantId) -> Result<ProductId, Problem> {
    admin::product_of(client, id).await?.ok_or_else(unknown)
}

fn owned(product: &AdminProduct, id: VariantId) -> Result<OwnedVariant, Problem> {
    let variant = product.variant(id).cloned().ok_or_else(unknown)?;
    Ok(OwnedVariant { variant, product_id: product.id, version: product.version })
}

fn unknown() -> Problem {
    Problem::not_found("variant")
}

fn sku(_: usize) -> String {
    "/sku".to_owned()
}
