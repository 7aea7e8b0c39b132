//! Every route on one page, and the order of the middleware.
//!
//! Outermost first: the frame (`http/frame.rs`: request id, metrics, problem bodies, security
//! headers, panics), then CORS, then the routes.

mod exports;
mod frame;
mod openapi;
mod operations;

pub use openapi::document;
pub use operations::Operations;

use crate::config::Config;
use crate::error::{Code, Problem};
use crate::json::{BodyLimit, GRACE, JsonConfig, ORDER_BODY_MAX, STORE_BODY_MAX};
use crate::{cart, catalog, inventory, order, session};
use actix_cors::Cors;
use actix_web::guard::{self, Guard};
use actix_web::http::Method;
use actix_web::{Route, web};
use frame::Pattern;

pub use frame::frame;

/// One operation: where it is, what serves it, which errors it may answer with.
pub struct Endpoint {
    /// The method; HEAD works where GET does.
    pub method: Method,
    /// The path's pattern.
    pub path: &'static str,
    /// Makes the route.
    route: fn() -> Route,
    /// The error codes beyond those that any request may meet.
    pub codes: &'static [Code],
    /// Bytes in a body, at most.
    body_max: usize,
}

fn get(path: &'static str, route: fn() -> Route, codes: &'static [Code]) -> Endpoint {
    Endpoint { method: Method::GET, path, route, codes, body_max: STORE_BODY_MAX }
}

fn post(path: &'static str, route: fn() -> Route, codes: &'static [Code]) -> Endpoint {
    Endpoint { method: Method::POST, path, route, codes, body_max: STORE_BODY_MAX }
}

fn patch(path: &'static str, route: fn() -> Route, codes: &'static [Code]) -> Endpoint {
    Endpoint { method: Method::PATCH, path, route, codes, body_max: STORE_BODY_MAX }
}

fn delete(path: &'static str, route: fn() -> Route, codes: &'static [Code]) -> Endpoint {
    Endpoint { method: Method::DELETE, path, route, codes, body_max: STORE_BODY_MAX }
}

impl Endpoint {
    fn body_max(self, body_max: usize) -> Self {
        Self { body_max, ..self }
    }
}

/// What every request with a body may be answered with.
pub const BODY_CODES: &[Code] = &[
    Code::InvalidRequest,
    Code::RequestTimeout,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::ValidationFailed,
    Code::IdempotencyKeyReused,
    Code::RequestInProgress,
];

/// Makes the route of a handler.
macro_rules! to {
    ($handler:path) => {
        || Route::new().to(frame::Guarded($handler))
    };
}

