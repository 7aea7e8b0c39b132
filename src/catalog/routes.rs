//! The HTTP of the catalog: here what the store shows of products.

pub mod categories;
pub mod collections;
mod commit;
pub mod pictures;
pub mod products;
pub mod variants;

use super::product::Product;
use super::slug::is_slug;
use super::store::{self, Key};
use crate::auth::hex;
use crate::error::Problem;
use crate::page::{List, PageQuery};
use crate::postgres::Postgres;
use actix_web::http::header::{self, CacheControl, CacheDirective, ETag, EntityTag, IfNoneMatch};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Seconds for which others may keep an answer: it says how many are available.
const MAX_AGE: u32 = 1;

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
