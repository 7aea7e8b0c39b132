//! Every route on one page: where it is, what serves it, which errors it may answer with.

use super::{exports, frame, operations};
use crate::error::Code;
use crate::json::{ORDER_BODY_MAX, STORE_BODY_MAX};
use crate::{cart, catalog, customer, inventory, order, session};
use actix_web::Route;
use actix_web::http::Method;

/// One operation: where it is, what serves it, which errors it may answer with.
pub struct Endpoint {
    /// The method; HEAD works where GET does.
    pub method: Method,
    /// The path's pattern.
    pub path: &'static str,
    /// Makes the route.
    pub(super) route: fn() -> Route,
    /// The error codes beyond those that any request may meet.
    pub codes: &'static [Code],
    /// Bytes in a body, at most.
    pub(super) body_max: usize,
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
        store_customers(),
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

/// Who has an account, and what is theirs.
fn store_customers() -> Vec<Endpoint> {
    use Code::*;
    vec![
        post(
            "/v1/session/login",
            to!(customer::routes::login::create_login),
            &[Unauthorized, Forbidden, Overloaded],
        ),
        post("/v1/customers", to!(customer::routes::create_customer), &[Conflict, Overloaded]),
        get(
            "/v1/customers/me",
            to!(customer::routes::get_customer),
            &[Unauthorized, Forbidden, Overloaded],
        ),
        patch(
            "/v1/customers/me",
            to!(customer::routes::update_customer),
            &[Unauthorized, Forbidden, VersionConflict, Overloaded],
        ),
        get(
            "/v1/customers/me/sessions",
            to!(customer::routes::login::list_customer_sessions),
            &[Unauthorized, Forbidden, Overloaded],
        ),
        delete(
            "/v1/customers/me/sessions",
            to!(customer::routes::login::delete_customer_sessions),
            &[Unauthorized, Forbidden, Overloaded],
        ),
        delete(
            "/v1/customers/me/sessions/{id}",
            to!(customer::routes::login::delete_customer_session),
            &[Unauthorized, Forbidden, NotFound, Overloaded],
        ),
        get(
            "/v1/customers/me/addresses",
            to!(customer::routes::addresses::list_addresses),
            &[Unauthorized, Forbidden, Overloaded],
        ),
        post(
            "/v1/customers/me/addresses",
            to!(customer::routes::addresses::create_address),
            &[Unauthorized, Forbidden, Conflict, Overloaded],
        ),
        get(
            "/v1/customers/me/addresses/{id}",
            to!(customer::routes::addresses::get_address),
            &[Unauthorized, Forbidden, NotFound, Overloaded],
        ),
        patch(
            "/v1/customers/me/addresses/{id}",
            to!(customer::routes::addresses::update_address),
            &[Unauthorized, Forbidden, NotFound, Overloaded],
        ),
        delete(
            "/v1/customers/me/addresses/{id}",
            to!(customer::routes::addresses::remove_address),
            &[Unauthorized, Forbidden, NotFound, Overloaded],
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
