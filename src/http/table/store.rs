//! The routes of the store.

use super::{Endpoint, delete, get, patch, post, to};
use crate::error::Code;
use crate::http::policy::Policy::*;
use crate::json::ORDER_BODY_MAX;
use crate::rate_limit::Class;
use crate::{cart, catalog, customer, order, session};

/// All of them.
pub fn endpoints() -> Vec<Endpoint> {
    [
        store_catalog(),
        store_carts(),
        store_accounts(),
        store_sessions(),
        store_customers(),
        store_orders(),
    ]
    .concat()
}

/// What the store shows: for looking around, which gives way to orders.
fn store_catalog() -> Vec<Endpoint> {
    use Code::*;
    let routes = vec![
        get(
            "/v1/products",
            Anybody,
            to!(catalog::routes::list_products),
            &[InvalidRequest, Overloaded],
        ),
        get(
            "/v1/products/{id_or_slug}",
            Anybody,
            to!(catalog::routes::get_product),
            &[NotFound, Overloaded],
        ),
        get(
            "/v1/categories",
            Anybody,
            to!(catalog::routes::categories::list_categories),
            &[Overloaded],
        ),
        get(
            "/v1/categories/{slug}",
            Anybody,
            to!(catalog::routes::categories::get_category),
            &[NotFound, Overloaded],
        ),
        get(
            "/v1/collections",
            Anybody,
            to!(catalog::routes::collections::list_collections),
            &[InvalidRequest, Overloaded],
        ),
        get(
            "/v1/collections/{slug}",
            Anybody,
            to!(catalog::routes::collections::get_collection),
            &[NotFound, Overloaded],
        ),
        get(
            "/media/{slug}.svg",
            Anybody,
            to!(catalog::routes::pictures::get_picture),
            &[NotFound, Overloaded],
        ),
    ];
    routes.into_iter().map(Endpoint::gives_way).collect()
}

/// What shoppers want to buy, and who they are.
fn store_carts() -> Vec<Endpoint> {
    use Code::*;
    vec![
        post("/v1/sessions", Anybody, to!(session::routes::create_session), &[Overloaded])
            .limited(Class::Session),
        get(
            "/v1/session",
            Shopper,
            to!(session::routes::get_session),
            &[Unauthorized, Overloaded],
        ),
        delete(
            "/v1/session",
            Shopper,
            to!(session::routes::delete_session),
            &[Unauthorized, Forbidden, Overloaded],
        ),
        get("/v1/cart", Shopper, to!(cart::routes::get_cart), &[Unauthorized, Overloaded]),
        patch(
            "/v1/cart",
            Shopper,
            to!(cart::routes::update_cart),
            &[Unauthorized, Forbidden, VersionConflict, Overloaded],
        ),
        post(
            "/v1/cart/items",
            Shopper,
            to!(cart::routes::add_cart_items),
            &[Unauthorized, Forbidden, VersionConflict, Overloaded],
        )
        .body_max(ORDER_BODY_MAX),
        patch(
            "/v1/cart/items/{id}",
            Shopper,
            to!(cart::routes::update_cart_item),
            &[Unauthorized, Forbidden, NotFound, VersionConflict, Overloaded],
        ),
        delete(
            "/v1/cart/items/{id}",
            Shopper,
            to!(cart::routes::remove_cart_item),
            &[Unauthorized, Forbidden, NotFound, VersionConflict, Overloaded],
        ),
        get(
            "/v1/cart/shipping-options",
            Shopper,
            to!(cart::routes::list_shipping_options),
            &[Unauthorized, Overloaded],
        ),
        post(
            "/v1/cart/checkout",
            Shopper,
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
        )
        .limited(Class::Order),
    ]
}

