//! The OpenAPI document, made from the code: operations from the handlers, errors from the route
//! table.

use super::{BODY_CODES, Endpoint, endpoints};
use crate::error::{Code, ProblemBody};
use crate::{cart, catalog, inventory, order, session};
use actix_web::http::Method;
use std::collections::BTreeMap;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};
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
        catalog::routes::create_product,
        inventory::routes::create_stock_adjustment,
        inventory::routes::list_stock_levels,
        session::routes::create_session,
        session::routes::get_session,
        session::routes::delete_session,
        cart::routes::get_cart,
        cart::routes::update_cart,
        cart::routes::add_cart_items,
        cart::routes::update_cart_item,
        cart::routes::remove_cart_item,
        cart::routes::list_shipping_options,
        order::routes::place_order,
        order::routes::get_order,
        order::routes::pay_order,
        order::routes::cancel_order,
        order::routes::list_orders,
        super::operations::get_index,
        super::operations::get_livez,
        super::operations::get_readyz,
        super::operations::get_metrics,
        super::operations::get_openapi,
    ),
    components(schemas(ProblemBody, Code)),
    modifiers(&Errors, &Security),
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

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut Document) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The secret key `sk_…`"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("admin_key", SecurityScheme::Http(bearer));
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The token `dbs_…` of a session; its cookie works as well"))
            .build();
        components.add_security_scheme("session", SecurityScheme::Http(bearer));
    }
}

/// Adds to each operation the errors that the route table names.
struct Errors;

impl Modify for Errors {
    fn modify(&self, document: &mut Document) {
        for endpoint in endpoints() {
            let Some(path) = document.paths.paths.get_mut(endpoint.path) else { continue };
            let operation = match endpoint.method {
                Method::GET => path.get.as_mut(),
                Method::PATCH => path.patch.as_mut(),
                Method::DELETE => path.delete.as_mut(),
                _ => path.post.as_mut(),
            };
            let Some(operation) = operation else { continue };
            for (status, codes) in by_status(&endpoint) {
                let problem = Ref::from_schema_name("ProblemBody");
                let content = ContentBuilder::new().schema(Some(problem)).build();
                let response = ResponseBuilder::new()
                    .description(codes.join(", "))
                    .content("application/problem+json", content)
                    .build();
                let responses = &mut operation.responses.responses;
                responses.entry(status.to_string()).or_insert(RefOr::T(response));
            }
        }
    }
}

fn by_status(endpoint: &Endpoint) -> BTreeMap<u16, Vec<String>> {
    let has_body = [Method::POST, Method::PATCH].contains(&endpoint.method);
    let body_codes = if has_body { BODY_CODES } else { &[] };
    let storage = endpoint.path.starts_with("/v1/").then_some(&Code::StorageUnavailable);
    let mut statuses: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for code in endpoint.codes.iter().chain(body_codes).chain(storage) {
        let codes = statuses.entry(code.status().as_u16()).or_default();
        codes.push(format!("`{}`", code.as_str()));
    }
    statuses
}
