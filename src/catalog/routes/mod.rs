//! The HTTP of the catalog: here what the store shows of products.

pub mod categories;
pub mod collections;
mod commit;
pub mod pictures;
pub mod products;
pub mod variants;

use super::listing::{Facets, Listing};
use super::product::Product;
use super::slug::is_slug;
use super::store::Key;
use super::storefront::Storefront;
use crate::cache::{Cached, etag};
use crate::error::Problem;
use crate::money::Currency;
use crate::page::PageQuery;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

/// Others may keep an answer for a second: it says how many are available.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=1");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Says that an answer may be older than promised, because the database is away.
const STALE: HeaderName = HeaderName::from_static("doorbuster-stale");

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
    Ok(cached(&request, product))
}

/// A page of products.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProductList {
    /// The products.
    pub items: Vec<Product>,
    /// The next page's cursor, if there is one.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// The counts that were asked for with `facets`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facets: Option<Facets>,
}

/// Lists and searches the products of the store.
///
/// All filters must hold. Besides those below, `option.<name>` filters by an option of the
/// variants (`option.size=L`); given several times, any of its values will do.
///
/// A search finds products with all words of `q`: in titles, SKUs, tags, categories, options and
/// descriptions. The last word may be
/// unfinished from its third letter on, accents do not count, and misspelt words are
/// corrected. If no product has all words, it finds those with all but one, or with any. Sorted
/// by relevance, it ends after the best of 1,000 matching products, those with the words in their
/// titles first; the other orders and the facets cover all of them.
#[utoipa::path(
    get,
    path = "/v1/products",
    tag = "catalog",
    params(
        ("q" = Option<String>, Query, description = "Words, at most 200 characters and 12 words",
            example = "enamel mug"),
        ("category" = Option<String>, Query,
            description = "Id or slug of a category; those below it count too"),
        ("collection" = Option<String>, Query, description = "Id or slug of a collection"),
        ("tag" = Option<Vec<String>>, Query, description = "Given several times: all of them"),
        ("price_min" = Option<i64>, Query, minimum = 0, maximum = 1_000_000_000_000_i64,
            description = "Lowest price, in minor units, at least this"),
        ("price_max" = Option<i64>, Query, minimum = 0, maximum = 1_000_000_000_000_i64,
            description = "Lowest price, in minor units, at most this"),
        ("currency" = Option<String>, Query,
            description = "Of `price_min`, `price_max`, the order by price and the facet `price`; \
                products without a price in it are left out there. The shop's unless said"),
        ("in_stock" = Option<bool>, Query, description = "Whether any variant can be ordered"),
        ("sort" = Option<String>, Query,
            description = "`newest` (default without `q`), `oldest`, `price`, `-price`, `title`, \
                `-title` or `relevance` (default with `q`, and only there)"),
        ("facets" = Option<String>, Query,
            description = "What to count, with commas between, at most 20: `category`, \
                `collection`, `tag`, `price`, `in_stock`, `option.<name>`",
            example = "tag,price"),
        PageQuery,
        ("If-None-Match" = Option<String>, Header, description = "ETags of answers at hand"),
    ),
    responses(
        (status = 200, description = "A page of products", body = ProductList, headers(
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
    shop_currency: web::Data<Currency>,
) -> Result<HttpResponse, Problem> {
    let listing = Listing::parse(request.query_string(), **shop_currency)?;
    Ok(cached(&request, storefront.list(listing).await?))
}

fn to_bytes(body: &impl Serialize) -> Vec<u8> {
    // Serialising plain structs into memory has no way to fail.
    serde_json::to_vec(body).unwrap_or_default()
}

/// What the storefront shows, or 304 if the client has it.
fn cached(request: &HttpRequest, shown: Cached) -> HttpResponse {
    let mut response = answer(request, shown.body, shown.etag);
    if shown.is_stale {
        response.headers_mut().insert(STALE, HeaderValue::from_static("true"));
    }
    response
}

/// Bytes that were made for this answer, or 304 if the client has them.
fn fresh(request: &HttpRequest, body: Vec<u8>) -> HttpResponse {
    let etag = etag(&body);
    answer(request, body.into(), etag)
}

fn answer(request: &HttpRequest, body: Bytes, etag: HeaderValue) -> HttpResponse {
    let is_current = has(request, &etag);
    let mut response = if is_current { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, etag));
    response.insert_header((header::CACHE_CONTROL, CACHE_CONTROL));
    if is_current {
        return response.finish();
    }
    response.insert_header((header::CONTENT_TYPE, JSON));
    response.body(body)
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