/// How accounts are opened: registering, logging in, what proves whose they are.
fn store_accounts() -> Vec<Endpoint> {
    use Code::*;
    vec![
        post(
            "/v1/session/login",
            Anybody,
            to!(customer::routes::login::create_login),
            &[Unauthorized, Forbidden, Overloaded],
        )
        .limited(Class::Login),
        post(
            "/v1/customers",
            Anybody,
            to!(customer::routes::create_customer),
            &[Conflict, Overloaded],
        )
        .limited(Class::Register),
        post(
            "/v1/customers/verify-email",
            Anybody,
            to!(customer::routes::proofs::verify_email),
            &[Conflict, Overloaded],
        )
        .limited(Class::Recover),
        post(
            "/v1/customers/password-reset",
            Anybody,
            to!(customer::routes::proofs::create_password_reset),
            &[Overloaded],
        )
        .limited(Class::Recover),
        post(
            "/v1/customers/password-reset/confirm",
            Anybody,
            to!(customer::routes::proofs::confirm_password_reset),
            &[Overloaded],
        )
        .limited(Class::Recover),
        post(
            "/v1/customers/me/verification",
            Customer,
            to!(customer::routes::proofs::create_verification),
            &[Unauthorized, Forbidden, Overloaded],
        )
        .limited(Class::Recover),
        post(
            "/v1/customers/me/password",
            Customer,
            to!(customer::routes::proofs::update_password),
            &[Unauthorized, Forbidden, Overloaded],
        )
        .limited(Class::Login),
        post(
            "/v1/customers/me/email",
            Customer,
            to!(customer::routes::proofs::update_email),
            &[Unauthorized, Forbidden, Overloaded],
        )
        .limited(Class::Login),
    ]
}

/// Where a customer is logged in.
fn store_sessions() -> Vec<Endpoint> {
    use Code::*;
    vec![
        get(
            "/v1/customers/me/sessions",
            Customer,
            to!(customer::routes::login::list_customer_sessions),
            &[Unauthorized, Forbidden, Overloaded],
        ),
        delete(
            "/v1/customers/me/sessions",
            Customer,
            to!(customer::routes::login::delete_customer_sessions),
            &[Unauthorized, Forbidden, Overloaded],
        ),
        delete(
            "/v1/customers/me/sessions/{id}",
            Customer,
            to!(customer::routes::login::delete_customer_session),
            &[Unauthorized, Forbidden, NotFound, Overloaded],
        ),
    ]
}

/// What is a customer's.
fn store_customers() -> Vec<Endpoint> {
    use Code::*;
    vec![
        get(
            "/v1/customers/me",
            Customer,
            to!(customer::routes::get_customer),
            &[Unauthorized, Forbidden, Overloaded],
        ),
        patch(
            "/v1/customers/me",
            Customer,
            to!(customer::routes::update_customer),
            &[Unauthorized, Forbidden, VersionConflict, Overloaded],
        ),
        delete(
            "/v1/customers/me",
            Customer,
            to!(customer::routes::everything::delete_customer),
            &[Unauthorized, Forbidden, Overloaded],
        ),
        post(
            "/v1/customers/me/orders",
            Customer,
            to!(customer::routes::orders::claim_order),
            &[Unauthorized, Forbidden, Overloaded],
        ),
        get(
            "/v1/customers/me/export",
            Customer,
            to!(customer::routes::everything::get_customer_export),
            &[Unauthorized, Forbidden, Overloaded],
        ),
        get(
            "/v1/customers/me/addresses",
            Customer,
            to!(customer::routes::addresses::list_addresses),
            &[Unauthorized, Forbidden, Overloaded],
        ),
        post(
            "/v1/customers/me/addresses",
            Customer,
            to!(customer::routes::addresses::create_address),
            &[Unauthorized, Forbidden, Conflict, Overloaded],
        ),
        get(
            "/v1/customers/me/addresses/{id}",
            Customer,
            to!(customer::routes::addresses::get_address),
            &[Unauthorized, Forbidden, NotFound, Overloaded],
        ),
        patch(
            "/v1/customers/me/addresses/{id}",
            Customer,
            to!(customer::routes::addresses::update_address),
            &[Unauthorized, Forbidden, NotFound, Overloaded],
        ),
        delete(
            "/v1/customers/me/addresses/{id}",
            Customer,
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
            Anybody,
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
        .body_max(ORDER_BODY_MAX)
        .limited(Class::Order),
        get(
            "/v1/orders",
            Shopper,
            to!(order::routes::list_session_orders),
            &[InvalidRequest, Unauthorized, Overloaded],
        ),
        get(
            "/v1/orders/{id}",
            OrderHolder,
            to!(order::routes::get_order),
            &[Unauthorized, NotFound, Overloaded],
        ),
        post(
            "/v1/orders/{id}/payments",
            OrderHolder,
            to!(order::routes::pay_order),
            &[Unauthorized, PaymentDeclined, Forbidden, NotFound, InvalidTransition, Overloaded],
        ),
        post(
            "/v1/orders/{id}/cancel",
            OrderHolder,
            to!(order::routes::cancel_order),
            &[Unauthorized, Forbidden, NotFound, InvalidTransition, Overloaded],
        ),
    ]
}
