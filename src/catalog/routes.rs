//! The HTTP of the catalog.

use super::draft::ProductDraft;
use super::listing::{Facets, Found, Listing};
use super::product::{NewProduct, Product};
use super::slug::is_slug;
use super::store::write::{Insertion, Taken, insert};
use super::store::{self, Key};
use crate::auth::{Admin, hex};
use crate::error::{Code, FieldError, Problem};
use crate::idempotency::{Claim, Reply, once};
use crate::json::Json;
use crate::money::Currency;
use crate::page::PageQuery;
use crate::postgres::Postgres;
use actix_web::http::header::{self, CacheControl, CacheDirective, ETag, EntityTag, IfNoneMatch};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use deadpool_postgres::Transaction;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

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
        )),
        (status = 304, description = "The answer at hand is current"),
    ),
)]
pub async fn list_products(
    request: HttpRequest,
    postgres: web::Data<Postgres>,
    shop_currency: web::Data<Currency>,
) -> Result<HttpResponse, Problem> {
    let listing = Listing::parse(request.query_string(), **shop_currency)?;
    let Found { ids, next_cursor, facets } =
        store::search::find(&postgres.readers, &listing).await?;
    let items = store::list_active(&postgres.readers, &ids).await?;
    Ok(answer(&request, to_bytes(&ProductList { items, next_cursor, facets })))
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
