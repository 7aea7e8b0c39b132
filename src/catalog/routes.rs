//! The HTTP of the catalog.

use super::draft::ProductDraft;
use super::product::{NewProduct, Product};
use super::slug::is_slug;
use super::store::write::{Insertion, Taken, insert};
use super::store::{self, Key};
use crate::auth::{Admin, hex};
use crate::error::{Code, FieldError, Problem};
use crate::idempotency::{Claim, Reply, once};
use crate::json::Json;
use crate::page::{List, PageQuery};
use crate::postgres::Postgres;
use actix_web::http::header::{self, CacheControl, CacheDirective, ETag, EntityTag, IfNoneMatch};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use deadpool_postgres::Transaction;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Seconds for which others may keep an answer: it says how many are available.
const MAX_AGE: u32 = 1;

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
        (status = 201, description = "The product", body = Product, headers(
            ("Location" = String, description = "The product's path"),
            ("Idempotent-Replayed" = Option<String>, description = "`true`: a saved answer"),
        )),
    ),
)]
pub async fn create_product(
    admin: Admin,
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    body: Json<ProductDraft>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::of(&request, &admin.scope, &body.hash)?;
    let draft = body.value;
    let reply = once(&postgres.writers, claim.as_ref(), async |transaction| {
        create(transaction, draft.check()?).await
    });
    Ok(reply.await?.into())
}

async fn create(transaction: &Transaction<'_>, product: NewProduct) -> Result<Reply, Problem> {
    let made = match insert(transaction, std::slice::from_ref(&product)).await? {
        Insertion::Done(made) => made,
        Insertion::Taken(taken) => return Err(conflict(&taken)),
    };
    let id = made.first().map(|made| made.id).unwrap_or_default();
    let product = store::find(transaction, id).await?;
    let product = product.ok_or_else(|| Problem::internal("a new product is not there"))?;
    Ok(Reply::created(Some(format!("/v1/products/{id}")), to_bytes(&product)))
}

fn conflict(taken: &[Taken]) -> Problem {
    let errors = taken.iter().map(|taken| match taken {
        Taken::Slug(_) => FieldError::new("/slug", "is another product's slug"),
        Taken::Sku(_, variant) => {
            FieldError::new(format!("/variants/{variant}/sku"), "is another product's SKU")
        }
    });
    Problem::of_fields(Code::Conflict, errors.collect())
}

/// Shows a product of the store.
#[utoipa::path(
    get,
    path = "/v1/products/{id_or_slug}",
    tag = "catalog",
    params(
        ("id_or_slug" = String, Path, description = "The product's id or slug",
            example = "enamel-mug"),
        ("If-None-Match" = Option<String>, Header, description = "ETags of answers at hand"),
    ),
    responses(
        (status = 200, description = "The product", body = Product, headers(
            ("ETag" = String, description = "Strong; changes with the body"),
            ("Cache-Control" = String, description = "`public, max-age=1`"),
        )),
        (status = 304, description = "The answer at hand is current"),
    ),
)]
pub async fn get_product(
    request: HttpRequest,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let unknown = || Problem::not_found("product");
    let key = request.match_info().query("id_or_slug");
    let key = match key.parse() {
        Ok(id) => Key::Id(id),
        Err(_) if is_slug(key) => Key::Slug(key),
        Err(_) => return Err(unknown()),
    };
    let product = store::find_active(&postgres.readers, key).await?.ok_or_else(unknown)?;
    Ok(answer(&request, to_bytes(&product)))
}

/// Lists the products of the store, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/products",
    tag = "catalog",
    params(
        PageQuery,
        ("If-None-Match" = Option<String>, Header, description = "ETags of answers at hand"),
    ),
    responses(
        (status = 200, description = "A page of products", body = List<Product>, headers(
            ("ETag" = String, description = "Strong; changes with the body"),
            ("Cache-Control" = String, description = "`public, max-age=1`"),
        )),
        (status = 304, description = "The answer at hand is current"),
    ),
)]
pub async fn list_products(
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let page = query.page()?;
    let products = store::list_active(&postgres.readers, page).await?;
    let list = page.list(products, |product| product.id.uuid());
    Ok(answer(&request, to_bytes(&list)))
}

fn to_bytes(body: &impl Serialize) -> Vec<u8> {
    // Serialising plain structs into memory has no way to fail.
    serde_json::to_vec(body).unwrap_or_default()
}

/// The bytes under their ETag, or 304 if the client has them.
fn answer(request: &HttpRequest, body: Vec<u8>) -> HttpResponse {
    let tag = EntityTag::new_strong(hex(&Sha256::digest(&body)[..16]));
    let is_current = match request.get_header::<IfNoneMatch>() {
        Some(IfNoneMatch::Any) => true,
        Some(IfNoneMatch::Items(tags)) => tags.iter().any(|other| other.weak_eq(&tag)),
        None => false,
    };
    let mut response = if is_current { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header(ETag(tag));
    let directives = vec![CacheDirective::Public, CacheDirective::MaxAge(MAX_AGE)];
    response.insert_header(CacheControl(directives));
    if is_current {
        return response.finish();
    }
    response.insert_header(header::ContentType::json()).body(body)
}
