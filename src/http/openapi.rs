//! The OpenAPI document, made from the code: operations from the handlers, errors from the route
//! table, and what many operations share from the modifiers.

mod modifiers;

use crate::error::{Code, ProblemBody};
use crate::{cart, catalog, customer, inventory, order, session};
use modifiers::{Bodies, Errors, Headers, Security};
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa_swagger_ui::{Config, SwaggerUi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "doorbuster",
        description = "A headless storefront backend for the days when everybody comes at once.",
        license(name = "MIT", identifier = "MIT"),
    ),
    paths(
        catalog::routes::list_products,
        catalog::routes::get_product,
        catalog::routes::categories::list_categories,
        catalog::routes::categories::get_category,
        catalog::routes::collections::list_collections,
        catalog::routes::collections::get_collection,
        catalog::routes::pictures::get_picture,
        catalog::routes::products::list_admin_products,
        catalog::routes::products::create_product,
        catalog::routes::products::get_admin_product,
        catalog::routes::products::update_product,
        catalog::routes::products::delete_product,
        catalog::routes::variants::create_variant,
        catalog::routes::variants::get_variant,
        catalog::routes::variants::update_variant,
        catalog::routes::variants::delete_variant,
        catalog::routes::categories::list_admin_categories,
        catalog::routes::categories::create_category,
        catalog::routes::categories::get_admin_category,
        catalog::routes::categories::update_category,
        catalog::routes::categories::delete_category,
        catalog::routes::collections::list_admin_collections,
        catalog::routes::collections::create_collection,
        catalog::routes::collections::get_admin_collection,
        catalog::routes::collections::update_collection,
        catalog::routes::collections::delete_collection,
        inventory::routes::create_stock_adjustment,
        inventory::routes::get_stock_adjustment,
        inventory::routes::list_stock_levels,
        session::routes::create_session,
        session::routes::get_session,
        session::routes::delete_session,
        inventory::routes::list_stock_movements,
        customer::routes::login::create_login,
        customer::routes::create_customer,
        customer::routes::get_customer,
        customer::routes::update_customer,
        customer::routes::login::list_customer_sessions,
        customer::routes::login::delete_customer_sessions,
        customer::routes::login::delete_customer_session,
        customer::routes::addresses::list_addresses,
        customer::routes::addresses::create_address,
        customer::routes::addresses::get_address,
        customer::routes::addresses::update_address,
        customer::routes::addresses::remove_address,
        cart::routes::get_cart,
        cart::routes::update_cart,
        cart::routes::add_cart_items,
        cart::routes::update_cart_item,
        cart::routes::remove_cart_item,
        cart::routes::list_shipping_options,
        order::routes::place_order,
        order::routes::checkout_cart,
        order::routes::list_session_orders,
        order::routes::get_order,
        order::routes::pay_order,
        order::routes::cancel_order,
        order::routes::admin::list_orders,
        order::routes::admin::get_admin_order,
        super::exports::get_export,
        super::operations::get_index,
        super::operations::get_livez,
        super::operations::get_readyz,
        super::operations::get_metrics,
        super::operations::get_openapi,
    ),
    components(schemas(ProblemBody, Code)),
    modifiers(&Errors, &Headers, &Bodies, &Security),
)]
struct Api;

/// The document.
pub fn document() -> Document {
    Api::openapi()
}

/// The pages under `/docs/`, without anything from elsewhere.
pub fn docs() -> SwaggerUi {
    SwaggerUi::new("/docs/{_:.*}").config(Config::new(["/openapi.json"]))
}
