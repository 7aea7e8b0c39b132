//! The OpenAPI document, made from the code: operations from the handlers, errors from the route
//! table, and what many operations share from the modifiers.

mod modifiers;

use crate::error::{Code, ProblemBody};
use crate::{cart, catalog, customer, inventory, order, session, staff};
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
        customer::routes::everything::delete_customer,
        customer::routes::everything::get_customer_export,
        customer::routes::orders::claim_order,
        customer::routes::proofs::verify_email,
        customer::routes::proofs::create_verification,
        customer::routes::proofs::create_password_reset,
        customer::routes::proofs::confirm_password_reset,
        customer::routes::proofs::update_password,
        customer::routes::proofs::update_email,
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
        staff::routes::session::create_staff_login,
        staff::routes::session::get_staff_session,
        staff::routes::session::delete_staff_session,
        staff::routes::session::update_staff_password,
        staff::routes::factor::create_totp,
        staff::routes::factor::confirm_totp,
        staff::routes::factor::remove_totp,
        staff::routes::list_staff,
        staff::routes::create_staff,
        staff::routes::accept_invitation,
        staff::routes::get_staff,
        staff::routes::update_staff,
        staff::routes::delete_staff,
        staff::routes::create_invitation,
        staff::routes::roles::list_roles,
        staff::routes::roles::create_role,
        staff::routes::roles::get_role,
        staff::routes::roles::update_role,
        staff::routes::roles::delete_role,
        staff::routes::keys::list_api_keys,
        staff::routes::keys::create_api_key,
        staff::routes::keys::get_api_key,
        staff::routes::keys::update_api_key,
        staff::routes::keys::delete_api_key,
        staff::routes::keys::rotate_api_key,
        staff::routes::audit::list_audit_entries,
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
