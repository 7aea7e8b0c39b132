//! Pictures drawn by code, for products that have no better one.

use crate::catalog::picture;
use crate::catalog::slug::is_slug;
use crate::error::Problem;
use actix_web::http::header::{CacheControl, CacheDirective, ContentType};
use actix_web::{HttpRequest, HttpResponse};

/// Seconds for which others may keep a picture: the same slug is always the same picture.
const MAX_AGE: u32 = 86_400;

/// Draws the picture of a slug.
///
/// Any slug has one, always the same.
#[utoipa::path(
    get, path = "/media/{slug}.svg", tag = "catalog",
    params(("slug" = String, Path, description = "Of a product, say", example = "enamel-mug")),
    responses((status = 200, description = "The picture", body = String,
        content_type = "image/svg+xml",
        headers(("Cache-Control" = String, description = "`public, max-age=86400`")),
        example = json!("<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>"))),
)]
pub async fn get_picture(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let slug = request.match_info().query("slug");
    if !is_slug(slug) {
        return Err(Problem::not_found("picture"));
    }
    let directives = vec![CacheDirective::Public, CacheDirective::MaxAge(MAX_AGE)];
    let mut response = HttpResponse::Ok();
    response.insert_header(CacheControl(directives));
    response.insert_header(ContentType("image/svg+xml".parse().map_err(Problem::internal)?));
    Ok(response.body(picture::svg(slug)))
}
