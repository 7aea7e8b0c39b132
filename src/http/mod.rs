//! How requests come in: the routes of the table, and the order of the middleware.
//!
//! Outermost first: the frame (`http/frame.rs`: request id, metrics, problem bodies, security
//! headers, panics), then CORS, then the routes, each behind its door (`http/door.rs`): its limits
//! (`http/limits.rs`) and its policy (`http/policy.rs`); browsing gives way to orders there
//! (`http/lag.rs`). Large answers leave in slices (`http/slices.rs`).

mod connections;
mod door;
mod exports;
mod frame;
mod lag;
mod limits;
mod openapi;
mod operations;
mod policy;
mod slices;
mod table;

pub use connections::watch;
pub use lag::LagMax;
pub use openapi::document;
pub use operations::Operations;
pub use policy::Policy;
pub use table::{BODY_CODES, Endpoint, endpoints};

use crate::config::{Config, Role};
use crate::error::{Code, Problem};
use crate::json::{BodyLimit, GRACE, JsonConfig, STORE_BODY_MAX};
use actix_cors::Cors;
use actix_web::guard::{self, Guard};
use actix_web::http::Method;
use actix_web::web;
use door::behind_its_door;
use frame::Pattern;

pub use frame::frame;

/// Registers every route of the role; wrong methods are 405 with `Allow`, wrong paths 404.
pub fn routes(services: &mut web::ServiceConfig, role: Role) {
    let mut endpoints = endpoints();
    if role == Role::Worker {
        endpoints.retain(|endpoint| !endpoint.path.starts_with("/v1"));
    }
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
            resource = resource.route(behind_its_door(endpoint).guard(method(&endpoint.method)));
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
            "ratelimit-limit",
            "ratelimit-remaining",
            "ratelimit-reset",
            "retry-after",
            "x-request-id",
        ])
        .max_age(600);
    for origin in origins {
        // Only pages of origins that are named may bring the session's cookie.
        cors = match origin.as_str() {
            "*" => cors.allow_any_origin().send_wildcard(),
            named => cors.allowed_origin(named).supports_credentials(),
        };
    }
    cors
}
