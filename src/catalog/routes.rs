//! The HTTP of the catalog.

use super::draft::ProductDraft;
use super::product::{NewProduct, Product};
use super::slug::is_slug;
use super::store::shown::move_epoch;
use super::store::write::{Insertion, Taken, insert};
use super::store::{self, Key};
use super::storefront::Storefront;
use crate::auth::Admin;
use crate::cache::Cached;
use crate::error::{Code, FieldError, Problem};
use crate::id::ProductId;
use crate::idempotency::{Claim, Reply, once};
use crate::json::Json;
use crate::page::{List, PageQuery};
use crate::postgres::Postgres;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use deadpool_postgres::Transaction;

/// Others may keep an answer for a second: it says how many are available.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=1");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Says that an answer may be older than promised, because the database is away.
const STALE: HeaderName = HeaderName::from_static("doorbuster-stale");

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
    storefront: web::Data<Storefront>,
    body: Json<ProductDraft>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::of(&request, &admin.scope, &body.hash)?;
    let draft = body.value;
    let mut made = None;
    let reply = once(&postgres.writers, claim.as_ref(), async |transaction| {
        let (id, reply) = create(transaction, draft.check()?).await?;
        made = Some(id);
        Ok(reply)
    });
    let reply = reply.await?;
    if let Some(id) = made {
        storefront.changed(&[id]).await;
    }
    Ok(reply.into())
}

async fn create(
    transaction: &Transaction<'_>,
    product: NewProduct,
) -> Result<(ProductId, Reply), Problem> {
    let made = match insert(transaction, std::slice::from_ref(&product)).await? {
        Insertion::Done(made) => made,
        Insertion::Taken(taken) => return Err(conflict(&taken)),
    };
    let id = made.first().map(|made| made.id).unwrap_or_default();
    let product = store::find(transaction, id).await?;
    let product = product.ok_or_else(|| Problem::internal("a new product is not there"))?;
    let body = serde_json::to_vec(&product).map_err(Problem::internal)?;
    move_epoch(transaction).await?;
    Ok((id, Reply::created(Some(format!("/v1/products/{id}")), body)))
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
            ("Doorbuster-Stale" = Option<String>,
                description = "`true`: the storage is away, and this was read before"),
        )),
        (status = 304, description = "The answer at hand is current"),
    ),
)]
pub async fn get_product(
    request: HttpRequest,
    storefront: web::Data<Storefront>,
) -> Result<HttpResponse, Problem> {
    let unknown = || Problem::not_found("product");
    let address = request.match_info().query("id_or_slug");
    let address = match address.parse() {
        Ok(id) => Key::Id(id),
        Err(_) if is_slug(address) => Key::Slug(address),
        Err(_) => return Err(unknown()),
    };
    let product = storefront.product(address).await?.ok_or_else(unknown)?;
    Ok(answer(&request, product))
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
            ("Doorbuster-Stale" = Option<String>,
                description = "`true`: the storage is away, and this was read before"),
        )),
        (status = 304, description = "The answer at hand is current"),
    ),
)]
pub async fn list_products(
    request: HttpRequest,
    storefront: web::Data<Storefront>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let list = storefront.list(&query.page()?).await?;
    Ok(answer(&request, list))
}

/// The bytes under their ETag, or 304 if the client has them.
fn answer(request: &HttpRequest, cached: Cached) -> HttpResponse {
    let is_current = has(request, &cached.etag);
    let mut response = if is_current { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, cached.etag));
    response.insert_header((header::CACHE_CONTROL, CACHE_CONTROL));
    if cached.is_stale {
        response.insert_header((STALE, HeaderValue::from_static("true")));
    }
    if is_current {
        return response.finish();
    }
    response.insert_header((header::CONTENT_TYPE, JSON));
    response.body(cached.body)
}

/// Whether the client has what this tag names.
fn has(request: &HttpRequest, etag: &HeaderValue) -> bool {
    let sent = request.headers().get_all(header::IF_NONE_MATCH);
    let mut tags = sent.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tags.any(|tag| {
        let tag = tag.trim_ascii();
        tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes()
    })
}