/// Every route.
pub fn endpoints() -> Vec<Endpoint> {
    [
        store_catalog(),
        store_carts(),
        store_orders(),
        admin_products(),
        admin_tree(),
        admin_orders(),
        operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What the store shows.
fn store_catalog() -> Vec<Endpoint> {
    use Code::*;
    vec![
        get("/v1/products", to!(catalog::routes::list_products), &[InvalidRequest]),
        get("/v1/products/{id_or_slug}", to!(catalog::routes::get_product), &[NotFound]),
        get("/v1/categories", to!(catalog::routes::categories::list_categories), &[]),
        get("/v1/categories/{slug}", to!(catalog::routes::categories::get_category), &[NotFound]),
        get(
            "/v1/collections",
            to!(catalog::routes::collections::list_collections),
            &[InvalidRequest],
        ),
        get(
            "/v1/collections/{slug}",
            to!(catalog::routes::collections::get_collection),
            &[NotFound],
        ),
        get("/media/{slug}.svg", to!(catalog::routes::pictures::get_picture), &[NotFound]),
    ]
}

/// What shoppers want to buy, and who they are.
fn store_carts() -> Vec<Endpoint> {
    use Code::*;
    vec![
        post("/v1/sessions", to!(session::routes::create_session), &[Overloaded]),
        get("/v1/session", to!(session::routes::get_session), &[Unauthorized, Overloaded]),
        delete(
            "/v1/session",
            to!(session::routes::delete_session),
            &[Unauthorized, Forbidden, Overloaded],
        ),
        get("/v1/cart", to!(cart::routes::get_cart), &[Unauthorized, Overloaded]),
        patch(
            "/v1/cart",
            to!(cart::routes::update_cart),
            &[Unauthorized, Forbidden, VersionConflict, Overloaded],
        ),
        post(
            "/v1/cart/items",
            to!(cart::routes::add_cart_items),
            &[Unauthorized, Forbidden, VersionConflict, Overloaded],
        )
        .body_max(ORDER_BODY_MAX),
        patch(
            "/v1/cart/items/{id}",
            to!(cart::routes::update_cart_item),
            &[Unauthorized, Forbidden, NotFound, VersionConflict, Overloaded],
        ),
        delete(
            "/v1/cart/items/{id}",
            to!(cart::routes::remove_cart_item),
            &[Unauthorized, Forbidden, NotFound, VersionConflict, Overloaded],
        ),
        get(
            "/v1/cart/shipping-options",
            to!(cart::routes::list_shipping_options),
            &[Unauthorized, Overloaded],
        ),
        post(
            "/v1/cart/checkout",
            to!(order::routes::checkout_cart),
            &[
                IdempotencyKeyRequired,
                Unauthorized,
                Forbidden,
                CartEmpty,
                CheckoutIncomplete,
                OutOfStock,
                PriceChanged,
                Overloaded,
            ],
        ),
    ]
}

/// What the store sells.
fn store_orders() -> Vec<Endpoint> {
    use Code::*;
    vec![
        post(
            "/v1/orders",
            to!(order::routes::place_order),
            &[
                IdempotencyKeyRequired,
                Unauthorized,
                Forbidden,
                OutOfStock,
                PriceChanged,
                DiscountNotApplicable,
                Overloaded,
            ],
        )
        .body_max(ORDER_BODY_MAX),
        get(
            "/v1/orders",
            to!(order::routes::list_session_orders),
            &[InvalidRequest, Unauthorized, Overloaded],
        ),
        get(
            "/v1/orders/{id}",
            to!(order::routes::get_order),
            &[Unauthorized, NotFound, Overloaded],
        ),
        post(
            "/v1/orders/{id}/payments",
            to!(order::routes::pay_order),
            &[Unauthorized, PaymentDeclined, Forbidden, NotFound, InvalidTransition, Overloaded],
        ),
        post(
            "/v1/orders/{id}/cancel",
            to!(order::routes::cancel_order),
            &[Unauthorized, Forbidden, NotFound, InvalidTransition, Overloaded],
        ),
    ]
}

/// Products and their variants, for staff.
fn admin_products() -> Vec<Endpoint> {
    use Code::*;
    vec![
        get(
            "/v1/admin/products",
            to!(catalog::routes::products::list_admin_products),
            &[InvalidRequest, Unauthorized],
        ),
        post(
            "/v1/admin/products",
            to!(catalog::routes::products::create_product),
            &[Unauthorized, Conflict],
        ),
        get(
            "/v1/admin/products/{id}",
            to!(catalog::routes::products::get_admin_product),
            &[Unauthorized, NotFound],
        ),
        patch(
            "/v1/admin/products/{id}",
            to!(catalog::routes::products::update_product),
            &[Unauthorized, NotFound, Conflict, VersionConflict],
        ),
        delete(
            "/v1/admin/products/{id}",
            to!(catalog::routes::products::delete_product),
            &[Unauthorized, NotFound, VersionConflict],
        ),
        post(
            "/v1/admin/products/{id}/variants",
            to!(catalog::routes::variants::create_variant),
            &[Unauthorized, NotFound, Conflict],
        ),
        get(
            "/v1/admin/variants/{id}",
            to!(catalog::routes::variants::get_variant),
            &[Unauthorized, NotFound],
        ),
        patch(
            "/v1/admin/variants/{id}",
            to!(catalog::routes::variants::update_variant),
            &[Unauthorized, NotFound, Conflict, VersionConflict],
        ),
        delete(
            "/v1/admin/variants/{id}",
            to!(catalog::routes::variants::delete_variant),
            &[Unauthorized, NotFound, VersionConflict],
        ),
    ]
}

/// Categories and collections, for staff.
fn admin_tree() -> Vec<Endpoint> {
    use Code::*;
    vec![
        get(
            "/v1/admin/categories",
            to!(catalog::routes::categories::list_admin_categories),
            &[InvalidRequest, Unauthorized],
        ),
        post(
            "/v1/admin/categories",
            to!(catalog::routes::categories::create_category),
            &[Unauthorized, Conflict],
        ),
        get(
            "/v1/admin/categories/{id}",
            to!(catalog::routes::categories::get_admin_category),
            &[Unauthorized, NotFound],
        ),
        patch(
            "/v1/admin/categories/{id}",
            to!(catalog::routes::categories::update_category),
            &[Unauthorized, NotFound, Conflict, VersionConflict],
        ),
        delete(
            "/v1/admin/categories/{id}",
            to!(catalog::routes::categories::delete_category),
            &[Unauthorized, NotFound, Conflict, VersionConflict],
        ),
        get(
            "/v1/admin/collections",
            to!(catalog::routes::collections::list_admin_collections),
            &[InvalidRequest, Unauthorized],
        ),
        post(
            "/v1/admin/collections",
            to!(catalog::routes::collections::create_collection),
            &[Unauthorized, Conflict],
        ),
        get(
            "/v1/admin/collections/{id}",
            to!(catalog::routes::collections::get_admin_collection),
            &[Unauthorized, NotFound],
        ),
        patch(
            "/v1/admin/collections/{id}",
            to!(catalog::routes::collections::update_collection),
            &[Unauthorized, NotFound, Conflict, VersionConflict],
        ),
        delete(
            "/v1/admin/collections/{id}",
            to!(catalog::routes::collections::delete_collection),
            &[Unauthorized, NotFound, VersionConflict],
        ),
    ]
}

/// Stock and orders, for staff.
fn admin_orders() -> Vec<Endpoint> {
    use Code::*;
    vec![
        post(
            "/v1/admin/stock/adjustments",
            to!(inventory::routes::create_stock_adjustment),
            &[Unauthorized, OutOfStock],
        ),
        get(
            "/v1/admin/stock/adjustments/{id}",
            to!(inventory::routes::get_stock_adjustment),
            &[Unauthorized, NotFound],
        ),
        get(
            "/v1/admin/stock/levels",
            to!(inventory::routes::list_stock_levels),
            &[InvalidRequest, Unauthorized],
        ),
        get(
            "/v1/admin/stock/ledger",
            to!(inventory::routes::list_stock_movements),
            &[InvalidRequest, Unauthorized],
        ),
        get(
            "/v1/admin/orders",
            to!(order::routes::admin::list_orders),
            &[InvalidRequest, Unauthorized],
        ),
        get(
            "/v1/admin/orders/{id}",
            to!(order::routes::admin::get_admin_order),
            &[Unauthorized, NotFound],
        ),
        get(
            "/v1/admin/exports/{name}",
            to!(exports::get_export),
            &[InvalidRequest, Unauthorized, NotFound, Overloaded],
        ),
    ]
}

/// For operators and tools.
fn operations() -> Vec<Endpoint> {
    vec![
        get("/", to!(operations::get_index), &[]),
        get("/livez", to!(operations::get_livez), &[]),
        get("/readyz", to!(operations::get_readyz), &[]),
        get("/metrics", to!(operations::get_metrics), &[]),
        get("/openapi.json", to!(operations::get_openapi), &[]),
        get("/docs", to!(operations::get_docs), &[]),
        get("/docs/errors", to!(operations::get_error_docs), &[]),
    ]
}

/// Registers every route; wrong methods are 405 with `Allow`, wrong paths 404.
pub fn routes(services: &mut web::ServiceConfig) {
    let mut endpoints = endpoints();
    // Paths are tried in this order: those of the store first, and patterns last, which cost more.
    endpoints.sort_by_key(|endpoint| {
        let path = endpoint.path;
        (path.starts_with("/v1/admin/"), path.contains('{'), path)
    });
    for group in endpoints.chunk_by(|a, b| a.path == b.path) {
        let body_max = group.iter().map(|endpoint| endpoint.body_max).fold(0, Ord::max);
        let path = group[0].path;
        let mut resource =
            web::resource(path).app_data(BodyLimit(body_max)).app_data(Pattern(path));
        let mut allowed = Vec::new();
        for endpoint in group {
            resource = resource.route((endpoint.route)().guard(method(&endpoint.method)));
            allowed.push(endpoint.method.as_str());
            if endpoint.method == Method::GET {
                allowed.push("HEAD");
            }
        }
        let allow = allowed.join(", ");
        services.service(resource.default_service(web::to(move || {
            let detail = format!("Allowed here: {allow}.");
            let problem = Problem::new(Code::MethodNotAllowed, detail);
            let problem = Problem { allow: Some(allow.clone()), ..problem };
            async move { Err::<&str, Problem>(problem) }
        })));
    }
    services.service(openapi::docs());
    services.default_service(web::to(async || Err::<&str, _>(Problem::not_found("resource"))));
}

fn method(method: &Method) -> impl Guard + use<> {
    let or_head = if *method == Method::GET { Method::HEAD } else { method.clone() };
    guard::Any(guard::Method(method.clone())).or(guard::Method(or_head))
}

/// The limits of request bodies.
pub fn json_config(config: &Config) -> JsonConfig {
    JsonConfig {
        limit: STORE_BODY_MAX,
        timeout: config.server.body_timeout,
        grace: GRACE,
        rate_min: config.server.body_rate_min_bytes,
    }
}

/// A query string that cannot be read is a problem like any other.
pub fn query_config() -> web::QueryConfig {
    web::QueryConfig::default().error_handler(|_, _| {
        let detail = "The query string has an unknown, repeated or malformed parameter.";
        Problem::new(Code::InvalidRequest, detail).into()
    })
}

/// Cross-origin requests, for the configured origins.
pub fn cors(origins: &[String]) -> Cors {
    let mut cors = Cors::default()
        .allowed_methods(["GET", "POST", "PATCH", "DELETE"])
        .allowed_headers([
            "authorization",
            "content-type",
            "idempotency-key",
            "if-match",
            "if-none-match",
            "traceparent",
            "x-order-token",
            "x-publishable-key",
            "x-request-id",
        ])
        .expose_headers([
            "doorbuster-stale",
            "etag",
            "idempotent-replayed",
            "location",
            "retry-after",
            "x-request-id",
        ])
        .max_age(600);
    for origin in origins {
        // Only pages of origins that are named may bring the session's cookie.
        cors = match origin.as_str() {
            "*" => cors.allow_any_origin(),
            named => cors.allowed_origin(named).supports_credentials(),
        };
    }
    cors
}
